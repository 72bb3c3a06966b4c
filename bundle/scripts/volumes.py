"""Volumes of a fitted scan's classes through the cycle: of the continuous function, and by adding up the slices.

The function's volume of a class is the integral of its probability, the volume to be expected. Probabilities are smooth,
so a lattice of some 4 mm about the heart is enough (0.3% from one of 2 mm). It ends one slice distance beyond the stack.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.ndimage import binary_dilation, label

from scripts.errors import InputError
from scripts.fitted import FittedScan
from scripts.geometry import spacing_of
from scripts.grids import Grid

#: Points of the look that finds the organ, of a volume, and of one of a draw.
LOOK, POINTS, DRAW_POINTS = 8000, 12000, 4000
#: Moments at which draws are read; between them their ratio to the fit's own volume is interpolated.
DRAW_MOMENTS = 6
#: Slice distances beyond the stack.
BEYOND = 1.0
#: Probability of all classes together from which a place is looked at closely.
SEEN = 0.02


@dataclass(frozen=True)
class Volumes:
    """Volumes in mL at moments of the cycle.

    Attributes:
        times: [T], fractions of the cycle.
        values: [K - 1, T], in the order of ``names``.
        draws: [n, K - 1, T], of posterior draws; n is 0 without.
        names: of the classes, background left out.
    """

    times: np.ndarray
    values: np.ndarray
    draws: np.ndarray
    names: tuple[str, ...]

    def of(self, name: str) -> np.ndarray:
        """The fit's own and the draws' volumes of one class, [1 + n, T]."""
        place = self.names.index(name)
        return np.concatenate([self.values[None, place], self.draws[:, place]])


@dataclass(frozen=True)
class Region:
    """Points of a lattice about the organ.

    Attributes:
        points: [N, 3], RAS mm.
        cell: volume of each, mL.
    """

    points: np.ndarray
    cell: float


def longer_stack(fitted: FittedScan, beyond: float = BEYOND) -> Grid:
    """One voxel that fills the fitted grid and ``beyond`` slice distances more at both its ends; to be resampled."""
    whole = Grid.of_scan(fitted.frame)
    affine, count = whole.affine.copy(), whole.shape[2] + 2 * beyond
    affine[:3, 3] += affine[:3, 2] * (whole.shape[2] - 1) / 2  # the slices' middle
    affine[:3, 2] *= count
    return replace(whole, affine=affine, shape=(*whole.shape[:2], 1))


def region_of(fitted: FittedScan, times: Sequence[float], points: int = POINTS, beyond: float = BEYOND) -> Region:
    """The lattice on which volumes are taken: what lies about the largest piece that is seen at any of ``times``.

    Args:
        fitted: any classes.
        times: at most three of them are looked at.
        points: of the lattice, about.
        beyond: slice distances beyond the stack.

    Raises:
        InputError: no class is seen anywhere.
    """
    box = longer_stack(fitted, beyond)
    size = np.prod(np.array(spacing_of(box.affine)) * box.shape)
    look = box.resampled([(size / LOOK) ** (1 / 3)] * 3)
    world, seen = look.world(), np.zeros(look.voxels)
    for time in np.asarray(times)[np.linspace(0, len(times) - 1, min(len(times), 3)).round().astype(int)]:
        seen = np.maximum(seen, 1 - fitted.classes(world, time)[0])
    pieces, count = label((seen > SEEN).reshape(look.shape), np.ones((3, 3, 3)))
    if count == 0 or seen.max() < 0.5:
        raise InputError(f"{fitted.subject}: no organ is found in the scan; look at its segmentation")
    weights = np.bincount(pieces.ravel(), weights=seen)
    weights[0] = 0
    wanted = binary_dilation(pieces == weights.argmax(), np.ones((3, 3, 3)))
    cell = np.prod(spacing_of(look.affine))
    fine = box.resampled([(wanted.sum() * cell / points) ** (1 / 3)] * 3)
    world, inverse = fine.world(), np.linalg.inv(look.affine)
    voxels = np.rint(world @ inverse[:3, :3].T + inverse[:3, 3]).astype(int)
    inside = wanted[tuple(np.clip(voxels, 0, np.array(look.shape) - 1).T)]
    return Region(world[inside], float(np.prod(spacing_of(fine.affine)) / 1000))


def volumes_at(fitted: FittedScan, region: Region, times: Sequence[float]) -> np.ndarray:
    """Volumes [K - 1, T] in mL of all classes but the background."""
    return np.stack([fitted.classes(region.points, t)[1:].sum(axis=1) for t in times], axis=1) * region.cell


def volume_curves(fitted: FittedScan, times: Sequence[float], points: int = POINTS) -> Volumes:
    """Volumes at moments of the cycle, with those of the scan's posterior draws.

    Args:
        fitted: of any organ.
        times: fractions of the cycle, ascending.
        points: of the lattice, about.

    Raises:
        InputError: no class is seen anywhere.
    """
    times = np.asarray(times, dtype=float)
    values = volumes_at(fitted, region_of(fitted, times, points), times)
    draws = np.zeros((len(fitted.draws), *values.shape))
    if fitted.draws:
        few = times[np.unique(np.linspace(0, len(times), DRAW_MOMENTS, endpoint=False).astype(int))]
        lowest = times[values[_first(fitted)].argmin()]
        few = np.unique(np.append(few, lowest))
        region = region_of(fitted, times, DRAW_POINTS)
        own = volumes_at(fitted, region, few)
        for number, (latent, frame) in enumerate(fitted.draws):
            ratio = volumes_at(replace(fitted, latent=latent, frame=frame), region, few) / np.maximum(own, 1e-6)
            draws[number] = values * np.stack([np.interp(times, few, row, period=1.0) for row in ratio])
    return Volumes(times, values, draws, tuple(class_list(fitted)))


def class_list(fitted: FittedScan) -> list[str]:
    """Names of the classes but the background, in the order of their numbers."""
    return [fitted.class_names.get(number, f"class {number}") for number in range(1, fitted.network.num_classes)]


def _first(fitted: FittedScan) -> int:
    """Place of the class whose curve shows the phases."""
    names = class_list(fitted)
    return names.index("LV") if "LV" in names else 0


def slice_volumes(labels: np.ndarray, affine: np.ndarray, names: Mapping[int, str]) -> dict[str, np.ndarray]:
    """Volumes by slice summation: voxels of a class times the voxel's volume, the gap between slices included.

    Args:
        labels: [X, Y, Z, T].
        affine: of the file, [4, 4].
        names: class number to name.

    Returns:
        name to [T], mL.
    """
    cell = abs(np.linalg.det(np.asarray(affine, dtype=float)[:3, :3])) / 1000
    return {name: (labels == number).sum(axis=(0, 1, 2)) * cell for number, name in names.items() if number > 0}


def periodic(times: np.ndarray, values: np.ndarray) -> CubicSpline:
    """A closed cubic spline through values [..., T] at ascending fractions of the cycle [T]."""
    ends = np.append(times, times[0] + 1)
    return CubicSpline(ends, np.concatenate([values, values[..., :1]], axis=-1), axis=-1, bc_type="periodic")
