"""A voxel size that a user states, in place of the one in a file that has lost its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nisf.geometry.orientation import spacing_of
from nisf.utils.errors import InputError

#: Believable voxel sizes of medical images, mm.
BELIEVABLE = (0.05, 50.0)


def stated_size(voxel_mm: Sequence[float] | str | None) -> tuple[float, float, float] | None:
    """The setting ``voxel_mm`` as three numbers; None where it is not given.

    Raises:
        InputError: it is not three numbers, or they are no sizes of voxels in mm.
    """
    if voxel_mm is None:
        return None
    words = voxel_mm.replace(",", " ").split() if isinstance(voxel_mm, str) else voxel_mm
    try:
        sizes = tuple(float(word) for word in words)
    except (TypeError, ValueError):
        sizes = ()
    if len(sizes) != 3 or not all(BELIEVABLE[0] <= size <= BELIEVABLE[1] for size in sizes):
        raise InputError(
            f"--voxel_mm is {voxel_mm}; give the voxel size along the three array axes in mm, as 1.4,1.4,10"
        )
    return sizes


def with_size(affine: np.ndarray, sizes: Sequence[float] | None) -> np.ndarray:
    """An affine [4, 4] with voxels of other sizes, mm: the directions of its axes and its first voxel stay."""
    if sizes is None:
        return affine
    found = affine.copy()
    found[:3, :3] *= np.asarray(sizes) / spacing_of(affine)
    return found
