"""What more patients, more virtual subjects or other settings bring to a prior: short trainings, each with one change.

    python benchmarks/population.py COHORT.json --steps 5300 [--rows NAME ...] [--json FILE]
    python benchmarks/population.py COHORT.json --rows --weights MODEL.pt ...

COHORT.json is the data list of ``pooled_cohort.py``. Every row is a training with ``train.json`` and ``hearts.json``,
64 subjects and 256 points a step, the step size falling to 0 over ``--steps``; rows named endless draw their virtual
subjects anew (``endless.json``). Dice is the mean over classes at 8,192 points about the heart, in frames at random,
after eight Gauss-Newton steps from the mean of the prior on the intensities of 4,096 points, in the pose of the labels:
of the validation patients, and of ten of those that were trained on, fitted in the same way. ``--weights`` adds rows of
weights that exist. Prints Markdown. FILE keeps every row as soon as it is done; a run that was cut off goes on from
there.
"""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from about import machine
from matplotlib.figure import Figure
from monai.bundle import ConfigParser
from options import parser_of
from segmented import data_set_of

from nisf.fit.refine import FromEntry, refined
from nisf.models.nisf import NISF
from nisf.models.weights import load_weights
from nisf.training.calibration import dice_of
from nisf.training.stack_cache import CachedStacks
from nisf.training.store import MappedDataset, fill_stores
from nisf.transforms.points import RandFramed, RandPointsd
from nisf.utils.files import write_text
from nisf.utils.provenance import provenance

BUNDLE = Path(__file__).resolve().parent.parent / "bundle"
#: Settings of each row; "patients" is the number of training patients, drawn with a seed.
SHIPPED = "as shipped, 192 copies"
ROWS: dict[str, dict] = {
    SHIPPED: {},
    "20 patients": {"patients": 20},
    "40 patients": {"patients": 40},
    "80 patients": {"patients": 80},
    "no virtual subjects": {"copies": 1},
    "8 copies": {"copies": 8},
    "16 copies": {"copies": 16},
    "32 copies": {"copies": 32},
    "16 copies, latent_l2 1e-3": {"copies": 16, "latent_l2": 1e-3},
    "16 copies, latent and layers of 192": {"copies": 16, "latent_size": 192, "hidden_size": 192},
    "latent_l2 1e-3": {"latent_l2": 1e-3},
    "weight_decay 1e-5": {"weight_decay": 1e-5},
    "4 layers": {"num_layers": 4},
    "latent of 64": {"latent_size": 64},
    "endless": {"endless": True, "fit_points": 256},
}
STEPS_PER_EPOCH = 100
#: Damping of the steps by which a patient is fitted.
DAMPINGS = (1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 1e-4, 1e-4, 1e-4)
PRIOR_WEIGHT = 1e-4
FRAMES, FIT_POINTS, POINTS = 8, 512, 1024


