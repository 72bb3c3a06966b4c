"""What ``nisf report`` of one scan costs: processor seconds and points at which the network is evaluated.

    python benchmarks/report_cost.py OUT/scan [--repeats 2] [--json FILE]

OUT/scan is a folder of ``nisf segment``; it is copied, measured and reported. Seconds are processor time of this
process (user and system), without imports; other work on the machine makes them longer, but not the points more.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from nisf.io.results import ScanResults
from nisf.measures.measure import measure_folder
from nisf.report.write import report_scan
from nisf.sampling.fitted_scan import FittedScan
from nisf.utils.files import write_text

#: Files that ``nisf report`` writes into a scan's folder.
WRITTEN = ("measures.json", "measures.csv", "report.html", "report.png", "view.html")


def counting(points: list[int]) -> None:
    """Adds the number of points to ``points`` whenever a fitted scan asks its network."""
    original = FittedScan.logits

    def logits(self: FittedScan, places: np.ndarray, *more: object, **named: object) -> torch.Tensor:
        points.append(len(places))
        return original(self, places, *more, **named)

    FittedScan.logits = logits


def main() -> None:
    """Reports and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--json", metavar="FILE", help="also write the rows there")
    options = parser.parse_args()
    points: list[int] = []
    counting(points)
    rows = []
    for _ in range(options.repeats):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(shutil.copytree(options.folder, Path(name) / options.folder.resolve().name))
            for file in WRITTEN:
                (folder / file).unlink(missing_ok=True)
            for part, work in (
                ("measures", lambda: measure_folder(folder)),
                ("page and pictures", lambda: report_scan(ScanResults.of_folder(folder))),
            ):
                points.clear()
                started = time.process_time()
                work()
                rows.append({"part": part, "seconds": time.process_time() - started, "points": sum(points)})
                print(f"{part:<18} {rows[-1]['seconds']:6.1f} s  {rows[-1]['points']:>9,} points", flush=True)
    if options.json:
        write_text(options.json, json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
