"""Ray for the tests of a folder."""

import pytest

from nisf.cohort.pool import ray_at


@pytest.fixture(scope="module")
def ray():
    """A Ray for all runs of a file."""
    with ray_at("auto", 2):
        yield
