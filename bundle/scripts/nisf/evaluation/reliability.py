"""Calibration of class probabilities: reliability diagrams and calibration errors."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

import torch

from nisf.plots.curves import reliability_curve
from nisf.utils.files import write_text

#: Stated probability of the background from which a voxel is plainly background.
PLAINLY = 0.99
#: Regions in which a reliability is counted: every voxel of the field; those that are not plainly background.
REGIONS = ("field", "heart")


class Reliability:
    """Counts of how often the likeliest class was right, by its stated probability (Guo et al., ICML 2017).

    Args:
        bins: number of equal parts of [0, 1].
    """

    def __init__(self, bins: int = 15) -> None:
        self.bins = bins
        self.counts = {region: torch.zeros(3, bins, dtype=torch.double) for region in REGIONS}

    def add(self, probabilities: torch.Tensor, label: torch.Tensor, background: torch.Tensor | None = None) -> None:
        """Adds N voxels.

        Args:
            probabilities: class probabilities [K, N].
            label: true classes [N]; voxels with a negative one do not count.
            background: probabilities [N] of the background that decide which voxels are in the heart, which the label
                must not; those of ``probabilities`` unless given.
        """
        known = label >= 0
        heart = (probabilities[0] if background is None else background)[known] < PLAINLY
        probabilities, label = probabilities[:, known].float(), label[known].long()
        confidence, predicted = probabilities.max(dim=0)
        place = (confidence * self.bins).long().clamp(max=self.bins - 1)
        values = torch.stack([torch.ones_like(confidence), confidence, (predicted == label).float()]).double()
        for region, counts in self.counts.items():
            chosen = torch.ones_like(heart) if region == "field" else heart
            counts.index_add_(1, place[chosen], values[:, chosen])

    def add_counts(self, other: Reliability) -> None:
        """Adds the counts of another."""
        for region, counts in other.counts.items():
            self.counts[region] += counts

    def error(self, region: str = "field") -> float:
        """Expected calibration error: mean over voxels of |share right - stated probability| of their bin."""
        number, confidence, right = self.counts[region]
        return float((right - confidence).abs().sum() / number.sum()) if number.sum() > 0 else math.nan

    def curve(self, region: str = "field") -> dict[str, list[float]]:
        """By bin: ``share`` of the voxels, mean ``confidence`` and share right (``accuracy``); NaN where empty."""
        number, confidence, right = self.counts[region]
        parts = {"share": number / number.sum(), "confidence": confidence / number, "accuracy": right / number}
        return {name: values.tolist() for name, values in parts.items()}


def write_reliability(output_dir: str | Path, found: Mapping[str, Reliability], record: Mapping[str, object]) -> None:
    """Writes ``calibration.json`` and ``reliability.png``: errors and curves of each name in ``found``."""
    folder = Path(output_dir)
    errors = {name: {region: r.error(region) for region in REGIONS} for name, r in found.items()}
    curves = {name: {region: r.curve(region) for region in REGIONS} for name, r in found.items()}
    content = {**record, "expected_calibration_error": errors, "curves": curves}
    write_text(folder / "calibration.json", json.dumps(content, indent=1))
    reliability_curve(folder / "reliability.png", curves, errors)
