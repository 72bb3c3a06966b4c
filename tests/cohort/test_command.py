"""A cohort segmented and reported in one command."""

import sys
from pathlib import Path

from helpers.forked import run_command
from helpers.phantom_dicom import write_dicom

from nisf.io.latent_file import read_latent
from nisf.phantom.cohort import make_subject

SCANNER = {"matrix": 24, "slices": 4, "frames": 2, "voxel_mm": 5.5}


def test_a_cohort_is_segmented_and_reported_in_one_command_with_the_options_of_its_scans(tmp_path):
    write_dicom(make_subject(6, **SCANNER), tmp_path / "data" / "exam", others=False)
    words = [str(Path(sys.executable).with_name("nisf")), "cohort", "run", "data", "-o", "out", "--fast"]
    words += ["--stack", "cine_sax", "--dicom_seg", "all"]
    done = run_command(words, tmp_path, timeout=600)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    assert "1 of 1 scans done" in done.stdout and "1 of 1 scans reported" in done.stdout
    assert (tmp_path / "out" / "index.html").is_file()
    (latent,), objects = (list((tmp_path / "out").glob(f"*/*{end}")) for end in ("_latent.pt", ".dcm"))
    assert read_latent(latent).stack == "cine_sax" and len(objects) == SCANNER["frames"]
