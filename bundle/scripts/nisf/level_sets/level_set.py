"""Where class probabilities pass one half: sampled finely at the crossings alone, coarsely elsewhere.

Everything is done with log odds, log(p / (1 - p)), whose zero is p = 0.5. Unlike p they do not level off a few
millimetres from a surface, so that a coarse sample still says how far the next surface is, and a crossing that is
interpolated between two samples lies nearer to the true one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from nisf.level_sets.cells import corners, differing, near_zero
from nisf.level_sets.lattice import Lattice
from nisf.level_sets.refine import CoarseSamples

#: Class probabilities [K, N] at world points [N, 3] (RAS mm) and a time point (fraction of the cycle).
Probabilities = Callable[[np.ndarray, float], np.ndarray]


#: Probabilities are kept so far from 0 and 1: finite log odds.
LEAST = 1e-6


# what stands for a sample that is exactly on a surface, which must be on one side of it
_JUST_OUTSIDE = -1e-6


class LevelField:
    """Log odds of some sums of classes on a lattice at one time point, sampled from coarse to fine.

    A coarse cell is divided where a surface passes it or may do so: where the log odds at its corners are nearer to
    zero than they are seen to change over half its diagonal. On the finest lattice the surfaces are then followed from
    cell to cell until each cell that one passes has been evaluated. A part that is connected to one that was found is
    therefore never lost, and the surfaces are those of evaluating everything. A separate piece or hole can be missed
    only if it lies between the points of the coarsest lattice.

    Args:
        probabilities: of K classes anywhere.
        time: fraction of the cycle.
        groups: S tuples of class numbers; each surface encloses where their sum is above one half.
        lattice: of the result.

    Attributes:
        lattice: with samples [X, Y, Z].
        values: [S, X, Y, Z] float32: exact at the corners of every cell that a surface passes, interpolated elsewhere.
        known: [X, Y, Z], where the probabilities were asked for.
        evaluated: at how many points they were.
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
            if samples.axes:  # the finest lattice is left to `_follow`, which asks for nothing that is not needed
                samples.ask(wanted, self._odds)
        self._follow(samples)
        self.values, self.known, self.evaluated = samples.values, samples.known, samples.evaluated

    def _follow(self, samples: CoarseSamples) -> None:
        """Evaluates the corners of all cells that a surface passes, until there is no other such cell."""
        depth = self.lattice.depth()
        while True:
            _close(samples.values, depth)
            wanted = corners(_crossed(samples.values)) & (depth > 0)
            if not (wanted & ~samples.known).any():
                return
            samples.ask(wanted, self._odds)


def _close(values: np.ndarray, depth: np.ndarray) -> None:
    """Makes what is outside the box background, so that a surface that leaves the box ends on its face."""
    outer, outside = depth < 1, depth <= 0
    values[:, outer] = np.minimum(values[:, outer], depth[outer])
    values[:, outside] = depth[outside]
    values[values == 0] = _JUST_OUTSIDE


def log_odds(probabilities: np.ndarray, groups: Sequence[tuple[int, ...]]) -> np.ndarray:
    """Log odds of sums of classes, [K, N] probabilities to [S, N]."""
    out = np.empty((len(groups), probabilities.shape[1]), np.float32)
    for row, group in zip(out, groups):
        others = [k for k in range(len(probabilities)) if k not in group]
        # not 1 - p, which has few digits where p is nearly 1
        inside, outside = probabilities[list(group)].sum(axis=0), probabilities[others].sum(axis=0)
        row[:] = np.log(np.maximum(inside, LEAST)) - np.log(np.maximum(outside, LEAST))
    return out


def _crossed(values: np.ndarray) -> np.ndarray:
    """Cells that a surface passes: their corners lie on both sides of it. [S, X, Y, Z] samples."""
    return np.any([differing(one > 0) for one in values], axis=0)
