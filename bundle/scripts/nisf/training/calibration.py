"""Calibration of the class probabilities: reliability, calibration error, and the temperature that corrects it."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from monai.engines import Evaluator
from monai.metrics import compute_dice
from scipy.optimize import minimize_scalar
from torch.nn import functional as F

from nisf.evaluation.reliability import Reliability, write_reliability
from nisf.fit.blending import combine
from nisf.fit.points import GridPoints
from nisf.fit.posterior import LatentFit
from nisf.fit.prior import bounds_of, set_initial_latent, set_pose_prior
from nisf.geometry.pose import Pose
from nisf.inference.inferers import points_of
from nisf.models.nisf import NISF
from nisf.models.weights import load_weights, save_weights
from nisf.training.early_stop import average
from nisf.training.store import MappedDataset, fill_stores
from nisf.transforms.scan import scan_of
from nisf.utils.errors import InputError
from nisf.utils.files import check_writable

logger = logging.getLogger(__name__)


def fit_temperature(logits: torch.Tensor, label: torch.Tensor) -> float:
    """The temperature that makes the true classes likeliest, between 1/20 and 20.

    Args:
        logits: class logits [K, N].
        label: true classes [N].
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
    unet_blend: float = 0.0,
) -> dict | None:
    """Fits labelled scans by their intensities and sets the network's ``temperature``.

    Writes ``calibration.json`` and ``reliability.png`` to ``output_dir``. Scans without a label are left out.

    Args:
        network: trained network with its prior; its ``temperature`` is set.
        scans: items with ``image`` and ``label``, as the validation store gives them.
        fit: as in ``NISFInferer``.
        output_dir: folder of the two files.
        class_names: inside label value (text) to name.
        points: number of labelled points used per scan, spread evenly.
        unet_blend: as in ``NISFInferer``; points of frames that the U-Net has not seen are left out.

    Returns:
        the record, or None if no scan has a label.
    """
    seen = [found for scan in scans if (found := _checked_scan(network, scan, fit, points, unet_blend)) is not None]
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


def _checked_scan(
    network: NISF, scan: Mapping, fit: Callable[[NISF, GridPoints], LatentFit], points: int, unet_blend: float
) -> tuple[torch.Tensor, torch.Tensor, LatentFit] | None:
    """Class logits [K, N] and labels [N] of a scan's labelled points, and its fit; None if it has none."""
    source = points_of(scan["image"], network)
    number = labelled_points(source, scan["label"], points)
    unet_prob = None
    if source.unet_prob is not None and unet_blend:
        number, unet_prob = source.unet_prob_at(number)
    if not len(number):
        return None
    found = fit(network, source)
    logits = logits_at(network, found.latent, replace(source, frame=found.frame(source.frame)), number)
    logits = logits if unet_prob is None else combine(logits, unet_prob, unet_blend)
    return logits, scan["label"].reshape(-1)[source.flat(number)], found


def _record(seen: Sequence[tuple], temperature: float, names: list[str]) -> dict:
    """Temperature, and Dice and seconds of the results of ``_checked_scan``."""
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
    """Numbers of about ``count`` points spread evenly over the labelled frames; empty if there are none."""
    frames = [t for t in range(label.shape[-1]) if bool((label[..., t] >= 0).all())]
    number = source.sampling_order(count * label.shape[-1] // max(len(frames), 1), seed=1)
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
    """MONAI's Dice of each class but the background at N points, [K - 1]; NaN where the truth lacks the class.

    Args:
        predicted, label: classes [N].
        num_classes: number of classes, K.
    """
    first, second = (F.one_hot(values.long(), num_classes).t().unsqueeze(0) for values in (predicted, label))
    return compute_dice(first, second, include_background=False)[0].numpy()


def recalibrate(
    network: NISF,
    model: str | Path | None,
    train_dataset: MappedDataset,
    val_dataset: MappedDataset,
    evaluator: Evaluator,
    output_dir: str,
    fit: Callable[[NISF, GridPoints], LatentFit],
    class_names: Mapping[str, str],
    initial_draws: int,
    unet_blend: float,
) -> None:
    """The last part of ``train`` alone, for existing weights: early stop, pose prior, initial latent of a fit and
    calibration.

    All but the first depend on the U-Net and the fit that inference will use.

    Args:
        network: network that takes the weights of ``model``.
        model: file of the weights to calibrate; it stays as it is.
        train_dataset, val_dataset: stores of subjects.
        evaluator: validation of ``network``, with ``EarlyStopFound``.
        output_dir: folder of the calibrated ``model.pt``.
        fit, class_names, initial_draws, unet_blend: as in ``train``.
    """
    if model is None:
        raise InputError("no weights were named to calibrate; give --model")
    folder = check_writable(output_dir)
    load_weights(network, model)
    fill_stores({"training": train_dataset, "validation": val_dataset})
    evaluator.run()
    write_weights(network, train_dataset, val_dataset, fit, folder, class_names, initial_draws, unet_blend)


def write_weights(
    network: NISF,
    train_dataset: MappedDataset,
    val_dataset: MappedDataset,
    fit: Callable[[NISF, GridPoints], LatentFit],
    folder: Path,
    class_names: Mapping[str, str],
    initial_draws: int,
    unet_blend: float,
) -> None:
    """Finds what inference needs besides the trained weights, and writes ``model.pt``."""
    network.eval()
    frames = (scan_of(train_dataset.stored(index)["image"]).frame for index in range(len(train_dataset)))
    changes = [_change_of(val_dataset.stored(index)) for index in range(len(val_dataset))]
    if changes and all(change is not None for change in changes):
        set_pose_prior(network, torch.stack(changes))
    set_initial_latent(network, *bounds_of(frames, network.coord_dims), draws=initial_draws)
    scans = (val_dataset[index] for index in range(len(val_dataset)))
    calibrate(network, scans, fit, folder, class_names, unet_blend=unet_blend)
    weights = save_weights(network, folder / "model.pt")
    logger.info("trained: %s", weights)


def _change_of(item: Mapping[str, object]) -> torch.Tensor | None:
    """Change from the pose in the U-Net probabilities to that of the labels, [6]; None if either is missing."""
    frame = scan_of(item["image"]).frame
    if frame.pose is None or "label_pose" not in item:
        return None
    return frame.pose.change_to(Pose.of(item["label_pose"])).vector()
