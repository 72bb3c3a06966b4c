"""Kills workers of a cohort on Ray at random, and prints the outcome of the scans.

    python benchmarks/ray_faults.py [--scans 200] [--kills 3] [--workers 2] [--seed 0] [--folder FOLDER]

Tiny phantom scans, the phantom's weights, a quick fit. A kill is SIGKILL to a worker in the middle of a scan, after a
random number of finished scans. A finished scan that is done again shows by its receipt, which is then written twice.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import psutil

from nisf.cohort.run import Workers, run_cohort
from nisf.phantom.cohort import write_cohort
from nisf.runs import inference_of

TINY = {"matrix": 24, "voxel_mm": 6, "slices": 4, "thickness_mm": 18, "gap_mm": 2, "frames": 3, "subsamples": 1}


class Watcher(threading.Thread):
    """Kills workers, and records every receipt that is written.

    Args:
        out: result folder.
        moments: numbers of finished scans at which a worker is killed.
        seed: random seed of the choice among the workers.
    """

    def __init__(self, out: Path, moments: Sequence[int], seed: int) -> None:
        super().__init__(daemon=True)
        self.out, self.moments, self.draw = out, sorted(moments), random.Random(seed)
        self.written: dict[str, set] = {}
        self.killed: list[tuple[int, int]] = []
        self.over = False

    def run(self) -> None:
        """Runs until ``over``."""
        while not self.over:
            self.look()
            if self.moments and len(self.written) >= self.moments[0] and self.kill():
                self.moments.pop(0)
            time.sleep(0.05)

    def look(self) -> None:
        """Records new receipts."""
        for file in self.out.glob("*/*_receipt.json"):
            status = file.stat()
            self.written.setdefault(file.parent.name, set()).add((status.st_ino, status.st_mtime_ns))

    def kill(self) -> bool:
        """Kills one of the busy workers; returns whether there was one."""
        at_work = [process for process in psutil.Process().children(recursive=True) if _at_work(process)]
        if not at_work:
            return False
        worker = self.draw.choice(at_work)
        worker.send_signal(signal.SIGKILL)
        self.killed.append((len(self.written), worker.pid))
        print(f"killed worker {worker.pid} when {len(self.written)} scans were done", flush=True)
        return True


def _at_work(process: psutil.Process) -> bool:
    try:
        return "ray::ScanWorker.do" in " ".join(process.cmdline())
    except psutil.Error:
        return False


def report(out: Path, watcher: Watcher, scans: int, seconds: float) -> None:
    """Prints the outcome of the scans."""
    from pyarrow import parquet

    rows = parquet.read_table(out / "scans.parquet").to_pylist()
    done = [row for row in rows if row["state"] == "done"]
    files = [out / file for row in done for file in row["files"]]
    whole = sum(np.asarray(nib.load(file).dataobj).size > 0 for file in files if file.name.endswith("_seg.nii.gz"))
    summary = json.loads((out / "scans.json").read_text())
    again = {row["subject"]: row["attempts"] for row in done if row["attempts"] > 1}
    print(f"{scans} scans, {len(watcher.killed)} workers killed, {seconds:.0f} s")
    print(f"table: {len(rows)} rows, {len({row['subject'] for row in rows})} subjects, {len(done)} done")
    print(f"rows without quality, worker or files: {sum(not _complete(row) for row in done)}")
    print(f"label files that read to the last byte: {whole}; files missing: {sum(not f.is_file() for f in files)}")
    print(f"scans begun more than once: {again or 'none'}")
    print(f"scans finished more than once: {sum(len(times) > 1 for times in watcher.written.values())}")
    print(f"scans.json: {summary['done']} done, {summary['failed']} failed")
    print(f"half files left: {len(list(out.glob('*/.*')))}")


def _complete(row: dict) -> bool:
    needed = ("seconds", "worker", "ended", "predicted_dice", "trusted", "files", "versions", "settings")
    return all(row[name] not in (None, []) for name in (*needed, "quality_reconstruction_error"))


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scans", type=int, default=200)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(options.folder or name)
        out = folder / "out"
        write_cohort(folder / "data", 0, 0, options.scans, seed=options.seed, **TINY)
        moments = random.Random(options.seed).sample(
            range(options.scans // 20, options.scans * 19 // 20), options.kills
        )
        watcher, began = Watcher(out, moments, options.seed), time.time()
        watcher.start()
        print(f"{os.cpu_count()} cores; kills when {sorted(moments)} scans are done", flush=True)
        settings = {"device": "cpu", "final_points": 512, "unet_frames": 2, "skip_finished": True}
        configs, given = inference_of([str(folder / "data")], str(out), "phantom", fast=True, **settings)
        run_cohort(configs, given, Workers("auto", options.workers))
        watcher.over = True
        watcher.join()
        watcher.look()
        report(out, watcher, options.scans, time.time() - began)


if __name__ == "__main__":
    main()
