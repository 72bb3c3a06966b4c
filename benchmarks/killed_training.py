"""Trainings killed at random times and resumed each time, against an uninterrupted one.

    python benchmarks/killed_training.py [--kills 20] [--epochs 30] [--seed 0]

A small phantom cohort and a small network; every kill is SIGKILL, at a time drawn evenly between the start of the
process and half of the duration of an uninterrupted run, so that it hits imports, the store, steps, checkpoints,
validation and the final calibration. When a training is complete, another one begins, until the number of kills is
reached. Compares the weights of each with those of the uninterrupted run, bit by bit.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from nisf.phantom.cohort import write_cohort
from nisf.training.checkpoints import epochs_of, newest_checkpoint

BUNDLE = Path(__file__).resolve().parent.parent / "bundle"
SIZE = {"matrix": 24, "voxel_mm": 6, "slices": 4, "thickness_mm": 18, "gap_mm": 2, "frames": 3, "subsamples": 1}
SETTINGS = {
    "hidden_size": 16, "latent_size": 8, "num_layers": 3, "points_per_subject": 64, "subjects_per_step": 2,
    "steps_per_epoch": 80, "fit_steps": 6, "fit_points": 256, "initial_draws": 50, "compile": False,
    "checkpoint_interval": 1, "val_interval": 3,
}  # fmt: skip


def start(cohort: Path, folder: Path, epochs: int) -> subprocess.Popen:
    """Starts the training command, which resumes if there is a checkpoint."""
    configs = str([str(BUNDLE / "configs" / f"{name}.json") for name in ("inference", "train", "phantom", "plain")])
    call = [sys.executable, "-m", "monai.bundle", "run", "training", "--bundle_root", str(BUNDLE)]
    settings = {**SETTINGS, "dataset_dir": cohort, "output_dir": folder, "max_epochs": epochs}
    settings["resume"] = newest_checkpoint(folder) is not None
    words = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
    return subprocess.Popen(
        [*call, "--config_file", configs, *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def finish(process: subprocess.Popen) -> None:
    """Waits for the end, which must be a success."""
    _, words = process.communicate()
    if process.returncode:
        raise SystemExit(words.decode()[-2000:])


def broken_run(cohort: Path, folder: Path, epochs: int, most: int, draw: random.Random, longest: float) -> int:
    """Runs a training, killed at most ``most`` times, to its end; returns the number of kills."""
    kills = 0
    while kills < most:
        process = start(cohort, folder, epochs)
        try:
            process.wait(draw.uniform(0, longest))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            kills += 1
            newest = newest_checkpoint(folder)
            print(f"kill {kills}: {0 if newest is None else epochs_of(newest)} epochs on disk", flush=True)
        else:
            finish(process)
            return kills
    finish(start(cohort, folder, epochs))
    return kills


def main() -> None:
    """Kills, resumes, compares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    draw = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        cohort = write_cohort(Path(name) / "cohort", 3, 1, 0, **SIZE)
        whole = Path(name) / "whole"
        began = time.time()
        finish(start(cohort, whole, options.epochs))
        seconds = time.time() - began
        print(f"unbroken: {options.epochs} epochs in {seconds:.0f} s", flush=True)
        expected = torch.load(whole / "model.pt", weights_only=True)
        kills, rounds = 0, 0
        while kills < options.kills:
            rounds += 1
            broken = Path(name) / f"broken{rounds}"
            kills += broken_run(cohort, broken, options.epochs, options.kills - kills, draw, seconds / 2)
            found = torch.load(broken / "model.pt", weights_only=True)
            same = all(torch.equal(expected[key], found[key]) for key in expected)
            parts = [path.name for path in broken.rglob(".*") if path.is_file()]
            print(
                f"training {rounds}: weights {'equal to the bit' if same else 'DIFFER'}; parts of files left: {parts}"
            )
            if not same:
                raise SystemExit(1)
        print(f"{kills} kills in {rounds} trainings")


if __name__ == "__main__":
    main()
