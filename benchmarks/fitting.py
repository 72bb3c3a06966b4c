"""Three ways to fit a scan's latent compared: the paper's Adam, Adam on few points, Gauss-Newton.

    python benchmarks/fitting.py --phantom DIR --acdc DIR [--subjects 2] [--paper_steps 100] [--json FILE]
        [--figure PNG]

The first validation subjects of each data set, shipped weights, the latent alone fitted to the intensities alone (a
pose stays as found from the U-Net probabilities), ED and ES frames alone (all methods see the same two
frames; a longer cine makes the paper's way slower and changes the others little). Dice is the mean over classes and
subjects at the same 40,000 points of each subject, spread evenly; the reconstruction error is the root mean square at
those points.

The paper: Adam on all points of the scan, step size 1e-2, the largest of the range considered and so the
fastest (Adam moves a number by at most the step size; the standard deviation of latents is about 0.15, so 1e-4 needs
at least 1,500 steps), stopped at the step of the best mean Dice, which is given to it. Subsampled Adam: for each
step size and number of points the number of steps is chosen likewise; "best" is the fastest setting within
0.002 of the best Dice of all. Gauss-Newton: the default of inference, which is given nothing. Run it alone on the
machine.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from monai.bundle import ConfigParser

from nisf.fit.adam import fit_adam
from nisf.fit.gauss_newton import fit_gauss_newton
from nisf.fit.points import GridPoints
from nisf.fit.posterior import LatentFit
from nisf.inference.inferers import points_of
from nisf.models.nisf import NISF
from nisf.plots.style import save_png
from nisf.training.calibration import dice_of, logits_at
from nisf.utils.files import write_text
from nisf.utils.provenance import provenance

CONFIGS = Path(__file__).resolve().parent.parent / "bundle" / "configs"
ADAM_SETTINGS = [(lr, points) for lr in (1e-2, 3e-2, 6e-2) for points in (1024, 2048)]
ADAM_STEPS = (30, 60, 100, 200)
LOOKED_AT = 40000


class Subject:
    """A labelled scan cut down to its ED and ES frames, and the points at which it is scored."""

    def __init__(self, points: GridPoints, label: torch.Tensor, phases: Mapping[str, int]) -> None:
        frames = sorted(set(phases.values()))
        frame = replace(points.frame, times=tuple(points.frame.times[t] for t in frames))
        self.points = GridPoints(frame, points.image[..., frames].clone())
        if points.unet_prob is not None:
            self.points.unet_prob = GridPoints(frame, points.unet_prob.image[..., frames].clone())
        self.looked_at = self.points.sampling_order(LOOKED_AT, seed=7)
        self.label = label[..., frames].reshape(-1)[self.looked_at].long()
        self.place = torch.full((len(self.points),), -1)
        self.place[self.looked_at] = torch.arange(len(self.looked_at))

    @classmethod
    def of(cls, item: Mapping, network: NISF) -> Subject:
        """The subject of an item of the data set, without U-Net probabilities."""
        points = replace(points_of(item["image"], network), unet_prob=None)
        return cls(points, item["label"].as_tensor(), item["phases"])

    @classmethod
    def with_unet(cls, item: Mapping, network: NISF) -> Subject:
        """The same with them."""
        return cls(points_of(item["image"], network), item["label"].as_tensor(), item["phases"])

    def dice(self, classes: torch.Tensor) -> float:
        """Mean over the classes of the Dice of predicted classes [N] at the first N scored points."""
        return float(np.nanmean(dice_of(classes, self.label[: len(classes)], int(self.label.max()) + 1)))

    def score(self, network: NISF, latent: torch.Tensor) -> dict[str, float]:
        """Dice and root mean square reconstruction error of a latent."""
        classes = logits_at(network, latent, self.points, self.looked_at).argmax(dim=0)
        squares = []
        for part in self.looked_at.split(8192):
            coords, intensity = self.points.take(part)
            with torch.no_grad():
                found = network(coords[None], latent[None])[0, : network.in_channels].sigmoid()
            squares.append((found - intensity).square().flatten())
        return {"dice": self.dice(classes), "rmse": float(torch.cat(squares).mean().sqrt())}


def load(
    name: str, data: str, count: int, make: Callable[[Mapping, NISF], Subject] = Subject.of
) -> tuple[NISF, list[Subject], dict]:
    """Network with the shipped weights, the first validation subjects, and the options of the default fit."""
    parser = ConfigParser()
    parser.read_config([str(CONFIGS / "inference.json"), str(CONFIGS / "evaluate.json"), str(CONFIGS / f"{name}.json")])
    parser.update({"bundle_root": str(CONFIGS.parent), "dataset_dir": data, "section": "validation"})
    parser.update({"unet_frames": None})  # ED and ES are always among those that it reads
    network = parser.get_parsed_content("network").eval()
    dataset = parser.get_parsed_content("dataset")
    subjects = [make(dataset[index], network) for index in range(min(count, len(dataset)))]
    return network, subjects, {**parser.get_parsed_content("fit").keywords, "pose": False}


def paper(network: NISF, subjects: list[Subject], steps: int) -> tuple[dict, np.ndarray]:
    """The paper's procedure: its row, and Dice along the steps, [subjects, steps]."""
    curves, fits, latents = [], [], []
    for number, subject in enumerate(subjects):
        curve, watched = [], [0.0]
        classes = torch.zeros(len(subject.looked_at), dtype=torch.long)

        def look(step: int, logits: torch.Tensor, flat: torch.Tensor) -> None:
            started = time.perf_counter()
            place = subject.place[flat]
            classes[place[place >= 0]] = logits[0, network.in_channels :].argmax(dim=0)[place >= 0]
            if int(flat[-1]) == len(subject.points) - 1:
                curve.append(subject.dice(classes))
            watched[0] += time.perf_counter() - started

        fit = fit_adam(network, subject.points, steps=steps, lr=1e-2, points_per_step=None, callback=look)
        fit.seconds -= watched[0]
        curves.append(curve)
        fits.append(fit)
        latents.append(fit.latent)
        print(f"  paper, subject {number + 1}: {fit.seconds:.0f} s", flush=True)
    best = int(np.mean(curves, axis=0).argmax())
    row = {
        "method": "paper: Adam, all points",
        "setting": "lr 0.01",
        "steps": best + 1,
        "dice": float(np.mean(curves, axis=0)[best]),
        "rmse": float(np.mean([s.score(network, h)["rmse"] for s, h in zip(subjects, latents)])),
        "points": float(np.mean([len(s.points) for s in subjects]) * (best + 1)),
        "seconds": float(np.mean([f.seconds for f in fits]) * (best + 1) / steps),
    }
    return row, np.array(curves)


