"""Time and peak memory of segmenting one full-size cine, 208 x 208 x 12 x 50, with the shipped weights.

    python benchmarks/full_cine.py [--whole] [--adam] [--json FILE]

The scan is noise on an oblique short-axis grid of 1.8 x 1.8 x 10 mm: the cost does not depend on what is in it. The
run is the command a user gives, in a process of its own; the peak is that process's largest resident set.
``--whole`` fits and samples every voxel (26 million) in place of the field of the shipped coordinate frame.
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

import nibabel as nib
import numpy as np
import torch

from scripts.files import write_text
from scripts.geometry import SHORT_AXIS

ROOT = Path(__file__).resolve().parent.parent


def write_scan(path: Path) -> None:
    """The noise scan, int16, 50 frames of 20 ms."""
    affine = np.eye(4)
    affine[:3, :3] = SHORT_AXIS * [1.8, 1.8, 10.0]
    voxels = np.random.default_rng(0).integers(0, 1000, (208, 208, 12, 50), dtype=np.int16)
    image = nib.Nifti1Image(voxels, affine)
    image.header.set_xyzt_units("mm", "sec")
    image.header.set_zooms((1.8, 1.8, 10.0, 0.02))
    nib.save(image, path)


def main() -> None:
    """Makes the scan, runs the bundle on it and prints time and memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--whole", action="store_true", help="every voxel, not the shipped field alone")
    parser.add_argument("--adam", action="store_true", help="fit by the paper's Adam in place of Gauss-Newton")
    parser.add_argument("--json", metavar="FILE", help="also write the numbers there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scan = Path(folder) / "cine.nii"
        write_scan(scan)
        words = [sys.executable, "-m", "monai.bundle", "run", "inference", "--bundle_root", str(ROOT / "bundle")]
        configs = [str(ROOT / "bundle" / "configs" / name) for name in ("inference.json", "adam.json")]
        words += ["--config_file", str(configs if options.adam else configs[:1])]
        words += ["--dataset_dir", str(scan), "--output_dir", folder]
        words += ["--frame_kind", "relative"] if options.whole else []
        started = time.time()
        subprocess.run(words, check=True)
        seconds = time.time() - started
        latent = torch.load(Path(folder) / "cine" / "cine_latent.pt", weights_only=True)
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
