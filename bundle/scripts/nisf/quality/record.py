"""The quality of one fitted scan, as an object in memory and as plain types in files."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from nisf.models.pipeline import difference

#: Fields that are the verdict.
VERDICT = ("predicted_dice", "trusted", "flags", "uncalibrated")


@dataclass(frozen=True)
class Quality:
    """Numbers that reveal a failed fit, and the verdict from them.

    Attributes:
        numbers: number by name, see ``quality.assess``; NaN if not known.
        slices: list over the slices by name, see ``quality.assess``.
        predicted_dice: expected mean Dice; None if not calibrated.
        trusted: whether the segmentation is trusted; None if not known.
        flags: things to check, severe ones first, each with ``name``, ``text`` and ``severe``.
        uncalibrated: why no Dice is expected although there is a calibration; empty otherwise.
    """

    numbers: Mapping[str, float] = field(default_factory=dict)
    slices: Mapping[str, list] = field(default_factory=dict)
    predicted_dice: float | None = None
    trusted: bool | None = None
    flags: list[dict] = field(default_factory=list)
    uncalibrated: str = ""

    @classmethod
    def without_heart(cls) -> Quality:
        """The quality of a scan that was refused because no heart was found in it."""
        text = "No heart was found in this scan; check that it is a short-axis stack of the heart."
        return cls(predicted_dice=0.0, trusted=False, flags=[{"name": "no_heart", "text": text, "severe": True}])

    def known(self) -> dict[str, float | None]:
        """The numbers with None in place of NaN, which JSON does not have."""
        return {name: None if math.isnan(value) else value for name, value in self.numbers.items()}

    def verdict(self) -> dict[str, object]:
        """``predicted_dice``, ``trusted``, ``flags`` and ``uncalibrated`` as plain types."""
        return {name: getattr(self, name) for name in VERDICT}

    def record(self) -> dict[str, object]:
        """As in reports and ``measures.json``: the verdict, and the ``numbers``."""
        return {**self.verdict(), "numbers": self.known()}

    def to_dict(self) -> dict[str, object]:
        """As in a latent file: the numbers beside the verdict and the ``slices``."""
        return {**self.numbers, **self.verdict(), "slices": dict(self.slices)}

    @classmethod
    def from_dict(cls, plain: Mapping[str, object]) -> Quality:
        """The inverse of ``to_dict``; files of earlier versions may hold numbers alone, or nothing."""
        rest = {name: plain[name] for name in (*VERDICT, "slices") if name in plain}
        return cls({name: value for name, value in plain.items() if name not in rest}, **rest)

    @classmethod
    def of_saved(cls, plain: Mapping[str, object], pipeline: Mapping[str, object]) -> Quality:
        """The quality in a latent file, as far as it holds: not the expected Dice of a result that does not say what
        it was made with, as those of earlier versions, because no calibration is known to be for it.

        Args:
            plain: ``quality`` of the file, see ``to_dict``.
            pipeline: what made the result, see ``models.pipeline.pipeline_of``; empty if unknown.
        """
        found = cls.from_dict(plain)
        if pipeline or (found.predicted_dice is None and not found.trusted):
            return found
        flags = [flag for flag in found.flags if flag["name"] != "low_dice"]
        trusted = False if any(flag["severe"] for flag in flags) else None
        reason = difference(pipeline, {})
        return replace(found, predicted_dice=None, trusted=trusted, flags=flags, uncalibrated=reason)


def in_a_word(verdict: Mapping[str, object]) -> str:
    """A verdict (``Quality.verdict``) for one line of a summary; empty if there is nothing to say."""
    flags = verdict.get("flags") or []
    if verdict.get("trusted") is False:
        return "NOT TO BE TRUSTED: " + " ".join(flag["text"] for flag in flags if flag["severe"])
    words = [f"look at: {', '.join(flag['name'].replace('_', ' ') for flag in flags)}"] if flags else []
    if verdict.get("uncalibrated"):
        words.append(f"no expected Dice, for {verdict['uncalibrated']}")
    return "; ".join(words)
