"""95% intervals of measures: the standard deviation of posterior draws, widened to match validation errors.

Draws show how well the scan determines the latent, but not what the network cannot represent or how wrong the U-Net
probabilities are. So the predictive standard deviation combines two terms,

    sd^2 = (scale * sd of the draws)^2 + (part * value)^2

with ``scale`` and ``part`` of each measure by maximum likelihood over the errors of validation subjects. Their mean
error is stored as well, but values are never corrected by it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.optimize import minimize
from scipy.stats import norm, t

from nisf.models.pipeline import difference
from nisf.utils.errors import InputError
from nisf.utils.files import write_text

#: Fraction of cases in which the interval should contain the truth.
LEVEL = 0.95

#: Bounds of ``scale`` and ``part``.
SCALES, PARTS = (0.05, 10.0), (1e-4, 0.5)


@dataclass(frozen=True)
class Widening:
    """Parameters that turn the draws of one measure into a predictive distribution.

    Attributes:
        scale: factor of the draws' standard deviation.
        part: additional standard deviation, as a fraction of the value.
        quantile: number of standard deviations to either end of the interval.
        bias: mean of (value - truth) / truth on validation subjects; reported, not used.
        cases: number of errors from which it was estimated.
    """

    scale: float = 1.0
    part: float = 0.0
    quantile: float = float(norm.ppf(0.5 + LEVEL / 2))
    bias: float = 0.0
    cases: int = 0

    def deviation(self, value: np.ndarray | float, deviation: np.ndarray | float) -> np.ndarray:
        """Predictive standard deviation of values whose draws have ``deviation``."""
        return np.hypot(self.scale * np.asarray(deviation), self.part * np.asarray(value))


#: Measures that are another one times an exact number, and so share its widening: output is stroke volume by rate.
SAME_AS = {"CO": "LVSV"}


@dataclass(frozen=True)
class Intervals:
    """Widenings by measure; a measure without one has the interval of the draws.

    Attributes:
        widenings: name of a measure to its widening.
        made_with: settings of the script that estimated them.
        uncalibrated: why those beside the weights do not hold, see ``models.pipeline.difference``; empty if they do or
            there are none.
    """

    widenings: Mapping[str, Widening] = field(default_factory=dict)
    made_with: Mapping[str, object] = field(default_factory=dict)
    uncalibrated: str = ""

    def kind(self, name: str) -> str:
        """Kind of a measure's interval, ``calibrated`` or ``posterior``."""
        return "calibrated" if self.widening(name) else "posterior"

    def widening(self, name: str) -> Widening | None:
        """Widening of a measure, its own or that of ``SAME_AS``; None if there is none."""
        return self.widenings.get(name) or self.widenings.get(SAME_AS.get(name, ""))

    def of(self, name: str, value: np.ndarray, draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Low and high end of a measure's interval; NaN with fewer than two draws.

        Args:
            name: name of the measure.
            value: values [...].
            draws: values of the draws [n, ...].
        """
        if len(draws) < 2:
            return np.full(np.shape(value), np.nan), np.full(np.shape(value), np.nan)
        return self.ends(name, value, np.std(draws, axis=0, ddof=1))

    def ends(self, name: str, value: np.ndarray, deviation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same from the draws' standard deviation [...]; not below 0 for positive values."""
        widening = self.widening(name) or Widening()
        away = widening.quantile * widening.deviation(value, deviation)
        low = value - away
        return np.where(np.asarray(value) > 0, np.maximum(low, 0), low), value + away


def found_widening(values: np.ndarray, deviations: np.ndarray, truths: np.ndarray) -> Widening:
    """The maximum-likelihood widening for the errors of N validation cases.

    Args:
        values: measured values, [N].
        deviations: standard deviations of their draws, [N].
        truths: true values, [N].

    Raises:
        InputError: fewer than five cases.
    """
    known = np.isfinite(values) & np.isfinite(deviations) & np.isfinite(truths)
    values, deviations, truths = values[known], deviations[known], truths[known]
    if len(values) < 5:
        raise InputError(f"an interval cannot be calibrated on {len(values)} cases; give five or more")

    def loss(logs: np.ndarray) -> float:
        deviation = Widening(*np.exp(logs)).deviation(values, deviations)
        return -float(norm.logpdf(values - truths, scale=np.maximum(deviation, 1e-9)).sum())

    bounds = [tuple(np.log(pair)) for pair in (SCALES, PARTS)]
    starts = [np.log([scale, part]) for scale in (0.3, 1.0, 3.0) for part in (0.003, 0.03)]
    best = min((minimize(loss, start, bounds=bounds) for start in starts), key=lambda found: found.fun)
    scale, part = np.exp(best.x)
    bias = float(np.mean((values - truths) / truths))
    quantile = float(t.ppf(0.5 + LEVEL / 2, len(values) - 1))
    return Widening(float(scale), float(part), quantile, bias, len(values))


def intervals_path(weights: str | Path) -> Path:
    """Path of the widenings of a weight file."""
    weights = Path(weights)
    return weights.with_name(f"{weights.stem}_intervals.json")


def load_intervals(weights: str | Path, pipeline: Mapping[str, object]) -> Intervals:
    """The intervals stored beside a weight file; without widenings if there are none or they do not hold.

    Args:
        weights: weight file.
        pipeline: what made the result, see ``models.pipeline.pipeline_of``.

    Raises:
        InputError: the file is damaged.
    """
    path = intervals_path(weights)
    if not path.is_file():
        return Intervals()
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        widenings = {name: Widening(**row) for name, row in content["measures"].items()}
        reason = difference(pipeline, content.get("pipeline", {}))
        return Intervals(uncalibrated=reason) if reason else Intervals(widenings, content["made_with"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: is damaged; copy it again, or delete it for intervals of the posterior") from error


def save_intervals(intervals: Intervals, weights: str | Path, pipeline: Mapping[str, object]) -> Path:
    """Writes the intervals beside a weight file."""
    rows = {name: {k: round(v, 5) for k, v in vars(row).items()} for name, row in intervals.widenings.items()}
    content = {"pipeline": dict(pipeline), "measures": rows, "made_with": dict(intervals.made_with)}
    return write_text(intervals_path(weights), json.dumps(content, indent=1) + "\n")
