"""Seconds from a cold start until everything is written, beside the U-Net alone over all frames of the same scan.

    python benchmarks/wall_clock.py [--acdc PATIENT_FOLDER] [--runs 3] [--json FILE]

Phantom examinations written as DICOM, 256 x 256 x 11 x 20 of 1.4 mm and 208 x 208 x 12 x 50 of 1.8 mm; with ``--acdc``
also a patient of two frames. Each run is ``nisf segment`` in a process of its own, then a process that reads the same
scan, runs the U-Net over every frame and writes its classes. Prints the median of the runs, the ratio, and the largest
resident set of any process.
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
from about import machine

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from helpers.phantom_dicom import write_dicom  # noqa: E402

from nisf.phantom.cohort import make_subject  # noqa: E402
from nisf.utils.files import write_text  # noqa: E402

SCANS = {
    "256 x 256 x 11 x 20, DICOM": {"matrix": 256, "voxel_mm": 1.4, "slices": 11, "frames": 20},
    "208 x 208 x 12 x 50, DICOM": {"matrix": 208, "voxel_mm": 1.8, "slices": 12, "frames": 50},
}

SEGMENT = "import sys; from nisf.cli.main import main; sys.argv = ['nisf', 'segment', *sys.argv[1:]]; main()"

#: The transforms of ``nisf segment`` up to the U-Net's probabilities; their largest class is written.
UNET = """
import sys
import nibabel as nib
import numpy as np
from nisf.utils.quick_start import import_monai
import_monai()
from nisf.io.datalist import load_split
from nisf.transforms.scan import scan_of
from nisf.utils.bundle import INFERENCE, parser_of
parser = parser_of(INFERENCE)
listed = sys.argv[1].endswith(".json")
item, = load_split("cohort" if listed else "images", sys.argv[1] if listed else [sys.argv[1]], "all")
for name in ("load", "orient", "add_unet_prob"):
    item = parser.get_parsed_content(name)(item)
prob = scan_of(item["image"]).unet_prob.values
labels = prob.argmax(0).numpy().astype(np.uint8)
nib.save(nib.Nifti1Image(labels, np.asarray(item["image"].affine)), sys.argv[3] + ".nii.gz")
"""


def seconds_of(code: str, scan: str, output: Path) -> float:
    """Seconds of a process from its start to its end."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", code, scan, "-o", str(output)], check=True, capture_output=True)
    return time.perf_counter() - started


def main() -> None:
    """Makes the scans, runs both on each and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--acdc", metavar="FOLDER", help="folder of an ACDC patient")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", metavar="FILE", help="also write the numbers there")
    options = parser.parse_args()
    print(machine(), "\n\n| scan | nisf segment, s | U-Net alone, s | ratio |\n|---|---|---|---|")
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        scans = {}
        for name, grid in SCANS.items():
            scans[name] = str(write_dicom(make_subject(3, **grid), Path(folder) / f"scan{len(scans)}"))
        if options.acdc:
            scans["ACDC, two frames"] = _pair(Path(options.acdc), Path(folder) / "pair.json")
        for name, scan in scans.items():
            rows[name] = {
                what: float(
                    np.median([seconds_of(code, scan, Path(folder) / f"{what}{k}") for k in range(options.runs)])
                )
                for what, code in (("segment", SEGMENT), ("unet", UNET))
            }
            one = rows[name]
            print(f"| {name} | {one['segment']:.1f} | {one['unet']:.1f} | {one['segment'] / one['unet']:.2f} |")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    print(f"\nlargest resident set of a process: {peak:.2f} GiB")
    if options.json:
        write_text(options.json, json.dumps({"machine": machine(), "peak_gib": peak, "rows": rows}, indent=1))


def _pair(patient: Path, listing: Path) -> str:
    """A data list of a patient's two frames."""
    images = sorted(str(path.resolve()) for path in patient.glob("*_frame??.nii.gz"))
    entry = {"subject": patient.name, "image": images, "array_axes": ["lateral", "inferior", "apex"]}
    write_text(listing, json.dumps({"test": [entry]}))
    return str(listing)


if __name__ == "__main__":
    main()
