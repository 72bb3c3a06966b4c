"""Samples of a grid some steps apart, halved until they are those of the grid itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from nisf.level_sets.cells import EVERY, corners

#: Maximum number of points evaluated at once.
PART = 500_000


class CoarseSamples:
    """Samples of a grid [X, Y, Z], evaluated on request and interpolated elsewhere.

    Args:
        shape: number of grid points along the three axes.
        steps: grid points from one sample to the next along each axis, powers of two.
        count: number of values S of a sample.

    Attributes:
        nodes: grid indices of the samples along each axis; the last grid point is always a sample.
        values: values [S, x, y, z], float32.
        known: mask [x, y, z] of the evaluated samples.
        evaluated: number of evaluations.
    """

    def __init__(self, shape: tuple[int, ...], steps: tuple[int, ...], count: int) -> None:
        self.shape, self.steps, self.nodes = shape, steps, nodes_of(shape, steps)
        self.known = np.zeros([len(along) for along in self.nodes], bool)
        self.values = np.zeros((count, *self.known.shape), np.float32)
        self.evaluated = 0

    @property
    def axes(self) -> list[int]:
        """Axes along which there are grid points between the samples."""
        return [axis for axis in EVERY if self.steps[axis] > 1]

    @property
    def finer(self) -> tuple[int, ...]:
        """Steps after ``refine``."""
        return tuple(max(step // 2, 1) for step in self.steps)

    def divided(self, cells: np.ndarray) -> np.ndarray:
        """Mask of the samples after ``refine`` in a mask of cells, which span two samples along ``axes``."""
        new = nodes_of(self.shape, self.finer)
        parts = [along[:-1] if axis in self.axes else along for axis, along in enumerate(new)]
        return corners(cells[below(self.nodes, parts)], self.axes)

    def ask(self, wanted: np.ndarray, evaluate: Callable[[np.ndarray], np.ndarray]) -> None:
        """Evaluates the samples of a mask that are not known.

        Args:
            wanted: mask [x, y, z].
            evaluate: function of grid indices [N, 3] that gives values [S, N].
        """
        missing = wanted & ~self.known
        for place in places_of(missing):
            index = np.stack([along[p] for along, p in zip(self.nodes, place)], axis=1)
            self.values[(slice(None), *place)] = evaluate(index)
            self.evaluated += len(index)
        self.known |= missing

    def give(self, values: np.ndarray) -> None:
        """Sets all samples to values [S, x, y, z], which count as known."""
        self.values[:], self.known[:] = values, True

    def refine(self) -> None:
        """Halves the steps; new samples are interpolated linearly between the old ones."""
        old, self.steps = self.nodes, self.finer
        self.nodes = nodes_of(self.shape, self.steps)
        for axis in EVERY:
            self.values = between(self.values, axis + 1, old[axis], self.nodes[axis])
        known = np.zeros(self.values.shape[1:], bool)
        known[np.ix_(*(np.searchsorted(n, o) for n, o in zip(self.nodes, old)))] = self.known
        self.known = known


def nodes_of(shape: tuple[int, ...], steps: tuple[int, ...]) -> list[np.ndarray]:
    """Grid indices of the samples along each axis; the last point is always one, after a shorter step if needed."""
    return [np.append(np.arange(0, size - 1, step), size - 1) for size, step in zip(shape, steps)]


def below(old: list[np.ndarray], new: list[np.ndarray]) -> tuple:
    """Index of the last old sample at or before each new one along each axis, to index an array of old samples."""
    return np.ix_(*(np.searchsorted(o, n, side="right") - 1 for o, n in zip(old, new)))


def places_of(wanted: np.ndarray) -> Iterator[tuple[np.ndarray, ...]]:
    """Indices along the axes where a mask is true, in parts of at most ``PART``."""
    index = np.flatnonzero(wanted)
    for start in range(0, len(index), PART):
        yield np.unravel_index(index[start : start + PART], wanted.shape)


def between(values: np.ndarray, axis: int, old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Samples at ``old`` points along one axis, interpolated linearly to ``new`` points."""
    if len(old) == len(new):
        return values
    low = np.minimum(np.searchsorted(old, new, side="right") - 1, len(old) - 2)
    part = ((new - old[low]) / (old[low + 1] - old[low])).astype(np.float32)
    part = part.reshape([-1 if a == axis else 1 for a in range(values.ndim)])
    return values.take(low, axis) * (1 - part) + values.take(low + 1, axis) * part
