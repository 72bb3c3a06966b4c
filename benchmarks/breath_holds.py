"""Slices that are displaced or differ in brightness, fitted with and without acquisition variables.

    python benchmarks/breath_holds.py --dataset_dir ACDC [--changes NAME ...] [--json FILE]

Each patient is rewritten: every slice shifted in plane with its label (normal, 4 mm along each axis, as by another
breath-hold), or with its own gamma (0.5 to 2). The ``evaluation`` command runs on the patients as they are
and on both, with the setting ``acquisition`` at zero and with all its terms. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from ablation import evaluate
from changed_patients import write_changed
from scipy import ndimage

from nisf.geometry.orientation import spacing_of
from nisf.utils.files import write_text
from nisf.utils.provenance import provenance

SHIFT_MM = 4.0
SETTINGS = {
    "not fitted": [0, 0, 0, 0, 0, 0],
    "fitted": [0.25, 0.3, 0.1, 0.1, 0.0375, 0.0375],
}
FITS = {"U-Net fitted, not blended": ["--unet_blend", "0"], "default": []}


def shifted(image: np.ndarray, label: np.ndarray, affine: np.ndarray, draw: np.random.Generator) -> tuple:
    """Image and label [X, Y, Z] with each slice moved in plane."""
    image, label, spacing = image.copy(), label.copy(), spacing_of(affine)
    for z in range(image.shape[2]):
        by = draw.normal(0, SHIFT_MM, 2) / spacing[:2]
        image[..., z] = ndimage.shift(image[..., z], by, order=1)
        label[..., z] = ndimage.shift(label[..., z], by, order=0)
    return image, label, affine


def brightened(image: np.ndarray, label: np.ndarray, affine: np.ndarray, draw: np.random.Generator) -> tuple:
    """Image [X, Y, Z] with each slice under another gamma."""
    top = np.percentile(image, 99)
    return 1000 * np.clip(image / top, 0, 1) ** (2 ** draw.uniform(-1, 1, image.shape[2])), label, affine


CHANGES: dict[str, Callable | None] = {"as they are": None, "slices shifted": shifted, "slices brightened": brightened}


def seeded(change: Callable, seed: int) -> Callable:
    """A change for ``write_changed``; the same for both frames of a patient."""
    return lambda image, label, affine, number: change(image, label, affine, np.random.default_rng([seed, number]))


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset_dir", required=True)
    parser.add_argument("--section", default="validation")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--changes", nargs="*", default=list(CHANGES))
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    found, number = [], 0
    print("| patients | acquisition | " + " | ".join(FITS) + " |\n|" + "---|" * (len(FITS) + 2), flush=True)
    with tempfile.TemporaryDirectory() as name:
        for what in options.changes:
            change, data, words = CHANGES[what], options.dataset_dir, []
            if change is not None:
                folder = Path(name) / what
                folder.mkdir()
                write_changed(data, options.section, folder, seeded(change, options.seed), axes_stay=True)
                data, words = str(folder), ["--layout", "cohort", "--split_rule", "{'given': True}"]
            for setting, spread in SETTINGS.items():
                rows = []
                for blend in FITS.values():
                    number += 1
                    more = [*words, *blend, "--acquisition", str(spread)]
                    rows.append(evaluate(more, data, options.section, Path(name) / str(number)))
                found.append({"patients": what, "acquisition": setting, **dict(zip(FITS, rows))})
                dice = " | ".join(f"{row['dice']['mean']:.4f}" for row in rows)
                print(f"| {what} | {setting} | {dice} |", flush=True)
    if options.json:
        write_text(options.json, json.dumps({"rows": found, **provenance(vars(options))}, indent=1))


if __name__ == "__main__":
    main()
