"""Time to equal Dice: Gauss-Newton against Adam on few points, both tuned on the subjects that are timed.

    python benchmarks/equal_dice.py --phantom COHORT --acdc ACDC --json FILE [--subjects 10]

Validation subjects, ED and ES frames, shipped weights, one thread. "Images alone": the latent fitted to the
intensities, the pose as the U-Net gives it (the paper's form). "With U-Net": latent and pose fitted to intensities and
U-Net probabilities together, as ``nisf segment`` does; Adam then minimises the same objective in the same whitened
variables. Dice is that of the fitted function's own classes (nothing blended), mean over classes and subjects at 10,000
points of each.

Every setting is run to its end, those of a subject one after another, and scored along the way; seconds are
those of the processor, without the scoring. A setting converges to the highest of its mean Dice over subjects; a method
to the highest of its settings. The wanted Dice is that of the method that converges lower, minus 0.002, so that both
reach it; the time of a setting is the mean over subjects at the first step at which the mean Dice is that high. Each
method gets the setting for which this is least. What is done is kept in FILE: run again, it goes on.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from about import machine
from fitting import Subject, load
from options import parser_of
from torch.nn import functional as F

from nisf.fit.frozen import fitting_mode
from nisf.fit.gauss_newton import fit_gauss_newton
from nisf.fit.points import GridPoints
from nisf.fit.prior import initial_latent
from nisf.fit.targets import UNET_SHARE
from nisf.fit.variables import Variables
from nisf.geometry.pose import moved
from nisf.models.nisf import NISF
from nisf.training.calibration import logits_at
from nisf.utils.files import write_text
from nisf.utils.provenance import provenance

SCORED = 10000
WITHIN = 0.002
#: Steps after which Adam is scored: each about a seventh more than the one before.
SCORED_STEPS = sorted({round(1.15**power) for power in range(39)})


@dataclass(frozen=True)
class Adam:
    """A setting of Adam: step size in standard deviations of the prior, points a step, factor of the prior's weight.

    It starts from the linear estimate that Gauss-Newton starts from.
    """

    lr: float
    points: int
    prior: float = 1.0

    def __str__(self) -> str:
        return f"Adam: lr {self.lr:g}, {self.points} points{_said_of(self.prior)}"


@dataclass(frozen=True)
class GaussNewton:
    """A setting of Gauss-Newton: points of the first and of the last steps, factor of the prior's weight."""

    start: int
    final: int
    prior: float = 1.0

    def __str__(self) -> str:
        return f"Gauss-Newton: {self.start} to {self.final} points{_said_of(self.prior)}"


def _said_of(prior: float) -> str:
    return "" if prior == 1 else f", prior x {prior:g}"


SETTINGS = [
    GaussNewton(1024, 8192),
    Adam(0.1, 1024),
    GaussNewton(1024, 4096),
    GaussNewton(1024, 8192, 3),
    Adam(0.1, 1024, 3),
    GaussNewton(512, 8192, 3),
    GaussNewton(2048, 8192, 3),
    Adam(0.2, 1024, 3),
]


