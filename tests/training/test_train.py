"""The run ids of the bundle, as a user runs them: real commands, real files, tiny sizes, from another folder."""

import json
import subprocess
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from helpers.acdc_like import acdc_like
from helpers.bundle_runs import EVALUATION, NETWORK, PLAIN, PRIOR, TINY, command, run, train, weights
from helpers.calibration import calibration_error

from nisf.phantom.cohort import write_cohort


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> Path:
    """A tiny phantom cohort; an epoch is twenty times its training subjects."""
    folder = tmp_path_factory.mktemp("cohort")
    write_cohort(folder, n_training=4, n_validation=1, n_test=2, matrix=(24, 28), slices=4, frames=4)
    return folder


@pytest.fixture(scope="module")
def trained(cohort, tmp_path_factory) -> Path:
    """The output folder of four epochs of training."""
    folder = tmp_path_factory.mktemp("trained")
    train(folder, cohort, max_epochs=4, val_interval=2, checkpoint_interval=1, **TINY)
    return folder / "out"


def test_training_leaves_weights_curves_and_splits(trained):
    state = weights(trained)
    record = json.loads((trained / "validation.json").read_text())["history"]
    assert [entry["epoch"] for entry in record] == [2, 4]
    assert int(state["fit_steps"]) == record[-1]["best_step"]  # what inference will use
    assert int(state["num_subjects"]) == 4
    assert state["latent_factor"].diagonal().min() > 0 and state["guess_gain"].abs().max() > 0
    calibration = json.loads((trained / "calibration.json").read_text())
    assert float(state["temperature"]) == pytest.approx(calibration["temperature"])
    for name in ("training_curve.png", "fit_curve.png", "reliability.png"):
        assert (trained / name).read_bytes()[:4] == b"\x89PNG"
    splits = json.loads((trained / "splits.json").read_text())
    assert {key: len(ids) for key, ids in splits.items()} == {"training": 4, "validation": 1, "test": 2}
    assert list((trained / "tensorboard").glob("events*"))


def test_killed_and_resumed_training_equals_an_unbroken_one(trained, cohort, tmp_path):
    settings = {
        "dataset_dir": cohort,
        "output_dir": "out",
        "max_epochs": 4,
        "val_interval": 2,
        "checkpoint_interval": 1,
        **TINY,
    }
    with subprocess.Popen(
        command("training", [*PRIOR, *PLAIN], **settings), cwd=tmp_path, stdout=subprocess.DEVNULL
    ) as process:
        while process.poll() is None and not list(tmp_path.glob("out/checkpoint_epoch=*.pt")):
            time.sleep(0.002)
        process.kill()
    assert process.returncode == -9, "the training ended before it could be killed"
    resumed = run("training", [*PRIOR, *PLAIN], tmp_path, resume=True, **settings)
    assert resumed.returncode == 0, resumed.stderr[-3000:]
    expected, found = weights(trained), weights(tmp_path / "out")
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    history = json.loads((tmp_path / "out" / "training.json").read_text())
    assert [entry["epoch"] for entry in history] == [1, 2, 3, 4]


def test_resume_says_when_the_checkpoint_is_cut_off(cohort, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "checkpoint_epoch=3.pt").write_bytes(b"PK\x03\x04 cut off")
    done = run(
        "training",
        [*PRIOR, *PLAIN],
        tmp_path,
        dataset_dir=cohort,
        output_dir="out",
        resume=True,
        max_epochs=4,
        **TINY,
    )
    assert done.returncode != 0
    assert "checkpoint_epoch=3.pt: the checkpoint is damaged or cut off" in done.stderr


