"""Stacks as other scanners would store them: turned, flipped, resampled, cropped or padded, re-windowed.

    python benchmarks/other_scanners.py --dataset_dir ACDC [--section validation] [--seed 0] [--json FILE]

Each patient is written anew: array axes in a random order and direction (told by an oblique affine, as a scanner's),
another pixel size and matrix, a gamma and another range of intensities, 16 bits. Then the ``evaluation`` command runs
on both, with no knob changed. Prints mean Dice of the patients as they are and as rewritten.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from itertools import permutations, product
from pathlib import Path

import nibabel as nib
import numpy as np
from ablation import evaluate
from monai.transforms import ResizeWithPadOrCrop
from scipy import ndimage

from scripts.cohorts import load_split
from scripts.files import write_text
from scripts.geometry import SHORT_AXIS, permuted_affine
from scripts.outputs import provenance

#: Inside values of the ACDC's.
INSIDE = np.array([0, 3, 2, 1])


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


def rewrite(data: str, section: str, folder: Path, seed: int) -> None:
    """A cohort of the rewritten patients of a split, both frames of a patient alike."""
    rule, subjects = {"last_digit": {"validation": [2], "test": [0]}}, []
    for number, subject in enumerate(load_split("acdc", data, section, rule=rule)):
        images, labels = [], []
        for frame, (image, label) in enumerate(zip(subject["image"], subject["label"])):
            plain = nib.load(image)
            values, classes = plain.get_fdata(), INSIDE[np.asarray(nib.load(label).dataobj).astype(int)]
            spacing = np.array(plain.header.get_zooms()[:3], dtype=float)
            found = as_scanned(values, classes, spacing, np.random.default_rng([seed, number]))
            for name, array, names in (("image", found[0], images), ("label", found[1], labels)):
                names.append(f"{subject['subject']}_{frame}_{name}.nii.gz")
                nib.save(nib.Nifti1Image(np.ascontiguousarray(array), found[2]), folder / names[-1])
        kept = {key: subject[key] for key in ("subject", "times", "phases")}
        subjects.append({**kept, "image": images, "label": labels})
    names = {"0": "background", "1": "LV", "2": "MYO", "3": "RV"}
    content = {"name": "rewritten", "labels": names, "training": [], "validation": [], "test": [], section: subjects}
    (folder / "cohort.json").write_text(json.dumps(content))


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
        rewrite(options.dataset_dir, options.section, folder / "cohort", options.seed)
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
