"""The likeliest class on a grid, evaluated finely where it changes and coarsely elsewhere."""

from __future__ import annotations

import numpy as np
from nibabel.affines import apply_affine

from nisf.geometry.frame import CoordinateFrame
from nisf.geometry.grid import Grid
from nisf.geometry.orientation import spacing_of
from nisf.level_sets.cells import EVERY, corners, differing, near_zero
from nisf.level_sets.lattice import COARSEST, coarse_step
from nisf.level_sets.level_set import LEAST, Probabilities
from nisf.level_sets.refine import CoarseSamples, below, nodes_of, places_of


def coarse_steps(grid: Grid | CoordinateFrame, coarsest: float = COARSEST) -> tuple[int, int, int]:
    """Voxels between the first samples along each axis: a power of two, at most ``coarsest`` mm, or one voxel."""
    steps = []
    for size, spacing in zip(grid.shape, spacing_of(grid.affine)):
        # an axis of n voxels has n - 1 steps to divide
        steps.append(min(coarse_step(spacing, coarsest), 2 ** int(np.log2(max(size - 1, 1)))))
    return tuple(steps)


class LabelMap:
    """The likeliest class of every voxel of a grid at one time point, evaluated from coarse to fine.

    The margin of a class is the log of its probability over that of the likeliest other class. It is zero where the
    label changes, even where three classes meet or none has half of the probability. A coarse cell is divided if it is
    partly given, or if a boundary may cross it: a margin at its corners is nearer to zero than its change over half the
    diagonal. At the finest level the boundaries are followed until every voxel beside one is evaluated. A part that is
    connected to one that was found is therefore never lost, and the labels are those of evaluating every voxel. A
    separate piece or hole can be missed only if it is between the coarsest samples.

    Args:
        probabilities: probabilities of K classes anywhere.
        grid: grid of any axes and voxel size; its times are not used.
        time: time point, fraction of the cycle.
        given: mask [X, Y, Z], by default of all voxels; the others are background and are not evaluated.
        coarsest: maximum distance of the first samples along an axis, mm. Slices farther apart are all sampled.

    Attributes:
        labels: labels [X, Y, Z], uint8.
        evaluated: number of points at which the probabilities were evaluated.
    """

    def __init__(
        self,
        probabilities: Probabilities,
        grid: Grid,
        time: float,
        given: np.ndarray | None = None,
        coarsest: float = COARSEST,
    ) -> None:
        self.evaluated = 0
        self._classes, self._grid = (lambda points: np.asarray(probabilities(points, time))), grid
        self._given = np.ones(grid.shape, bool) if given is None else given
        self.labels = np.zeros(grid.shape, np.uint8)
        steps = coarse_steps(grid, coarsest)
        wanted, known = (self._given, ~self._given) if max(steps) == 1 else self._approach(steps)
        self._label(wanted & ~known)
        self._follow(known | wanted)

    def _approach(self, steps: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Labels from all lattices but the finest; masks of the voxels to evaluate and of those already evaluated."""
        margins = CoarseSamples(self._grid.shape, steps, len(self._classes(np.zeros((0, 3)))))
        margins.ask(self._given[np.ix_(*margins.nodes)], self._margins)
        wanted = self._to_divide(margins)
        while max(margins.finer) > 1:
            margins.refine()
            margins.ask(wanted, self._margins)
            wanted = self._to_divide(margins)
        # the corners of a cell that is not divided have one label
        self.labels[:] = margins.values.argmax(axis=0)[below(margins.nodes, _voxels(self._grid.shape))]
        self.labels[~self._given] = 0
        known = ~self._given
        known[np.ix_(*margins.nodes)] |= margins.known
        self.evaluated += margins.evaluated
        return wanted, known

    def _to_divide(self, margins: CoarseSamples) -> np.ndarray:
        """Samples of the next lattice that belong to cells where the label may change."""
        old, new = self._given[np.ix_(*margins.nodes)], nodes_of(self._grid.shape, margins.finer)
        # at the finest level `_follow` continues from the boundaries found
        if max(margins.finer) == 1:
            divided = differing(margins.values.argmax(axis=0), margins.axes)
        else:
            divided = near_zero(margins.values, margins.axes)
        wanted = margins.divided(divided | differing(old, margins.axes))
        # a cell may contain given voxels even if none of its corners is given
        return self._given[np.ix_(*new)] & (wanted | ~old[below(margins.nodes, new)])

    def _follow(self, known: np.ndarray) -> None:
        """Evaluates the corners of all cells in which the label changes, until no such cell remains."""
        axes = [axis for axis in EVERY if self.labels.shape[axis] > 1]
        while True:
            wanted = corners(differing(self.labels, axes), axes) & ~known
            if not wanted.any():
                return
            self._label(wanted)
            known |= wanted

    def _label(self, wanted: np.ndarray) -> None:
        """Evaluates the voxels of a mask."""
        for place in places_of(wanted):
            self.labels[place] = self._read(np.stack(place, axis=1)).argmax(axis=0)
            self.evaluated += len(place[0])

    def _margins(self, voxels: np.ndarray) -> np.ndarray:
        return margins_of(np.log(np.maximum(self._read(voxels), LEAST)))

    def _read(self, voxels: np.ndarray) -> np.ndarray:
        """Probabilities [K, n] of voxels [n, 3]."""
        return self._classes(apply_affine(self._grid.affine, voxels))


def margins_of(logs: np.ndarray) -> np.ndarray:
    """Log of each class's probability over that of the likeliest other class, from log probabilities [K, ...]."""
    before = np.maximum.accumulate(logs, axis=0)
    after = np.maximum.accumulate(logs[::-1], axis=0)[::-1]
    return logs - np.concatenate([after[1:2], np.maximum(before[:-2], after[2:]), before[-2:-1]])


def _voxels(shape: tuple[int, int, int]) -> list[np.ndarray]:
    """Numbers of all voxels along each axis."""
    return [np.arange(size) for size in shape]
