"""Scans per hour of a cohort: one process with one and with two threads, and Ray with two workers of one thread.

    python benchmarks/cohort_throughput.py [--scans 8] [--fast] [--json FILE] [--ways "1 thread,Ray"]

Phantom scans of the default size with the phantom's weights, the same for every way, each way in a separate process.
``whole`` times the command from start to end, with imports, weights and the start of Ray; ``running`` only the scans
themselves, which a long cohort approaches. Run it alone on the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from nisf.phantom.cohort import write_cohort
from nisf.utils.files import write_text
from nisf.utils.provenance import provenance

#: Name to threads of the process and further words of the command.
WAYS = {
    "1 thread": (1, []),
    "2 threads": (2, []),
    "Ray, 2 workers of 1 thread": (1, ["ray"]),
}
CALL = """
import sys
from nisf.cohort.run import Workers, run_cohort
from nisf.runs import inference_of
from nisf.utils.bundle import run_bundle
data, out, fast, ray = sys.argv[1:]
call = inference_of([data], out, "phantom", fast=bool(fast), device="cpu")
if ray:
    run_cohort(*call, Workers("auto", 2, 1))
else:
    run_bundle("inference", call[0], **{k: v for k, v in call[1].items() if v is not None})
"""


def timed(data: Path, out: Path, threads: int, ray: bool, fast: bool) -> dict[str, float]:
    """Scans per hour of one way."""
    words = [sys.executable, "-c", CALL, str(data), str(out), "1" * fast, "1" * ray]
    began = time.perf_counter()
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(words, env=environment, capture_output=True, text=True)
    seconds = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(done.stdout[-2000:] + done.stderr[-3000:])
    took = [row["seconds"] for row in json.loads((out / "scans.json").read_text())["scans"]]
    mean = sum(took) / len(took)
    running = 3600 * (2 if ray else 1) / mean
    return {"whole": 3600 * len(took) / seconds, "running": running, "scan": mean, "seconds": seconds}


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scans", type=int, default=8)
    parser.add_argument("--fast", action="store_true")
    parser.add_argument("--ways", default=",".join(name.split(",")[0] for name in WAYS))
    parser.add_argument("--json")
    options = parser.parse_args()
    rows = {}
    print(f"machine: {platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_cohort(folder / "data", 0, 0, options.scans)
        for way, (threads, more) in WAYS.items():
            if way.split(",")[0] not in options.ways.split(","):
                continue
            load = os.getloadavg()[0]
            found = timed(folder / "data", folder / way.replace(" ", "_"), threads, bool(more), options.fast)
            rows[way] = {**found, "load_before": load}
            print(
                f"{way:<28}{found['whole']:>7.0f} scans/h whole, {found['running']:>5.0f} running; "
                f"{found['scan']:.1f} s a scan, {found['seconds']:.0f} s in all; load before {load:.1f}",
                flush=True,
            )
    if options.json:
        write_text(options.json, json.dumps({"rows": rows, **provenance(vars(options))}, indent=1))


if __name__ == "__main__":
    main()