def outputs(
    network: NISF, points: GridPoints, drawn: torch.Tensor, variables: Variables, v: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits [C + K, N] and targets of points, the pose applied."""
    coords, wanted = points.take(drawn)
    if variables.moves:
        coords = moved(coords, variables.pose(v))
    return network(coords[None], variables.latent(v)[None])[0], wanted


def objective(
    network: NISF, points: GridPoints, setting: Adam, variables: Variables, v: torch.Tensor, options: Mapping, draw
) -> torch.Tensor:
    """The objective of ``fit_gauss_newton`` at freshly drawn points."""
    image = network.in_channels
    found, wanted = outputs(network, points, draw(len(points), setting.points), variables, v)
    loss = F.binary_cross_entropy_with_logits(found[:image], wanted)
    if points.unet_prob is not None:
        numbers = draw(len(points.unet_prob), setting.points // UNET_SHARE)
        found, wanted = outputs(network, points.unet_prob, numbers, variables, v)
        loss = loss - options["unet_weight"] * (wanted * found[image:].log_softmax(dim=0)).sum(dim=0).mean()
    return loss + setting.prior * options["prior_weight"] / 2 * v.square().sum()


def adam(network: NISF, points: GridPoints, setting: Adam, options: Mapping) -> Iterator[tuple[int, float, tuple]]:
    """Steps to be scored: number, processor seconds until then, latent and pose."""
    seconds, started = 0.0, time.process_time()
    generator = torch.Generator().manual_seed(options["seed"])

    def draw(total: int, count: int) -> torch.Tensor:
        return torch.randint(total, (count,), generator=generator)

    variables = Variables(network, options["pose"])
    with fitting_mode(network):
        v = variables.whitened(initial_latent(network, points)).requires_grad_(True)
        optimiser = torch.optim.Adam([v], lr=setting.lr)
        for step in range(1, SCORED_STEPS[-1] + 1):
            optimiser.zero_grad()
            objective(network, points, setting, variables, v, options, draw).backward()
            optimiser.step()
            if step in SCORED_STEPS:
                seconds += time.process_time() - started
                yield step, seconds, (variables.latent(v).detach(), variables.pose(v).detach())
                started = time.process_time()


def gauss_newton(
    network: NISF, points: GridPoints, setting: GaussNewton, options: Mapping
) -> Iterator[tuple[int, float, tuple]]:
    """The same of a fit that ends by itself."""
    seconds, started, found = 0.0, time.process_time(), []

    def keep(step: int, latent: torch.Tensor, pose: torch.Tensor) -> None:
        nonlocal seconds, started
        seconds += time.process_time() - started
        found.append((step, seconds, (latent, pose)))
        started = time.process_time()

    own = {"start_points": setting.start, "final_points": setting.final}
    own["prior_weight"] = setting.prior * options["prior_weight"]
    fit_gauss_newton(network, points, **{**options, **own, "callback": keep})
    yield from found


def curve(network: NISF, subject: Subject, setting: Adam | GaussNewton, options: Mapping) -> dict[str, list]:
    """Steps, seconds and Dice of a setting on a subject."""
    method = adam if isinstance(setting, Adam) else gauss_newton
    found: dict[str, list] = {"steps": [], "seconds": [], "dice": []}
    numbers = subject.looked_at[:SCORED]
    for step, seconds, (latent, pose) in method(network, subject.points, setting, options):
        with torch.no_grad():
            classes = logits_at(network, latent, subject.points.moved(pose), numbers).argmax(dim=0)
        for name, value in zip(found, (step, seconds, subject.dice(classes))):
            found[name].append(value)
    return found


def mean_of(curves: list[dict[str, list]]) -> dict[str, np.ndarray]:
    """Means over subjects at each step; a fit that has ended stays as it is."""
    length = max(len(one["dice"]) for one in curves)
    longest = next(one for one in curves if len(one["dice"]) == length)
    padded = {
        name: np.array([one[name] + one[name][-1:] * (length - len(one[name])) for one in curves]).mean(axis=0)
        for name in ("seconds", "dice")
    }
    return {"steps": np.array(longest["steps"]), **padded}


def summary(rows: list[dict]) -> list[dict]:
    """For each data set and kind of fit the wanted Dice, and every setting's way to it, those of each method apart."""
    found = []
    for data, kind in dict.fromkeys((row["data"], row["kind"]) for row in rows):
        of = [row for row in rows if (row["data"], row["kind"]) == (data, kind)]
        means = {
            s: mean_of([r["curve"] for r in of if r["setting"] == s]) for s in dict.fromkeys(r["setting"] for r in of)
        }
        converged = {name: float(mean["dice"].max()) for name, mean in means.items()}
        best = {m: max(v for name, v in converged.items() if name.startswith(m)) for m in ("Gauss-Newton", "Adam")}
        wanted = min(best.values()) - WITHIN
        ways = []
        for name, mean in means.items():
            there = np.flatnonzero(mean["dice"] >= wanted)
            reached = {} if not len(there) else {k: float(mean[k][there[0]]) for k in ("steps", "seconds")}
            ways.append({"setting": name, "converged": converged[name], **reached})
        count = len({row["subject"] for row in of})
        found.append({"data": data, "kind": kind, "subjects": count, "wanted": wanted, "converged": best, "ways": ways})
    return found


def table(found: list[dict]) -> str:
    """The summary as Markdown, with the ratio of the two methods' best times."""
    lines = ["| data | fit | setting | converged Dice | steps to equal Dice | seconds |", "|---|---|---|---|---|---|"]
    ends = []
    for one in found:
        for way in one["ways"]:
            reached = f"{way['steps']:.0f} | {way['seconds']:.2f}" if "seconds" in way else "never | "
            lines.append(f"| {one['data']} | {one['kind']} | {way['setting']} | {way['converged']:.4f} | {reached} |")
        best = {
            method: min((w["seconds"] for w in one["ways"] if w["setting"].startswith(method) and "seconds" in w))
            for method in ("Gauss-Newton", "Adam")
        }
        ends.append(
            f"{one['data']}, {one['kind']}, {one['subjects']} subjects: Dice {one['wanted']:.4f}, Gauss-Newton "
            f"{best['Gauss-Newton']:.2f} s, Adam {best['Adam']:.2f} s, ratio {best['Adam'] / best['Gauss-Newton']:.2f}"
        )
    return "\n".join([*lines, "", *ends])


def main() -> None:
    """Runs what is not yet done, then prints the table and the ratios."""
    parser = parser_of(__doc__)
    parser.add_argument("--phantom", required=True, help="a phantom cohort's folder")
    parser.add_argument("--acdc", required=True, help="the ACDC patients' folder")
    parser.add_argument("--subjects", type=int, default=10, help="validation subjects of each")
    parser.add_argument("--json", metavar="FILE", required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    file = Path(options.json)
    rows = json.loads(file.read_text())["rows"] if file.is_file() else []
    rows = [row for row in rows if row["setting"] in map(str, SETTINGS)]
    done = {(row["data"], row["kind"], row["subject"], row["setting"]) for row in rows}
    groups = {
        (name, kind): load(name, data, options.subjects, make)
        for name, data in (("phantom", options.phantom), ("acdc", options.acdc))
        for kind, make in (("images alone", Subject.of), ("with U-Net", Subject.with_unet))
    }
    for number in range(options.subjects):
        for (name, kind), (network, subjects, defaults) in groups.items():
            fit = {**defaults, "pose": kind == "with U-Net"}
            for setting in SETTINGS:
                if (name, kind, number, str(setting)) not in done:
                    found = curve(network, subjects[number], setting, fit)
                    rows.append(
                        {"data": name, "kind": kind, "subject": number, "setting": str(setting), "curve": found}
                    )
            content = {"rows": rows, "summary": summary(rows), "machine": machine(), **provenance(vars(options))}
            write_text(file, json.dumps(content, indent=1))
        print(f"subject {number + 1} of {options.subjects}", flush=True)
    print(table(summary(rows)))


if __name__ == "__main__":
    main()
