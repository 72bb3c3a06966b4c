"""Dice and 95% Hausdorff distance of whole volumes per class, phase and region, by MONAI's metrics.

    rows = score_subject(prediction, truth, {"ED": 0, "ES": 9}, spacing, {1: "LV", 2: "MYO", 3: "RV"}, "patient001")
    summary = summarise(rows)
    print(format_table(summary))
    write_scores(rows, summary, "output/scores", {"weights": "model.pt"})

Empty classes follow MONAI: Dice is nan where the truth is empty, the distance is not finite (nan or inf,
depending on the version of MONAI) where truth or prediction is. Such values are left out of the means and counted.
"""

from __future__ import annotations

import json
import math
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from monai.metrics import compute_dice, compute_hausdorff_distance
from monai.metrics.utils import get_edge_surface_distance
from scipy.ndimage import find_objects

from nisf.utils.errors import InputError
from nisf.utils.files import write_text
from nisf.utils.text import csv_text

ROW_KEYS = ("subject", "phase", "frame", "region", "class", "dice", "hd95_mm", "empty_truth", "empty_prediction")

COUNTS = ("n_subjects", "n", "n_empty_truth", "n_empty_prediction", "n_failed")

SUMMARY_KEYS = ("region", "phase", "class", "dice_mean", "dice_std", "hd95_mm_mean", "hd95_mm_std", *COUNTS)

PERCENTILE = 95


def score_volume(prediction, truth, spacing: Sequence[float], class_names: Mapping, mask=None) -> list[dict]:
    """Scores of one volume, one row per class.

    Args:
        prediction, truth: [X, Y, Z] class numbers (array or tensor).
        spacing: voxel size in mm along X, Y, Z.
        class_names: class number -> name; 0 (background) may be named but is not scored.
        mask: optional [X, Y, Z]; only what is inside counts (voxels for Dice; for the distance, surface voxels of the
            unmasked volumes).

    Returns:
        [{"class", "dice", "hd95_mm", "empty_truth", "empty_prediction"}], in the order of `class_names`.

    Raises:
        InputError: shapes differ, or a class number is not in `class_names`.
    """
    names = {int(number): name for number, name in class_names.items() if int(number) != 0}
    prediction, truth = _labels(prediction, "prediction", names), _labels(truth, "truth", names)
    inside = None if mask is None else np.asarray(mask, dtype=bool)
    if not prediction.shape == truth.shape == (truth.shape if inside is None else inside.shape) or truth.ndim != 3:
        shapes = [v.shape for v in (prediction, truth, inside) if v is not None]
        raise InputError(f"Volumes to compare must be 3D and have one shape, not {' and '.join(map(str, shapes))}.")
    spacing = [float(s) for s in spacing]
    if len(spacing) != 3 or not all(math.isfinite(s) and s > 0 for s in spacing):
        raise InputError(f"Voxel spacing must be three positive numbers in mm, not {spacing}.")
    # surfaces and overlap are where a class is, so the rest of the volume is left out
    box = _bounding_box((prediction > 0) | (truth > 0))
    channels = [0, *names]
    y_pred, y = (torch.stack([torch.as_tensor(v[box] == c) for c in channels])[None] for v in (prediction, truth))
    inside = None if inside is None else torch.as_tensor(inside[box])
    hd95 = _hausdorff(y_pred, y, spacing, inside)
    if inside is not None:
        y_pred, y = y_pred & inside, y & inside
    dice = compute_dice(y_pred, y, include_background=False, ignore_empty=True)[0]
    rows = zip(names.values(), dice.tolist(), hd95.tolist(), y[0, 1:], y_pred[0, 1:])
    return [
        {"class": n, "dice": d, "hd95_mm": h, "empty_truth": not t.any(), "empty_prediction": not p.any()}
        for n, d, h, t, p in rows
    ]


def _labels(volume, what: str, names: Mapping[int, str]) -> np.ndarray:
    volume = np.asarray(volume.detach().cpu() if isinstance(volume, torch.Tensor) else volume)
    unknown = sorted(set(np.unique(volume).tolist()) - {0, *names})
    if unknown:
        raise InputError(
            f"The {what} holds the value {unknown[0]}, which is not a class of {names}; map its labels first."
        )
    return volume


def _bounding_box(foreground: np.ndarray, margin: int = 1) -> tuple[slice, ...]:
    """Slices around the foreground; one voxel of margin keeps the surfaces as they were. One voxel if empty."""
    found = find_objects(foreground.astype(np.uint8)) or [(slice(0, 1),) * foreground.ndim]
    return tuple(slice(max(part.start - margin, 0), part.stop + margin) for part in found[0])


def _hausdorff(y_pred: torch.Tensor, y: torch.Tensor, spacing: list[float], inside: torch.Tensor | None):
    """95% Hausdorff distance in mm per foreground class, [C - 1]; one-hot input [1, C, X, Y, Z]."""
    with warnings.catch_warnings():
        # the rows say which classes are empty; the other warning is MONAI's about its own call
        warnings.filterwarnings("ignore", message=".*(may result in nan/inf distance|always_return_as_numpy)")
        if inside is None:
            return compute_hausdorff_distance(y_pred, y, percentile=PERCENTILE, spacing=spacing)[0]
        pairs = [
            get_edge_surface_distance(p, t, spacing=spacing, symmetric=True, mask=inside)[1]
            for p, t in zip(y_pred[0, 1:], y[0, 1:])
        ]
    # MONAI's Hausdorff distance takes no mask, its surface distances do: the same percentile, the larger of the two
    quantile = PERCENTILE / 100
    values = [[torch.quantile(d, quantile) if d.numel() else d.new_tensor(math.nan) for d in pair] for pair in pairs]
    return torch.stack([torch.stack(pair).max() for pair in values])


