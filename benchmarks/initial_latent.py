"""Possible gain from a better start of a fit: the prior's mean, the linear estimate, or the result itself.

    python benchmarks/initial_latent.py --dataset_dir ACDC [--section validation] [--json FILE]

The last bounds any network that predicts latent and pose. Prints, over the patients, the mean number of
steps and of points, and the mean Dice of the fitted latent's own classes (U-Net fitted, not blended) on 20,000
labelled points a scan.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from monai.bundle import ConfigParser
from options import of_patients

from nisf.fit import search
from nisf.fit.gauss_newton import fit_gauss_newton
from nisf.fit.points import GridPoints
from nisf.fit.posterior import LatentFit
from nisf.inference.inferers import points_of
from nisf.models.nisf import NISF
from nisf.training.calibration import dice_of, labelled_points, logits_at
from nisf.utils.files import write_text
from nisf.utils.provenance import provenance

BUNDLE = Path(__file__).resolve().parent.parent / "bundle"


def scans(options: argparse.Namespace) -> Iterator[tuple[NISF, GridPoints, torch.Tensor]]:
    """Network, points and label of each patient, prepared as by ``evaluation``."""
    config = ConfigParser()
    config.read_config([str(BUNDLE / "configs" / f"{name}.json") for name in ("inference", "acdc")])
    given = {"dataset_dir": options.dataset_dir, "section": options.section, "keys": ["image", "label"]}
    config.update({"bundle_root": str(BUNDLE), **given})
    network, prepare = (config.get_parsed_content(name) for name in ("network", "preprocessing"))
    for subject in config.get_parsed_content("subjects"):
        item = prepare(subject)
        yield network.eval(), points_of(item["image"], network), item["label"].as_tensor()


def fit_from(start: str, network: NISF, points: GridPoints, answer: LatentFit | None) -> tuple[LatentFit, GridPoints]:
    """The fit, and the points in its pose."""
    usual = search.initial_latent
    if start == "mean":
        search.initial_latent = lambda network, scan: network.latent_mean.clone()
    if start == "answer":
        search.initial_latent = lambda network, scan: answer.latent.clone()
        points = replace(points.moved(answer.pose), unet_prob=points.unet_prob.moved(answer.pose))
    try:
        fit = fit_gauss_newton(network, points)
    finally:
        search.initial_latent = usual
    return fit, points.moved(fit.pose)


def main() -> None:
    """Prints the table."""
    options = of_patients(__doc__).parse_args()
    rows = {"mean": [], "linear guess": [], "answer": []}
    for network, points, label in scans(options):
        number, answer = labelled_points(points, label, 20000), None
        for start, found in rows.items():
            fit, there = fit_from(start, network, points, answer)
            answer = fit if start == "linear guess" else answer
            said = logits_at(network, fit.latent, there, number).argmax(dim=0)
            dice = dice_of(said, label.reshape(-1)[points.flat(number)], network.num_classes)
            found.append([len(fit.history), fit.points, float(np.nanmean(dice))])
    print("| start | steps | points | Dice |\n|---|---|---|---|")
    means = {start: np.mean(found, axis=0).tolist() for start, found in rows.items()}
    for start, (steps, seen, dice) in means.items():
        print(f"| {start} | {steps:.1f} | {seen:,.0f} | {dice:.3f} |")
    if options.json:
        write_text(options.json, json.dumps({"rows": means, **provenance(vars(options))}, indent=1))


if __name__ == "__main__":
    main()
