"""Shared by all tests."""

import os
from pathlib import Path

# Processes that tests start, Ray's among them, find the helpers too.
os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
# The sizes are tiny: a second thread costs more than it gives, and much more where the cores are shared. Torch looks at
# this once, when it is imported; the processes that tests start inherit it.
os.environ["OMP_NUM_THREADS"] = "1"

import pytest  # noqa: E402
import torch  # noqa: E402

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def phantom_result(tmp_path_factory):
    """Scan folder of a small phantom that was segmented for good; tests copy it before they change it."""
    from helpers.report_scans import measured, segmented

    folder = segmented(tmp_path_factory.mktemp("segmented"))
    measured(folder)
    return folder


def pytest_addoption(parser):
    """``--fuzz N``: random inputs of each kind that test_fuzz.py tries."""
    parser.addoption("--fuzz", type=int, default=12)
