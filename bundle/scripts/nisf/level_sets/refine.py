"""Samples of a grid that lie some steps apart, then half as many, until they are those of the grid itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from nisf.level_sets.cells import EVERY, corners

#: Points evaluated at once, at most.
PART = 500_000


class CoarseSamples:
    """Samples of a grid [X, Y, Z], evaluated where that was asked for and interpolated elsewhere.

    Args:
        shape: points of the grid along the three axes.
        steps: grid points from one sample to the next along each axis, powers of two.
        count: S, values of a sample.

    Attributes:
        nodes: numbers of the samples in the grid along each axis; its last point is always one.
        values: [S, x, y, z] float32.
        known: [x, y, z], where they were evaluated.
        evaluated: number of evaluations.
    """

    def __init__(self, shape: tuple[int, ...], steps: tuple[int, ...], count: int) -> None:
        self.shape, self.steps, self.nodes = shape, steps, nodes_of(shape, steps)
        self.known = np.zeros([len(along) for along in self.nodes], bool)
        self.values = np.zeros((count, *self.known.shape), np.float32)
        self.evaluated = 0

    @property
    def axes(self) -> list[int]:
        """Axes along which there are points between the samples."""
        return [axis for axis in EVERY if self.steps[axis] > 1]

    @property
    def finer(self) -> tuple[int, ...]:
        """Steps after ``refine``."""
        return tuple(max(step // 2, 1) for step in self.steps)

    def divided(self, cells: np.ndarray) -> np.ndarray:
        """Mask of cells, which span two samples along ``axes``, to that of their samples after ``refine``."""
        new = nodes_of(self.shape, self.finer)
        parts = [along[:-1] if axis in self.axes else along for axis, along in enumerate(new)]
        return corners(cells[below(self.nodes, parts)], self.axes)

    def ask(self, wanted: np.ndarray, evaluate: Callable[[np.ndarray], np.ndarray]) -> None:
        """Evaluates the samples of a mask that are not known.

        Args:
            wanted: [x, y, z].
            evaluate: numbers of grid points [N, 3] to values [S, N].
        """
        missing = wanted & ~self.known
        for place in places_of(missing):
            index = np.stack([along[p] for along, p in zip(self.nodes, place)], axis=1)
            self.values[(slice(None), *place)] = evaluate(index)
            self.evaluated += len(index)
        self.known |= missing

    def refine(self) -> None:
        """Half the steps; new samples lie linearly between the old ones."""
        old, self.steps = self.nodes, self.finer
        self.nodes = nodes_of(self.shape, self.steps)
        for axis in EVERY:
            self.values = _between(self.values, axis + 1, old[axis], self.nodes[axis])
        known = np.zeros(self.values.shape[1:], bool)
        known[np.ix_(*(np.searchsorted(n, o) for n, o in zip(self.nodes, old)))] = self.known
        self.known = known


def nodes_of(shape: tuple[int, ...], steps: tuple[int, ...]) -> list[np.ndarray]:
    """Numbers of the samples along each axis; the last point is always one, after a shorter step if need be."""
    return [np.append(np.arange(0, size - 1, step), size - 1) for size, step in zip(shape, steps)]


def below(old: list[np.ndarray], new: list[np.ndarray]) -> tuple:
    """Index of the last old sample at or before each new one along each axis, as an index into an array of them."""
    return np.ix_(*(np.searchsorted(o, n, side="right") - 1 for o, n in zip(old, new)))


def places_of(wanted: np.ndarray) -> Iterator[tuple[np.ndarray, ...]]:
    """Where a mask is true, as indices along its axes, in parts of at most ``PART``."""
    index = np.flatnonzero(wanted)
    for start in range(0, len(index), PART):
        yield np.unravel_index(index[start : start + PART], wanted.shape)


def _between(values: np.ndarray, axis: int, old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Samples along one axis at ``old`` points to those at ``new`` ones, linear between."""
    if len(old) == len(new):
        return values
    low = np.minimum(np.searchsorted(old, new, side="right") - 1, len(old) - 2)
    part = ((new - old[low]) / (old[low + 1] - old[low])).astype(np.float32)
    part = part.reshape([-1 if a == axis else 1 for a in range(values.ndim)])
    return values.take(low, axis) * (1 - part) + values.take(low + 1, axis) * part
