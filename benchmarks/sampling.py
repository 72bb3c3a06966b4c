"""Sampling from coarse to fine against every voxel: agreement of the labels, Dice and processor seconds.

    python benchmarks/sampling.py --dataset_dir ACDC [--config acdc] [--subjects 10] [--steps 8,16] [--json FILE]

The first validation subjects of a data set are read and fitted once, then sampled at every voxel and with each
``grid_step``, each time with the U-Net's part. ``agreement`` is the mean Dice of the labels with those of every voxel,
``Dice`` that with the data set's own labels at ED and ES, ``change`` the difference of the Dice from that of every
voxel, ``expected`` the largest difference of the expected Dice. Calibrations hold for every voxel and for
steps up to ``models.pipeline.AS_EXACT`` because of this table.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping

import numpy as np
import torch
from monai.metrics import compute_dice
from torch.nn import functional as F

from nisf.api import Segmenter
from nisf.inference.inferers import NISFInferer, points_of
from nisf.io.datalist import load_split
from nisf.models.pipeline import AS_EXACT
from nisf.transforms.load import LoadCined
from nisf.transforms.scan import scan_of
from nisf.utils.bundle import settings_of
from nisf.utils.files import write_text


def mean_dice(one: torch.Tensor, other: torch.Tensor, classes: int) -> float:
    """Mean Dice over classes and frames of two label maps [X, Y, Z, T]."""
    first, second = (F.one_hot(x.long(), classes).permute(3, 4, 0, 1, 2) for x in (one, other))
    return float(compute_dice(first, second, include_background=False).nanmean())


def compared(segmenter: Segmenter, subject: Mapping, steps: list[float]) -> list[dict]:
    """One row for each step, every voxel first; the scan is read and fitted once."""
    item, inferer, network = segmenter.preprocessing(dict(subject)), segmenter.inferer, segmenter.network
    truth = LoadCined(("image", "label"))(dict(subject))["label"][0].as_tensor()
    frames, classes, rows = list(subject["phases"].values()), 1 + len(segmenter.class_names), []
    fit = inferer.fit(network, points_of(item["image"], network))
    every, expected = None, 0.0
    for step in [0.0, *steps]:
        again = NISFInferer(lambda *_: fit, inferer.chunk, inferer.bf16, 0, 0, inferer.blend, step, inferer.judge)
        started = time.process_time()
        predicted = again(item["image"].unsqueeze(0), network)
        seconds, quality = time.process_time() - started, scan_of(predicted).quality
        done = segmenter.postprocessing({**item, "pred": predicted})
        labels = torch.as_tensor(np.asarray(done["seg"])[0])
        if every is None:
            every, expected = labels, quality.predicted_dice or 0.0
        dice = mean_dice(labels[..., frames], truth[..., frames].clamp_min(0), classes)
        agreement = mean_dice(labels, every, classes)
        rows.append(
            {"subject": str(subject["subject"]), "step": step, "dice": dice, "agreement": agreement}
            | {"seconds": seconds, "expected": abs((quality.predicted_dice or 0.0) - expected)}
        )
    return rows


def table(rows: list[dict]) -> str:
    """Means over subjects for each step."""
    lines = ["grid_step    Dice     change  agreement, mean and least  seconds  expected"]
    exact = np.mean([row["dice"] for row in rows if row["step"] == 0])
    for step in dict.fromkeys(row["step"] for row in rows):
        of = {key: np.array([row[key] for row in rows if row["step"] == step]) for key in rows[0] if key != "subject"}
        agree = of["agreement"]
        lines.append(
            f"{step:>6.1f} mm  {of['dice'].mean():.4f}  {of['dice'].mean() - exact:+.4f}  {agree.mean():.4f}  "
            f"{agree.min():.4f}  {of['seconds'].mean():12.2f}  {of['expected'].max():.4f}"
        )
    return "\n".join(lines)


def main() -> None:
    """Fits, samples and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="acdc")
    parser.add_argument("--dataset_dir", required=True)
    parser.add_argument("--layout", help="of the data set; that of the config unless given")
    parser.add_argument("--subjects", type=int, default=10)
    parser.add_argument("--steps", default=f"{AS_EXACT},16")
    parser.add_argument("--json", metavar="FILE", help="also write the rows there")
    options = parser.parse_args()
    settings = settings_of(["inference", options.config])
    layout = options.layout or settings["layout"]
    rule = {"given": True} if layout == "cohort" else settings["split_rule"]
    subjects = load_split(layout, options.dataset_dir, "validation", rule=rule)
    segmenter = Segmenter([options.config], device="cpu")
    rows = []
    for subject in subjects[: options.subjects]:
        rows += compared(segmenter, subject, [float(step) for step in options.steps.split(",")])
        print(rows[-1]["subject"], flush=True)
    print(table(rows))
    if options.json:
        write_text(options.json, json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
