"""Stacks as other scanners would store them: turned, flipped, resampled, cropped or padded, re-windowed.

    python benchmarks/other_scanners.py --dataset_dir ACDC [--section validation] [--seed 0] [--json FILE]

Each patient is rewritten: array axes in a random order and direction (given by an oblique affine, as by a scanner),
another pixel size and matrix, a gamma and another range of intensities, 16 bits. Then the ``evaluation`` command runs
on both, with no setting changed. Prints mean Dice of the patients as they are and as rewritten.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from itertools import permutations, product
from pathlib import Path

import numpy as np
from ablation import evaluate
from changed_patients import write_changed
from monai.transforms import ResizeWithPadOrCrop
from scipy import ndimage

from nisf.geometry.orientation import SHORT_AXIS, permuted_affine, spacing_of
from nisf.utils.files import write_text
from nisf.utils.provenance import provenance


def as_scanned(image: np.ndarray, label: np.ndarray, spacing: np.ndarray, draw: np.random.Generator) -> tuple:
    """Image and label [X, Y, Z] in the canonical orientation, rewritten, and their affine."""
    factor = draw.uniform(0.7, 1.4)
    zoom = (1 / factor, 1 / factor, 1)
    image, label = ndimage.zoom(image, zoom, order=1), ndimage.zoom(label, zoom, order=0)
    size = [int(n * draw.uniform(0.9, 1.2)) for n in image.shape[:2]] + [image.shape[2]]
    image, label = (np.asarray(ResizeWithPadOrCrop(size)(a[None]))[0] for a in (image, label))
    image = (image / max(image.max(), 1)) ** draw.uniform(0.7, 1.4)
    image = draw.uniform(200, 4000) * image + draw.uniform(0, 200)
    affine = np.eye(4)
    affine[:3, :3] = SHORT_AXIS * (spacing * [factor, factor, 1])
    affine[:3, 3] = draw.uniform(-100, 100, 3)
    order = list(permutations(range(3)))[draw.integers(6)]
    flips = list(product((False, True), repeat=3))[draw.integers(8)]
    turned = [np.flip(a.transpose(order), [i for i in range(3) if flips[i]]) for a in (image, label)]
    return turned[0].astype(np.int16), turned[1].astype(np.uint8), permuted_affine(affine, image.shape, order, flips)


def rewritten_by(seed: int) -> Callable:
    """A change for ``write_changed``; the same for both frames of a patient."""

    def change(image: np.ndarray, label: np.ndarray, affine: np.ndarray, number: int) -> tuple:
        return as_scanned(image, label, np.array(spacing_of(affine)), np.random.default_rng([seed, number]))

    return change


def main() -> None:
    """Evaluates both and prints the difference."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset_dir", required=True)
    parser.add_argument("--section", default="validation")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "cohort").mkdir()
        change = rewritten_by(options.seed)
        write_changed(options.dataset_dir, options.section, folder / "cohort", change, axes_stay=False)
        as_is = evaluate([], options.dataset_dir, options.section, folder / "first")
        cohort = ["--layout", "cohort", "--split_rule", "{'given': True}"]
        rewritten = evaluate(cohort, str(folder / "cohort"), options.section, folder / "second")
    found = {"as they are": as_is, "rewritten": rewritten}
    for what, row in found.items():
        print(f"{what}: " + ", ".join(f"{name} {value:.4f}" for name, value in row["dice"].items()))
    print(f"drop of the mean: {as_is['dice']['mean'] - rewritten['dice']['mean']:.4f}")
    if options.json:
        write_text(options.json, json.dumps({"rows": found, **provenance(vars(options))}, indent=1))


if __name__ == "__main__":
    main()
