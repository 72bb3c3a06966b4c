"""Which of the last two axes of a cine [X, Y, ?, ?] is time, by what is in it."""

from __future__ import annotations

import numpy as np

#: How much more alike neighbours along one axis are than along the other where that tells which axis is time. Frames of
#: a cine follow each other within some 40 ms, slices are some 8 mm apart.
ALIKE = 2.0

#: Fewest voxels in plane of a picture.
PICTURE = 16

#: Slice distances of cines, mm, from which on a voxel size is one.
SLICES = (3.0, 30.0)


def has_time_third(array: np.ndarray) -> bool:
    """Whether the third axis of [X, Y, ?, ?] is time and the fourth runs across slices.

    Its neighbours are then ``ALIKE`` times as alike as those along the fourth, and its ends are more alike than those:
    a heart's cycle closes. Both axes need at least three places, time as many as there are slices.
    """
    third, fourth = array.shape[2:]
    if min(array.shape[:2]) < PICTURE or min(third, fourth) < 3 or third < fourth:
        return False
    over_third, over_fourth = _change(array, 2), _change(array, 3)
    ends = float(np.abs(array[:, :, -1] - array[:, :, 0]).mean())
    return bool(over_fourth > ALIKE * over_third and over_fourth > ends)


def _change(array: np.ndarray, axis: int) -> float:
    """Mean difference of neighbours along an axis."""
    return float(np.abs(np.diff(array, axis=axis)).mean())


def slice_distance(third: float, fourth: float) -> float | None:
    """The one of two voxel sizes, in mm, that can be a slice distance, the fourth axis' first; None if neither can."""
    return next((float(size) for size in (fourth, third) if SLICES[0] <= size <= SLICES[1]), None)


def as_xyzt(
    array: np.ndarray, affine: np.ndarray, zooms: tuple[float, ...]
) -> tuple[np.ndarray, np.ndarray, float] | None:
    """Array [X, Y, Z, T], affine and seconds per frame (0 where unknown) of an array [X, Y, T, Z].

    Args:
        array: [X, Y, T, Z].
        affine: [4, 4], of its first three axes as if they were X, Y, Z.
        zooms: the four voxel sizes of the header, mm and seconds.

    Returns:
        None if no voxel size can be the slices' distance.
    """
    distance = slice_distance(zooms[2], zooms[3])
    if distance is None:
        return None
    affine = np.array(affine, dtype=float)
    affine[:3, 2] *= distance / np.linalg.norm(affine[:3, 2])
    seconds = next((float(size) for size in zooms[2:] if 0 < size < 1), 0.0)
    return array.swapaxes(2, 3), affine, seconds
