"""Cells between the samples of a lattice: how their corners differ, and which samples are their corners.

A cell spans two samples along each of ``axes`` and one sample along the others, so that a lattice of one slice, or of
slices that are not divided, has flat cells.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

EVERY = (0, 1, 2)


def corner_range(values: np.ndarray, axes: Sequence[int] = EVERY) -> tuple[np.ndarray, np.ndarray]:
    """Minimum and maximum at the corners of each cell, of [X, Y, Z] samples; for masks: all, any."""
    low = high = values
    for axis in axes:
        before, after = cut(slice(None, -1), axis), cut(slice(1, None), axis)
        low, high = np.minimum(low[before], low[after]), np.maximum(high[before], high[after])
    return low, high


def differing(values: np.ndarray, axes: Sequence[int] = EVERY) -> np.ndarray:
    """Cells whose corners are not all equal, of [X, Y, Z] samples."""
    low, high = corner_range(values, axes)
    return low != high


def near_zero(values: np.ndarray, axes: Sequence[int] = EVERY) -> np.ndarray:
    """Cells in which some of [S, X, Y, Z] samples may cross zero, given how much they differ at the corners."""
    out: np.ndarray | bool = False
    for one in values:
        low, high = corner_range(one, axes)
        # no point of a cube of n dimensions is farther than sqrt(n) / 2 of its width from a corner
        out = out | (np.maximum(low, -high) < (high - low) * np.sqrt(len(axes)) / 2)
    return np.asarray(out)


def corners(cells: np.ndarray, axes: Sequence[int] = EVERY) -> np.ndarray:
    """Mask of the samples at the corners of a mask of cells."""
    out = np.pad(cells, [(0, int(axis in axes)) for axis in EVERY])
    for axis in axes:
        out[cut(slice(1, None), axis)] |= out[cut(slice(None, -1), axis)].copy()
    return out


def cut(part: slice, axis: int) -> tuple[slice, ...]:
    """Index of ``part`` along one of three axes and everything along the others."""
    return tuple(part if a == axis else slice(None) for a in EVERY)
