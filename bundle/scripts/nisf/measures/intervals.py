"""Intervals of measures: as wide as the errors on validation subjects show, wider where the fit is less sure.

Draws show how well the scan determines the latent, but not what the network cannot represent or how wrong the U-Net
probabilities are. So half an interval is in proportion to the heart's size, and grows with the spread of the draws,
though less than in proportion,

    half = part * size * (sd of the draws / (usual * size)) ** power * how unsure the U-Net is of the scan

with ``part`` and ``usual`` of each measure from ``conformal``. Ejection fraction and stroke volume have draws of their
own, ED and ES of the same draw together, and errors of their own. The mean error is stored as well, but values are
never corrected by it. A scan that is unlike those of the calibration gets wider ones (``likeness``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from scipy.stats import norm

from nisf.measures.conventions import WHOLE_HEART
from nisf.measures.likeness import Unlike, unlike, unsure
from nisf.models.pipeline import difference
from nisf.utils.errors import InputError
from nisf.utils.files import write_text

#: Fraction of cases in which the interval should contain the truth, and the same as text. Of the 24 subjects of the
#: hearts' calibration it takes the second largest error. At 95% the largest, of a single subject, decides how wide all
#: intervals are; at 90% they hold less than 90% of some measures of subjects left out (docs/results/measures.md).
LEVEL = 0.92
LEVEL_TEXT = f"{LEVEL:.0%}"

#: Version of the file's content; 1 had no number, 2 held for another level, 3 added size and spread of the draws up.
VERSION = 4


@dataclass(frozen=True)
class Widening:
    """What makes the interval of one measure; by default that of the draws alone.

    Attributes:
        part: half the interval, where the draws spread as usual, as a fraction of the size that errors are in
            proportion to (``cardiac.sizes_of``).
        usual: usual standard deviation of the draws as a fraction of that size.
        power: how the interval grows with the spread of the draws: 0 not at all, 1 in proportion.
        bias: mean of (value - truth) / truth on validation subjects; reported, not used.
        cases: number of errors from which it was found.
        promised: fraction of cases that it contains on average over calibrations; below ``LEVEL`` with few cases.
            Whatever the errors' distribution, unless training subjects count too (``conformal``).
    """

    part: float = float(norm.ppf(0.5 + LEVEL / 2))
    usual: float = 1.0
    power: float = 1.0
    bias: float = 0.0
    cases: int = 0
    promised: float = 0.0

    def half(self, deviation: np.ndarray | float, size: np.ndarray | float) -> np.ndarray:
        """Half the interval of values whose draws have ``deviation``, and of this ``size``."""
        return self.part * np.asarray(size) ** (1 - self.power) * (np.asarray(deviation) / self.usual) ** self.power


#: Measures that are another one times an exact number, and so share its widening: output is stroke volume by rate.
SAME_AS = {"CO": "LVSV", f"CO {WHOLE_HEART}": f"LVSV {WHOLE_HEART}"}


@dataclass(frozen=True)
class Intervals:
    """Widenings by measure; a measure without one has the interval of the draws.

    Attributes:
        widenings: name of a measure to its widening.
        limits: name of a number of the fit to its worst on the validation subjects, see ``likeness``.
        usual: usual uncertainty of the U-Net on them; 0 if unknown.
        made_with: settings of the script that estimated them.
        uncalibrated: why those beside the weights do not hold, see ``models.pipeline.difference``; empty if they do or
            there are none.
        unlike: how the scan in question differs from the validation subjects, for which its intervals are wider.
        unsure: by how much more the U-Net is unsure of the scan in question, see ``likeness.unsure``.
    """

    widenings: Mapping[str, Widening] = field(default_factory=dict)
    limits: Mapping[str, float] = field(default_factory=dict)
    usual: float = 0.0
    made_with: Mapping[str, object] = field(default_factory=dict)
    uncalibrated: str = ""
    unlike: Unlike = Unlike()
    unsure: float = 1.0

    def for_scan(self, numbers: Mapping[str, float]) -> Intervals:
        """The intervals of a scan whose fit has these ``numbers``: wider if it is unlike those of the calibration."""
        return replace(self, unlike=unlike(numbers, self.limits), unsure=unsure(numbers, self.usual))

    @property
    def of_whole_hearts(self) -> bool:
        """Whether there are any of the whole heart, named ``<measure> whole heart``."""
        return any(name.endswith(WHOLE_HEART) for name in self.widenings)

    def kind(self, name: str) -> str:
        """Kind of a measure's interval, ``calibrated`` or ``posterior``."""
        return "calibrated" if self.widening(name) else "posterior"

    def widening(self, name: str) -> Widening | None:
        """Widening of a measure, its own or that of ``SAME_AS``; None if there is none."""
        return self.widenings.get(name) or self.widenings.get(SAME_AS.get(name, ""))

    def of(
        self, name: str, value: np.ndarray, draws: np.ndarray, size: np.ndarray | float | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Low and high end of a measure's interval; NaN with fewer than two draws.

        Args:
            name: name of the measure.
            value: values [...].
            draws: values of the draws [n, ...].
            size: what the error is in proportion to; by default the value.
        """
        if len(draws) < 2:
            return np.full(np.shape(value), np.nan), np.full(np.shape(value), np.nan)
        return self.ends(name, value, np.std(draws, axis=0, ddof=1), size)

    def ends(
        self, name: str, value: np.ndarray, deviation: np.ndarray, size: np.ndarray | float | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The same from the draws' standard deviation [...]; not below 0 for positive values."""
        known = self.widening(name)
        wider = self.unlike.factor * self.unsure if known else 1.0
        size = np.abs(value) if size is None else size
        away = wider * (known or Widening()).half(deviation, size)
        low = value - away
        return np.where(np.asarray(value) > 0, np.maximum(low, 0), low), value + away


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
        if content.get("version", 1) != VERSION:
            return Intervals(uncalibrated="its file is of another version")
        widenings = {name: Widening(**row) for name, row in content["measures"].items()}
        limits = {name: float(value) for name, value in content["limits"].items()}
        reason = difference(pipeline, content.get("pipeline", {}))
        return (
            Intervals(uncalibrated=reason)
            if reason
            else Intervals(widenings, limits, float(content["usual"]), content["made_with"])
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: is damaged; copy it again, or delete it for intervals of the posterior") from error


def save_intervals(intervals: Intervals, weights: str | Path, pipeline: Mapping[str, object]) -> Path:
    """Writes the intervals beside a weight file."""
    rows = {name: {k: round(v, 5) for k, v in vars(row).items()} for name, row in intervals.widenings.items()}
    limits = {name: round(value, 5) for name, value in intervals.limits.items()}
    content = {"version": VERSION, "level": LEVEL, "pipeline": dict(pipeline), "measures": rows, "limits": limits}
    content["usual"] = round(intervals.usual, 5)
    content["made_with"] = dict(intervals.made_with)
    return write_text(intervals_path(weights), json.dumps(content, indent=1) + "\n")
