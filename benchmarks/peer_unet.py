"""The 2D U-Net alone on the task of NISF, with and without every second slice.

    python benchmarks/peer_unet.py --dataset_dir ACDC [--section validation] [--weights FILE] [--json FILE]

The same patients, the same canonical orientation and the same scores as ``evaluation``. Where slices are missing the
U-Net's class probabilities of the nearest seen slices are interpolated linearly across the gap. Compare with

    python -m monai.bundle run evaluation ... --section validation [--hold_out every_2]
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from monai.bundle import ConfigParser

from nisf.evaluation import metrics
from nisf.geometry.orientation import spacing_of
from nisf.transforms.hold_out import HoldOutd
from nisf.transforms.scan import scan_of
from nisf.transforms.unet_prob import AddUNetProbd
from nisf.utils.files import write_text
from nisf.utils.provenance import provenance

CONFIGS = Path(__file__).resolve().parent.parent / "bundle" / "configs"


def across_gaps(probabilities: torch.Tensor, kept: list[int]) -> torch.Tensor:
    """Class probabilities [K, X, Y, Z, T] with the slices not in ``kept`` interpolated from those in it."""
    values = probabilities.numpy()
    every = np.arange(values.shape[3])
    after = np.clip(np.searchsorted(kept, every), 0, len(kept) - 1)
    before = np.clip(np.searchsorted(kept, every, side="right") - 1, 0, len(kept) - 1)
    low, high = np.array(kept)[before], np.array(kept)[after]
    share = np.where(high > low, (every - low) / np.maximum(high - low, 1), 0.0)[:, None]
    return torch.from_numpy(values[:, :, :, low] * (1 - share) + values[:, :, :, high] * share)


def score(dataset: list[dict], network: torch.nn.Module, hold_out: str | None, names: dict) -> tuple[list[dict], float]:
    """Rows of ``metrics.score_subject`` and seconds per scan."""
    rows, seconds = [], 0.0
    for item in dataset:
        started = time.perf_counter()
        seen = HoldOutd("image", hold_out)({"image": item["image"]})["image"]
        found = AddUNetProbd(network, frames=seen.shape[4])({"image": seen})["image"]
        found, kept = scan_of(found).unet_prob.values, scan_of(seen).kept_slices or list(range(seen.shape[3]))
        classes = across_gaps(found, kept).argmax(dim=0).numpy()
        seconds += time.perf_counter() - started
        label = item["label"].as_tensor()[0].numpy()
        spacing = spacing_of(np.asarray(item["image"].affine))
        rows += metrics.score_subject(classes, np.maximum(label, 0), item["phases"], spacing, names, item["subject"])
    return rows, seconds / len(dataset)


def main() -> None:
    """Scores whole stacks and stacks with every second slice missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset_dir", required=True)
    parser.add_argument("--section", default="validation")
    parser.add_argument("--config", default="acdc", help="override file of the data")
    parser.add_argument("--weights", help="another unet.pt than the config's")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    config = ConfigParser()
    config.read_config([str(CONFIGS / f"{name}.json") for name in ("inference", "evaluate", options.config)])
    config.update({"bundle_root": str(CONFIGS.parent), "dataset_dir": options.dataset_dir, "section": options.section})
    if options.weights:
        config.update({"unet_model": options.weights})
    network, names = config.get_parsed_content("unet"), config.get_parsed_content("class_names")
    reading = [config.get_parsed_content(name) for name in ("load", "orient")]
    dataset = [reading[1](reading[0](subject)) for subject in config.get_parsed_content("subjects")]
    found = {}
    for hold_out in (None, "every_2"):
        rows, seconds = score(dataset, network, hold_out, names)
        summary = metrics.summarise(rows)
        print(f"U-Net, {hold_out or 'all slices'}, {seconds:.1f} s a scan\n{metrics.format_table(summary)}\n")
        found[hold_out or "all"] = {"summary": summary, "seconds": seconds}
    if options.json:
        write_text(options.json, json.dumps({**found, **provenance(vars(options))}, indent=1))


if __name__ == "__main__":
    main()
