"""Widths of intervals by conformal prediction, leaving out one subject at a time.

For each validation subject the two terms of an error's scale (``intervals``) are estimated on the others, and its
error is divided by the scale so found. A quantile of these scores is what an interval needs to contain as many errors
as it says: Lei et al., Distribution-free predictive inference for regression, JASA 113:1094, 2018 (scores in
proportion to a scale), and Barber et al., Predictive inference with the jackknife+, Annals of Statistics 49:486, 2021
(leaving out one). The measured value itself is not changed by the calibration.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize
from scipy.stats import norm, t

from nisf.measures.intervals import LEVEL, Widening
from nisf.utils.errors import InputError

#: Bounds of ``scale`` and ``part``.
SCALES, PARTS = (0.05, 10.0), (1e-4, 0.5)

#: Minimum number of subjects.
LEAST = 5


def calibrated(
    values: np.ndarray,
    deviations: np.ndarray,
    sizes: np.ndarray,
    truths: np.ndarray,
    subjects: np.ndarray | None = None,
) -> tuple[Widening, np.ndarray]:
    """The widening of a measure, and for each case the half width that its interval has without its subject's help.

    Args:
        values: measured values, [N].
        deviations: standard deviations of their draws, [N].
        sizes: what errors are in proportion to, [N], see ``cardiac.sizes_of``.
        truths: true values, [N].
        subjects: number of each case's subject, [N], where a subject has several; by default each has one.

    Returns:
        the widening, and [N] half widths; NaN where something is unknown.

    Raises:
        InputError: fewer than five subjects.
    """
    known = np.isfinite(values) & np.isfinite(deviations) & np.isfinite(sizes) & np.isfinite(truths)
    subjects = np.arange(len(values)) if subjects is None else subjects
    errors, spread, size, whose = ((values - truths)[known], deviations[known], sizes[known], subjects[known])
    names = np.unique(whose)
    if len(names) < LEAST:
        raise InputError(f"an interval cannot be calibrated on {len(names)} subjects; give {LEAST} or more")
    terms = scale_terms(errors, spread, size)
    scores, alone = np.empty(len(errors)), np.empty(len(errors))
    for name in names:
        out = whose == name
        alone[out] = Widening(*scale_terms(errors[~out], spread[~out], size[~out], terms)).deviation(
            spread[out], size[out]
        )
        scores[out] = np.abs(errors[out]) / np.maximum(alone[out], 1e-9)
    quantile, promised = quantile_of(scores, len(names))
    away = np.full(len(values), np.nan)
    rest = [quantile_of(scores[whose != name], len(names) - 1)[0] for name in whose]
    away[known] = np.array(rest) * alone
    bias = float(np.mean(errors / np.maximum(np.abs(truths[known]), 1e-6)))
    return Widening(*terms, quantile, bias, len(errors), promised), away


def scale_terms(
    errors: np.ndarray, deviations: np.ndarray, sizes: np.ndarray, start: tuple[float, float] | None = None
) -> tuple[float, float]:
    """``scale`` and ``part`` by maximum likelihood of normal errors, [N]; ``start`` where they are about known."""

    def loss(logs: np.ndarray) -> float:
        deviation = Widening(*np.exp(logs)).deviation(deviations, sizes)
        return -float(norm.logpdf(errors, scale=np.maximum(deviation, 1e-9)).sum())

    bounds = [tuple(np.log(pair)) for pair in (SCALES, PARTS)]
    starts = [start] if start else [(scale, part) for scale in (0.3, 1.0, 3.0) for part in (0.003, 0.03)]
    best = min((minimize(loss, np.log(one), bounds=bounds) for one in starts), key=lambda found: found.fun)
    scale, part = np.exp(best.x)
    return float(scale), float(part)


def quantile_of(scores: np.ndarray, subjects: int) -> tuple[float, float]:
    """The conformal quantile of scores, and the fraction that it promises whatever their distribution.

    For ``LEVEL`` of N + 1 it is one of the N scores only from 19 on. With fewer it is the largest, which promises
    N / (N + 1), or Student's quantile of normal errors if that is larger.

    Args:
        scores: absolute errors in units of their scale, [N].
        subjects: number of subjects that they are from.
    """
    if int(np.ceil((subjects + 1) * LEVEL)) <= subjects:
        place = int(np.ceil((len(scores) + 1) * LEVEL))
        return float(np.sort(scores)[min(place, len(scores)) - 1]), LEVEL
    normal = t.ppf(0.5 + LEVEL / 2, subjects - 1) * np.sqrt(np.mean(scores**2))
    return float(max(scores.max(), normal)), subjects / (subjects + 1)