def row_of(method: str, setting: str, network: NISF, subjects: list[Subject], fits: list[LatentFit]) -> dict:
    """Means over subjects."""
    scores = [subject.score(network, fit.latent) for subject, fit in zip(subjects, fits)]
    return {
        "method": method,
        "setting": setting,
        "steps": float(np.mean([len(f.history) for f in fits])),
        **{name: float(np.mean([s[name] for s in scores])) for name in ("dice", "rmse")},
        "points": float(np.mean([f.points for f in fits])),
        "seconds": float(np.mean([f.seconds for f in fits])),
    }


def subsampled(network: NISF, subjects: list[Subject]) -> tuple[list[dict], dict]:
    """Subsampled Adam: each setting with its best number of steps, and the best of all."""
    rows = []
    for lr, points in ADAM_SETTINGS:
        for steps in ADAM_STEPS:
            fits = [fit_adam(network, s.points, steps=steps, lr=lr, points_per_step=points) for s in subjects]
            rows.append(row_of("Adam, few points", f"lr {lr:g}, {points} points", network, subjects, fits))
    top = max(row["dice"] for row in rows)
    best = min((row for row in rows if row["dice"] >= top - 0.002), key=lambda row: row["seconds"])
    settings = dict.fromkeys(row["setting"] for row in rows)
    shown = [max((row for row in rows if row["setting"] == s), key=lambda row: row["dice"]) for s in settings]
    return shown, {**best, "method": "Adam, few points, best"}


def long_run(network: NISF, subjects: list[Subject], options: dict, iterations: int = 60) -> np.ndarray:
    """Dice of Gauss-Newton along ``iterations`` without a stopping rule, [subjects, iterations]."""
    curves = []
    for subject in subjects:
        latents: list[torch.Tensor] = []
        forced = {**options, "iterations": iterations, "tolerance": 0.0}
        fit_gauss_newton(
            network, subject.points, **forced, callback=lambda _, found, pose: latents.append(found.clone())
        )
        looked = [logits_at(network, h, subject.points, subject.looked_at).argmax(dim=0) for h in latents]
        curves.append([subject.dice(classes) for classes in looked])
    return np.array(curves)


