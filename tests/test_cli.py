"""The command nisf, in a process of its own, with the shipped weights."""

import os
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from scripts.phantom import make_subject

NISF = Path(sys.executable).with_name("nisf")


def nisf(*words: object, cwd: Path) -> subprocess.CompletedProcess:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [str(NISF), *map(str, words)], cwd=cwd, capture_output=True, text=True, timeout=300, env=environment
    )


@pytest.fixture(scope="module")
def scan(tmp_path_factory) -> Path:
    """A small oblique cine of a phantom."""
    subject = make_subject(5, matrix=40, slices=5, frames=3, voxel_mm=3.0)
    image = nib.Nifti1Image(subject.render().astype(np.float32), subject.acquisition.affine)
    image.header.set_xyzt_units("mm", "sec")
    image.header.set_zooms([*image.header.get_zooms()[:3], 0.05])
    path = tmp_path_factory.mktemp("scan") / "heart.nii.gz"
    nib.save(image, path)
    return path


def test_segment_does_every_scan_on_its_own_grid(scan, tmp_path):
    still = tmp_path / "still.nii.gz"
    image = nib.load(scan)
    nib.save(nib.Nifti1Image(image.get_fdata()[..., 0].astype(np.float32), image.affine), still)
    done = nisf("segment", scan, still, "-o", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "2 of 2 scans done" in done.stdout
    for path in (scan, still):
        stem = path.name.removesuffix(".nii.gz")
        source, result = nib.load(path), nib.load(tmp_path / "out" / stem / f"{stem}_seg.nii.gz")
        assert result.shape == source.shape and result.get_data_dtype() == np.uint8
        np.testing.assert_array_equal(result.affine, source.affine)
        assert set(np.unique(result.dataobj)) <= {0, 1, 2, 3}
        np.testing.assert_allclose(result.header.get_zooms(), source.header.get_zooms())


def test_a_scan_that_is_not_there_is_named_and_the_others_are_done(scan, tmp_path):
    done = nisf("segment", "missing.nii.gz", scan, "-o", "out", cwd=tmp_path)
    assert done.returncode == 1
    assert "1 of 2 scans done" in done.stdout
    assert "missing.nii.gz: there is no such file" in done.stdout
    assert (tmp_path / "out" / "heart" / "heart_seg.nii.gz").is_file()


@pytest.mark.parametrize(
    "words, sentence",
    [
        (("segment",), "name one or more scans and a result folder"),
        (("segment", "a.nii.gz", "-o", "out", "--model", "none.pt"), "none.pt: there is no such model file"),
        (("mesh", "a_latent.pt"), "name a latent file and a result folder"),
        (("mesh", "a_latent.pt", "-o", "out", "--format", "obj"), "choose one of vtp, stl, ply"),
        (("mesh", "a_latent.pt", "-o", "out"), "a_latent.pt: there is no such latent file"),
    ],
)
def test_wrong_words_get_one_sentence(words, sentence, tmp_path):
    done = nisf(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert sentence in done.stderr and "Traceback" not in done.stderr


def test_help_says_what_segment_takes(tmp_path):
    done = nisf("segment", "--help", cwd=tmp_path)
    text = done.stdout + done.stderr
    assert "SCANS" in text and "--output" in text and "LV myocardium" in text
