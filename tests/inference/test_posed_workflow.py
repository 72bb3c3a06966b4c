"""U-Net, posed training and posed inference, one after the other, as a user runs them."""

import json

import nibabel as nib
import numpy as np
import pytest
import torch
from helpers.bundle_runs import EVALUATION, PRIOR, TINY, UNET, run

from nisf.geometry.frame import CoordinateFrame
from nisf.phantom.cohort import write_cohort

POSED = {"frame_kind": "posed", "pose_body": [1, 2], "unet_frames": 2}
NET = {"features": [8, 8, 16, 16, 16, 8], "pixel": 4.0}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Phantoms just large enough for a U-Net to see a heart in."""
    folder = tmp_path_factory.mktemp("cohort")
    write_cohort(folder, n_training=6, n_validation=2, n_test=2, matrix=(48, 52), voxel_mm=4.0, slices=5, frames=3)
    return folder


def trained_unet(cohort, folder, epochs, **settings):
    settings = {
        "stacks_per_epoch": 48,
        "patch": 48,
        "unet_lr": 0.01,
        "unet_val_interval": epochs,
        "unet_epochs": epochs,
        **NET,
        **settings,
    }
    done = run("training", [*UNET, "phantom.json"], folder, dataset_dir=cohort, output_dir="ev", **settings)
    assert done.returncode == 0, done.stderr[-3000:]
    return done


@pytest.fixture(scope="module")
def posed(cohort, tmp_path_factory):
    """Folder with U-Net weights in ``ev`` and a posed training in ``out``."""
    folder = tmp_path_factory.mktemp("posed")
    trained_unet(cohort, folder, 18)
    settings = {**TINY, **POSED, **NET, "unet_model": "ev/unet.pt", "copies": 2}
    done = run(
        "training",
        [*PRIOR, "phantom.json"],
        folder,
        dataset_dir=cohort,
        output_dir="out",
        max_epochs=3,
        val_interval=3,
        **settings,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def test_the_unet_knows_a_heart_after_a_short_training(posed):
    """Its poses on the validation subjects are near the labels': the prior over changes of the pose says how near."""
    factor = torch.load(posed / "out" / "model.pt", weights_only=True)["pose_factor"]
    spread = factor.diagonal() * torch.tensor([80.0, 80, 80, 1, 1, 1])
    assert bool((factor.diagonal() > 0).all()) and spread[:2].max() < 15  # mm


def test_weights_are_calibrated_anew_as_at_the_end_of_their_training(posed, cohort):
    settings = {**TINY, **POSED, **NET, "unet_model": "ev/unet.pt", "copies": 2, "dataset_dir": cohort}
    trained = torch.load(posed / "out" / "model.pt", weights_only=True)
    spoilt = {name: value.clone() for name, value in trained.items()}
    for name in ("temperature", "pose_factor", "guess_gain"):
        spoilt[name] *= 3
    spoilt["fit_steps"].fill_(200)  # as where no validation was made
    torch.save(spoilt, posed / "spoilt.pt")
    settings |= {"model": "spoilt.pt", "output_dir": "again"}
    of_steps = ("points_per_subject", "subjects_per_step", "steps_per_epoch", "compile")
    settings = {name: value for name, value in settings.items() if name not in of_steps}
    done = run("calibration", [*PRIOR, "phantom.json"], posed, **settings)
    assert done.returncode == 0, done.stderr[-3000:]
    again = torch.load(posed / "again" / "model.pt", weights_only=True)
    assert all(torch.equal(trained[name], again[name]) for name in trained)
    (validation,) = json.loads((posed / "again" / "validation.json").read_text())["history"]
    assert validation["best_step"] == int(again["fit_steps"]) <= TINY["fit_steps"]
    assert (posed / "again" / "fit_curve.png").read_bytes()[:4] == b"\x89PNG"


def test_each_virtual_subject_has_a_latent_of_its_own(posed):
    checkpoint = torch.load(posed / "out" / "checkpoint_epoch=3.pt", weights_only=True)
    assert checkpoint["latents"]["weight"].shape[0] == 6 * 2


def test_a_posed_scan_is_segmented_on_its_own_grid(posed, cohort):
    settings = {**POSED, **NET, "unet_model": "ev/unet.pt", "model": "out/model.pt", "uncertainty_draws": 2}
    network = {key: TINY[key] for key in ("hidden_size", "latent_size", "num_layers")}
    done = run(
        "evaluation",
        [*EVALUATION, "phantom.json"],
        posed,
        dataset_dir=cohort,
        output_dir="eval",
        final_points=1024,
        **network,
        **settings,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    subject = json.loads((cohort / "cohort.json").read_text())["test"][0]
    image = nib.load(cohort / subject["image"])
    (seg,) = (posed / "eval").glob(f"{subject['subject']}*/*_seg.nii.gz")
    assert nib.load(seg).shape == image.shape and np.allclose(nib.load(seg).affine, image.affine)
    (latent,) = (posed / "eval").glob(f"{subject['subject']}*/*_latent.pt")
    content = torch.load(latent, weights_only=True)
    assert content["pose"].shape == (6,) and CoordinateFrame.from_dict(content["frame"]).pose is not None


def test_a_posed_frame_without_a_unet_is_refused_before_hours_are_spent(posed, cohort):
    settings = {**TINY, "frame_kind": "posed"}
    done = run(
        "training",
        [*PRIOR, "phantom.json", "plain.json"],
        posed,
        dataset_dir=cohort,
        output_dir="no",
        max_epochs=1,
        **settings,
    )
    assert done.returncode != 0 and "name a unet_model" in done.stderr


def test_the_unet_goes_on_from_a_checkpoint_as_if_nothing_had_happened(cohort, tmp_path):
    trained_unet(cohort, tmp_path, 2, stacks_per_epoch=8)
    weights = torch.load(tmp_path / "ev" / "unet.pt", weights_only=True)
    (tmp_path / "ev" / "unet.pt").unlink()
    (tmp_path / "ev" / "checkpoint_epoch=2.pt").unlink()
    trained_unet(cohort, tmp_path, 2, stacks_per_epoch=8, resume=True)
    again = torch.load(tmp_path / "ev" / "unet.pt", weights_only=True)
    assert all(torch.equal(value, again[name]) for name, value in weights.items())
    assert weights["unet.final_conv.weight"].dtype == torch.float16  # small enough for git
