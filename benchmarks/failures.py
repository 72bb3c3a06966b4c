"""How well a fit's quality numbers separate failed fits from the rest, without labels.

    python benchmarks/failures.py --dataset_dir ACDC [--section validation] [--json FILE]
    python benchmarks/failures.py --dataset_dir ACDC --conditions noise blur --set model=M.pt unet_model=U.pt

The validation patients are fitted as they are and with realistic faults (noise, blur, inverted contrast, few
slices, a stack cut beside the heart), by the default fit, some also by the intensities alone. A fit has failed if its
mean Dice over classes, ED and ES is below 0.7. Prints the area under the receiver operating curve of each number of
``assess.quality_of``; 0.5 is chance, NaN that no fit failed or all did. Scans in which no heart was found are refused:
they are counted, but have no numbers.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from ablation import evaluate
from about import about
from changed_patients import write_changed
from monai.metrics import compute_roc_auc
from options import of_patients, settings_of, with_settings
from scipy import ndimage

from nisf import Segmenter
from nisf.utils.files import write_text

FAILED = 0.7
NUMBERS = ("reconstruction_error", "prior_distance", "pose_distance", "uncertainty", "disagreement")
#: Changes of image and label [X, Y, Z], both in canonical order, the image in [0, 1].
SPOILT: dict[str, Callable] = {
    "as they are": lambda image, label, draw: (image, label),
    "noise": lambda image, label, draw: (image + draw.normal(0, 0.5, image.shape), label),
    "blur": lambda image, label, draw: (ndimage.gaussian_filter(image, (5, 5, 0)), label),
    "inverted": lambda image, label, draw: (1 - image, label),
    "three slices": lambda image, label, draw: (image[:, :, ::4][:, :, :3], label[:, :, ::4][:, :, :3]),
    "cut": lambda image, label, draw: _cut(image, label),
}
FITS = {"default": [], "intensities alone": ["--unet_blend", "0", "--unet_weight", "0"]}
#: Changes that are also fitted by the intensities alone.
ALSO_ALONE = ("as they are", "three slices")


def _cut(image: np.ndarray, label: np.ndarray) -> tuple:
    """The stack without the slices beyond the middle of the heart."""
    middle = int(np.argwhere(label > 0)[:, 0].mean())
    return image[middle:], label[middle:]


def spoilt(spoil: Callable) -> Callable:
    """A change for ``write_changed``; the same for both frames of a patient."""

    def change(image: np.ndarray, label: np.ndarray, affine: np.ndarray, number: int) -> tuple:
        scaled = np.clip(image / np.percentile(image, 99), 0, 1)
        found = spoil(scaled, label, np.random.default_rng([number]))
        return found[0] * 1000, found[1], affine

    return change


def rows_of(folder: Path, how: dict) -> list[dict]:
    """Dice and quality numbers of the scans of an evaluation."""
    scores = json.loads((folder / "scores.json").read_text())["rows"]
    rows = []
    for found in sorted(folder.rglob("*_latent.pt")):
        latent = torch.load(found, weights_only=True)
        dice = [r["dice"] for r in scores if r["subject"] == latent["subject"] and r["dice"] is not None]
        rows.append({**how, "subject": latent["subject"], "dice": float(np.nanmean(dice)), **latent["quality"]})
    return rows


def fitted(words: list[str], cohort: Path, section: str, folder: Path, how: dict) -> list[dict]:
    """``rows_of`` an evaluation that continues after refused scans."""
    try:
        evaluate(words, str(cohort), section, folder)
    except SystemExit as error:
        if "scans done" not in str(error):
            raise
    return rows_of(folder, how) if (folder / "scores.json").exists() else []


def auc(rows: list[dict], name: str) -> float:
    """Area under the receiver operating curve of a number against failure."""
    known = [row for row in rows if not math.isnan(row[name])]
    failed = torch.tensor([float(row["dice"] < FAILED) for row in known])
    if len(failed.unique()) < 2:
        return math.nan
    return float(compute_roc_auc(torch.tensor([row[name] for row in known]), failed))


def main() -> None:
    """Fits, and prints the areas."""
    parser = with_settings(of_patients(__doc__))
    parser.add_argument("--conditions", nargs="*", default=list(SPOILT), choices=SPOILT, help="only these changes")
    options = parser.parse_args()
    given = [word for name, value in settings_of(options).items() for word in (f"--{name}", str(value))]
    rows, refused = [], 0
    with tempfile.TemporaryDirectory() as name:
        for what in options.conditions:
            cohort = Path(name) / what
            cohort.mkdir()
            write_changed(options.dataset_dir, options.section, cohort, spoilt(SPOILT[what]), axes_stay=True)
            for fit, words in list(FITS.items())[: 1 + (what in ALSO_ALONE)]:
                words = ["--layout", "cohort", "--split_rule", "{'given': True}", *given, *words]
                folder = Path(name) / f"{what}, {fit}"
                found = fitted(words, cohort, options.section, folder, {"what": what, "fit": fit})
                subjects = len(json.loads((cohort / "cohort.json").read_text())[options.section])
                rows, refused = rows + found, refused + subjects - len(found)
                bad = sum(row["dice"] < FAILED for row in found)
                mean = np.mean([row["dice"] for row in found]) if found else math.nan
                print(f"{what}, {fit}: mean Dice {mean:.3f}, {bad} of {len(found)} failed", flush=True)
    failed = sum(row["dice"] < FAILED for row in rows)
    print(f"{len(rows)} fits, {failed} failed; {refused} more were refused, no heart found")
    print(f"\n| number | {' | '.join(FITS)} | both |\n|{'---|' * (len(FITS) + 2)}")
    areas = {}
    for number in NUMBERS:
        groups = [[row for row in rows if row["fit"] == fit] for fit in FITS] + [rows]
        areas[number] = [auc(group, number) for group in groups]
        print(f"| {number} | {' | '.join(f'{area:.3f}' for area in areas[number])} |")
    if options.json:
        made = about(options, Segmenter("acdc", **settings_of(options)))
        write_text(options.json, json.dumps({"rows": rows, "auc": areas, "refused": refused, **made}))


if __name__ == "__main__":
    main()
