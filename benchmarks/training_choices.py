"""Effects of training choices: short trainings on the hippocampus, each with one change.

    python benchmarks/training_choices.py --dataset_dir HIPPOCAMPUS [--epochs 40] [--rows NAME ...] [--json FILE]

Each row is the ``training`` command (``train.json``, ``hippocampus.json``) with the listed settings, then two
``evaluation`` commands on the validation subjects: with the U-Net probabilities fitted but not blended, and by the
intensities alone. Minutes are processor time. Prints a Markdown table. The classes in this module and in
``other_networks.py`` are used only here.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from ignite.engine import Engine, Events
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from nisf.evaluation.scores import read_scores
from nisf.fit.gauss_newton import fit_gauss_newton
from nisf.inference.inferers import points_of
from nisf.models.nisf import NISF, LatentTable
from nisf.training.population import Population
from nisf.training.store import MappedDataset
from nisf.utils.files import write_text
from nisf.utils.provenance import provenance

HERE = Path(__file__).resolve().parent
BUNDLE = HERE.parent / "bundle"


class ByIntensities(Population):
    """Latents trained by the intensities alone: the labels train only the weights."""

    def forward(self, coords: torch.Tensor, index: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """As ``Population``; the class logits see the latents as they are given."""
        latent, channels = self.latents(index), self.network.in_channels
        of_image, of_classes = self.fast(coords, latent), self.fast(coords, latent.detach())
        return torch.cat([of_image[:, :channels], of_classes[:, channels:]], dim=1), latent


class Noisy(Population):
    """Noise on the latents, a tenth of their standard deviation."""

    def forward(self, coords: torch.Tensor, index: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """As ``Population``."""
        latent = self.latents(index)
        noisy = latent + 0.1 * self.latents.weight.detach().std(dim=0) * torch.randn_like(latent)
        return self.fast(coords, noisy), latent


class Averaged:
    """Replaces the final weights by their moving average over some thousand steps, or a tenth of a shorter training."""

    def __init__(self, network: NISF) -> None:
        self.network = network

    def attach(self, engine: Engine) -> None:
        """Registers for the start, each step and the end."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, lambda _: self.average.update_parameters(self.network))
        engine.add_event_handler(Events.COMPLETED, self._end)

    def _start(self, engine: Engine) -> None:
        steps = engine.state.max_epochs * engine.state.epoch_length
        decay = 1 - 1 / min(1000, max(1, steps // 10))
        self.average = AveragedModel(self.network, multi_avg_fn=get_ema_multi_avg_fn(decay))

    @torch.no_grad()
    def _end(self, engine: Engine) -> None:
        for own, mean in zip(self.network.parameters(), self.average.module.parameters()):
            own.copy_(mean)


class Episodes:
    """From two fifths of the training on, latents come from a fit to the intensities alone, as at inference; they are
    fitted five times, and in between the labels train the weights against them."""

    TIMES = 5

    def __init__(self, network: NISF, latents: LatentTable, dataset: MappedDataset, prior_weight: float) -> None:
        self.network, self.latents, self.dataset, self.prior_weight = network, latents, dataset, prior_weight

    def attach(self, engine: Engine) -> None:
        """Registers for the end of each epoch."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Fits the latents of all subjects when due."""
        first = 2 * engine.state.max_epochs // 5
        after = engine.state.epoch - first
        every = max(1, (engine.state.max_epochs - first) // self.TIMES)
        if after < 0 or after % every or after >= every * self.TIMES:
            return
        self.latents.weight.requires_grad_(False)
        options = {"prior_weight": self.prior_weight, "final_points": 2048, "iterations": 12, "unet_weight": 0}
        for number in range(len(self.dataset)):
            points = points_of(self.dataset.stored(number)["image"], self.network)
            self.latents.weight[number] = fit_gauss_newton(self.network, points, **options).latent


#: Handlers that a row adds to the trainer's.
HANDLERS = {
    "moving average of the weights": {"_target_": "training_choices.Averaged", "network": "@network"},
    "episodes, no virtual subjects": {
        "_target_": "training_choices.Episodes",
        "network": "@network",
        "latents": "@latents",
        "dataset": "@train#dataset",
        "prior_weight": "@prior_weight",
    },
}
ROWS = {
    "as shipped": [],
    "no virtual subjects": ["--copies", "1"],
    "latents moved by intensities alone": ["--population#_target_", "training_choices.ByIntensities"],
    "noise on latents": ["--population#_target_", "training_choices.Noisy"],
    "latent of 32 numbers": ["--latent_size", "32"],
    "8 layers": ["--num_layers", "8"],
    "no pose": ["--frame_kind", "relative", "--pose_body", "None"],
    "latent at every layer": ["--member_def#_target_", "other_networks.EveryLayer"],
    "latents on a grid": ["--member_def#_target_", "other_networks.LatentGrid"],
    "moving average of the weights": [],
    "episodes, no virtual subjects": ["--copies", "1"],
}
#: Settings that inference must share with the training.
SHARED = ("--latent_size", "--num_layers", "--frame_kind", "--pose_body", "--member_def#_target_")


def command(run_id: str, configs: list[str], data: str, output: Path, words: list[str]) -> None:
    """Runs a run id of the bundle in a separate process."""
    # a name, or the path of another file
    files = str([str(BUNDLE / "configs" / f"{Path(name).with_suffix('')}.json") for name in configs])
    call = [sys.executable, "-m", "monai.bundle", "run", run_id, "--bundle_root", str(BUNDLE), "--config_file", files]
    path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    call += ["--dataset_dir", str(Path(data).resolve()), "--output_dir", str(output), *words]
    done = subprocess.run(call, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path})
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])