def ratios(rows: dict[str, dict]) -> dict[str, float]:
    """Savings of the default fit against the other two."""
    first, adam, newton = rows["paper"], rows["adam"], rows["gauss_newton"]
    return {
        "time_paper_over_gn": first["seconds"] / newton["seconds"],
        "points_paper_over_gn": first["points"] / newton["points"],
        "dice_gn_minus_paper": newton["dice"] - first["dice"],
        "time_adam_over_gn": adam["seconds"] / newton["seconds"],
        "dice_gn_minus_adam": newton["dice"] - adam["dice"],
    }


def draw(path: str, curves: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    """Dice against the step: the paper's Adam and Gauss-Newton, one panel a data set."""
    figure = Figure(figsize=(4.6 * len(curves), 3.8), layout="constrained")
    for ax, (name, (adam, newton)) in zip(np.atleast_1d(figure.subplots(1, len(curves))), curves.items()):
        for label, found, colour in (("Adam, all points", adam, "C1"), ("Gauss-Newton", newton, "C0")):
            steps = np.arange(1, found.shape[1] + 1)
            ax.plot(steps, found.T, color=colour, linewidth=0.7, alpha=0.4)
            ax.plot(steps, found.mean(axis=0), color=colour, linewidth=2, label=label)
        ax.set(title=name, xlabel="step", ylabel="mean Dice")
        ax.grid(color="0.92")
        ax.legend(frameon=False)
    save_png(figure, path)


def main() -> None:
    """Runs all three on both data sets, prints the table and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--phantom", required=True, help="a phantom cohort's folder")
    parser.add_argument("--acdc", required=True, help="the ACDC patients' folder")
    parser.add_argument("--subjects", type=int, default=2, help="validation subjects of each")
    parser.add_argument("--paper_steps", type=int, default=100, help="the most steps of the paper's procedure")
    parser.add_argument("--json", metavar="FILE", help="also write rows and ratios there")
    parser.add_argument("--figure", metavar="PNG", help="also draw Dice against the step")
    options = parser.parse_args()
    rows, chosen, curves = [], {}, {}
    for name, data in (("phantom", options.phantom), ("acdc", options.acdc)):
        network, subjects, defaults = load(name, data, options.subjects)
        fits = [fit_gauss_newton(network, s.points, **defaults) for s in subjects]  # once to warm up
        fits = [fit_gauss_newton(network, s.points, **defaults) for s in subjects]
        newton = row_of("Gauss-Newton", f"prior_weight {defaults['prior_weight']:g}", network, subjects, fits)
        settings, adam = subsampled(network, subjects)
        endless = long_run(network, subjects, defaults)
        first, curve = paper(network, subjects, options.paper_steps)
        chosen[name] = {"paper": first, "adam": adam, "gauss_newton": newton}
        curves[name] = curve, endless
        rows += [{"data": name, **row} for row in (first, *settings, adam, newton)]
        after = ", ".join(f"{step}: {endless.mean(axis=0)[step - 1]:.4f}" for step in (5, 10, 20, 40, 60))
        print(f"{name}: Dice of Gauss-Newton that nothing stops, after {after}", flush=True)
        for row in rows:  # printed now, in case the rest is interrupted
            print(
                f"  {row['data']} {row['method']} {row['setting']}: {row['dice']:.4f} {row['seconds']:.2f} s",
                flush=True,
            )
    print(f"{'data':8} {'method':26} {'setting':22} {'steps':>6} {'Dice':>7} {'RMSE':>7} {'points':>10} {'seconds':>8}")
    for row in rows:
        print(
            f"{row['data']:8} {row['method']:26} {row['setting']:22} {row['steps']:6.0f} {row['dice']:7.4f} "
            f"{row['rmse']:7.4f} {row['points']:10.0f} {row['seconds']:8.2f}"
        )
    methods = ("paper", "adam", "gauss_newton")
    fields = ("dice", "points", "seconds")
    pooled = {m: {f: np.mean([chosen[name][m][f] for name in chosen]) for f in fields} for m in methods}
    found = {"both": ratios(pooled), **{name: ratios(chosen[name]) for name in chosen}}
    for name, values in found.items():
        print(f"{name}: " + ", ".join(f"{key} {value:.4g}" for key, value in values.items()))
    if options.figure:
        draw(options.figure, curves)
    if options.json:
        content = {"rows": rows, "ratios": found["both"], "ratios_by_data": {n: found[n] for n in chosen}}
        versions = provenance({"threads": torch.get_num_threads(), **vars(options)})
        write_text(options.json, json.dumps({**content, **versions}, indent=1))


if __name__ == "__main__":
    main()
