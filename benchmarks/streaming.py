"""Labels of a fitted scan on a fine grid through the cycle, by the command ``nisf sample`` in a separate process.

    python benchmarks/streaming.py --latent FILE [--model FILE] [--spacing 1] [--frames 100] [--box heart]
        [--exact True] [--device cpu] [--json FILE]

A row for the labels found from coarse to fine; with ``--exact True`` another for evaluating every voxel. Seconds are
for the whole command: start of Python, search for the heart (its points are not counted), compilation, sampling,
file. Points/s are points of the result; the share is the arithmetic of the network's hidden layers at the points that
were evaluated, over the whole command, against the machine's best float32 product in the same run.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from throughput import flop_per_point, matmul_rate

from nisf.io.latent_file import read_latent
from nisf.utils.files import write_text
from nisf.utils.provenance import provenance

SUMMARY = re.compile(r": (\d+ x \d+ x \d+) voxels, (\d+) frames; .* ([\d,]+) of ([\d,]+) points evaluated")


def sampled(words: list[str], exact: bool) -> dict:
    """One row: output and cost of the command.

    Raises:
        RuntimeError: it failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "nisf.cli.main", "sample", *words, "-o", str(Path(folder) / "seg.nii.gz")]
        with open(Path(folder) / "said", "w+") as said:
            started = time.perf_counter()
            process = subprocess.Popen([*command, "--exact", str(exact)], stdout=said, stderr=subprocess.STDOUT)
            # RUSAGE_CHILDREN would give the maximum over all processes so far
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            seconds = time.perf_counter() - started
            said.seek(0)
            text = said.read()
    found = SUMMARY.search(text)
    if process.returncode or not found:
        raise RuntimeError(f"nisf sample failed:\n{text[-3000:]}")
    evaluated, points = (int(found[group].replace(",", "")) for group in (3, 4))
    return {
        "what": "every voxel" if exact else "coarse to fine",
        "grid": found[1],
        "frames": int(found[2]),
        "points": points,
        "evaluated": evaluated,
        "seconds": seconds,
        "points_per_s": points / seconds,
        "peak_gib": usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 2**30,
    }


def main() -> None:
    """Prints the rows and writes them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latent", metavar="FILE", required=True, help="a fitted scan")
    parser.add_argument("--model", metavar="FILE", help="weights; those of the fit unless given")
    parser.add_argument("--spacing", default="1", help="mm")
    parser.add_argument("--frames", default="100", help="time points, evenly spaced over the cycle")
    parser.add_argument("--box", default="heart", help="part of the field, as in nisf sample")
    parser.add_argument("--exact", default="False", choices=("True", "False"), help="also evaluate every voxel")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", metavar="FILE", help="also write the rows there")
    options = parser.parse_args()
    words = [options.latent]
    for name in ("spacing", "frames", "box", "device", "model"):
        words += [f"--{name}", value] if (value := getattr(options, name)) else []
    flop = flop_per_point(read_latent(options.latent).options)
    device, rows = torch.device(options.device), []
    for exact in (False, True)[: 1 + (options.exact == "True")]:
        matmul = matmul_rate(device, torch.float32, 4.0)
        row = sampled(words, exact)
        row["matmul_flop_per_s"] = max(matmul, matmul_rate(device, torch.float32, 4.0))
        row["share_of_matmul"] = row["evaluated"] * flop / row["seconds"] / row["matmul_flop_per_s"]
        rows.append(row)
        print(
            f"{row['what']:<16}{row['grid']} voxels, {row['frames']} frames: {row['points']:,} points, "
            f"{row['evaluated']:,} evaluated ({row['evaluated'] / row['points']:.1%})\n"
            f"{'':<16}{row['seconds']:.1f} s, {row['points_per_s'] / 1e3:.1f}k points/s, {row['peak_gib']:.2f} GiB "
            f"resident at most; matmul {row['matmul_flop_per_s'] / 1e9:.0f} GFLOP/s, the network reached "
            f"{row['share_of_matmul']:.1%} of it",
            flush=True,
        )
    if options.json:
        made = provenance({"device": str(device)})
        write_text(options.json, json.dumps({"rows": rows, "threads": torch.get_num_threads(), "made_with": made}))


if __name__ == "__main__":
    main()
