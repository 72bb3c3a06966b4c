"""What a biobank of 100,000 studies takes, from a measured cohort run: processors, memory, disk, money, days.

    python benchmarks/biobank.py [--scans 2] [--studies 100000] [--cores 64] [--price 0.04] [--json FILE]

Phantom examinations in DICOM of a biobank's size (208 x 208 x 12 x 50). ``nisf cohort run``, reports included, of one
and of several of them, each in one thread: the difference is what a study takes, the rest what a worker takes to start
and to end. ``price`` is of an hour of a core, in any currency.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from about import machine
from options import parser_of

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from helpers.phantom_dicom import write_dicom  # noqa: E402

from nisf.phantom.cohort import make_subject  # noqa: E402
from nisf.utils.files import write_text  # noqa: E402

GRID = {"matrix": 208, "voxel_mm": 1.8, "slices": 12, "frames": 50}

COHORT = "import sys; from nisf.cli.main import main; sys.argv = ['nisf', 'cohort', 'run', *sys.argv[1:]]; main()"


def processor_seconds(data: Path, output: Path) -> float:
    """Processor seconds of a cohort run in one thread."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    words = [sys.executable, "-c", COHORT, str(data), "-o", str(output), "--device", "cpu"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(words, check=True, capture_output=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def add_study(folder: Path, number: int) -> None:
    """Writes the examination of another person."""
    write_dicom(make_subject(10 + number, **GRID), folder / f"study{number}", others=False, seed=number)


def measured(scans: int) -> dict[str, float]:
    """Of a study: processor seconds, bytes read, bytes written; and the peak resident memory of a worker, bytes."""
    with tempfile.TemporaryDirectory() as name:
        data, taken = Path(name) / "data", []
        for number in range(scans):
            add_study(data, number)
            if number in (0, scans - 1):
                taken.append(processor_seconds(data, Path(name) / f"out{number}"))
        seconds = (taken[1] - taken[0]) / (scans - 1)
        return {
            "seconds": seconds,
            "start": max(taken[0] - seconds, 0.0),
            "read": size_of(data) / scans,
            "written": size_of(Path(name) / f"out{scans - 1}") / scans,
            "memory": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024,
        }


def main() -> None:
    """Measures and prints."""
    parser = parser_of(__doc__)
    parser.add_argument("--scans", type=int, default=2)
    parser.add_argument("--studies", type=int, default=100_000)
    parser.add_argument("--cores", type=int, default=64, help="cores of a machine")
    parser.add_argument("--price", type=float, default=0.04, help="of an hour of a core")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    one = measured(options.scans)
    hours = options.studies * one["seconds"] / 3600
    print(machine())
    print(f"a study: {one['seconds']:.1f} processor s, {one['read'] / 1e6:.1f} MB read, {one['written'] / 1e6:.1f} MB")
    print(f"written; a worker: {one['memory'] / 2**30:.2f} GiB, {one['start']:.1f} processor s to start and end")
    print(f"{options.studies:,} studies: {hours:,.0f} core hours, {options.price * hours:,.0f} at {options.price} each")
    print(f"a machine of {options.cores} cores: {hours / options.cores / 24:.1f} days, ", end="")
    print(f"{options.cores * one['memory'] / 2**30:.0f} GiB of memory, ", end="")
    rate = options.studies * one["read"] / (3600 * hours / options.cores)
    print(f"{rate / 1e6:.0f} MB/s read")
    for what in ("read", "written"):
        print(f"{what}: {options.studies * one[what] / 1e12:.2f} TB")
    if options.json:
        write_text(options.json, json.dumps({"machine": machine(), "study": one, "core_hours": hours}, indent=1))


if __name__ == "__main__":
    main()
