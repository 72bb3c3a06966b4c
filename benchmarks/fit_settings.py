"""What the settings of a Gauss-Newton fit cost and bring: processor seconds, points, loss and Dice, by setting.

    python benchmarks/fit_settings.py COHORT [--subjects 4] [--json FILE]

COHORT is the data list of ``pooled_cohort.py``; the first validation patients of each data set, two frames each, with
the U-Net's probabilities, as ``nisf segment`` fits them. The settings of a patient are run one after another, so that
other work on the machine touches all alike. The loss is the mean of the last step's points; Dice is that of the blended
result, ED and ES. Prints Markdown.
"""

from __future__ import annotations

import json
import time
from functools import partial

import numpy as np
import torch
from about import about
from options import of_hearts, settings_of
from segmented import hearts_of, labelled_segmenter, mean_dice, scored

from nisf.fit.gauss_newton import fit_gauss_newton
from nisf.fit.points import GridPoints
from nisf.fit.posterior import LatentFit
from nisf.models.nisf import NISF
from nisf.utils.files import write_text

SETTINGS: dict[str, dict] = {
    "default": {},
    "points doubled later (`growth` 0.05)": {"growth": 0.05},
    "points doubled later (`growth` 0.02)": {"growth": 0.02},
    "1,024 points at the start": {"start_points": 1024},
    "2,048 points at the end": {"final_points": 2048},
    "8,192 points at the end": {"final_points": 8192},
    "first damping 1e-5": {"damping": 1e-5},
    "stops earlier (`tolerance` 0.01)": {"tolerance": 0.01},
    "chunks of 2,048": {"chunk": 2048},
    "chunks of 1,024": {"chunk": 1024},
}


class Timed:
    """A fit function that keeps its processor seconds and its last fit."""

    def __init__(self, fit: partial) -> None:
        self.fit, self.changes, self.seconds, self.last = fit, {}, 0.0, None

    def __call__(self, network: NISF, points: GridPoints) -> LatentFit:
        started = time.process_time()
        self.last = self.fit(network, points, **self.changes)
        self.seconds = time.process_time() - started
        return self.last


def main() -> None:
    """Fits and prints the table."""
    options = of_hearts(__doc__).parse_args()
    torch.set_num_threads(1)
    segmenter = labelled_segmenter(settings_of(options))
    timed = segmenter.inferer.fit = Timed(segmenter.inferer.fit)
    assert timed.fit.func is fit_gauss_newton, "the settings are those of fit_gauss_newton"
    rows = []
    for subject in hearts_of(options.cohort, options.section, options.subjects):
        for name, changes in SETTINGS.items():
            timed.changes = changes
            dice = mean_dice(scored(segmenter, subject)["fit"])["mean"]
            fit = timed.last
            row = {"subject": subject["subject"], "setting": name, "seconds": timed.seconds, "points": fit.points}
            rows.append({**row, "steps": len(fit.history), "loss": fit.history[-1]["loss"], "dice": dice})
            print(rows[-1], flush=True)
    print("\n| setting | processor seconds | points | steps | loss | Dice |\n|---|---|---|---|---|---|")
    for name in SETTINGS:
        one = [row for row in rows if row["setting"] == name]
        keys = ("seconds", "points", "steps", "loss", "dice")
        mean = {key: float(np.mean([row[key] for row in one])) for key in keys}
        values = f"{mean['seconds']:.2f} | {mean['points']:,.0f} | {mean['steps']:.1f} | {mean['loss']:.4f}"
        print(f"| {name} | {values} | {mean['dice']:.4f} |")
    if options.json:
        write_text(options.json, json.dumps({**about(options, segmenter), "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
