"""Segmenting on a GPU against the CPU: agreement, seconds of each stage, and peak memory of the card.

    python benchmarks/gpu.py SCAN [--config phantom] [--repeats 3] [--json FILE] [--twin]

The same scan, seed and settings on both devices. The first run on the GPU, which loads its libraries, is left out.
Exits with status 1 if the labels agree to less than 0.999 of mean Dice, and with 2 where there is no GPU. ``--twin``
runs the CPU in the GPU's place, to try the script where there is none.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch

from nisf.api import Segmentation, Segmenter
from nisf.inference import inferers
from nisf.transforms.unet_prob import AddUNetProbd
from nisf.utils.files import write_text

#: Minimum mean Dice of the labels of both devices.
AGREE = 0.999

#: Stages that are timed: name, where its function is, and the function's name.
STAGES = (
    ("U-Net", AddUNetProbd, "__call__"),
    ("fit", inferers, "fit_together"),
    ("sampling", inferers, "sample_grid"),
    ("quality", inferers, "assess"),
)


def timed(work: Callable, name: str, seconds: dict[str, float]) -> Callable:
    """``work``, which adds its wall-clock seconds to ``seconds[name]``."""

    def run(*args: object, **options: object) -> object:
        started = now()
        found = work(*args, **options)
        seconds[name] = seconds.get(name, 0.0) + now() - started
        return found

    return run


def now() -> float:
    """Wall-clock time once the GPU has done what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def segmented(device: str, scan: str, config: Sequence[str], repeats: int) -> tuple[Segmentation, dict[str, float]]:
    """The last result, and the least seconds of each stage."""
    segmenter, best = Segmenter(config, device=device), {}
    for _ in range(repeats):
        seconds: dict[str, float] = {}
        originals = [(place, name, getattr(place, name)) for _, place, name in STAGES]
        for (title, place, name), (_, _, original) in zip(STAGES, originals):
            setattr(place, name, timed(original, title, seconds))
        result = timed(segmenter, "all", seconds)(scan)
        for place, name, original in originals:
            setattr(place, name, original)
        best = {name: min(value, best.get(name, value)) for name, value in seconds.items()}
    return result, best


def dice(one: np.ndarray, other: np.ndarray, classes: Sequence[int]) -> float:
    """Mean Dice over the classes of two label maps."""
    pairs = [((one == number), (other == number)) for number in classes]
    return float(np.mean([2 * (a & b).sum() / max(a.sum() + b.sum(), 1) for a, b in pairs]))


def main() -> None:
    """Segments on both devices and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scan")
    parser.add_argument("--config", default="", help="override files of the bundle, as A,B")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", metavar="FILE", help="also write the numbers there")
    parser.add_argument("--twin", action="store_true", help="the CPU in the GPU's place")
    options = parser.parse_args()
    if not torch.cuda.is_available() and not options.twin:
        print("PyTorch finds no GPU on this machine; --twin tries the script without one")
        sys.exit(2)
    device = "cpu" if options.twin else "cuda"
    config = [name for name in options.config.split(",") if name]
    segmented(device, options.scan, config, 1)
    if not options.twin:
        torch.cuda.reset_peak_memory_stats()
    (on_gpu, gpu), (on_cpu, cpu) = (segmented(d, options.scan, config, options.repeats) for d in (device, "cpu"))
    agreement = dice(on_gpu.labels, on_cpu.labels, list(on_cpu.class_names))
    peak = 0.0 if options.twin else torch.cuda.max_memory_allocated() / 2**30
    name = "the CPU twice" if options.twin else torch.cuda.get_device_name()
    print(f"{name}: labels agree to {agreement:.4f}, peak of the card's memory {peak:.2f} GiB")
    for stage in gpu:
        print(f"{stage:<10} {gpu[stage]:7.2f} s, on the CPU {cpu[stage]:7.2f} s")
    if options.json:
        found = {"agreement": agreement, "peak_gib": peak, "twin": options.twin, "cuda": gpu, "cpu": cpu}
        write_text(options.json, json.dumps(found))
    sys.exit(agreement < AGREE)


if __name__ == "__main__":
    main()
