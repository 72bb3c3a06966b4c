"""Agreement of two ways of measuring: bias and limits (Bland and Altman, Lancet 1986;327:307), slope and intercept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import linregress

#: Minimum number of pairs.
LEAST = 3


@dataclass(frozen=True)
class Agreement:
    """How values agree with a reference, in the measure's unit.

    Attributes:
        pairs: number of pairs.
        bias: mean of value - reference.
        limits: half the width of the 95% limits of agreement, 1.96 standard deviations of the differences.
        error: mean absolute difference.
        slope, intercept: of the line value = slope * reference + intercept by least squares. A slope below 1 says that
            values lie nearer to their mean than the references; NaN where all references are the same.
        r: Pearson's correlation.
    """

    pairs: int
    bias: float
    limits: float
    error: float
    slope: float
    intercept: float
    r: float


def agreement(values: Sequence[float], references: Sequence[float]) -> Agreement | None:
    """The agreement of the pairs [N] in which both are known; None with fewer than ``LEAST``."""
    pairs = np.array([values, references], dtype=float).T
    pairs = pairs[np.isfinite(pairs).all(axis=1)]
    if len(pairs) < LEAST:
        return None
    apart, nan = pairs[:, 0] - pairs[:, 1], float("nan")
    slope, intercept, r = (nan,) * 3
    if np.ptp(pairs[:, 1]) > 0:
        line = linregress(pairs[:, 1], pairs[:, 0])
        slope, intercept, r = float(line.slope), float(line.intercept), float(line.rvalue)
    limits = 1.96 * float(apart.std(ddof=1))
    return Agreement(len(pairs), float(apart.mean()), limits, float(np.abs(apart).mean()), slope, intercept, r)
