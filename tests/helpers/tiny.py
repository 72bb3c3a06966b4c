"""Shared by several tests: phantom scans of a few voxels, and a full disk."""

import json
import resource
from contextlib import contextmanager

import torch
from monai.transforms import Compose, ScaleIntensityRangePercentilesd

from nisf.phantom.cohort import write_cohort
from nisf.transforms.load import LoadCined
from nisf.transforms.spatial import CanonicalOrientationd, CropToFieldd

#: Options of the phantom for the smallest scan that still shows every class.
TINY = {"matrix": 24, "voxel_mm": 6, "slices": 4, "thickness_mm": 18, "gap_mm": 2, "frames": 3, "subsamples": 1}


def phantom_scans(folder, number, seed=0, **options):
    """Entries of a data list with absolute paths; each scan is stored in a random orientation."""
    return entries(write_cohort(folder, 0, 0, number, seed=seed, **{**TINY, **options}))


def entries(listing):
    """Test subjects of a cohort file, with absolute paths."""
    subjects = json.loads(listing.read_text())["test"]
    return [{**s, **{key: str(listing.parent / s[key]) for key in ("image", "label")}} for s in subjects]


def chain(*more, **crop):
    """The deterministic transforms of the configs, then ``more``."""
    keys = ("image", "label")
    scale = ScaleIntensityRangePercentilesd("image", 1, 99, 0.0, 1.0, clip=True, channel_wise=True)
    return Compose([LoadCined(keys), CanonicalOrientationd(keys), CropToFieldd(keys, **crop), scale, *more])


#: Contexts in which MONAI and Lightning call an inferer.
CALLERS = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
}


@contextmanager
def disk_full_after(size):
    """Every write beyond ``size`` bytes of a file fails, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
