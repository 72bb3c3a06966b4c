"""Values at all voxels of a grid: evaluated where classes or intensities change, interpolated elsewhere."""

from __future__ import annotations

from collections.abc import Callable

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

    Attributes:
        values: intensities and log probabilities [C + K, X, Y, Z], float32.
        evaluated: number of voxels evaluated.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        steps: tuple[int, ...],
        evaluate: Callable[[np.ndarray], np.ndarray],
        images: int,
        classes: int,
    ) -> None:
        self._images, self._evaluate = images, evaluate
        self._axes = [axis for axis in EVERY if steps[axis] > 1]
        samples = CoarseSamples(shape, steps, images + classes)
        samples.ask(np.ones_like(samples.known), evaluate)
        while samples.axes:
            wanted = samples.divided(self._unsettled(samples))
            samples.refine()
            samples.ask(wanted, evaluate)
        self.values, self.evaluated = samples.values, samples.evaluated
        self._follow(samples.known)

    def _unsettled(self, samples: CoarseSamples) -> np.ndarray:
        """Cells in which the label may change or intensities are not linear."""
        logs = np.maximum(samples.values[self._images :], np.log(LEAST))
        divided = near_zero(margins_of(logs), samples.axes)
        for image in samples.values[: self._images]:
            divided |= unevenness(image, samples.axes) > UNEVEN
        return divided

    def _follow(self, known: np.ndarray) -> None:
        """Evaluates the corners of all cells in which the label changes, until no such cell remains."""
        while self._axes:
            labels = self.values[self._images :].argmax(axis=0)
            missing = corners(differing(labels, self._axes), self._axes) & ~known
            if not missing.any():
                return
            for place in places_of(missing):
                self.values[(slice(None), *place)] = self._evaluate(np.stack(place, axis=1))
                self.evaluated += len(place[0])
            known |= missing


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
