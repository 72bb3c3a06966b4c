"""The likeliest class on a grid: evaluated finely where it changes from voxel to voxel, coarsely elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from nibabel.affines import apply_affine

from nisf.geometry.grid import Grid
from nisf.geometry.orientation import spacing_of
from nisf.level_sets.cells import EVERY, corners, differing, near_zero
from nisf.level_sets.lattice import COARSEST, coarse_step
from nisf.level_sets.level_set import LEAST, Probabilities

#: Points evaluated at once, at most.
PART = 500_000


def coarse_steps(grid: Grid, coarsest: float = COARSEST) -> tuple[int, int, int]:
    """Voxels between the first samples along each axis: a power of two, at most ``coarsest`` mm or else one voxel."""
    steps = []
    for size, spacing in zip(grid.shape, spacing_of(grid.affine)):
        # an axis of n voxels has n - 1 steps to divide
        steps.append(min(coarse_step(spacing, coarsest), 2 ** int(np.log2(max(size - 1, 1)))))
    return tuple(steps)


class LabelMap:
    """The likeliest class of every voxel of a grid at one moment, evaluated from coarse to fine.

    Each class has a margin, the log of its probability over that of the likeliest other class, whose zero is where the
    label changes: also where three classes meet, and where none has half of the probability. A coarse cell is divided
    where such a change passes it or may do so: where a margin at its corners is nearer to zero than it is seen to
    change over half its diagonal; so is one that is partly given. Among the voxels the changes are then followed until
    every voxel beside one has been evaluated. A part that is connected to one that was found is therefore never lost,
    and the labels are those of evaluating every voxel. A separate piece or hole can be missed only if it lies between
    the coarsest samples.

    Args:
        probabilities: of K classes anywhere.
        grid: any axes and voxel size; its times are not used.
        time: fraction of the cycle.
        given: [X, Y, Z]; the voxels elsewhere are background and not evaluated. All unless named.
        coarsest: mm between the first samples along an axis, at most. Slices farther apart are all sampled.

    Attributes:
        labels: [X, Y, Z] uint8.
        evaluated: at how many points the probabilities were asked for.
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
        """Labels from all lattices but the finest; masks of the voxels to evaluate, and of those for which that is
        done."""
        nodes = _nodes(self._grid.shape, steps)
        asked = self._given[np.ix_(*nodes)]
        margins = np.zeros((len(self._classes(np.zeros((0, 3)))), *asked.shape), np.float32)
        self._measure(margins, nodes, asked)
        while True:
            finer = tuple(max(step // 2, 1) for step in steps)
            wanted = self._to_divide(margins, nodes, steps, finer)
            if max(finer) == 1:
                break
            margins, nodes, asked = self._refined(margins, nodes, asked, wanted, finer)
            steps = finer
        # where a cell is not divided its corners have one label
        self.labels[:] = margins.argmax(axis=0)[_below(nodes, _nodes(self._grid.shape, finer))]
        self.labels[~self._given] = 0
        known = ~self._given
        known[np.ix_(*nodes)] |= asked
        return wanted, known

    def _to_divide(self, margins: np.ndarray, nodes: list, steps: tuple, finer: tuple) -> np.ndarray:
        """Samples of the next lattice that belong to cells where the label may change."""
        axes = [axis for axis in EVERY if steps[axis] > 1]
        old, new = self._given[np.ix_(*nodes)], _nodes(self._grid.shape, finer)
        cells = [places[:-1] if axis in axes else places for axis, places in enumerate(new)]
        # among the voxels themselves `_follow` goes on from the changes that are seen
        divided = differing(margins.argmax(axis=0), axes) if max(finer) == 1 else near_zero(margins, axes)
        divided = (divided | differing(old, axes))[_below(nodes, cells)]
        wanted = corners(divided, axes)
        # a cell may hold given voxels between corners of which none is
        return self._given[np.ix_(*new)] & (wanted | ~old[_below(nodes, new)])

    def _refined(self, margins: np.ndarray, nodes: list, asked: np.ndarray, wanted: np.ndarray, finer: tuple) -> tuple:
        """Margins, samples and the mask of those that were asked for, on the next lattice."""
        new = _nodes(self._grid.shape, finer)
        for axis in EVERY:
            margins = _between(margins, axis + 1, nodes[axis], new[axis])
        before = np.zeros(wanted.shape, bool)
        before[np.ix_(*(np.searchsorted(n, o) for n, o in zip(new, nodes)))] = asked
        self._measure(margins, new, wanted & ~before)
        return margins, new, wanted | before

    def _follow(self, known: np.ndarray) -> None:
        """Evaluates the corners of all cells in which the label changes, until there is no other such cell."""
        axes = [axis for axis in EVERY if self.labels.shape[axis] > 1]
        while True:
            wanted = corners(differing(self.labels, axes), axes) & ~known
            if not wanted.any():
                return
            self._label(wanted)
            known |= wanted

    def _measure(self, margins: np.ndarray, nodes: list, wanted: np.ndarray) -> None:
        """Evaluates the samples of a mask; others stay."""
        for place, values in self._read(nodes, wanted):
            margins[(slice(None), *place)] = margins_of(values)

    def _label(self, wanted: np.ndarray) -> None:
        """Evaluates the voxels of a mask."""
        for place, values in self._read(_nodes(self._grid.shape, (1, 1, 1)), wanted):
            self.labels[place] = values.argmax(axis=0)

    def _read(self, nodes: list, wanted: np.ndarray) -> Iterator[tuple[tuple, np.ndarray]]:
        """Places in a mask and their probabilities [K, n], in parts."""
        index, affine = np.flatnonzero(wanted), self._grid.affine
        self.evaluated += len(index)
        for start in range(0, len(index), PART):
            place = np.unravel_index(index[start : start + PART], wanted.shape)
            voxels = np.stack([along[p] for along, p in zip(nodes, place)], axis=1)
            yield place, self._classes(apply_affine(affine, voxels))


def margins_of(probabilities: np.ndarray) -> np.ndarray:
    """Log of each class's probability over that of the likeliest other, [K, N] to [K, N]."""
    logs = np.log(np.maximum(probabilities, LEAST))
    second, first = np.partition(logs, -2, axis=0)[-2:]
    others = np.broadcast_to(first, logs.shape).copy()
    likeliest = logs.argmax(axis=0)[None]
    np.put_along_axis(others, likeliest, second[None], axis=0)
    return logs - others


def _nodes(shape: tuple[int, int, int], steps: tuple[int, int, int]) -> list[np.ndarray]:
    """Voxel numbers of the samples along each axis; the last voxel is always one, after a shorter step if need be."""
    return [np.append(np.arange(0, size - 1, step), size - 1) for size, step in zip(shape, steps)]


def _below(old: list[np.ndarray], new: list[np.ndarray]) -> tuple:
    """Index of the last old sample at or before each new one along each axis, as an index into an array of them."""
    return np.ix_(*(np.searchsorted(o, n, side="right") - 1 for o, n in zip(old, new)))


def _between(values: np.ndarray, axis: int, old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Samples along one axis at ``old`` voxels to those at ``new`` ones, linear between."""
    if len(old) == len(new):
        return values
    low = np.minimum(np.searchsorted(old, new, side="right") - 1, len(old) - 2)
    part = ((new - old[low]) / (old[low + 1] - old[low])).astype(np.float32)
    part = part.reshape([-1 if a == axis else 1 for a in range(values.ndim)])
    return values.take(low, axis) * (1 - part) + values.take(low + 1, axis) * part
