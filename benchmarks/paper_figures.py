"""The paper's figures 5 and 6 for a synthetic heart with known long-axis image and truth.

    python benchmarks/paper_figures.py --phantom COHORT [--subject 0] [--output docs/figures]

``held_out_basal.png`` (figure 5): the three most basal slices, held out from the fit; the scan with the true
outlines, the reconstruction with those of the fit. ``long_axis.png`` (figure 6): the 4-chamber plane as a scanner would
show it, the short-axis stack interpolated on it, the reconstruction, the segmentation over the true image. Figures 3
and 4 (Dice along a fit, Dice along training) are ``fit_curve.png`` and ``training_curve.png`` of every training.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
from off_grid import classes_on
from scipy.ndimage import map_coordinates

from nisf.cli.demo import rescaled
from nisf.geometry.affine import world_to_voxel
from nisf.geometry.grid import Grid
from nisf.geometry.orientation import spacing_of
from nisf.phantom.cohort import Subject, make_subject
from nisf.plots.panels import panels_figure
from nisf.sampling.fitted_scan import FittedScan
from nisf.sampling.planes import heart_axes, long_axis_plane
from nisf.utils.bundle import NONE, run_bundle

HELD = 3


def segment(scan: Path, folder: Path, **settings: object) -> FittedScan:
    """The scan fitted with the phantom's weights."""
    words = {"dataset_dir": [str(scan)], "layout": "images", "output_dir": str(folder), **settings}
    run_bundle("inference", ["inference.json", "phantom.json"], split_rule=NONE, **words)
    (latent,) = folder.rglob("*_latent.pt")
    return FittedScan.load(latent)


def read(fitted: FittedScan, grid: Grid, time: float, limit: float = 1e9) -> tuple[np.ndarray, np.ndarray]:
    """Reconstruction and classes of a grid at one time point."""
    recon = fitted.read(grid.world(), time)[0].numpy()
    return recon.reshape(grid.shape), classes_on(fitted, grid, time, limit)[0].reshape(grid.shape)


def held_out(path: Path, fitted: FittedScan, image: np.ndarray, subject: Subject, moments: dict[str, int]) -> None:
    """Figure 5."""
    grid = Grid.of_scan(fitted.frame)
    rows = []
    for phase, t in moments.items():
        time = fitted.frame.times[t]
        recon, classes = read(fitted, grid, time)
        truth = subject.label_at(grid.world(), time).reshape(grid.shape)
        # the fitted grid is the stack's field, cut from the whole image
        own = _resliced(image[..., t], subject, grid)
        for what, picture, label in (("scan, truth", own, truth), ("held out: fit", recon, classes)):
            rows.append([(f"{phase}, slice {k + 1}, {what}", picture[..., k], label[..., k]) for k in range(HELD)])
    names = {1: "LV", 2: "MYO", 3: "RV"}
    panels_figure(path, rows, spacing_of(grid.affine)[:2], names, "Basal slices that the fit did not see")


def _resliced(frame: np.ndarray, subject: Subject, grid: Grid) -> np.ndarray:
    """One frame of the scan's file, linearly interpolated on a grid."""
    # the outer halves of the end slices are inside
    voxels = np.round(world_to_voxel(subject.acquisition.affine, grid.world()), 6)
    return map_coordinates(frame, voxels.T, order=1, mode="constant").reshape(grid.shape)


def long_axis(path: Path, fitted: FittedScan, image: np.ndarray, subject: Subject, moments: dict[str, int]) -> None:
    """Figure 6."""
    grid = long_axis_plane("4-chamber", heart_axes(fitted), size=150.0, spacing=1.0)
    plane = replace(subject.acquisition, affine=grid.affine, shape=grid.shape, thickness=6.0, shifts=None)
    shown = rescaled(Subject(subject.heart, plane, subject.noise_seed).render())
    rows = []
    for phase, t in moments.items():
        recon, classes = read(fitted, grid, fitted.frame.times[t])
        true = shown[..., 0, t]
        stack = _resliced(image[..., t], subject, grid)[..., 0]
        panels = (("long-axis image", true, None), ("short-axis stack", stack, None))
        panels += (("reconstruction", recon[..., 0], None), ("segmentation", true, classes[..., 0]))
        rows.append([(f"{phase}: {what}", picture, label) for what, picture, label in panels])
    names = {1: "LV", 2: "MYO", 3: "RV"}
    panels_figure(path, rows, (1.0, 1.0), names, "The 4-chamber plane from a short-axis stack")


def main() -> None:
    """Fits twice and draws."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--phantom", required=True, metavar="COHORT")
    parser.add_argument("--subject", type=int, default=0, help="number among the test subjects")
    parser.add_argument("--output", type=Path, default=Path("docs/figures"))
    options = parser.parse_args()
    listing = json.loads((Path(options.phantom) / "cohort.json").read_text())
    made, entry = listing["made_with"], listing["test"][options.subject]
    subject = make_subject([made["seed"], 2, options.subject], **made["options"])
    scan = Path(options.phantom).resolve() / entry["image"]
    image = rescaled(np.asarray(nib.load(scan).dataobj, dtype=float))
    with tempfile.TemporaryDirectory() as name:
        whole = segment(scan, Path(name) / "whole")
        long_axis(options.output / "long_axis.png", whole, image, subject, entry["phases"])
        basal = segment(scan, Path(name) / "basal", hold_out=f"basal_{HELD}")
        held_out(options.output / "held_out_basal.png", basal, image, subject, entry["phases"])
    print(f"drawn: {options.output}/long_axis.png, {options.output}/held_out_basal.png")


if __name__ == "__main__":
    main()
