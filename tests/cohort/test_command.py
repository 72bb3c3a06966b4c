"""A cohort segmented and reported in one command."""

import sys
from pathlib import Path

from helpers.forked import run_command

from nisf.phantom.cohort import write_cohort

SCANNER = {"matrix": 24, "slices": 4, "frames": 2, "voxel_mm": 5.5}


def test_a_cohort_is_segmented_and_reported_in_one_command(tmp_path):
    write_cohort(tmp_path / "data", 0, 0, 1, seed=6, **SCANNER)
    words = [str(Path(sys.executable).with_name("nisf")), "cohort", "run", "data", "-o", "out", "--fast"]
    done = run_command(words, tmp_path, timeout=600)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    assert "1 of 1 scans done" in done.stdout and "1 of 1 scans reported" in done.stdout
    assert (tmp_path / "out" / "index.html").is_file()
