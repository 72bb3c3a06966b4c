"""Whether to trust a segmentation, and what to check: a verdict from the numbers of ``quality.assess``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from nisf.models.pipeline import INPUTS, difference
from nisf.quality.dice_regression import DicePrediction
from nisf.quality.flags import LIMITS, flags_of
from nisf.quality.record import Quality
from nisf.utils.errors import InputError

#: Predicted Dice from which a scan is trusted.
TRUSTED = 0.7


@dataclass(frozen=True)
class Judge:
    """Quality calibration of one weight file, from validation scans.

    Attributes:
        prediction: prediction of the Dice, or None without calibration: then no scan is called trusted.
        limits: limits beyond which a number is flagged, see ``flags.LIMITS``.
        about: how the calibration was made.
        heart: whether the organ is a heart; for others nothing is flagged.
        uncalibrated: why the calibration beside the weights does not hold; empty if it does or there is none.
    """

    prediction: DicePrediction | None = None
    limits: Mapping[str, float] = field(default_factory=lambda: dict(LIMITS))
    about: Mapping[str, object] = field(default_factory=dict)
    heart: bool = True
    uncalibrated: str = ""

    @classmethod
    def beside(cls, weights: str | Path, pipeline: Mapping[str, object], class_names: Mapping[str, str]) -> Judge:
        """The judge from ``<weights>_quality.json`` beside a weight file; without calibration if there is none for it.

        Args:
            weights: weight file.
            pipeline: what makes the results, see ``models.pipeline.pipeline_of``.
            class_names: inside class number (text) to name; a heart has an LV.

        Raises:
            InputError: the file is damaged.
        """
        file, heart = calibration_file(weights), "LV" in class_names.values()
        if not file.is_file():
            return cls(heart=heart)
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            found = cls(
                DicePrediction.from_dict(content["prediction"]), {**LIMITS, **content["limits"]}, content["about"]
            )
            reason = difference(pipeline, content.get("pipeline", {}))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{file}: is damaged or of another version; delete it or make it again") from error
        return cls(heart=heart, uncalibrated=reason) if reason else replace(found, heart=heart)

    def of_inputs(self, inputs: Mapping[str, bool]) -> Judge:
        """The judge of a scan that was fitted with ``inputs``, see ``Scan.inputs``: with any the calibration does not
        hold."""
        reason = self.uncalibrated or difference({**INPUTS, **inputs}, INPUTS)
        return self if self.prediction is None or not reason else Judge(heart=self.heart, uncalibrated=reason)

    def __call__(self, numbers: Mapping[str, float], slices: Mapping[str, list]) -> Quality:
        """The verdict on a scan, from ``numbers`` and ``slices`` as ``flags_of`` takes them."""
        dice = None if self.prediction is None else self.prediction(numbers)
        flags = flags_of(numbers, slices, self.limits) if self.heart else []
        if dice is not None and dice < TRUSTED:
            text = f"The expected overlap with an expert's outlines (Dice) is only {dice:.2f}; check all outlines."
            flags.append({"name": "low_dice", "text": text, "severe": True})
        bad = any(flag["severe"] for flag in flags)
        trusted = False if bad else None if dice is None else True
        flags = sorted(flags, key=lambda flag: not flag["severe"])
        return Quality(dict(numbers), dict(slices), dice, trusted, flags, self.uncalibrated)

    def write(self, weights: str | Path, pipeline: Mapping[str, object]) -> Path:
        """Writes ``<weights>_quality.json``."""
        from nisf.utils.files import write_text

        content = {
            "pipeline": dict(pipeline),
            "prediction": self.prediction.to_dict(),
            "limits": dict(self.limits),
            "about": dict(self.about),
        }
        return write_text(calibration_file(weights), json.dumps(content, indent=1) + "\n")


def calibration_file(weights: str | Path) -> Path:
    """The path ``<weights>_quality.json``."""
    return Path(weights).with_name(f"{Path(weights).stem}_quality.json")
