"""What bfloat16 sampling costs in accuracy: the same fitted latents read in float32 and in bfloat16.

    python benchmarks/bf16.py --phantom DIR --acdc DIR [--subjects 4] [--json FILE]

The first validation subjects of each data set, ED and ES frames, 40,000 points of each spread evenly. Where the
hardware has no bfloat16 units torch emulates them: slowly, but with the same rounding. Layers after the first run in
bfloat16, as ``on_grid.sample_grid`` runs them; coordinates and latent keep their float32 digits.
"""

from __future__ import annotations

import argparse
import json

import numpy as np
import torch
from fitting import Subject, load

from nisf.fit.gauss_newton import fit_gauss_newton
from nisf.models.nisf import NISF
from nisf.training.calibration import logits_at
from nisf.utils.files import write_text
from nisf.utils.provenance import provenance


def compare(network: NISF, subject: Subject, options: dict) -> dict[str, float]:
    """Dice of both, the largest and mean difference of a probability, and the share of points whose class differs."""
    latent = fit_gauss_newton(network, subject.points, **options).latent
    exact = logits_at(network, latent, subject.points, subject.looked_at)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = logits_at(network, latent, subject.points, subject.looked_at).float()
    apart = (exact.softmax(dim=0) - rounded.softmax(dim=0)).abs()
    return {
        "dice_float32": subject.dice(exact.argmax(dim=0)),
        "dice_bf16": subject.dice(rounded.argmax(dim=0)),
        "largest": float(apart.max()),
        "mean": float(apart.mean()),
        "changed": float((exact.argmax(dim=0) != rounded.argmax(dim=0)).float().mean()),
    }


def main() -> None:
    """Prints a row for each data set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--phantom", required=True)
    parser.add_argument("--acdc", required=True)
    parser.add_argument("--subjects", type=int, default=4)
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    found = {}
    print("| data | Dice, float32 | Dice, bfloat16 | largest change of a probability | mean change | class changed |")
    print("|---|---|---|---|---|---|")
    for name, data in (("phantom", options.phantom), ("acdc", options.acdc)):
        network, subjects, defaults = load(name, data, options.subjects)
        rows = [compare(network, subject, defaults) for subject in subjects]
        row = {key: float(np.mean([r[key] for r in rows])) for key in rows[0]}
        row["largest"] = max(r["largest"] for r in rows)
        found[name] = row
        print(
            f"| {name} | {row['dice_float32']:.4f} | {row['dice_bf16']:.4f} | {row['largest']:.3f} | {row['mean']:.5f} "
            f"| {100 * row['changed']:.2f}% |",
            flush=True,
        )
    if options.json:
        write_text(options.json, json.dumps({"rows": found, **provenance(vars(options))}, indent=1))


if __name__ == "__main__":
    main()
