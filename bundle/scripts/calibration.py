"""Whether the stated class probabilities are true: reliability, calibration error, a temperature that mends it."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from monai.metrics import compute_dice
from scipy.optimize import minimize_scalar
from torch.nn import functional as F

from scripts.blending import combine
from scripts.curves import reliability_curve
from scripts.engines import attach_frame
from scripts.files import write_text
from scripts.fitting import LatentFit
from scripts.handlers import average
from scripts.inferers import points_of
from scripts.networks import NISF
from scripts.points import GridPoints

logger = logging.getLogger(__name__)

#: Regions in which a reliability is counted: every voxel of the field; those that are not plainly background.
REGIONS = ("field", "heart")
#: Stated probability of the background from which a voxel is plainly that.
PLAINLY = 0.99


class Reliability:
    """Counts of how often the likeliest class was right, by its stated probability (Guo et al., ICML 2017).

    Args:
        bins: equal parts of [0, 1].
    """

    def __init__(self, bins: int = 15) -> None:
        self.bins = bins
        self.counts = {region: torch.zeros(3, bins, dtype=torch.double) for region in REGIONS}

    def add(self, probabilities: torch.Tensor, label: torch.Tensor, background: torch.Tensor | None = None) -> None:
        """Adds N voxels.

        Args:
            probabilities: [K, N].
            label: [N]; voxels with a negative one do not count.
            background: [N] probabilities of the background that say which voxels lie in the heart, which must not be
                said by the label; those of ``probabilities`` unless given.
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
        """Adds what another has counted."""
        for region, counts in other.counts.items():
            self.counts[region] += counts

    def error(self, region: str = "field") -> float:
        """Expected calibration error: mean over voxels of |share right - stated probability| of their bin."""
        number, confidence, right = self.counts[region]
        return float((right - confidence).abs().sum() / number.sum()) if number.sum() > 0 else math.nan

    def curve(self, region: str = "field") -> dict[str, list[float]]:
        """Of each bin: ``share`` of the voxels, mean ``confidence`` and share right (``accuracy``); NaN where empty."""
        number, confidence, right = self.counts[region]
        parts = {"share": number / number.sum(), "confidence": confidence / number, "accuracy": right / number}
        return {name: values.tolist() for name, values in parts.items()}


def fit_temperature(logits: torch.Tensor, label: torch.Tensor) -> float:
    """The temperature that makes the true classes likeliest, between 1/20 and 20.

    Args:
        logits: [K, N].
        label: [N].
    """

    def loss(log_temperature: float) -> float:
        return float(F.cross_entropy(logits.t().double() / math.exp(log_temperature), label.long()))

    return math.exp(minimize_scalar(loss, bounds=(-3.0, 3.0), method="bounded").x)


@torch.no_grad()
def calibrate(
    network: NISF,
    scans: Sequence[Mapping],
    fit: Callable[[NISF, GridPoints], LatentFit],
    output_dir: str | Path,
    class_names: Mapping[str, str],
    points: int = 20000,
    evidence_blend: float = 0.0,
) -> dict | None:
    """Fits labelled scans by their intensities, sets the network's ``temperature`` and writes what came of it.

    ``calibration.json`` and ``reliability.png`` in ``output_dir``. Scans without a label take no part.

    Args:
        network: trained, with its prior; its ``temperature`` is set.
        scans: items with ``image``, ``label`` and ``frame``, as the validation store gives them.
        fit: as in ``NISFInferer``.
        output_dir: folder.
        class_names: inside label value (text) to name.
        points: labelled points of a scan that are looked at, spread evenly.
        evidence_blend: as in ``NISFInferer``; points of frames that the evidence has not seen are left out.

    Returns:
        the record, or None where no scan has a label.
    """
    seen = [found for scan in scans if (found := _looked_at(network, scan, fit, points, evidence_blend)) is not None]
    if not seen:
        logger.warning("no validation subject has a label: the class probabilities stay uncalibrated")
        return None
    logits, label = torch.cat([s[0] for s in seen], dim=1), torch.cat([s[1] for s in seen])
    network.temperature.fill_(fit_temperature(logits, label))
    before, after = Reliability(), Reliability()
    stated = (logits / float(network.temperature)).softmax(dim=0)
    before.add(logits.softmax(dim=0), label, stated[0])
    after.add(stated, label)
    record = _record(seen, float(network.temperature), list(class_names.values()))
    write_reliability(output_dir, {"temperature 1": before, f"temperature {record['temperature']:.2f}": after}, record)
    logger.info(
        "calibration: %d scans, mean Dice %.4f (%s), temperature %.2f, calibration error %.4f, before %.4f",
        len(seen),
        record["mean_dice"],
        ", ".join(f"{name} {value:.3f}" for name, value in record["dice"].items()),
        record["temperature"],
        after.error(),
        before.error(),
    )
    return record


