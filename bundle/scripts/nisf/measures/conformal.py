"""Widths of intervals by conformal prediction.

Each validation subject's error is divided by the scale that it was to be expected on: half from the heart's size, half
from the spread of the draws, in proportion to how unsure the U-Net is. A quantile of these scores is what an interval
needs to contain as many errors as it says, whatever their distribution (Lei et al., Distribution-free predictive
inference for regression, JASA 113:1094, 2018). How often intervals hold is found by leaving out one subject at a time
(Barber et al., Predictive inference with the jackknife+, Annals of Statistics 49:486, 2021). The measured value itself
is not changed by the calibration.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import t

from nisf.measures.intervals import LEVEL, Widening
from nisf.utils.errors import InputError

#: Minimum number of subjects.
LEAST = 5


def calibrated(
    values: np.ndarray,
    deviations: np.ndarray,
    sizes: np.ndarray,
    truths: np.ndarray,
    factors: np.ndarray | None = None,
    subjects: np.ndarray | None = None,
) -> tuple[Widening, np.ndarray]:
    """The widening of a measure, and for each case half the interval that is found without its subject.

    Args:
        values: measured values, [N].
        deviations: standard deviations of their draws, [N].
        sizes: what errors are in proportion to, [N], see ``cardiac.sizes_of``.
        truths: true values, [N].
        factors: factor of each scan's intervals, [N], see ``likeness.unsure``; by default one.
        subjects: number of each case's subject, [N], where a subject has several; by default each has one.

    Returns:
        the widening, and [N] half widths; NaN where something is unknown.

    Raises:
        InputError: fewer than five subjects.
    """
    factors = np.ones(len(values)) if factors is None else factors
    subjects = np.arange(len(values)) if subjects is None else subjects
    known = np.isfinite([values, deviations, sizes, truths]).all(axis=0)
    errors, spread, size, factor, whose = (
        one[known] for one in (values - truths, deviations, sizes, factors, subjects)
    )
    names = np.unique(whose)
    if len(names) < LEAST:
        raise InputError(f"an interval cannot be calibrated on {len(names)} subjects; give {LEAST} or more")
    part, scale, promised = _terms(errors, spread, size, factor, len(names))
    alone = np.empty(len(errors))
    for name in names:
        out = whose == name
        of_others = _terms(errors[~out], spread[~out], size[~out], factor[~out], len(names) - 1)
        alone[out] = factor[out] * Widening(*of_others[:2]).half(spread[out], size[out])
    away = np.full(len(values), np.nan)
    away[known] = alone
    bias = float(np.mean(errors / np.maximum(np.abs(truths[known]), 1e-6)))
    return Widening(part, scale, bias, len(errors), promised), away


def _terms(
    errors: np.ndarray, deviations: np.ndarray, sizes: np.ndarray, factors: np.ndarray, subjects: int
) -> tuple[float, float, float]:
    """``part``, ``scale`` and ``promised`` of a widening."""
    usual = max(float(np.median(deviations / np.maximum(sizes, 1e-9))), 1e-9)  # spread of the draws, part of the size
    scores = np.abs(errors) / np.maximum((sizes + deviations / usual) / 2 * factors, 1e-9)
    quantile, promised = quantile_of(scores, subjects)
    return quantile / 2, quantile / 2 / usual, promised


def quantile_of(scores: np.ndarray, subjects: int, level: float = LEVEL) -> tuple[float, float]:
    """The conformal quantile of scores, and the fraction that it promises whatever their distribution.

    It is the (N + 1) ``level``-th of N ordered scores, between two of them in proportion, which exists at 92% from 12
    on. With fewer it is the largest, which promises N / (N + 1), or Student's quantile of normal errors if
    that is larger.

    Args:
        scores: absolute errors in units of their scale, [N].
        subjects: number of subjects that they are from.
        level: fraction of cases that the quantile should contain.
    """
    if (subjects + 1) * level <= subjects:
        places = np.arange(1, len(scores) + 1)
        return float(np.interp((len(scores) + 1) * level, places, np.sort(scores))), level
    normal = t.ppf(0.5 + level / 2, subjects - 1) * np.sqrt(np.mean(scores**2))
    return float(max(scores.max(), normal)), subjects / (subjects + 1)