def dice_of(model: Path, data: str, folder: Path, words: list[str]) -> float:
    """Mean validation Dice over the classes."""
    words = ["--model", str(model), "--section", "validation", "--unet_blend", "0", *words]
    command("evaluation", ["inference", "evaluate", "hippocampus"], data, folder, words)
    return next(row["dice_mean"] for row in read_scores(folder) if row["class"] == "mean")  # there is one phase


def _handlers(row: str, path: Path) -> list[str]:
    """A config file with the handlers that a row adds to the trainer's, if any."""
    if row not in HANDLERS:
        return []
    write_text(path, json.dumps({"+train#handlers": [HANDLERS[row]]}))
    return [str(path)]


def seconds_of_children() -> float:
    """Processor time of the commands so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset_dir", required=True)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--rows", nargs="*", default=list(ROWS))
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    found = {}
    print("| what | U-Net fitted | intensities alone | minutes of training |\n|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as name:
        for place, row in enumerate(options.rows):
            words, folder = ROWS[row], Path(name) / str(place)
            epochs = ["--max_epochs", str(options.epochs), "--val_interval", str(options.epochs), "--fit_steps", "2"]
            started = seconds_of_children()
            configs = ["inference", "train", "hippocampus", *_handlers(row, Path(name) / f"{place}.json")]
            command("training", configs, options.dataset_dir, folder / "run", [*epochs, *words])
            minutes = (seconds_of_children() - started) / 60
            pairs = list(zip(words[::2], words[1::2]))
            shared = [word for pair in pairs if pair[0] in SHARED for word in pair]
            ways = {"unet_prob": [], "intensities": ["--unet_weight", "0"]}
            found[row] = {
                way: dice_of(folder / "run" / "model.pt", options.dataset_dir, folder / way, [*shared, *extra])
                for way, extra in ways.items()
            }
            dice = " | ".join(f"{value:.4f}" for value in found[row].values())
            print(f"| {row} | {dice} | {minutes:.1f} |", flush=True)
    if options.json:
        write_text(options.json, json.dumps({"rows": found, **provenance(vars(options))}, indent=1))


if __name__ == "__main__":
    main()
