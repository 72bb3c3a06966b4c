"""Volumes of a fitted scan's classes through the cycle: of its slices added up, and of the whole heart.

Both are integrals of the probability of a class (the expected volume) on a lattice about the heart, read from the
fitted function. ``SLICES`` counts as experts do: the area in each slice times the slice distance, nothing beyond the
first and the last slice; what a wide gap hides is read between the slices. ``WHOLE_HEART`` is what the function
encloses in space, to one slice distance beyond the stack. Each cell contributes its mean probability, from value and
slope of the logit, so that a lattice of 2 to 5 mm is enough.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import binary_dilation, generate_binary_structure, label, maximum_filter, minimum_filter

from nisf.geometry.affine import voxel_ml, world_to_voxel
from nisf.geometry.grid import Grid
from nisf.geometry.orientation import spacing_of
from nisf.measures.conventions import SLICES, WHOLE_HEART
from nisf.sampling.fitted_scan import FittedScan
from nisf.utils.errors import InputError

#: Slice distance in mm above which the function is also read between slices: stacks for volumes have 8 to 10 mm.
WIDE = 12.0

#: Numbers of points to find the organ, for a volume, and for the largest and the smallest volume.
SEARCH_POINTS, POINTS, FINE_POINTS = 8000, 12000, 40000

#: Number of time points at which draws are read, besides the largest and the smallest volume; between them the ratio
#: to the fit's volume is interpolated.
DRAW_TIMES = 3

#: Margin beyond the stack, slice distances.
BEYOND = 1.0

#: Lower bound of probabilities.
LEAST = 1e-7

#: Minimum probability of all classes together for a place to be sampled finely.
SEEN = 0.02


@dataclass(frozen=True)
class Volumes:
    """Volumes in mL at time points of the cycle.

    Attributes:
        times: time points [T], fractions of the cycle.
        values: volumes [K - 1, T], in the order of ``names``.
        draws: volumes of the posterior draws, [n, K - 1, T]; n is 0 without draws.
        names: names of the classes without the background.
    """

    times: np.ndarray
    values: np.ndarray
    draws: np.ndarray
    names: tuple[str, ...]

    def of(self, name: str) -> np.ndarray:
        """Volumes of one class in the fit and its draws, [1 + n, T]."""
        place = self.names.index(name)
        return np.concatenate([self.values[None, place], self.draws[:, place]])


@dataclass(frozen=True)
class Region:
    """Points of a lattice about the organ.

    Attributes:
        points: world points [N, 3], RAS mm.
        cell: volume per point, mL.
        inside: mask [X, Y, Z] of these points in the whole lattice.
        axes: axes of the lattice along which cells join: all three in space, two in slices.
    """

    points: np.ndarray
    cell: float
    inside: np.ndarray
    axes: tuple[int, ...] = (0, 1, 2)


def longer_stack(fitted: FittedScan, beyond: float = BEYOND) -> Grid:
    """A grid, to be resampled, that extends the fitted grid by ``beyond`` slice distances at both ends."""
    whole = Grid.of_scan(fitted.frame)
    affine, count = whole.affine.copy(), whole.shape[2] + 2 * beyond
    affine[:3, 3] += affine[:3, 2] * (whole.shape[2] - 1) / 2  # the slices' middle
    affine[:3, 2] *= count
    return replace(whole, affine=affine, shape=(*whole.shape[:2], 1))


def parts_of(distance: float) -> int:
    """Number of places, one of them the slice itself, at which the slab of a slice is read; ``distance`` in mm."""
    return 2 * int(np.ceil((distance / WIDE - 1) / 2)) + 1 if distance > WIDE else 1


def region_of(
    fitted: FittedScan,
    times: Sequence[float],
    points: int = POINTS,
    beyond: float = BEYOND,
    convention: str = WHOLE_HEART,
) -> Region:
    """The lattice on which volumes are measured, around the largest piece that is present at any of ``times``.

    Args:
        fitted: fitted scan with any classes.
        times: time points, of which at most three are read.
        points: approximate number of lattice points.
        beyond: margin beyond the stack, slice distances; of no use with ``SLICES``, which end with the stack.
        convention: ``SLICES`` or ``WHOLE_HEART``.

    Raises:
        InputError: no class is found anywhere.
    """
    box = longer_stack(fitted, beyond)
    size = np.prod(np.array(spacing_of(box.affine)) * box.shape)
    search = box.resampled([(size / SEARCH_POINTS) ** (1 / 3)] * 3)
    world, seen = search.world(), np.zeros(search.voxels)
    for time in np.asarray(times)[np.linspace(0, len(times) - 1, min(len(times), 3)).round().astype(int)]:
        seen = np.maximum(seen, 1 - fitted.classes(world, time)[0])
    pieces, count = label((seen > SEEN).reshape(search.shape), np.ones((3, 3, 3)))
    if count == 0 or seen.max() < 0.5:
        raise InputError(f"{fitted.subject}: no organ is found in the scan; check its segmentation")
    weights = np.bincount(pieces.ravel(), weights=seen)
    weights[0] = 0
    wanted = binary_dilation(pieces == weights.argmax(), np.ones((3, 3, 3)))
    fine = _lattice(fitted, box, wanted.sum() * 1000 * voxel_ml(search.affine), points, convention)
    world = fine.world()
    voxels = np.rint(world_to_voxel(search.affine, world)).astype(int)
    inside = wanted[tuple(np.clip(voxels, 0, np.array(search.shape) - 1).T)]
    axes = (0, 1) if convention == SLICES else (0, 1, 2)
    return Region(world[inside], voxel_ml(fine.affine), inside.reshape(fine.shape), axes)


def _lattice(fitted: FittedScan, box: Grid, size: float, points: int, convention: str) -> Grid:
    """The lattice with about ``points`` points in ``size`` mm3: cubes in the box, or squares in the slices."""
    if convention == WHOLE_HEART:
        return box.resampled([(size / points) ** (1 / 3)] * 3)
    whole = Grid.of_scan(fitted.frame)
    distance = spacing_of(whole.affine)[2]
    apart = distance / parts_of(distance)
    return whole.resampled([(size / apart / points) ** (1 / 2)] * 2 + [apart])


def _logits(probabilities: np.ndarray) -> np.ndarray:
    certain = np.clip(probabilities, LEAST, 1 - LEAST)
    return np.log(certain / (1 - certain))


def _half_ranges(logits: np.ndarray, region: Region) -> np.ndarray:
    """Half the increase of the logits [K - 1, N] along their gradient within each cell, [K - 1, N]."""
    inside = region.inside
    whole = np.full((len(logits), *inside.shape), float(_logits(np.zeros(1))[0]))
    whole[:, inside] = logits
    slopes = [np.gradient(whole, axis=axis + 1) for axis in region.axes if inside.shape[axis] > 1]
    return np.maximum(np.sqrt(sum(slope**2 for slope in slopes))[:, inside] / 2, 1e-3)


def _volumes(classes: np.ndarray, region: Region, half: np.ndarray | None = None) -> np.ndarray:
    """Volumes in mL of the classes without the background, [K - 1], from probabilities [K, N] at the centres of cells.

    The logit is assumed to be linear in a cell and its values uniform over its range along the gradient, for which the
    mean of the logistic function is known. ``half`` is the result of ``_half_ranges``, by default computed here.
    """
    middle = _logits(classes[1:])
    half = _half_ranges(middle, region) if half is None else half
    means = (np.logaddexp(0, middle + half) - np.logaddexp(0, middle - half)) / (2 * half)
    return means.sum(axis=1) * region.cell


def volume_curves(
    fitted: FittedScan, times: Sequence[float], points: int = POINTS, convention: str = SLICES
) -> Volumes:
    """Volumes at time points of the cycle, with those of the scan's posterior draws.

    The largest and the smallest are measured on a finer lattice; the change is interpolated to the other time points.
    Draws are read at a few time points, at half of the points near the boundaries of the fit there.

    Args:
        fitted: fitted scan of any organ.
        times: time points, fractions of the cycle, ascending.
        points: approximate number of lattice points.
        convention: ``SLICES`` or ``WHOLE_HEART``.

    Raises:
        InputError: no class is found anywhere.
    """
    times = np.asarray(times, dtype=float)
    region = region_of(fitted, times, points, convention=convention)
    classes = [fitted.classes(region.points, time) for time in times]
    values = np.stack([_volumes(one, region) for one in classes], axis=1)
    values *= _refined(fitted, times, values, convention)
    draws = np.ones((len(fitted.draws), *values.shape))
    few = _few(values[_first(fitted)]) if fitted.draws else []
    near = {place: unsure(classes[place], region.inside) & _even(region.inside) for place in few}
    half = {place: _half_ranges(_logits(classes[place][1:]), region) for place in few}
    ratios = np.ones((len(fitted.draws), len(values), len(few)))
    for column, (place, where) in enumerate(near.items()):
        own = np.maximum(_volumes(classes[place], region, half[place]), 1e-6)
        for number, drawn in enumerate(fitted.draw_classes(region.points[where], times[place])):
            changed = classes[place].copy()
            changed[:, where] = drawn
            # the other half of these points change as much
            ratios[number, :, column] = np.maximum(2 * _volumes(changed, region, half[place]) / own - 1, 0)
    for number, rows in enumerate(ratios):
        draws[number] = values * [np.interp(times, times[few], row, period=1.0) for row in rows]
    return Volumes(times, values, draws, tuple(class_list(fitted)))


def _refined(fitted: FittedScan, times: np.ndarray, values: np.ndarray, convention: str) -> np.ndarray:
    """Factors [K - 1, T] by which volumes change on a finer lattice."""
    curve = values[_first(fitted)]
    ends = np.unique([curve.argmax(), curve.argmin()])
    region = region_of(fitted, times[ends], FINE_POINTS, convention=convention)
    fine = np.stack([_volumes(fitted.classes(region.points, time), region) for time in times[ends]], axis=1)
    ratio = fine / np.maximum(values[:, ends], 1e-6)
    return np.stack([np.interp(times, times[ends], row, period=1.0) for row in ratio])


def _few(curve: np.ndarray) -> np.ndarray:
    """Indices of the time points at which draws are read: those of the largest and smallest volume, and some others."""
    even = np.linspace(0, len(curve), DRAW_TIMES, endpoint=False).astype(int)
    return np.unique([*even, curve.argmax(), curve.argmin()])


def unsure(classes: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Mask [N] of the points next to one of another class, or whose class is not certain.

    Args:
        classes: class probabilities, [K, N].
        inside: points of a lattice that are asked, [X, Y, Z], N of them true.
    """
    label, sure = np.zeros(inside.shape, int), np.ones(inside.shape, bool)
    label[inside], sure[inside] = classes.argmax(axis=0), classes.max(axis=0) > 1 - SEEN
    around = generate_binary_structure(3, 1)
    differs = maximum_filter(label, footprint=around) != minimum_filter(label, footprint=around)
    return (differs | ~sure)[inside]


def _even(inside: np.ndarray) -> np.ndarray:
    """The points of every second column of a lattice's mask [X, Y, Z], like the white squares of a chessboard, [N].
    Points above each other need the U-Net at the same places."""
    return np.argwhere(inside)[:, :2].sum(axis=1) % 2 == 0


def class_list(fitted: FittedScan) -> list[str]:
    """Names of the classes without the background, in the order of their numbers."""
    return [fitted.class_names.get(number, f"class {number}") for number in range(1, fitted.network.num_classes)]


def _first(fitted: FittedScan) -> int:
    """Index of the class whose curve shows the phases."""
    names = class_list(fitted)
    return names.index("LV") if "LV" in names else 0


def slice_volumes(labels: np.ndarray, affine: np.ndarray, names: Mapping[int, str]) -> dict[str, np.ndarray]:
    """Volumes by slice summation: voxels of a class times the voxel's volume, the gap between slices included.

    Args:
        labels: labels [X, Y, Z, T].
        affine: affine of the file, [4, 4].
        names: class number to name.

    Returns:
        name to [T], mL.
    """
    return {
        name: (labels == number).sum(axis=(0, 1, 2)) * voxel_ml(affine) for number, name in names.items() if number > 0
    }
