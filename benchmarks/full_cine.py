"""Time and peak memory of segmenting one full-size cine, 208 x 208 x 12 x 50, with the shipped weights.

    python benchmarks/full_cine.py [--whole] [--adam] [--json FILE]

The scan is a phantom on an oblique short-axis grid of 1.8 x 1.8 x 10 mm; making it (a minute or two) is not timed. The
run is the user's command, in a separate process; the peak is that process's largest resident set. ``--whole`` fits and
evaluates every voxel (26 million) in place of the field about the heart, coarse to fine. It takes the whole grid for
the field, for which no weights were trained (``phantom.json``), so only its time counts.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from nisf.phantom.cohort import write_cohort
from nisf.utils.files import write_text

ROOT = Path(__file__).resolve().parent.parent


def write_scan(folder: Path) -> Path:
    """The scan, 50 frames."""
    grid = {"matrix": 208, "voxel_mm": 1.8, "slices": 12, "thickness_mm": 8, "gap_mm": 2, "frames": 50}
    listing = write_cohort(folder, 0, 0, 1, **grid)
    return folder / json.loads(listing.read_text())["test"][0]["image"]


def main() -> None:
    """Makes the scan, runs the bundle on it and prints time and memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--whole", action="store_true", help="every voxel, not the shipped field alone")
    parser.add_argument("--adam", action="store_true", help="fit by the paper's Adam in place of Gauss-Newton")
    parser.add_argument("--json", metavar="FILE", help="also write the numbers there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scan = write_scan(Path(folder) / "cohort")
        output = Path(folder) / "output"
        words = [sys.executable, "-m", "monai.bundle", "run", "inference", "--bundle_root", str(ROOT / "bundle")]
        names = ["inference"] + ["phantom"] * options.whole + ["adam"] * options.adam
        words += ["--config_file", str([str(ROOT / "bundle" / "configs" / f"{name}.json") for name in names])]
        words += ["--dataset_dir", str(scan), "--output_dir", str(output), "--layout", "images", "--split_rule", "null"]
        words += ["--frame_kind", "relative", "--grid_step", "0"] if options.whole else []
        started = time.time()
        subprocess.run(words, check=True)
        seconds = time.time() - started
        (found,) = output.rglob("*_latent.pt")
        latent = torch.load(found, weights_only=True)
    points = int(np.prod(latent["frame"]["shape"])) * len(latent["frame"]["times"])
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    row = {"points": points, "seconds": seconds, "fit_seconds": latent["seconds"], "peak_gib": peak}
    print(
        f"208 x 208 x 12 x 50: {points / 1e6:.1f} million points, {seconds:.0f} s in all, "
        f"fit {row['fit_seconds']:.1f} s ({len(latent['history'])} steps), peak {peak:.2f} GiB resident"
    )
    if options.json:
        write_text(options.json, json.dumps(row, indent=1))


if __name__ == "__main__":
    main()
