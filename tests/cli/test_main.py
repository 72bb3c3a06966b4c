"""The command nisf, in a process of its own, with the shipped weights."""

import io
import json
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from helpers.forked import run_command

from nisf.cli.main import main
from nisf.phantom.cohort import make_subject

NISF = Path(sys.executable).with_name("nisf")
#: Networks and trainings of the smallest size.
TINY = {
    "hidden_size": 16,
    "latent_size": 8,
    "num_layers": 3,
    "points_per_subject": 64,
    "subjects_per_step": 2,
    "steps_per_epoch": 10,
    "fit_steps": 4,
    "fit_points": 128,
    "initial_draws": 20,
    "copies": 1,
    "compile": False,
    "features": "[8,8,16,16,16,8]",
    "pixel": 4.0,
    "patch": 48,
    "stacks_per_epoch": 24,
    "unet_lr": 0.01,
}


def nisf(*words: object, cwd: Path) -> subprocess.CompletedProcess:
    return run_command([NISF, *words], cwd, timeout=600)


def options(settings: dict) -> list:
    return [word for name, value in settings.items() for word in (f"--{name}", value)]


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


@pytest.fixture(scope="module")
def segmented(scan, tmp_path_factory):
    """The scan and its first frame as a still one, in a folder; the folder's run as ``--json`` and where it ran."""
    folder = tmp_path_factory.mktemp("segmented")
    (folder / "scans").mkdir()
    (folder / "scans" / scan.name).write_bytes(scan.read_bytes())
    image = nib.load(scan)
    nib.save(
        nib.Nifti1Image(image.get_fdata()[..., 0].astype(np.float32), image.affine), folder / "scans" / "still.nii.gz"
    )
    return nisf("segment", "--json", "scans", "-o", "2024_11", cwd=folder), folder


def labels(folder: Path, stem: str) -> nib.Nifti1Image:
    return nib.load(folder / stem / f"{stem}_seg.nii.gz")


def test_segment_does_every_scan_of_a_folder_on_its_own_grid_and_sums_up_in_json(segmented):
    done, folder = segmented
    assert done.returncode == 0, done.stderr[-3000:]
    content = json.loads(done.stdout)  # and nothing else
    assert "2 of 2 scans done" in done.stderr and " left" in done.stderr
    assert (content["done"], content["finished"], content["failed"]) == (2, 0, 0)
    for row in content["scans"]:
        assert row["state"] == "done" and row["seconds"] > 0 and row["quality"]["reconstruction_error"] > 0
        assert all((folder / file).is_file() for file in row["files"])
        source, result = nib.load(folder / "scans" / f"{row['scan']}.nii.gz"), labels(folder / "2024_11", row["scan"])
        assert result.shape == source.shape and result.get_data_dtype() == np.uint8
        np.testing.assert_array_equal(result.affine, source.affine)
        assert set(np.unique(result.dataobj)) <= {0, 1, 2, 3}
        np.testing.assert_allclose(result.header.get_zooms(), source.header.get_zooms())


def test_a_batch_goes_on_where_it_stopped_and_names_what_cannot_be_done(segmented):
    _, folder = segmented
    before = (folder / "2024_11" / "heart" / "heart_seg.nii.gz").stat().st_mtime_ns
    (folder / "2024_11" / "still" / "still_latent.pt").unlink()
    done = nisf("segment", "scans", "missing.nii.gz", "-o", "2024_11", cwd=folder)
    assert done.returncode == 1
    assert "1 of 3 scans done, 1 finished by an earlier run, 1 failed" in done.stdout
    assert "heart: finished by an earlier run, skipped; --overwrite does it again" in done.stdout
    assert "missing.nii.gz: there is no such file" in done.stdout
    assert (folder / "2024_11" / "heart" / "heart_seg.nii.gz").stat().st_mtime_ns == before
    assert (folder / "2024_11" / "still" / "still_latent.pt").is_file()


def test_overwrite_fast_exact_and_only_some_classes(segmented):
    _, folder = segmented
    whole = np.asarray(labels(folder / "2024_11", "heart").dataobj)
    words = ("segment", "--overwrite", "--fast", "--exact", "scans/heart.nii.gz", "-o", "2024_11", "--only", "LV,3")
    done = nisf(*words, cwd=folder)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "1 of 1 scans done" in done.stdout
    some = np.asarray(labels(folder / "2024_11", "heart").dataobj)
    assert set(np.unique(some)) == {0, 1, 3}
    for number in (1, 3):
        assert (
            2 * ((some == number) & (whole == number)).sum() / ((some == number).sum() + (whole == number).sum()) > 0.8
        )
    made = torch.load(folder / "2024_11" / "heart" / "heart_latent.pt", weights_only=True)["made_with"]["settings"]
    assert made["grid_step"] == 0 and made["unet_frames"] == 10 and made["only"] == "['LV', '3']"


