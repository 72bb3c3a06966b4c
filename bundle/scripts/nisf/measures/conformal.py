"""Widths of intervals by conformal prediction.

Each validation subject's error is divided by the scale that it was to be expected on: the heart's size, a power of the
spread of the draws, and how unsure the U-Net is. A quantile of these scores is what an interval needs to contain as
many errors as it says, whatever their distribution (Lei et al., Distribution-free predictive inference for regression,
JASA 113:1094, 2018). How often intervals hold is found by leaving out one subject at a time (Barber et al., Predictive
inference with the jackknife+, Annals of Statistics 49:486, 2021). The measured value itself is not changed by the
calibration.

Errors on subjects that the weights were trained on are smaller than on others, but there are many of them, and their
large ones are as much larger than their usual ones. So they may be given too, and count as much larger as the mean of
the validation subjects' scores is than theirs. Of validation subjects alone the promise holds whatever the
distribution; with training subjects as far as the two distributions differ by a factor only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import t

from nisf.measures.intervals import LEVEL, Widening
from nisf.utils.errors import InputError

#: Minimum number of subjects.
LEAST = 5

#: How intervals grow with the spread of the draws: with its root. With half the interval in proportion to it, two half
#: scans of one heart differ in width more than in what is known of it (docs/results/measures.md).
POWER = 0.5


@dataclass(frozen=True)
class Errors:
    """Errors of a measure on the scale that they were to be expected on.

    Attributes:
        scores: absolute errors divided by their scale, [N].
        signed: error divided by the truth, [N].
        scale: what a score of 1 is in units of the measure, [N].
        subjects: number of each case's subject, [N].
        known: which of the cases given they are, [M].
    """

    scores: np.ndarray
    signed: np.ndarray
    scale: np.ndarray
    subjects: np.ndarray
    known: np.ndarray

    @classmethod
    def of(
        cls,
        values: np.ndarray,
        deviations: np.ndarray,
        sizes: np.ndarray,
        truths: np.ndarray,
        factors: np.ndarray,
        subjects: np.ndarray,
        usual: float,
    ) -> Errors:
        """Errors of the cases [M] of which everything is known; arguments as of ``calibrated``."""
        known = np.isfinite([values, deviations, sizes, truths]).all(axis=0)
        errors, truths = (values - truths)[known], truths[known]
        scale = np.maximum(Widening(1.0, usual, POWER).half(deviations[known], sizes[known]) * factors[known], 1e-9)
        signed = errors / np.maximum(np.abs(truths), 1e-6)
        return cls(np.abs(errors) / scale, signed, scale, subjects[known], known)


def calibrated(
    values: np.ndarray,
    deviations: np.ndarray,
    sizes: np.ndarray,
    truths: np.ndarray,
    factors: np.ndarray | None = None,
    subjects: np.ndarray | None = None,
    trained: np.ndarray | None = None,
) -> tuple[Widening, np.ndarray]:
    """The widening of a measure, and for each case half the interval that is found without its subject.

    Args:
        values: measured values, [N].
        deviations: standard deviations of their draws, [N].
        sizes: what errors are in proportion to, [N], see ``cardiac.sizes_of``.
        truths: true values, [N].
        factors: factor of each scan's intervals, [N], see ``likeness.unsure``; by default one.
        subjects: number of each case's subject, [N], where a subject has several; by default each has one.
        trained: which cases are of subjects that the weights were trained on, [N]; by default none.

    Returns:
        the widening, and [N] half widths; NaN where something is unknown, and for ``trained``.

    Raises:
        InputError: fewer than five validation subjects.
    """
    factors = np.ones(len(values)) if factors is None else factors
    subjects = np.arange(len(values)) if subjects is None else subjects
    trained = np.zeros(len(values), bool) if trained is None else trained
    columns = [values, deviations, sizes, truths, factors, subjects]
    usual = _usual(deviations[~trained], sizes[~trained])
    unseen, seen = (Errors.of(*(one[which] for one in columns), usual) for which in (~trained, trained))
    names = np.unique(unseen.subjects)
    if len(names) < LEAST:
        raise InputError(f"an interval cannot be calibrated on {len(names)} subjects; give {LEAST} or more")
    part, promised = _quantile(unseen.scores, unseen.subjects, seen)
    alone = np.empty(len(unseen.scores))
    for name in names:
        out = unseen.subjects == name
        alone[out] = _quantile(unseen.scores[~out], unseen.subjects[~out], seen)[0] * unseen.scale[out]
    away = np.full(len(values), np.nan)
    away[np.flatnonzero(~trained)[unseen.known]] = alone
    cases = len(unseen.scores) + len(seen.scores)
    return Widening(part, usual, POWER, float(unseen.signed.mean()), cases, promised), away


def _usual(deviations: np.ndarray, sizes: np.ndarray) -> float:
    """Median spread of the draws as a fraction of the size, of the cases in which it is known."""
    ratios = deviations / np.maximum(sizes, 1e-9)
    return max(float(np.median(ratios[np.isfinite(ratios)])), 1e-9) if np.isfinite(ratios).any() else 1e-9


def _quantile(unseen: np.ndarray, subjects: np.ndarray, seen: Errors) -> tuple[float, float]:
    """The conformal quantile of the scores of validation [N] and training subjects, and what it promises."""
    return quantile_of(together(unseen, seen.scores), len(np.unique(subjects)) + len(np.unique(seen.subjects)))


def together(unseen: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Scores of validation subjects [N], and those of training subjects [M] made as large on average, [N + M]."""
    if not len(seen):
        return unseen
    ratio = unseen.mean() / max(seen.mean(), 1e-9)  # the mean: of squares a single large error decides
    return np.concatenate([unseen, max(ratio, 1.0) * seen])


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
