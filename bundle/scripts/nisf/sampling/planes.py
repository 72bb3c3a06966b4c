"""The heart's axes from the LV and RV of a fitted scan, and the long-axis planes that follow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nisf.geometry.grid import Grid
from nisf.sampling.fitted_scan import FittedScan
from nisf.utils.errors import InputError

#: Names of long-axis planes. The 2-chamber plane (vertical long axis) is perpendicular to the 4-chamber plane.
PLANES = ("4-chamber", "2-chamber")

#: Voxel size with which the axes are found, and size and spacing of the planes, mm.
SEARCH, SIZE, SPACING = 3.0, 160.0, 1.5


@dataclass(frozen=True)
class HeartAxes:
    """World points (RAS mm) and unit directions of a heart at one time point.

    Attributes:
        apex: apex of the LV, epicardium included.
        base: point where the LV's axis meets the mitral plane, as far as the stack shows it.
        right: centroid of the RV.
    """

    apex: np.ndarray
    base: np.ndarray
    right: np.ndarray

    @property
    def axis(self) -> np.ndarray:
        """Unit vector from apex to base."""
        return (self.base - self.apex) / np.linalg.norm(self.base - self.apex)

    @property
    def to_right(self) -> np.ndarray:
        """Unit vector at right angles to the axis, towards the RV."""
        away = self.right - self.apex
        away = away - self.axis * np.dot(away, self.axis)
        return away / np.linalg.norm(away)


def heart_axes(fitted: FittedScan, time: float = 0.0, grid: Grid | None = None) -> HeartAxes:
    """The axes at one time point.

    The LV's axis is the least-squares line through the centroids of its cavity at the levels of the stack, weighted by
    the cavity's area; apex and base are where it leaves myocardium and cavity.

    Args:
        fitted: fitted scan with the classes LV, MYO and RV.
        time: time point, fraction of the cycle.
        grid: grid to evaluate, its last axis across the slices; by default the fitted box.

    Raises:
        InputError: no LV or RV is found, or the scan's classes are not a heart's.
    """
    numbers = {name: number for number, name in fitted.class_names.items()}
    if not {"LV", "MYO", "RV"} <= set(numbers):
        raise InputError(
            f"{fitted.subject}: long-axis planes need the classes LV, MYO and RV; give three points instead"
        )
    grid = Grid.of_scan(fitted.frame, (SEARCH, SEARCH, SEARCH)) if grid is None else grid
    points = grid.world()
    classes = fitted.read(points, time)[fitted.network.in_channels :].argmax(dim=0).numpy()
    cavity, right = classes == numbers["LV"], classes == numbers["RV"]
    if not cavity.any() or not right.any():
        raise InputError(f"{fitted.subject}: no LV or no RV was found; give three points in place of a plane's name")
    center, direction = _line(points, cavity, grid)
    along = (points - center) @ direction
    wall = cavity | (classes == numbers["MYO"])
    apex, base = np.quantile(along[wall], 0.999), np.quantile(along[cavity], 0.001)
    return HeartAxes(center + direction * apex, center + direction * base, points[right].mean(axis=0))


def _line(points: np.ndarray, cavity: np.ndarray, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """A point [3] and the direction [3], base to apex, of the LV's axis."""
    level = np.arange(len(points)) % grid.shape[2]
    used = [k for k in range(grid.shape[2]) if (cavity & (level == k)).any()]
    centers = np.stack([points[cavity & (level == k)].mean(axis=0) for k in used])
    area = np.array([(cavity & (level == k)).sum() for k in used], dtype=float)
    center = (area @ centers) / area.sum()
    step = grid.affine[:3, 2] / np.linalg.norm(grid.affine[:3, 2])  # slices run from base to apex
    if len(used) < 3:
        return center, step
    place = (centers - center) @ step
    slope = (area * place) @ (centers - center) / ((area * place) @ place)
    return center, slope / np.linalg.norm(slope)


def long_axis_plane(name: str, axes: HeartAxes, size: float = SIZE, spacing: float = SPACING) -> Grid:
    """A long-axis plane as a grid: apex down, in the 4-chamber plane the RV to the left of the picture.

    Args:
        name: one of ``PLANES``.
        axes: axes of the heart.
        size: length of its sides, mm.
        spacing: pixel size, mm.

    Raises:
        InputError: the name is unknown.
    """
    if name not in PLANES:
        raise InputError(f"the plane '{name}' is unknown; use {' or '.join(PLANES)}, or give three points")
    aside = -axes.to_right if name == "4-chamber" else np.cross(axes.axis, axes.to_right)
    middle = 0.5 * (axes.apex + axes.base)
    return Grid.plane(middle, aside, -axes.axis, (size, size), spacing)