@pytest.mark.parametrize(
    "words, sentence",
    [
        (("segmnt",), "nisf has no command segmnt (segment?)"),
        (("segment",), "name one or more scans and a result folder"),
        (("segment", "a.nii.gz", "-o", "out", "--overwrit"), "nisf segment has no option --overwrit (--overwrite?)"),
        (("segment", "a.nii.gz", "-o", "out", "--model", "none.pt"), "none.pt: there is no such model file"),
        (("segment", "a.nii.gz", "-o", "out", "--only", "LA"), "the class 'LA' of only is unknown; use LV, MYO, RV"),
        (
            ("segment", "a.nii.gz", "-o", "out", "--orientation", "lateral,up,apex"),
            "--orientation must name three direc",
        ),
        (("segment", "a.nii.gz", "-o", "out", "--cycle_ms", "0"), "--cycle_ms is 0; give the time from one beat to"),
        (("segment", "a.nii.gz", "-o", "out", "--config", "liver"), "liver: there is no such config"),
        (("cohort", "run", "scans"), "name a folder or a data list and a result folder"),
        (("cohort", "run", "scans", "-o", "out", "--people", "none.csv"), "none.csv: there is no such file"),
        (("report",), "name the result folder of nisf segment"),
        (("report", "out", "--height", "1.8"), "the height of all scans is '1.8'; give a number from 50 to 260"),
        (("train", "data", "-o", "out", "--learning", "1"), "--learning is no setting of the run id training"),
        (("train", "data", "-o", "out", "--epoch", "1"), "--epoch is no setting of the run id training"),
        (("evaluate", "nowhere", "-o", "out"), "nowhere does not exist"),
        (("phantom", "-o", "out", "--matrx", "4"), "Unknown phantom option matrx"),
        (("sample", "a_latent.pt"), "name a latent file and the result file"),
        (("mesh", "a_latent.pt"), "name a latent file and a result folder"),
        (("mesh", "a_latent.pt", "-o", "out", "--format", "obj"), "choose one of vtp, stl, ply"),
        (("mesh", "a_latent.pt", "-o", "out"), "a_latent.pt: there is no such latent file"),
        (("mesh", "a_latent.pt", "-o", "out", "--device", "foo"), "the device 'foo' is unknown"),
        (("train", "data", "-o", "out", "--lr", "-1"), "--lr is -1; give 0 or more"),
    ],
)
def test_wrong_words_get_one_sentence_and_status_2(words, sentence, tmp_path):
    done = nisf(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert sentence in done.stderr and "Traceback" not in done.stderr


def test_a_name_that_the_terminal_cannot_show_ends_nothing(tmp_path, monkeypatch):
    said = io.BytesIO()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(said, encoding="ascii"))
    monkeypatch.setattr(sys, "argv", ["nisf", "phantom", "-o", "Müller", "--test", "0"])
    main()
    sys.stdout.flush()
    assert said.getvalue() == b"M\\xfcller/cohort.json\n"


def test_help_says_what_there_is_and_what_segment_takes(tmp_path):
    done = nisf("--help", cwd=tmp_path)
    assert done.returncode == 0 and done.stderr == ""
    for name in ("segment", "report", "sample", "mesh", "cohort run", "train", "evaluate", "phantom", "doctor"):
        assert f"\n  {name} " in done.stdout
    text = nisf("segment", "--help", cwd=tmp_path).stdout
    assert text.startswith("usage: nisf segment SCANS... [OPTIONS]")
    assert "-o, --output" in text and "LV myocardium" in " ".join(text.split()) and "'str | None'" not in text


def test_a_phantom_cohort_is_written_trained_on_scored_and_resumed(tmp_path):
    scanner = {"training": 4, "validation": 1, "test": 1, "matrix": 48, "voxel_mm": 4.0, "slices": 5, "frames": 3}
    made = nisf("phantom", "-o", "data", *options(scanner), cwd=tmp_path)
    assert made.returncode == 0 and made.stdout.strip() == "data/cohort.json"
    words = ("train", "data", "-o", "out", "--config", "phantom", *options(TINY))
    done = nisf(*words, "--epochs", 1, "--unet_epochs", 2, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    assert done.stdout.splitlines()[-1] == "out/model.pt"
    unet_prob = (tmp_path / "out" / "unet" / "unet.pt").stat().st_mtime_ns
    # the second step is lost: it alone is done again, from its checkpoint
    first = torch.load(tmp_path / "out" / "model.pt", weights_only=True)
    (tmp_path / "out" / "model.pt").unlink()
    again = nisf(*words, "--epochs", 1, "--unet_epochs", 2, "--resume", cwd=tmp_path)
    assert again.returncode == 0, again.stderr[-3000:]
    assert (tmp_path / "out" / "unet" / "unet.pt").stat().st_mtime_ns == unet_prob
    second = torch.load(tmp_path / "out" / "model.pt", weights_only=True)
    assert all(torch.equal(first[name], second[name]) for name in first)
    form = {name: TINY[name] for name in ("hidden_size", "latent_size", "num_layers", "features", "pixel", "patch")}
    weights = {"model": "out/model.pt", "unet_model": "out/unet/unet.pt"}
    scored = nisf(
        "evaluate", "data", "-o", "scores", "--config", "phantom", *options({**weights, **form}), cwd=tmp_path
    )
    assert scored.returncode == 0, scored.stderr[-3000:]
    rows = json.loads((tmp_path / "scores" / "scores.json").read_text())["rows"]
    assert {row["subject"] for row in rows} == {"test000"} and {row["class"] for row in rows} == {"LV", "MYO", "RV"}
