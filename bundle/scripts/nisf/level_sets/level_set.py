"""Surfaces where class probabilities cross one half: sampled finely at the crossings, coarsely elsewhere.

Everything is computed with log odds, log(p / (1 - p)), which are zero at p = 0.5. Unlike p they do not level off a few
millimetres from a surface, so that a coarse sample still shows how far the next surface is, and a crossing that is
interpolated between two samples is nearer to the true one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from nisf.level_sets.cells import corners, differing, near_zero
from nisf.level_sets.lattice import Lattice
from nisf.level_sets.refine import CoarseSamples

#: Class probabilities [K, N] at world points [N, 3] (RAS mm) and a time point (fraction of the cycle).
Probabilities = Callable[[np.ndarray, float], np.ndarray]

#: Minimum distance of probabilities from 0 and 1, so that log odds are finite.
LEAST = 1e-6

# value of a sample that is exactly on a surface, as it must be on one side of it
_JUST_OUTSIDE = -1e-6


class LevelField:
    """Log odds of some sums of classes on a lattice at one time point, sampled from coarse to fine.

    A coarse cell is divided if a surface may cross it: the log odds at its corners are nearer to zero than their change
    over half the diagonal. On the finest lattice the surfaces are then followed from cell to cell until each cell that
    one crosses is evaluated. A part that is connected to one that was found is therefore never lost, and the surfaces
    are those of evaluating everything. A separate piece or hole can be missed only if it is between the points of the
    coarsest lattice.

    Args:
        probabilities: probabilities of K classes anywhere.
        time: time point, fraction of the cycle.
        groups: S tuples of class numbers; each surface encloses where their sum is above one half.
        lattice: lattice of the result.

    Attributes:
        lattice: lattice of the samples [X, Y, Z].
        values: log odds [S, X, Y, Z] float32: exact at the corners of every cell that a surface crosses, interpolated
            elsewhere.
        known: mask [X, Y, Z] of the evaluated samples.
        evaluated: number of evaluated points.
    """

    def __init__(
        self, probabilities: Probabilities, time: float, groups: Sequence[tuple[int, ...]], lattice: Lattice
    ) -> None:
        self.lattice = lattice
        self._odds = lambda index: log_odds(np.asarray(probabilities(lattice.points(index), time)), groups)
        samples = CoarseSamples(tuple(lattice.cells + 1), (lattice.coarse,) * 3, len(groups))
        samples.ask(np.ones_like(samples.known), self._odds)
        while samples.axes:
            wanted = samples.divided(near_zero(samples.values))
            samples.refine()
            if samples.axes:  # `_follow` samples the finest lattice, only where needed
                samples.ask(wanted, self._odds)
        self._follow(samples)
        self.values, self.known, self.evaluated = samples.values, samples.known, samples.evaluated

    def _follow(self, samples: CoarseSamples) -> None:
        """Evaluates the corners of all cells that a surface crosses, until no such cell remains."""
        depth = self.lattice.depth()
        while True:
            _close(samples.values, depth)
            wanted = corners(_crossed(samples.values)) & (depth > 0)
            if not (wanted & ~samples.known).any():
                return
            samples.ask(wanted, self._odds)


def _close(values: np.ndarray, depth: np.ndarray) -> None:
    """Makes everything outside the box background, so that a surface that leaves the box ends on its face."""
    outer, outside = depth < 1, depth <= 0
    values[:, outer] = np.minimum(values[:, outer], depth[outer])
    values[:, outside] = depth[outside]
    values[values == 0] = _JUST_OUTSIDE


def log_odds(probabilities: np.ndarray, groups: Sequence[tuple[int, ...]]) -> np.ndarray:
    """Log odds of sums of classes, [K, N] probabilities to [S, N]."""
    out = np.empty((len(groups), probabilities.shape[1]), np.float32)
    for row, group in zip(out, groups):
        others = [k for k in range(len(probabilities)) if k not in group]
        # not 1 - p, which loses precision for p near 1
        inside, outside = probabilities[list(group)].sum(axis=0), probabilities[others].sum(axis=0)
        row[:] = np.log(np.maximum(inside, LEAST)) - np.log(np.maximum(outside, LEAST))
    return out


def _crossed(values: np.ndarray) -> np.ndarray:
    """Cells that a surface crosses: their corners are on both sides of it, of [S, X, Y, Z] samples."""
    return np.any([differing(one > 0) for one in values], axis=0)