def score_subject(
    prediction,
    truth,
    frames: Mapping[str, int] | Sequence[int] | None,
    spacing: Sequence[float],
    class_names: Mapping,
    subject: str,
    regions: Mapping | None = None,
) -> list[dict]:
    """Scores of one subject, one row per frame, region and class.

    Args:
        prediction, truth: [X, Y, Z, T] class numbers, or [X, Y, Z] for a static volume.
        frames: {"ED": i, "ES": j}; or the indices of the labelled frames (their phase is called "any"); None: all.
        spacing, class_names: see `score_volume`.
        subject: name of the subject, written into the rows.
        regions: optional name -> mask [X, Y, Z] or [X, Y, Z, T], scored besides the whole volume (region "all").

    Returns:
        rows with the keys `ROW_KEYS`.

    Raises:
        InputError: as `score_volume`, or a frame does not exist; the message begins with the subject.
    """
    prediction, truth = (v[..., None] if v.ndim == 3 else v for v in (prediction, truth))
    if prediction.ndim != 4 or prediction.shape != truth.shape:
        shapes = f"{tuple(prediction.shape)} and {tuple(truth.shape)}"
        raise InputError(f"{subject}: prediction and truth must have one shape [X, Y, Z, T], not {shapes}.")
    count = int(truth.shape[3])
    if not isinstance(frames, Mapping):
        pairs = [("any", int(frame)) for frame in (range(count) if frames is None else frames)]
    else:
        pairs = [(phase, int(frame)) for phase, frame in frames.items()]
    rows = []
    for phase, frame in pairs:
        if not 0 <= frame < count:
            raise InputError(f"{subject}: frame {frame} ({phase}) is not among the {count} frames.")
        for region, mask in {"all": None, **(regions or {})}.items():
            mask = mask[..., frame] if mask is not None and mask.ndim == 4 else mask
            try:
                scores = score_volume(prediction[..., frame], truth[..., frame], spacing, class_names, mask)
            except InputError as error:
                raise InputError(f"{subject}, frame {frame}: {error}") from error
            rows += [{"subject": subject, "phase": phase, "frame": frame, "region": region, **s} for s in scores]
    return rows


def summarise(rows: Sequence[Mapping]) -> list[dict]:
    """Mean and standard deviation over subjects, per region, phase and class, and over all classes and phases.

    Scores of volumes are averaged within a subject first, so every subject has the same weight; the standard
    deviation (of the population, as in MONAI's summaries) is between subjects. A class or phase called "mean" is the
    average over all of them. Values that are nan or inf are left out.

    Returns:
        rows with the keys `SUMMARY_KEYS`: n is the number of scores (volumes x classes) in the group, n_failed how
        many of them have no finite distance; the Dice mean is over n - n_empty_truth scores, the distance's over
        n - n_failed.
    """
    regions, phases, classes = (list(dict.fromkeys(row[key] for row in rows)) for key in ("region", "phase", "class"))
    summary = []
    for region in regions:
        for phase in phases + ["mean"] * (len(phases) > 1):
            for name in classes + ["mean"] * (len(classes) > 1):
                wanted = {"region": region, "phase": phase, "class": name}
                group = [row for row in rows if all(v == "mean" or row[k] == v for k, v in wanted.items())]
                if group:
                    summary.append({**wanted, **_summary_of(group)})
    return summary


def _summary_of(group: Sequence[Mapping]) -> dict:
    values = {}
    for key in ("dice", "hd95_mm"):
        by_subject: dict[str, list[float]] = {}
        for row in group:
            if math.isfinite(row[key]):
                by_subject.setdefault(row["subject"], []).append(row[key])
        means = [float(np.mean(scores)) for scores in by_subject.values()]
        values[f"{key}_mean"] = float(np.mean(means)) if means else math.nan
        values[f"{key}_std"] = float(np.std(means)) if means else math.nan
    return {
        **values,
        "n_subjects": len({row["subject"] for row in group}),
        "n": len(group),
        "n_empty_truth": sum(bool(row["empty_truth"]) for row in group),
        "n_empty_prediction": sum(bool(row["empty_prediction"]) for row in group),
        "n_failed": sum(not math.isfinite(row["hd95_mm"]) for row in group),
    }


def write_scores(rows, summary, folder: str | os.PathLike, provenance: Mapping) -> Path:
    """Writes scores.csv, summary.csv and scores.json (rows, summary, provenance), each atomically; returns the folder.

    Values that are not finite are "nan" and "inf" in the CSV files and null in the JSON file.
    """
    folder = Path(folder)
    write_text(folder / "scores.csv", csv_text(rows, ROW_KEYS))
    write_text(folder / "summary.csv", csv_text(summary, SUMMARY_KEYS))
    content = {"provenance": dict(provenance), "summary": list(summary), "rows": list(rows)}
    write_text(folder / "scores.json", json.dumps(_finite(content), indent=1, allow_nan=False, default=str) + "\n")
    return folder


def _finite(value):
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def format_table(summary: Sequence[Mapping]) -> str:
    """The summary as lines of text for the terminal."""
    head = ["region", "phase", "class", "Dice", "HD95 mm", "subjects", "scores", "no truth", "no prediction", "no HD95"]
    body = [
        [row["region"], row["phase"], row["class"]]
        + [f"{row['dice_mean']:.3f} +- {row['dice_std']:.3f}", f"{row['hd95_mm_mean']:.2f} +- {row['hd95_mm_std']:.2f}"]
        + [str(row[key]) for key in COUNTS]
        for row in summary
    ]
    widths = [max(len(str(line[i])) for line in [head, *body]) for i in range(len(head))]
    lines = ["  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths)).rstrip() for line in [head, *body]]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])
