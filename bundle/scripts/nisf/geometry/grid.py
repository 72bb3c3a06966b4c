"""Grids in the world on which a fitted scan can be read: another image's, a finer one, a box, a plane."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from nibabel.affines import apply_affine

from nisf.geometry.affine import world_to_voxel
from nisf.geometry.frame import CoordinateFrame
from nisf.geometry.orientation import spacing_of
from nisf.utils.errors import InputError


@dataclass(frozen=True)
class Grid:
    """Voxels in the world, and time points.

    Attributes:
        affine: voxel index to world (RAS mm), [4, 4].
        shape: voxels along the three axes.
        times: time points, fractions of the cycle.
    """

    affine: np.ndarray
    shape: tuple[int, int, int]
    times: tuple[float, ...] = (0.0,)

    @classmethod
    def of_scan(cls, frame: CoordinateFrame, spacing: Sequence[float] | None = None) -> Grid:
        """The fitted grid, or one of another voxel size (mm) along its axes that fills the same box."""
        whole = cls(np.asarray(frame.affine), tuple(frame.shape), tuple(frame.times))
        return whole if spacing is None else whole.resampled(spacing)

    @classmethod
    def plane(
        cls, center: np.ndarray, along: np.ndarray, across: np.ndarray, size: tuple[float, float], spacing: float
    ) -> Grid:
        """A plane as a grid of one slice.

        Args:
            center: world point [3] at its centre.
            along: direction [3] of its first axis.
            across: direction [3] in the plane that is not parallel to ``along``.
            size: lengths along the two axes, mm.
            spacing: pixel size, mm.

        Raises:
            InputError: the directions are parallel or a size is not positive.
        """
        if spacing <= 0 or min(size) <= 0:
            raise InputError(f"a plane of {size} mm at {spacing} mm is empty; give positive numbers")
        first = unit_vector(np.asarray(along, float))
        second = unit_vector(np.asarray(across, float) - first * np.dot(first, across))
        shape = tuple(max(1, int(round(s / spacing))) for s in size)
        affine = np.eye(4)
        affine[:3, :3] = np.stack([first, second, np.cross(first, second)], axis=1) * spacing
        affine[:3, 3] = np.asarray(center, float) - affine[:3, :2] @ ((np.array(shape) - 1) / 2)
        return cls(affine, (*shape, 1))

    @classmethod
    def through(cls, points: Sequence[Sequence[float]], size: float, spacing: float) -> Grid:
        """The plane through three world points (RAS mm), about their mean, first axis from the first to the second.

        Raises:
            InputError: they are not three points, or are on one line.
        """
        found = np.asarray(points, dtype=float)
        if found.shape != (3, 3) or not np.all(np.isfinite(found)):
            raise InputError(f"a plane needs three points of three numbers, not {points}")
        return cls.plane(found.mean(axis=0), found[1] - found[0], found[2] - found[0], (size, size), spacing)

    def resampled(self, spacing: Sequence[float]) -> Grid:
        """A grid of another voxel size (mm) in the same box."""
        if len(spacing) != 3 or min(spacing) <= 0:
            raise InputError(f"spacing is {tuple(spacing)}; give three positive numbers in mm")
        size = np.array(spacing_of(self.affine)) * self.shape
        shape = np.maximum(np.rint(size / spacing), 1).astype(int)
        step = size / shape / spacing_of(self.affine)  # old voxels to one new one
        affine = self.affine.copy()
        affine[:3, :3] = self.affine[:3, :3] * step
        affine[:3, 3] = apply_affine(self.affine, 0.5 * step - 0.5)
        return replace(self, affine=affine, shape=tuple(int(n) for n in shape))

    def cropped(self, points: np.ndarray, margin: float) -> Grid:
        """The part of the grid that contains world points [N, 3] and ``margin`` mm around them."""
        voxels = world_to_voxel(self.affine, points)
        away = margin / np.array(spacing_of(self.affine))
        low = np.clip(np.floor(voxels.min(axis=0) - away), 0, np.array(self.shape) - 1).astype(int)
        high = np.clip(np.ceil(voxels.max(axis=0) + away), low, np.array(self.shape) - 1).astype(int)
        affine = self.affine.copy()
        affine[:3, 3] = apply_affine(self.affine, low)
        return replace(self, affine=affine, shape=tuple(int(n) for n in high - low + 1))

    def at(self, times: Sequence[float]) -> Grid:
        """The same voxels at other time points."""
        return replace(self, times=tuple(float(t) for t in times))

    def world(self) -> np.ndarray:
        """World points [N, 3] of all voxels, the last axis fastest."""
        return np.concatenate(list(self.slabs()))

    def slabs(self, voxels: int = 1_000_000) -> Iterator[np.ndarray]:
        """``world`` in parts of about ``voxels`` points, each of whole planes of the first axis."""
        x, y, z = self.shape
        step = max(1, voxels // (y * z))
        for start in range(0, x, step):
            part = [np.arange(start, min(start + step, x)), np.arange(y), np.arange(z)]
            index = np.stack(np.meshgrid(*part, indexing="ij"), axis=-1).reshape(-1, 3)
            yield apply_affine(self.affine, index)

    @property
    def voxels(self) -> int:
        """Number of voxels at one time point."""
        return int(np.prod(self.shape))


def even_times(count: int) -> tuple[float, ...]:
    """``count`` time points spread evenly over the cycle from 0."""
    if count < 1:
        raise InputError(f"{count} frames were asked for; at least 1 is needed")
    return tuple(i / count for i in range(count))


def mean_step(times: Sequence[float]) -> float:
    """Mean distance between time points, a fraction of the cycle; the whole cycle for a single one."""
    return abs(times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else 1.0


def unit_vector(direction: np.ndarray) -> np.ndarray:
    """The direction [3] with length one.

    Raises:
        InputError: it has no length.
    """
    length = np.linalg.norm(direction)
    if not length > 1e-9:
        raise InputError("the plane's directions are parallel or zero; give three points that are not on one line")
    return direction / length