def parsed(cohort: str, folder: Path, store: str, steps: int, settings: Mapping[str, object]) -> ConfigParser:
    """The configs of a row, the training without validation."""
    names = ["inference", "train", "hearts", *(["endless"] if settings.get("endless") else [])]
    parser = ConfigParser()
    parser.read_config([str(BUNDLE / "configs" / f"{name}.json") for name in names])
    given = {name: value for name, value in settings.items() if name not in ("patients", "endless")}
    handlers = [one for one in parser["train#handlers"] if one["_target_"] != "ValidationHandler"]
    parser.update(
        {
            "bundle_root": str(BUNDLE),
            "dataset_dir": cohort,
            "output_dir": str(folder),
            "cache_dir": store,
            "subjects_per_step": 64,
            "points_per_subject": 256,
            "steps_per_epoch": STEPS_PER_EPOCH,
            "max_epochs": max(steps // STEPS_PER_EPOCH, 1),
            "train#handlers": [one for one in handlers if not one["_target_"].endswith(("Curves", "StatsHandler"))],
            **given,
        }
    )
    parser.parse()
    parser.get_parsed_content("initialize")
    return parser


def row_of(
    cohort: str, store: str, steps: int, settings: Mapping[str, object], weights: str | None = None
) -> dict[str, float]:
    """Dice of a row: ``ACDC`` and ``M&Ms``, the validation patients of both, and ``training``; of a training, or of
    weights that exist."""
    with tempfile.TemporaryDirectory() as folder:
        data = json.loads(Path(cohort).read_text(encoding="utf-8"))
        order = np.random.default_rng(0).permutation(len(data["training"]))
        if "patients" in settings:
            data["training"] = [data["training"][place] for place in order[: settings["patients"]]]
        fewer, unseen = Path(folder) / "cohort.json", Path(folder) / "unseen.json"
        fewer.write_text(json.dumps(data), encoding="utf-8")
        unseen.write_text(json.dumps({"training": data["validation"]}), encoding="utf-8")
        parser = parsed(str(fewer), Path(folder), store, steps, settings)
        trained = parser.get_parsed_content("train#dataset")
        other = parsed(str(unseen), Path(folder), store, steps, settings).get_parsed_content("train#dataset")
        fill_stores({"training": trained, "unseen": other})
        network = parser.get_parsed_content("network")
        if weights is None:
            parser.get_parsed_content("train#trainer").run()
        else:
            load_weights(network, weights)
        dice = unseen_dice(network, other, range(len(other)))
        names = [data_set_of(one) for one in other.data]
        few = range(0, len(trained), max(len(trained) // 10, 1))
        means = {name: float(dice[[one == name for one in names]].mean()) for name in dict.fromkeys(names)}
        return {**means, "training": float(unseen_dice(network, trained, few).mean())}


@torch.no_grad()
def unseen_dice(network: NISF, store: MappedDataset, subjects: range) -> np.ndarray:
    """Mean Dice [S] of subjects of a store, fitted to their intensities alone."""
    frozen, device = copy.deepcopy(network).eval(), network.latent_mean.device
    stacks = CachedStacks(store, subjects, device)
    generator, places = torch.Generator(device).manual_seed(0), torch.arange(len(subjects), device=device)
    fitted, asked = _points(stacks, places, FIT_POINTS, 0.0, generator), _points(stacks, places, POINTS, 1.0, generator)
    entry, found = FromEntry(frozen), []
    for one in places.split(1):
        latent = frozen.latent_mean.expand(1, -1)
        seen = (fitted["coords"][one], fitted["intensity"][one])
        for damping in DAMPINGS:
            latent, _ = refined(frozen, entry, *seen, latent, PRIOR_WEIGHT, damping, bf16=False)
        classes = frozen(asked["coords"][one], latent)[0, frozen.in_channels :].argmax(dim=0)
        label = asked["label"][one][0, 0]
        known = label >= 0
        found.append(np.nanmean(dice_of(classes[known].cpu(), label[known].cpu(), frozen.num_classes)))
    return np.array(found)


def _points(
    stacks: CachedStacks, places: torch.Tensor, number: int, foreground: float, generator: torch.Generator
) -> dict[str, torch.Tensor]:
    """Points of some frames of each subject, a share of them about the heart."""
    sampling = RandPointsd(number, foreground)
    parts = [stacks.at(places, *stacks.draw(places, RandFramed(), sampling, generator)) for _ in range(FRAMES)]
    return {name: torch.cat([part[name] for part in parts], dim=-1) for name in parts[0]}


def draw(rows: Mapping[str, Mapping], path: str) -> None:
    """Dice against the number of patients."""
    numbers = {name: settings["patients"] for name, settings in ROWS.items() if "patients" in settings and name in rows}
    numbers |= {SHIPPED: 160} if SHIPPED in rows else {}
    names = sorted(numbers, key=numbers.get)
    figure = Figure(figsize=(6, 3.4), layout="constrained")
    axes = figure.subplots()
    for way, label in (("training", "trained on"), ("ACDC", "ACDC, unseen"), ("M&Ms", "M&Ms, unseen")):
        axes.plot([numbers[name] for name in names], [rows[name][way] for name in names], "o-", label=label)
    axes.set_xscale("log", base=2)
    axes.set_xticks([numbers[name] for name in names], [str(numbers[name]) for name in names])
    axes.set_xlabel("patients trained on")
    axes.set_ylabel("Dice, intensities alone")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)


def main() -> None:
    """Trains what FILE lacks, and prints the table."""
    parser = parser_of(__doc__)
    parser.add_argument("cohort")
    parser.add_argument("--steps", type=int, default=5300)
    parser.add_argument("--rows", nargs="*", default=list(ROWS), choices=list(ROWS), metavar="NAME")
    parser.add_argument("--weights", nargs="*", default=[], metavar="MODEL.pt")
    parser.add_argument("--cache_dir", default="output/population", help="store of the preprocessed patients")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--figure", metavar="PNG", help="Dice against the number of patients")
    options = parser.parse_args()
    kept = Path(options.json) if options.json else None
    rows = json.loads(kept.read_text(encoding="utf-8"))["rows"] if kept and kept.is_file() else {}
    for name in [one for one in (*options.rows, *options.weights) if one not in rows]:
        weights = name if name in options.weights else None
        rows[name] = row_of(options.cohort, options.cache_dir, options.steps, ROWS.get(name, {}), weights)
        print(name, rows[name], flush=True)
        if kept:
            write_text(kept, json.dumps({**provenance(vars(options)), "machine": machine(), "rows": rows}, indent=1))
    print("| what | ACDC, unseen | M&Ms, unseen | patients trained on | gap |\n|---|---|---|---|---|")
    for name, row in rows.items():
        both = (row["ACDC"] + row["M&Ms"]) / 2
        values = (row["ACDC"], row["M&Ms"], row["training"], row["training"] - both)
        print(f"| {name} | {' | '.join(f'{value:.3f}' for value in values)} |")
    if options.figure:
        draw(rows, options.figure)


if __name__ == "__main__":
    main()