def _looked_at(
    network: NISF, scan: Mapping, fit: Callable[[NISF, GridPoints], LatentFit], points: int, evidence_blend: float
) -> tuple[torch.Tensor, torch.Tensor, LatentFit] | None:
    """Class logits [K, N] and labels [N] of a scan's labelled points, and its fit; None where it has none."""
    source = points_of(attach_frame(scan), network)
    number = labelled_points(source, scan["label"], points)
    evidence = None
    if source.evidence is not None and evidence_blend:
        number, evidence = source.evidence_at(number)
    if not len(number):
        return None
    found = fit(network, source)
    logits = logits_at(network, found.latent, replace(source, frame=found.frame(source.frame)), number)
    logits = logits if evidence is None else combine(logits, evidence, evidence_blend)
    return logits, scan["label"].reshape(-1)[source.flat(number)], found


def _record(seen: Sequence[tuple], temperature: float, names: list[str]) -> dict:
    """Dice and seconds of what ``_looked_at`` gave."""
    every = np.stack([dice_of(logits.argmax(dim=0), label, 1 + len(names)) for logits, label, _ in seen])
    dice = dict(zip(names, average(every, axis=0).tolist()))
    return {
        "scans": len(seen),
        "temperature": temperature,
        "dice": dice,
        "mean_dice": float(average(np.array(list(dice.values())), axis=0)),
        "fit_seconds": float(np.mean([fit.seconds for _, _, fit in seen])),
    }


def labelled_points(source: GridPoints, label: torch.Tensor, count: int) -> torch.Tensor:
    """Numbers of about ``count`` points spread evenly over the labelled frames; empty where there is none."""
    frames = [t for t in range(label.shape[-1]) if bool((label[..., t] >= 0).all())]
    number = source.spread(count * label.shape[-1] // max(len(frames), 1), seed=1)
    return number[label.reshape(-1)[source.flat(number)] >= 0] if frames else number[:0]


@torch.no_grad()
def logits_at(
    network: NISF, latent: torch.Tensor, source: GridPoints, number: torch.Tensor, chunk: int = 8192
) -> torch.Tensor:
    """Class logits [K, N] of a latent [L] at points of a scan, on the CPU."""
    latent = latent.to(network.latent_mean).unsqueeze(0)
    coords = (source.take(part)[0].unsqueeze(0).to(latent) for part in number.split(chunk))
    return torch.cat([network(c, latent)[0, network.in_channels :].cpu() for c in coords], dim=1)


def dice_of(predicted: torch.Tensor, label: torch.Tensor, num_classes: int) -> np.ndarray:
    """MONAI's Dice of each class but the background at N points, [K - 1]; NaN where the truth has none of it.

    Args:
        predicted, label: classes [N].
        num_classes: K.
    """
    first, second = (F.one_hot(values.long(), num_classes).t().unsqueeze(0) for values in (predicted, label))
    return compute_dice(first, second, include_background=False)[0].numpy()


def write_reliability(output_dir: str | Path, found: Mapping[str, Reliability], record: Mapping[str, object]) -> None:
    """``calibration.json`` and ``reliability.png``: errors and curves of each name in ``found``."""
    folder = Path(output_dir)
    errors = {name: {region: r.error(region) for region in REGIONS} for name, r in found.items()}
    curves = {name: {region: r.curve(region) for region in REGIONS} for name, r in found.items()}
    content = {**record, "expected_calibration_error": errors, "curves": curves}
    write_text(folder / "calibration.json", json.dumps(content, indent=1))
    reliability_curve(folder / "reliability.png", curves, errors)
