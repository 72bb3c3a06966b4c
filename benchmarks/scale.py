"""Cost of a population of cine scans: time, memory, disk and reading, measured on a few and multiplied.

    python benchmarks/scale.py [--subjects 3] [--json FILE]

Phantom cines of the size of a biobank's (208 x 208 x 10 x 50), the shipped recipe (``train.json``, ``acdc.json``).
Measured: the bytes of a scan and of its entry in the store, preprocessing, random draws from the store and from the
cache in memory, the training command's own rate with either, a row of latents with its Adam moments, and
``nisf segment`` of one scan. Multiplied: by 70, 1,000 and 100,000 subjects, each trained on as many points as a subject
of the shipped weights. Run it alone on the machine.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from pathlib import Path

import torch
from monai.bundle import ConfigParser

from nisf.phantom.cohort import write_cohort
from nisf.runs import segment
from nisf.utils.bundle import PRIOR, config_files
from nisf.utils.files import write_text
from nisf.utils.provenance import provenance

SIZE = {"matrix": 208, "voxel_mm": 1.8, "slices": 10, "frames": 50, "subsamples": 1}
SUBJECTS = (70, 1_000, 100_000)


def parsed(cohort: Path, folder: Path) -> ConfigParser:
    """The training of the shipped recipe on the cohort."""
    config = ConfigParser()
    config.read_config(config_files([*PRIOR, "acdc"]))
    where = {"dataset_dir": str(cohort), "output_dir": str(folder / "out"), "cache_dir": str(folder / "store")}
    config.update(
        {**where, "layout": "cohort", "split_rule": {"given": True}, "unet_model": None, "cache_stacks": False}
    )
    return config


def measured(folder: Path, subjects: int) -> dict[str, float]:
    """The cost of one subject."""
    cohort = write_cohort(folder / "cohort", subjects, 1, 0, **SIZE)
    config, found = parsed(cohort, folder), {}
    images = sorted((folder / "cohort").glob("training*_sa.nii.gz"))
    found["bytes of a scan"] = sum(path.stat().st_size for path in images) / subjects
    points = math.prod(config.get_parsed_content(key) for key in ("max_epochs", "steps_per_epoch", "subjects_per_step"))
    found["points of a subject"] = points * config["points_per_subject"] / 70
    found["copies"] = config["copies"]
    found["bytes of a row"] = 3 * 4 * config["latent_size"]  # latent and both moments of Adam
    dataset = config.get_parsed_content("train#dataset")
    began = time.perf_counter()
    dataset.fill()
    found["seconds of preprocessing"] = (time.perf_counter() - began) / subjects
    found["bytes in the store"] = sum(path.stat().st_size for path in (folder / "store").glob("*.pt")) / subjects
    began, draws = time.perf_counter(), 0
    while time.perf_counter() - began < 5:
        dataset[draws % subjects]
        draws += 1
    found["draws a second"] = draws / (time.perf_counter() - began)
    found["points a second, drawn from the store"] = training_rate(config)
    config.update({"cache_stacks": True})
    found["draws a second from the cache"] = cached_draws(config)
    found["points a second"] = training_rate(config)
    began = time.perf_counter()
    segment([images[0]], folder / "segmented")
    found["seconds of a scan"] = time.perf_counter() - began
    return found


def cached_draws(config: ConfigParser) -> float:
    """Draws per second of the loader that keeps the stacks in memory."""
    batches = config.get_parsed_content("train#dataloader")
    next(iter(batches))  # loads the stacks
    began = time.perf_counter()
    draws = sum(len(batch["index"]) for batch in batches)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    if batches.cached is None:
        raise SystemExit("the stacks do not fit into memory; give fewer --subjects")
    return draws / (time.perf_counter() - began)


def training_rate(config: ConfigParser) -> float:
    """Points per second of the trainer, loading included, its first steps (compilation) left out."""
    batches = iter(config.get_parsed_content("train#dataloader"))
    trainer = config.get_parsed_content("train#trainer")
    points = config["subjects_per_step"] * config["points_per_subject"]
    for step in range(40):
        if step == 10:
            began = time.perf_counter()
        batch = next(batches)
        trainer.optimizer.zero_grad()
        trainer._iteration(trainer, batch)
    return 30 * points / (time.perf_counter() - began)


def table(one: dict[str, float]) -> list[str]:
    """The costs of populations."""
    lines = ["| | " + " | ".join(f"{number:,}" for number in SUBJECTS) + " |", "|---" * (1 + len(SUBJECTS)) + "|"]
    points, hour = one["points of a subject"], 3600
    costs = {
        "scans on disk (GB)": one["bytes of a scan"] / 1e9,
        "store on disk (GB)": one["bytes in the store"] / 1e9,
        "preprocessing (hours of one process)": one["seconds of preprocessing"] / hour,
        "latents and Adam moments, all copies (GB of memory)": one["bytes of a row"] * one["copies"] / 1e9,
        "training points (billions)": points / 1e9,
        "training (hours of this machine)": points / one["points a second"] / hour,
        "fitting and segmenting (hours of this machine)": one["seconds of a scan"] / hour,
    }
    for name, cost in costs.items():
        lines.append(f"| {name} | " + " | ".join(f"{cost * number:,.3g}" for number in SUBJECTS) + " |")
    return lines


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subjects", type=int, default=3)
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        found = measured(Path(name), options.subjects)
    print(f"of one subject, {torch.get_num_threads()} threads:")
    for name, value in found.items():
        print(f"  {name}: {value:,.4g}")
    print("\n".join(table(found)))
    if options.json:
        write_text(options.json, json.dumps({**found, **provenance(vars(options))}, indent=1))


if __name__ == "__main__":
    main()
