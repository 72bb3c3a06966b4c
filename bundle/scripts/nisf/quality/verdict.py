"""Whether a segmentation is to be trusted, and what to look at: a verdict from the numbers of ``quality.assess``."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from nisf.models.weights import digest_of
from nisf.quality.dice_regression import DicePrediction
from nisf.quality.flags import LIMITS, flags_of
from nisf.utils.errors import InputError

logger = logging.getLogger(__name__)


#: A scan is trusted from this predicted Dice on.
TRUSTED = 0.7


#: By which a refused scan is known, see ``transforms.PoseOfd``.
NOTHING_FOUND = "no heart found"


@dataclass(frozen=True)
class Judge:
    """What was found of one weight file's numbers on validation scans.

    Attributes:
        prediction: of the Dice, or None where nothing was calibrated: then no scan is called trusted.
        limits: beyond which a number is flagged, see ``flags.LIMITS``.
        about: how it was found.
        heart: whether the organ is a heart; of others nothing is flagged.
    """

    prediction: DicePrediction | None = None
    limits: Mapping[str, float] = field(default_factory=lambda: dict(LIMITS))
    about: Mapping[str, object] = field(default_factory=dict)
    heart: bool = True

    @classmethod
    def beside(cls, weights: str | Path, network: torch.nn.Module, class_names: Mapping[str, str]) -> Judge:
        """From ``<weights>_quality.json`` beside a weight file; without a calibration where there is none of these.

        Args:
            weights: file that ``network`` has been loaded from.
            network: its digest is compared with that in the file.
            class_names: inside class number (text) to name; a heart has an LV.

        Raises:
            InputError: the file is damaged.
        """
        file, heart = calibration_file(weights), "LV" in class_names.values()
        if not file.is_file():
            return cls(heart=heart)
        try:
            content = json.loads(file.read_text())
            found = cls(
                DicePrediction.from_dict(content["prediction"]), {**LIMITS, **content["limits"]}, content["about"]
            )
            digest = content["weights"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{file}: is damaged or of another version; delete it or find it anew") from error
        if digest != digest_of(network):
            logger.warning("%s: is of other weights than %s, left aside", file, Path(weights).name)
            return cls(heart=heart)
        return replace(found, heart=heart)

    def __call__(self, numbers: Mapping[str, float], slices: Mapping[str, list]) -> dict:
        """The verdict on a scan.

        Args:
            numbers, slices: what ``quality.assess`` gave.

        Returns:
            ``predicted_dice`` (None where not calibrated), ``trusted`` (true, false, or None where not known),
            ``flags`` (see ``flags.flags_of``), ``slices``; plain types.
        """
        dice = None if self.prediction is None else self.prediction(numbers)
        flags = flags_of(numbers, slices, self.limits) if self.heart else []
        if dice is not None and dice < TRUSTED:
            text = f"The overlap with an expert's outlines (Dice) is expected to be {dice:.2f} only; check all of them."
            flags.append({"name": "low_dice", "text": text, "severe": True})
        bad = any(flag["severe"] for flag in flags)
        trusted = False if bad else None if dice is None else True
        flags.sort(key=lambda flag: not flag["severe"])
        return {"predicted_dice": dice, "trusted": trusted, "flags": flags, "slices": dict(slices)}

    def write(self, weights: str | Path, network: torch.nn.Module) -> Path:
        """Writes ``<weights>_quality.json``."""
        from nisf.utils.files import write_text

        content = {
            "weights": digest_of(network),
            "prediction": self.prediction.to_dict(),
            "limits": dict(self.limits),
            "about": dict(self.about),
        }
        return write_text(calibration_file(weights), json.dumps(content, indent=1) + "\n")


def calibration_file(weights: str | Path) -> Path:
    """``<weights>_quality.json``."""
    return Path(weights).with_name(f"{Path(weights).stem}_quality.json")


def quality_record(content: Mapping) -> dict:
    """The quality of a fitted scan as reports and tables want it.

    Args:
        content: of a ``_latent.pt`` file (``fitted.read_latent``).

    Returns:
        ``predicted_dice`` and ``trusted`` (None where not known), ``flags`` (a list of ``name``, ``text`` and
        ``severe``, the severe ones first), ``numbers`` (None in place of NaN).
    """
    quality = dict(content.get("quality") or {})
    verdict = {"predicted_dice": None, "trusted": None, "flags": [], "slices": {}}
    verdict = {name: quality.pop(name, default) for name, default in verdict.items()}
    verdict.pop("slices")
    return {**verdict, "numbers": {name: None if math.isnan(value) else value for name, value in quality.items()}}


def refused_record(reason: str) -> dict | None:
    """``quality_record`` of a scan that was refused because no heart was found; None where the reason is another."""
    if NOTHING_FOUND not in reason:
        return None
    text = "No heart was found in this scan; check that it is a short-axis stack of the heart."
    flag = {"name": "no_heart", "text": text, "severe": True}
    return {"predicted_dice": 0.0, "trusted": False, "flags": [flag], "numbers": {}}


def in_a_word(quality: Mapping) -> str:
    """A verdict for one line of a summary: empty where there is nothing to say.

    Args:
        quality: of ``quality_record``, a latent file's ``quality``, or a ``LatentFit.verdict``.
    """
    flags = quality.get("flags") or []
    if quality.get("trusted") is False:
        return "NOT TO BE TRUSTED: " + " ".join(flag["text"] for flag in flags if flag["severe"])
    return f"look at: {', '.join(flag['name'].replace('_', ' ') for flag in flags)}" if flags else ""
