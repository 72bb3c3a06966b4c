"""Runs of the bundle, small enough for a test."""

import subprocess
import sys
from pathlib import Path

import torch
from helpers.forked import run_command

BUNDLE = Path(__file__).resolve().parent.parent.parent / "bundle"

TINY = {
    "hidden_size": 16,
    "latent_size": 8,
    "num_layers": 3,
    "points_per_subject": 64,
    "subjects_per_step": 2,
    "steps_per_epoch": 40,
    "fit_steps": 6,
    "fit_points": 256,
    "initial_draws": 50,
    "compile": False,
}

#: The configs of a run: the base and its overrides.
EVALUATION = ["inference.json", "evaluate.json"]

PRIOR = ["inference.json", "train.json"]

UNET = ["inference.json", "train.json", "unet.json"]

#: The paper's form on the phantom.
PLAIN = ["phantom.json", "plain.json"]

NETWORK = {key: TINY[key] for key in ("hidden_size", "latent_size", "num_layers")}


def command(run_id: str, configs: list[str], **settings: object) -> list[str]:
    """The words of ``python -m monai.bundle run``."""
    files = [str(BUNDLE / "configs" / name) for name in configs]
    words = [
        sys.executable,
        "-m",
        "monai.bundle",
        "run",
        run_id,
        "--bundle_root",
        str(BUNDLE),
        "--config_file",
        str(files),
    ]
    for key, value in settings.items():
        words += [f"--{key}", str(value)]
    return words


def run(run_id: str, configs: list[str], cwd: Path, **settings: object) -> subprocess.CompletedProcess:
    """Runs it in a separate process."""
    return run_command(command(run_id, configs, **settings), cwd)


def weights(folder: Path) -> dict:
    """The state of a training's ``model.pt``, tensors by name."""
    return torch.load(folder / "model.pt", weights_only=True)


def train(cwd: Path, cohort: Path, *overrides: str, **settings: object) -> None:
    """Trains on a cohort into ``cwd/out``."""
    configs = [*PRIOR, *PLAIN, *overrides]
    done = run("training", configs, cwd, dataset_dir=cohort, output_dir="out", **settings)
    assert done.returncode == 0, done.stderr[-3000:]
