"""``make demo``: a synthetic scan that no training saw is made, fitted with the shipped prior, scored and drawn."""

from __future__ import annotations

import json
import logging
import time
import warnings
from pathlib import Path

import nibabel as nib
import numpy as np

from nisf.evaluation.scores import read_scores
from nisf.geometry import orientation
from nisf.phantom.cohort import write_cohort
from nisf.plots.panels import fit_figure
from nisf.utils.bundle import run_bundle

#: A seed of its own: the shipped prior's population was made with seed 0.
DEMO_SEED = 2023


def main(output_dir: str = "output/demo", **overrides: object) -> None:
    """Writes segmentation, reconstruction, latent, scores and a picture to ``output_dir`` and says where they are."""
    warnings.filterwarnings("ignore", module="monai")
    started = time.time()
    folder = Path(output_dir).resolve()
    print("making a synthetic cine scan ...", flush=True)
    write_cohort(folder / "scan", n_training=0, n_validation=0, n_test=1, seed=DEMO_SEED)
    print("fitting it with the shipped prior ...", flush=True)
    run_bundle(
        "evaluation",
        ["inference.json", "evaluate.json", "phantom.json"],
        dataset_dir=str(folder / "scan"),
        output_dir=str(folder),
        save_reconstruction=True,
        **overrides,
    )
    picture = draw(folder)
    for row in read_scores(folder):
        if row["class"] != "mean" and row["phase"] == "mean":
            print(f"Dice {row['class']:<4} {float(row['dice_mean']):.3f}")
    print(f"results: {folder}\npicture: {picture}\n{time.time() - started:.0f} s")


def draw(folder: Path) -> Path:
    """The demo's picture: short-axis slices at ED and ES; image, reconstruction, prediction, truth."""
    subject = json.loads((folder / "scan" / "cohort.json").read_text())["test"][0]
    stem = subject["image"].removesuffix(".nii.gz")
    image, spacing = canonical(folder / "scan" / subject["image"])
    truth, _ = canonical(folder / "scan" / subject["label"])
    reconstruction, prediction = (canonical(folder / stem / f"{stem}_{name}.nii.gz")[0] for name in ("recon", "seg"))
    scores = ", ".join(f"{r['class']} {r['dice_mean']:.3f}" for r in read_scores(folder) if r["phase"] == "mean")
    return fit_figure(
        folder / "demo.png",
        rescaled(image),
        reconstruction,
        prediction,
        truth,
        subject["phases"],
        spacing,
        title="A synthetic scan, fitted with the shipped prior",
        scores=f"Dice over ED and ES: {scores}",
    )


def rescaled(image: np.ndarray) -> np.ndarray:
    """Intensities in [0, 1] by the percentiles that the fit uses, so that image and reconstruction look alike."""
    low, high = np.percentile(image, [1, 99])
    return np.clip((image - low) / (high - low), 0, 1)


def canonical(file: Path) -> tuple[np.ndarray, tuple[float, float, float]]:
    """Array [X, Y, Z, T] of a short-axis file in canonical orientation, and its voxel size in mm."""
    image = nib.load(file)
    order, flips = orientation.short_axis_permutation(image.affine)
    array = np.asarray(image.dataobj).transpose(*order, 3)
    array = np.flip(array, [a for a in range(3) if flips[a]])
    spacing = orientation.spacing_of(image.affine)
    return array, tuple(spacing[a] for a in order)


if __name__ == "__main__":
    logging.getLogger().setLevel(logging.WARNING)
    main()
