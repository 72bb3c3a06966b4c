"""Values at all voxels of a grid: evaluated where classes or intensities change, interpolated elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from nisf.fit.blending import LEAST
from nisf.level_sets.cells import EVERY, corner_range, corners, cut, differing, near_zero
from nisf.level_sets.label_map import margins_of
from nisf.level_sets.refine import CoarseSamples, places_of

#: Difference of intensities from those interpolated between samples from which more samples are taken.
UNEVEN = 0.03


class CoarseToFine:
    """Intensities and class probabilities on a grid [X, Y, Z], sampled from coarse to fine.

    A coarse cell is divided if the label may change in it (``cells.near_zero`` of the classes' margins, as in
    ``LabelMap``), or if the intensities at its corners do not lie on a plane with those beside them. On the finest
    lattice the boundaries are followed until every voxel beside one is evaluated, so the likeliest classes are those of
    evaluating every voxel, but for pieces and holes between the coarsest samples. Elsewhere intensities and log
    probabilities are interpolated linearly.

    Args:
        shape: number of voxels along the axes.
        steps: voxels between the first samples along each axis, powers of two; all 1 evaluates every voxel.
        evaluate: function of voxels [N, 3] that gives intensities and log probabilities, [C + K, N] float32.
        images: number of image channels, C.
        classes: number of classes, K.
        first: values of the first samples [C + K, x, y, z], float32, if they are known; else they are evaluated.

    Attributes:
        values: intensities and log probabilities [C + K, X, Y, Z], float32.
        known: mask [X, Y, Z] of those evaluated or given.
        evaluated: number of voxels evaluated.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        steps: tuple[int, ...],
        evaluate: Callable[[np.ndarray], np.ndarray],
        images: int,
        classes: int,
        first: np.ndarray | None = None,
    ) -> None:
        self._images = images
        axes = [axis for axis in EVERY if steps[axis] > 1]
        samples = CoarseSamples(shape, steps, images + classes)
        if first is None:
            samples.ask(np.ones_like(samples.known), evaluate)
        else:
            samples.give(first)
        while samples.axes:
            wanted = samples.divided(self._unsettled(samples))
            samples.refine()
            samples.ask(wanted, evaluate)
        self.values, self.known, self.evaluated = samples.values, samples.known, samples.evaluated
        self.evaluated += follow_boundaries(self.values, self.known, axes, evaluate, images)

    def _unsettled(self, samples: CoarseSamples) -> np.ndarray:
        """Cells in which the label may change or intensities are not linear."""
        logs = np.maximum(samples.values[self._images :], np.log(LEAST))
        divided = near_zero(margins_of(logs), samples.axes)
        for image in samples.values[: self._images]:
            divided |= unevenness(image, samples.axes) > UNEVEN
        return divided


def follow_boundaries(
    values: np.ndarray,
    known: np.ndarray,
    axes: Sequence[int],
    evaluate: Callable[[np.ndarray], np.ndarray],
    images: int,
) -> int:
    """Evaluates the corners of all cells along some axes in which the label changes, until no such cell remains.

    Args:
        values: intensities and log probabilities [C + K, X, Y, Z], changed in place.
        known: mask [X, Y, Z] of those evaluated, changed in place.
        axes: axes of the cells.
        evaluate, images: as in ``CoarseToFine``.

    Returns:
        number of voxels evaluated.
    """
    evaluated = 0
    while axes:
        labels = values[images:].argmax(axis=0)
        missing = corners(differing(labels, axes), axes) & ~known
        if not missing.any():
            break
        for place in places_of(missing):
            values[(slice(None), *place)] = evaluate(np.stack(place, axis=1))
            evaluated += len(place[0])
        known |= missing
    return evaluated


def unevenness(values: np.ndarray, axes: list[int]) -> np.ndarray:
    """Estimated error of linear interpolation in the cells of [X, Y, Z] samples: a quarter of their twist, or an eighth
    of the second differences at their corners."""
    bends, twist = np.zeros_like(values), values
    for axis in axes:
        before, here, after = (cut(part, axis) for part in (slice(None, -2), slice(1, -1), slice(2, None)))
        bend = np.abs(values[before] - 2 * values[here] + values[after]) / 8
        np.maximum(bends[here], bend, out=bends[here])
        twist = np.diff(twist, axis=axis)
    bend = corner_range(bends, axes)[1]
    return np.maximum(bend, np.abs(twist) / 4) if len(axes) == 2 else bend
