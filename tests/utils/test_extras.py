"""Packages that only some commands need: named where they are missing, and not needed by the others."""

import configparser
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.tiny import phantom_scans

from nisf.cli.doctor import PURPOSES
from nisf.inference.dicom_seg import check_sources
from nisf.inference.save_slicer import SaveSlicerd
from nisf.io.images import read_scan
from nisf.models.nisf import NISF
from nisf.models.onnx import write_onnx
from nisf.training.train import dataset_or_phantom
from nisf.utils.errors import InputError
from nisf.utils.extras import EXTRAS, missing_of

ROOT = Path(__file__).resolve().parents[2]

#: A process in which no extra can be imported, and which notes whether nisf's own code tried.
WITHOUT = """
import sys
from nisf.cli.main import run
from nisf.utils.extras import EXTRAS

EXTRA = {name for names in EXTRAS.values() for name in names}
tried = []

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in EXTRA:
            frame = sys._getframe(1)
            while "importlib" in frame.f_code.co_filename:
                frame = frame.f_back
            if frame.f_globals["__name__"].startswith("nisf"):
                tried.append(name)
            raise ModuleNotFoundError(name)

assert not EXTRA & set(sys.modules), "import nisf"
sys.meta_path.insert(0, Refuse())
scan, out = sys.argv[1:]
run(["segment", scan, "-o", out, "--config", "phantom", "--fast"])
assert not {"matplotlib", "scipy.signal", "torch.distributed.fsdp"} & set(sys.modules), "slow to import"
run(["report", out])
assert not tried, tried
assert not EXTRA & set(sys.modules)
"""


def test_a_scan_is_segmented_and_reported_without_any_extra_and_without_what_is_slow_to_import(tmp_path):
    scan = phantom_scans(tmp_path / "scans", 1)[0]["image"]
    words = [sys.executable, "-c", WITHOUT, scan, str(tmp_path / "out")]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert "1 of 1 scans done" in done.stdout and "1 of 1 scans reported" in done.stdout


def refusals(folder):
    """What each extra is needed for, tried."""
    (folder / "scan.mha").write_bytes(b"")
    return {
        "train": lambda: dataset_or_phantom("", "cohort", str(folder)),
        "dicom-seg": lambda: check_sources([], "phases"),
        "slicer": lambda: SaveSlicerd(str(folder), True, {}),
        "itk": lambda: read_scan(str(folder / "scan.mha")),
        "onnx": lambda: write_onnx(NISF(hidden_size=4, num_layers=2, latent_size=2), folder / "net.onnx"),
    }


@pytest.mark.parametrize("extra", ["train", "dicom-seg", "slicer", "itk", "onnx"])
def test_what_is_missing_is_said_in_one_sentence(extra, tmp_path, monkeypatch):
    for name in EXTRAS[extra]:
        monkeypatch.setitem(sys.modules, name, None)  # as where it is not installed
    assert missing_of(extra) == list(EXTRAS[extra])
    with pytest.raises(InputError, match=rf"^{EXTRAS[extra][0]} is not installed; .* needs: pip .*'nisf\[{extra}\]'$"):
        refusals(tmp_path)[extra]()


def test_the_extras_are_those_of_the_package():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    listed = {
        name: {line.split(">=")[0] for line in lines.split()} for name, lines in setup["options.extras_require"].items()
    }
    # where they are not named as their module
    packages = {"sklearn": "scikit-learn", "mlflow": "mlflow-skinny", "gdcm": "python-gdcm"}
    assert set(EXTRAS) == set(PURPOSES) == set(listed) - {"all", "docs", "test"}
    assert listed["all"] == {f"nisf[{','.join(EXTRAS)}]"}
    for extra, modules in EXTRAS.items():
        assert {packages.get(name, name) for name in modules} == listed[extra]
