"""``make demo``: a synthetic heart with known truth, and a real one whose long axis was also imaged.

Neither was used to train the weights that fit them.
"""

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
from nisf.plots.long_axis import long_axis_figure
from nisf.plots.panels import fit_figure
from nisf.runs import segment
from nisf.sampling.resample import sample_to_files
from nisf.utils.bundle import bundle_root, run_bundle

#: Random seed; the population of the shipped weights was made with seed 0.
DEMO_SEED = 2023


def main(output_dir: str = "output/demo", **overrides: object) -> None:
    """Writes segmentations, latents, scores and a picture of each heart to ``output_dir`` and prints where they are."""
    warnings.filterwarnings("ignore", module="monai")
    started = time.time()
    folder = Path(output_dir).resolve()
    phantom_heart(folder, **overrides)
    real_heart(folder / "volunteer", **overrides)
    print(f"{time.time() - started:.0f} s")


def phantom_heart(folder: Path, **overrides: object) -> Path:
    """Makes a synthetic cine, fits it, and prints its Dice against the exact labels; returns the picture."""
    print("1 of 2: a synthetic cine is made and fitted ...", flush=True)
    write_cohort(folder / "scan", n_training=0, n_validation=0, n_test=1, seed=DEMO_SEED)
    run_bundle(
        "evaluation",
        ["inference.json", "evaluate.json", "phantom.json"],
        dataset_dir=str(folder / "scan"),
        output_dir=str(folder),
        save_reconstruction=True,
        **overrides,
    )
    picture = draw_phantom(folder)
    for row in read_scores(folder):
        if row["class"] != "mean" and row["phase"] == "mean":
            print(f"Dice {row['class']:<4} {float(row['dice_mean']):.3f}")
    print(f"picture: {picture}")
    return picture


def real_heart(folder: Path, **overrides: object) -> Path:
    """Fits a volunteer's short-axis slices and reads the plane of the 4-chamber image; returns the picture.

    The images are in the bundle's ``examples/volunteer``.
    """
    print("2 of 2: a volunteer's short-axis slices, 17.7 mm apart, are fitted ...", flush=True)
    images = bundle_root() / "examples" / "volunteer"
    segment([str(images / "sax.nii.gz")], str(folder), skip_finished=False, **overrides)
    plane = folder / "4ch_seg.nii.gz"
    sample_to_files(folder / "sax" / "sax_latent.pt", plane, like=images / "4ch.nii.gz")
    picture = draw_long_axis(folder / "volunteer.png", images / "sax.nii.gz", images / "4ch.nii.gz", plane)
    print(f"the 4-chamber plane: {plane}\npicture: {picture}")
    return picture


def draw_phantom(folder: Path) -> Path:
    """The synthetic heart's picture: short-axis slices at ED and ES; image, reconstruction, prediction, truth."""
    subject = json.loads((folder / "scan" / "cohort.json").read_text(encoding="utf-8"))["test"][0]
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


def draw_long_axis(path: Path, stack: Path, plane: Path, label: Path) -> Path:
    """``long_axis_figure`` of files; ED is the first frame, ES the one with the smallest LV in the plane."""
    slices, image = nib.load(stack), nib.load(plane)
    classes = np.asarray(nib.load(label).dataobj)[:, :, 0]
    frames = {"end diastole": 0, "end systole": int((classes == 1).sum(axis=(0, 1)).argmin())}
    count, apart = slices.shape[2], slices.header.get_zooms()[2]
    return long_axis_figure(
        path,
        (np.asarray(slices.dataobj)[..., 0], slices.affine),
        (np.asarray(image.dataobj)[:, :, 0], image.affine),
        classes,
        frames,
        title=f"In: {count} short-axis slices, {apart:.1f} mm apart",
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
