"""Off the grid, on hearts with known truth: long-axis planes, missing slices and frames, volumes.

    python benchmarks/off_grid.py --phantom COHORT [--subjects 20] [--json FILE] [-- OPTIONS OF evaluation]

The test subjects of a phantom cohort are fitted by the ``evaluation`` command: whole, without every second slice, and
without every second frame. The exact heart is then the truth for the 4-chamber and the 2-chamber plane
(1.5 mm, ED and ES, planes as found by the program), the held-out slices beside the two baselines of
``held_out.HeldOut``, the held-out frames, and the volumes: of the function, on a 1.5 mm grid up to one slice beyond the
stack, and by summing the slices.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
from ablation import evaluate

from nisf.evaluation.scores import read_scores
from nisf.geometry.grid import Grid
from nisf.geometry.orientation import spacing_of
from nisf.phantom.cohort import Subject, make_subject
from nisf.sampling.fitted_scan import FittedScan
from nisf.sampling.planes import PLANES, heart_axes, long_axis_plane
from nisf.sampling.resample import read_frame
from nisf.utils.files import write_text
from nisf.utils.provenance import provenance

NAMES = {1: "LV", 2: "MYO", 3: "RV"}
WAYS = {
    "whole": [],
    "every second slice held out": ["--hold_out", "every_2"],
    "every second frame held out": ["--hold_out_frames", "every_2"],
}


def dice(first: np.ndarray, second: np.ndarray, classes: Sequence[int] = (1, 2, 3)) -> float:
    """Mean Dice over the classes that the second has."""
    pairs = [(first == c, second == c) for c in classes if (second == c).any()]
    return float(np.mean([2 * (one & other).sum() / (one.sum() + other.sum()) for one, other in pairs]))


def classes_on(fitted: FittedScan, grid: Grid, time: float, limit: float) -> tuple[np.ndarray, np.ndarray]:
    """Classes [N] and the ``extrapolated`` map [N] of one time point."""
    first = fitted.network.in_channels
    parts = [(v[first:].argmax(dim=0).numpy(), beyond) for v, beyond in read_frame(fitted, grid, time, limit)]
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])


def planes(fitted: FittedScan, subject: Subject, times: dict[str, float]) -> list[dict]:
    """Dice of the long-axis planes where the function gives values, and over the whole plane."""
    limit, axes, rows = spacing_of(fitted.frame.affine)[2] / 2, heart_axes(fitted), []
    for plane in PLANES:
        grid = long_axis_plane(plane, axes, spacing=1.5)
        for phase, time in times.items():
            found, beyond = classes_on(fitted, grid, time, limit)
            truth = subject.label_at(grid.world(), time)
            given = beyond < 2
            row = {"plane": plane, "phase": phase, "dice": dice(found[given], truth[given])}
            rows.append({**row, "dice_everywhere": dice(found, truth)})
    return rows


def volumes(fitted: FittedScan, subject: Subject, seg: nib.Nifti1Image, frames: dict[str, int]) -> list[dict]:
    """LV and RV volumes in mL: true (whole heart), by the function, by summing slices."""
    rows, truth = [], subject.true_volumes()
    depth = spacing_of(fitted.frame.affine)[2]
    whole = Grid.of_scan(fitted.frame)
    affine = whole.affine.copy()
    affine[:3, 3] -= affine[:3, 2]  # one slice more at both ends
    longer = Grid(affine, (*whole.shape[:2], whole.shape[2] + 2)).resampled((1.5, 1.5, 1.5))
    for phase, frame in frames.items():
        found, _ = classes_on(fitted, longer, fitted.frame.times[frame], depth)
        label = np.asarray(seg.dataobj)[..., frame]
        for number, name in ((1, "LV"), (3, "RV")):
            sizes = (abs(np.linalg.det(a[:3, :3])) / 1000 for a in (longer.affine, seg.affine))
            counts = ((found == number).sum(), (label == number).sum())
            one, other = (float(n * size) for n, size in zip(counts, sizes))
            rows.append({"phase": phase, "class": name, "true": truth[phase][name], "function": one, "slices": other})
    return rows


def unseen_frames(seg: nib.Nifti1Image, truth: nib.Nifti1Image) -> tuple[float, float]:
    """Mean Dice over the seen frames, and over the held-out ones."""
    found, label = (np.asarray(image.dataobj) for image in (seg, truth))
    every = [dice(found[..., t], label[..., t]) for t in range(label.shape[3])]
    return float(np.mean(every[::2])), float(np.mean(every[1::2]))


def error(rows: list[dict], way: str) -> float:
    """Mean relative error, |volume - truth| / truth."""
    return float(np.mean([abs(row[way] - row["true"]) / row["true"] for row in rows]))


def main() -> None:
    """Fits, scores and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--phantom", required=True, metavar="COHORT")
    parser.add_argument("--config", default="phantom")
    parser.add_argument("--subjects", type=int, default=20)
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("options", nargs="*", help="of the evaluation command")
    options = parser.parse_args()
    listing = json.loads((Path(options.phantom) / "cohort.json").read_text())
    made, entries = listing["made_with"], listing["test"][: options.subjects]
    found: dict = {"planes": [], "volumes": [], "frames": []}
    with tempfile.TemporaryDirectory() as name:
        cohort = Path(name) / "cohort"
        cohort.mkdir()
        for entry in entries:
            for key in ("image", "label"):
                (cohort / entry[key]).symlink_to(Path(options.phantom).resolve() / entry[key])
        (cohort / "cohort.json").write_text(json.dumps({**listing, "test": entries}))
        for way, words in WAYS.items():
            folder = Path(name) / way.replace(" ", "_")
            evaluate([*words, *options.options], str(cohort), "test", folder, options.config)
            regions = (
                "all",
                "seen slices",
                "held-out slices",
                "held-out slices: nearest",
                "held-out slices: shape-based",
            )
            scores = {region: read_scores(folder, region) for region in regions}
            for region, rows in scores.items():
                for row in rows:
                    if row["phase"] == row["class"] == "mean":
                        print(f"{way}, {region}: Dice {row['dice_mean']:.3f} +- {row['dice_std']:.3f}", flush=True)
            found[way] = {region: rows for region, rows in scores.items() if rows}
            for number, entry in enumerate(entries):
                stem = entry["image"].removesuffix(".nii.gz")
                seg = nib.load(folder / stem / f"{stem}_seg.nii.gz")
                if way == "every second frame held out":
                    found["frames"].append(unseen_frames(seg, nib.load(cohort / entry["label"])))
                if way == "whole":
                    subject = make_subject([made["seed"], 2, number], **made["options"])
                    fitted = FittedScan.load(folder / stem / f"{stem}_latent.pt")
                    moments = {phase: fitted.frame.times[t] for phase, t in entry["phases"].items()}
                    found["planes"] += planes(fitted, subject, moments)
                    found["volumes"] += volumes(fitted, subject, seg, entry["phases"])
    for plane in PLANES:
        rows = [row for row in found["planes"] if row["plane"] == plane]
        means = [np.mean([row[key] for row in rows]) for key in ("dice", "dice_everywhere")]
        print(f"{plane}: Dice {means[0]:.3f} where values are given, {means[1]:.3f} over the whole plane")
    seen, unseen = np.mean(found["frames"], axis=0)
    print(f"frames that were seen {seen:.3f}, held out {unseen:.3f}")
    hard = [row for row in found["volumes"] if abs(row["slices"] - row["true"]) > 0.03 * row["true"]]
    for what, rows in (("all", found["volumes"]), ("where slices are off by more than 3%", hard)):
        errors = ", ".join(f"{way} {error(rows, way):.1%}" for way in ("function", "slices"))
        within = np.mean([abs(row["function"] - row["true"]) <= 0.03 * row["true"] for row in rows])
        print(f"volumes, {what} ({len(rows)}): mean error {errors}; function within 3% in {within:.0%}")
    if options.json:
        write_text(options.json, json.dumps({**found, **provenance(vars(options))}, indent=1))


if __name__ == "__main__":
    main()
