"""Dice in hidden slices against the distance between the slices that are seen.

    python benchmarks/slice_distance.py COHORT --section test --json FILE [--figure PNG]

COHORT is the data list of ``pooled_cohort.py``. Of every scan all slices, each second and each third one are kept, the
others are hidden from the U-Net and the fit; ED and ES are scored in the hidden slices and in all. Beside the fit are
shape-based interpolation (Raya and Udupa, 1990) of what the U-Net says in the kept slices, and of the true labels
there, which no program has. Prints Markdown. FILE keeps every scan as soon as it is done; a run that was cut off goes
on from there, and new weights or settings need a new FILE.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from about import about
from matplotlib.figure import Figure
from options import of_hearts, settings_of
from segmented import data_set_of, hearts_of, labelled_segmenter, mean_dice, segmented

from nisf import InputError, Segmenter
from nisf.evaluation.held_out import UNSEEN, HeldOut, shape_based
from nisf.evaluation.metrics import score_subject
from nisf.geometry.orientation import spacing_of
from nisf.transforms.hold_out import HoldOutd
from nisf.transforms.scan import scan_of
from nisf.utils.files import write_text

#: Of how many slices one is kept.
STEPS = (1, 2, 3)
FIT, UNET, TRUE = "fit", "U-Net, interpolated", "true labels, interpolated"


def scan_row(segmenter: Segmenter, subject: Mapping, depth: int, step: int) -> dict:
    """Mean Dice over classes, ED and ES of each way in the hidden slices and in all, and the distance of those kept."""
    holding = next(one for one in segmenter.preprocessing.transforms if isinstance(one, HoldOutd))
    holding.held["slices"] = [place for place in range(depth) if place % step] or None
    whole, item = segmented(segmenter, subject)
    image, truth = whole["image"], item["truth"]
    kept, spacing = scan_of(image).kept_slices or range(image.shape[3]), spacing_of(np.asarray(image.affine))
    read, names = scan_of(image).unet_prob.frames, segmenter.class_names
    held = HeldOut.of(item["image"], np.asarray(truth.affine), truth.shape[1:4])
    hidden = None if held is None else held.regions()[UNSEEN]
    found, true = (np.asarray(one)[0].astype(int) for one in (item["seg"], truth))
    rows = {FIT: _scored(found, true, subject, names, spacing_of(np.asarray(truth.affine)), hidden)}
    label = np.asarray(whole["label"][..., read])[0].astype(int)
    if hidden is not None:
        hidden = np.ones(label.shape[:3], dtype=bool)
        hidden[:, :, list(kept)] = False
    placed = {**subject, "phases": {phase: read.index(frame) for phase, frame in subject["phases"].items()}}
    for way, known in ((UNET, np.asarray(whole["unet_class"])[0].astype(int)), (TRUE, label)):
        between = np.stack([shape_based(known[..., t], kept, spacing[:2]) for t in range(known.shape[3])], axis=3)
        rows[way] = _scored(between, label, placed, names, spacing, hidden)
    return {"distance_mm": step * float(spacing[2]), "kept": len(kept), "dice": rows}


def depth_of(segmenter: Segmenter, subject: Mapping) -> int:
    """Number of slices of a scan."""
    transforms = segmenter.preprocessing
    end = next(place for place, one in enumerate(transforms.transforms) if isinstance(one, HoldOutd))
    return transforms(dict(subject), end=end)["image"].shape[3]


def _scored(
    found: np.ndarray,
    true: np.ndarray,
    subject: Mapping,
    names: Mapping,
    spacing: Sequence[float],
    hidden: np.ndarray | None,
) -> dict[str, float]:
    """Mean Dice in the hidden slices, if any, and in all."""
    regions = {} if hidden is None else {"hidden": hidden}
    rows = score_subject(found, true, subject["phases"], spacing, names, subject["subject"], regions)
    return {region: mean_dice([row for row in rows if row["region"] == region])["mean"] for region in (*regions, "all")}


def print_steps(rows: Sequence[Mapping]) -> None:
    """A line for each data set, step and way."""
    print("| data | kept | distance, mm | what | hidden slices | all slices |\n|---|---|---|---|---|---|")
    for data in dict.fromkeys(row["data"] for row in rows):
        for step in STEPS:
            of = [row for row in rows if row["data"] == data and row["step"] == step]
            distance = np.mean([row["distance_mm"] for row in of])
            for way in (FIT, UNET, TRUE):
                every = np.mean([row["dice"][way]["all"] for row in of])
                hidden = "" if step == 1 else f"{np.mean([row['dice'][way]['hidden'] for row in of]):.3f}"
                kept = f"1 of {step}"
                print(f"| {data}, {len(of)} scans | {kept} | {distance:.1f} | {way} | {hidden} | {every:.3f} |")


def draw(rows: Sequence[Mapping], path: str) -> None:
    """Dice of all scans together against the mean distance, with its standard error."""
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    for axes, (region, title) in zip(figure.subplots(1, 2), (("hidden", "hidden slices"), ("all", "all slices"))):
        for way, marker in zip((FIT, UNET, TRUE), "osv"):
            steps = [step for step in STEPS if (region, step) != ("hidden", 1)]
            of = [[row for row in rows if row["step"] == step] for step in steps]
            dice = [np.array([row["dice"][way][region] for row in one]) for one in of]
            distance = [np.mean([row["distance_mm"] for row in one]) for one in of]
            errors = [values.std(ddof=1) / np.sqrt(len(values)) for values in dice]
            axes.errorbar(distance, [d.mean() for d in dice], errors, marker=marker, capsize=3, label=way)
        axes.set_xlabel("distance between the slices that are seen, mm")
        axes.set_ylabel(f"Dice, {title}")
        axes.set_xlim(5, 32)
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].legend(frameon=False, loc="lower left")
    figure.savefig(path, dpi=150)


def main() -> None:
    """Segments what FILE lacks, and prints the tables."""
    parser = of_hearts(__doc__)
    parser.add_argument("--figure", metavar="PNG")
    options = parser.parse_args()
    torch.set_num_threads(1)
    segmenter = labelled_segmenter(settings_of(options))
    kept = Path(options.json) if options.json else None
    rows = json.loads(kept.read_text(encoding="utf-8"))["rows"] if kept and kept.is_file() else []
    done = {(row["subject"], row["step"]) for row in rows}
    for subject in hearts_of(options.cohort, options.section, options.subjects):
        steps = [one for one in STEPS if (subject["subject"], one) not in done]
        depth = depth_of(segmenter, subject) if steps else 0
        for step in steps:
            try:
                row = scan_row(segmenter, subject, depth, step)
            except InputError as error:
                raise InputError(f"{subject['subject']}, one slice of {step} kept: {error}") from error
            rows.append({"subject": subject["subject"], "data": data_set_of(subject), "step": step, **row})
            if kept:
                write_text(kept, json.dumps({**about(options, segmenter), "rows": rows}, indent=1))
        print(subject["subject"], flush=True)
    print_steps(rows)
    if options.figure:
        draw(rows, options.figure)


if __name__ == "__main__":
    main()