def test_inference_writes_on_the_scans_grid_and_goes_on_after_bad_scans(trained, cohort, tmp_path):
    scans = tmp_path / "scans"
    scans.mkdir()
    good = next(cohort.glob("test000_sa.nii.gz"))
    (scans / "good.nii.gz").write_bytes(good.read_bytes())
    (scans / "cut.nii.gz").write_bytes(good.read_bytes()[:2000])
    image = nib.load(good)
    flat = np.zeros(image.shape, np.int16)
    nib.save(nib.Nifti1Image(flat, image.affine), scans / "flat.nii.gz")
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj)[:, :, :1], image.affine), scans / "one_slice.nii.gz")
    done = run(
        "inference",
        ["inference.json", *PLAIN],
        tmp_path,
        layout="images",
        split_rule=None,
        dataset_dir=scans,
        output_dir="out",
        model=trained / "model.pt",
        save_probabilities=True,
        save_reconstruction=True,
        uncertainty_draws=3,
        **NETWORK,
    )
    assert done.returncode == 1
    assert "1 of 4 scans done" in done.stdout and "3 failed" in done.stdout
    for words in ("cut.nii.gz", "flat.nii.gz: every voxel has the value 0", "one_slice.nii.gz: has a single slice"):
        assert words in done.stdout
    result = nib.load(tmp_path / "out" / "good" / "good_seg.nii.gz")
    assert result.shape == image.shape and result.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(result.affine, image.affine)
    np.testing.assert_allclose(result.header.get_zooms(), image.header.get_zooms())
    assert result.header.get_xyzt_units() == image.header.get_xyzt_units()
    probability = nib.load(tmp_path / "out" / "good" / "good_prob.nii.gz").get_fdata()
    assert probability.shape == (*image.shape, 4)
    np.testing.assert_allclose(probability.sum(-1), 1, atol=5e-3)
    np.testing.assert_array_equal(probability.argmax(-1), np.asarray(result.dataobj))
    maps = nib.load(tmp_path / "out" / "good" / "good_uncertainty.nii.gz").get_fdata()
    assert maps.shape == (*image.shape, 4 + 2)
    np.testing.assert_allclose(maps[..., :4].sum(-1), 1, atol=5e-3)
    entropy = -(maps[..., :4] * np.log(np.maximum(maps[..., :4], 1e-12))).sum(-1)
    np.testing.assert_allclose(maps[..., 4], entropy, atol=1e-2)
    latent = torch.load(tmp_path / "out" / "good" / "good_latent.pt", weights_only=True)
    assert latent["covariance"].shape == (8, 8) and "converged" in latent["reason"]
    assert latent["latent"].shape == (8,) and latent["made_with"]["versions"]["torch"] == torch.__version__


def test_inference_is_the_same_alone_and_among_others(trained, cohort, tmp_path):
    settings = {"model": trained / "model.pt", "layout": "images", "split_rule": None, **NETWORK}
    all_of_them = run(
        "inference", ["inference.json", *PLAIN], tmp_path, dataset_dir=cohort, output_dir="all", **settings
    )
    one = run(
        "inference",
        ["inference.json", *PLAIN],
        tmp_path,
        dataset_dir=cohort / "test001_sa.nii.gz",
        output_dir="one",
        **settings,
    )
    assert all_of_them.returncode == one.returncode == 0, one.stderr[-3000:]
    name = Path("test001_sa") / "test001_sa_seg.nii.gz"
    assert (
        np.asarray(nib.load(tmp_path / "all" / name).dataobj) == np.asarray(nib.load(tmp_path / "one" / name).dataobj)
    ).all()


