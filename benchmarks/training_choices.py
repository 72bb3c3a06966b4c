"""What choices of a training are worth: short trainings on the hippocampus, each with one thing changed.

    python benchmarks/training_choices.py --dataset_dir HIPPOCAMPUS [--epochs 40] [--rows NAME ...] [--json FILE]

Each row is the ``training`` command (``train.json``, ``hippocampus.json``) with the knobs named, then two
``evaluation`` commands on the validation subjects: with the class evidence fitted but not blended, and by the
intensities alone. Minutes are the processor's own. Prints a Markdown table. The classes in this module are tried here
alone.
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

from scripts.engines import Population
from scripts.files import write_text
from scripts.outputs import provenance
from scripts.scoring import read_scores

HERE = Path(__file__).resolve().parent
BUNDLE = HERE.parent / "bundle"


class ByIntensities(Population):
    """Latents that only the intensities move: the labels train the weights alone."""

    def forward(self, coords: torch.Tensor, index: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """As ``Population``; the class logits see the latents as they are given."""
        latent, channels = self.latents(index), self.network.in_channels
        of_image, of_classes = self.fast(coords, latent), self.fast(coords, latent.detach())
        return torch.cat([of_image[:, :channels], of_classes[:, channels:]], dim=1), latent


class Noisy(Population):
    """Noise on the latents, a tenth of their spread."""

    def forward(self, coords: torch.Tensor, index: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """As ``Population``."""
        latent = self.latents(index)
        noisy = latent + 0.1 * self.latents.weight.detach().std(dim=0) * torch.randn_like(latent)
        return self.fast(coords, noisy), latent


ROWS = {
    "as shipped": [],
    "no virtual subjects": ["--copies", "1"],
    "latents moved by intensities alone": ["--population#_target_", "training_choices.ByIntensities"],
    "noise on latents": ["--population#_target_", "training_choices.Noisy"],
    "latent of 32 numbers": ["--latent_size", "32"],
    "8 layers": ["--num_layers", "8"],
    "no pose": ["--frame_kind", "relative", "--pose_body", "None"],
}
#: Knobs that inference must share with the training.
SHARED = ("--latent_size", "--num_layers", "--frame_kind", "--pose_body")


def command(run_id: str, configs: list[str], data: str, output: Path, words: list[str]) -> None:
    """A run id of the bundle in a process of its own."""
    files = str([str(BUNDLE / "configs" / f"{name}.json") for name in configs])
    call = [sys.executable, "-m", "monai.bundle", "run", run_id, "--bundle_root", str(BUNDLE), "--config_file", files]
    path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    call += ["--dataset_dir", str(Path(data).resolve()), "--output_dir", str(output), *words]
    done = subprocess.run(call, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path})
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])


def dice_of(model: Path, data: str, folder: Path, words: list[str]) -> float:
    """Mean validation Dice over the classes."""
    words = ["--model", str(model), "--section", "validation", "--evidence_blend", "0", *words]
    command("evaluation", ["inference", "evaluate", "hippocampus"], data, folder, words)
    return next(row["dice_mean"] for row in read_scores(folder) if row["class"] == "mean")  # there is one phase


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
    print("| what | evidence fitted | intensities alone | minutes of training |\n|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as name:
        for place, row in enumerate(options.rows):
            words, folder = ROWS[row], Path(name) / str(place)
            epochs = ["--max_epochs", str(options.epochs), "--val_interval", str(options.epochs), "--fit_steps", "2"]
            started = seconds_of_children()
            command("training", ["train", "hippocampus"], options.dataset_dir, folder / "run", [*epochs, *words])
            minutes = (seconds_of_children() - started) / 60
            pairs = list(zip(words[::2], words[1::2]))
            shared = [word for pair in pairs if pair[0] in SHARED for word in pair]
            ways = {"evidence": [], "intensities": ["--evidence_weight", "0"]}
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