def test_adam_config_brings_back_the_papers_steps(trained, cohort, tmp_path):
    done = run(
        "inference",
        ["inference.json", *PLAIN, "adam.json"],
        tmp_path,
        layout="images",
        split_rule=None,
        dataset_dir=cohort / "test001_sa.nii.gz",
        output_dir="out",
        model=trained / "model.pt",
        **NETWORK,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    latent = torch.load(tmp_path / "out" / "test001_sa" / "test001_sa_latent.pt", weights_only=True)
    assert len(latent["history"]) == int(weights(trained)["fit_steps"]) and latent["covariance"] is None
    assert latent["made_with"]["settings"]["fit"].startswith("fit_adam(")


def test_resuming_a_finished_training_makes_its_weights_again(trained, cohort, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    newest = max(trained.glob("checkpoint_epoch=*.pt"), key=lambda path: path.stat().st_mtime)
    (folder / newest.name).write_bytes(newest.read_bytes())
    train(tmp_path, cohort, max_epochs=4, val_interval=2, checkpoint_interval=1, resume=True, **TINY)
    expected, found = weights(trained), weights(folder)
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_acdc_inference_writes_one_file_a_frame_with_labels_or_without(trained, cohort, tmp_path):
    data = acdc_like(cohort, tmp_path / "acdc")
    done = run(
        "inference",
        ["inference.json", "acdc.json", "plain.json"],
        tmp_path,
        dataset_dir=data,
        output_dir="out",
        model=trained / "model.pt",
        closed_cycle=False,
        **NETWORK,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    found = sorted(path.name for path in (tmp_path / "out").rglob("*_seg.nii.gz"))
    assert found == [f"patient{p}_frame{f}_seg.nii.gz" for p in ("001", "010") for f in ("01", "03")]
    for path in (tmp_path / "out").rglob("*_seg.nii.gz"):
        source = nib.load(next(data.rglob(path.name.replace("_seg", ""))))
        result = nib.load(path)
        assert result.shape == source.shape and result.get_data_dtype() == np.uint8
        np.testing.assert_array_equal(result.affine, source.affine)
        assert set(np.unique(result.dataobj)) <= {0, 1, 2, 3}


def test_evaluation_agrees_with_a_count_on_the_saved_files(trained, cohort, tmp_path):
    done = run(
        "evaluation",
        [*EVALUATION, *PLAIN],
        tmp_path,
        dataset_dir=cohort,
        output_dir="out",
        model=trained / "model.pt",
        save_probabilities=True,
        half_field=500,
        **NETWORK,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert scores["provenance"]["versions"]["monai"]
    cohort_list = json.loads((cohort / "cohort.json").read_text())["test"]
    checked, stated, right = 0, [], []
    for subject in cohort_list:
        stem = subject["image"].removesuffix(".nii.gz")
        prediction = np.asarray(nib.load(tmp_path / "out" / stem / f"{stem}_seg.nii.gz").dataobj)
        truth = np.asarray(nib.load(cohort / subject["label"]).dataobj)
        probability = nib.load(tmp_path / "out" / stem / f"{stem}_prob.nii.gz").get_fdata()
        stated.append(probability.max(-1).ravel())
        right.append((probability.argmax(-1) == truth).ravel())
        for row in (r for r in scores["rows"] if r["subject"] == subject["subject"]):
            number = {"LV": 1, "MYO": 2, "RV": 3}[row["class"]]
            p, t = prediction[..., row["frame"]] == number, truth[..., row["frame"]] == number
            assert row["dice"] == pytest.approx(2 * (p & t).sum() / (p.sum() + t.sum()), abs=1e-5)
            checked += 1
    assert checked == 2 * 2 * 3  # subjects, ED and ES, classes
    for picture in ("cases.png", "reliability.png"):
        assert (tmp_path / "out" / picture).read_bytes()[:4] == b"\x89PNG"
    calibration = json.loads((tmp_path / "out" / "calibration.json").read_text())["expected_calibration_error"]
    assert calibration["calibrated"]["field"] == pytest.approx(
        calibration_error(*map(np.concatenate, (stated, right))), abs=1e-3
    )


def test_settings_that_cannot_work_are_said_in_one_sentence(trained, cohort, tmp_path):
    missing = run(
        "inference",
        ["inference.json", *PLAIN],
        tmp_path,
        dataset_dir=tmp_path / "nowhere",
        output_dir="out",
        model=trained / "model.pt",
        **NETWORK,
    )
    assert missing.returncode != 0 and "nowhere" in missing.stderr
    cut = tmp_path / "cut.pt"
    cut.write_bytes((trained / "model.pt").read_bytes()[:500])
    broken = run(
        "inference",
        ["inference.json", *PLAIN],
        tmp_path,
        dataset_dir=cohort,
        output_dir="out",
        model=cut,
        **NETWORK,
    )
    assert "cut.pt: the model file is damaged or cut off" in broken.stderr
    other = run(
        "inference",
        ["inference.json", *PLAIN],
        tmp_path,
        dataset_dir=cohort,
        output_dir="out",
        model=trained / "model.pt",
    )
    assert "the weights are of another network" in other.stderr
    (tmp_path / "file").write_text("in the way")
    blocked = run(
        "inference",
        ["inference.json", *PLAIN],
        tmp_path,
        dataset_dir=cohort,
        output_dir="file/out",
        model=trained / "model.pt",
        **NETWORK,
    )
    assert "cannot be written to" in blocked.stderr


def test_the_papers_recipe_trains_on_every_voxel_of_one_frame_of_one_subject(cohort, tmp_path):
    train(tmp_path, cohort, "paper.json", max_epochs=2, val_interval=2, fit_steps=3, **NETWORK)
    checkpoint = torch.load(tmp_path / "out" / "checkpoint_epoch=2.pt", weights_only=True)
    assert checkpoint["trainer"]["epoch_length"] == 4  # one step a subject
    assert [part["param_groups"][0]["lr"] for part in checkpoint["optimizer"]["parts"]] == [1e-4, 1e-4]
