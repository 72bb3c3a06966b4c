"""What ``make demo`` leaves."""

import json

import nibabel as nib
import numpy as np
import pytest
import torch

from nisf.cli.demo import canonical, phantom_heart, real_heart, rescaled
from nisf.utils.bundle import bundle_root


def test_the_synthetic_heart_leaves_files_scores_and_a_picture_in_which_image_and_reconstruction_look_alike(
    tmp_path, capsys
):
    phantom_heart(tmp_path)
    printed = capsys.readouterr().out
    assert str(tmp_path / "demo.png") in printed
    result, stem = tmp_path / "test000_sa", "test000_sa"
    rows = json.loads((tmp_path / "scores.json").read_text())["summary"]
    for name in ("LV", "MYO", "RV"):
        dice = next(r["dice_mean"] for r in rows if r["class"] == name and r["phase"] == "mean")
        assert f"Dice {name:<4} {dice:.3f}" in printed
    assert torch.load(result / f"{stem}_latent.pt", weights_only=True)["latent"].shape == (128,)
    image, _ = canonical(tmp_path / "scan" / f"{stem}.nii.gz")
    reconstruction, _ = canonical(result / f"{stem}_recon.nii.gz")
    seen = reconstruction > 0
    assert np.corrcoef(rescaled(image)[seen], reconstruction[seen])[0, 1] > 0.7
    assert rescaled(image)[seen].mean() == pytest.approx(reconstruction[seen].mean(), abs=0.05)


def test_the_long_axis_of_a_real_heart_is_found_in_an_image_that_the_fit_did_not_see(tmp_path, capsys):
    """Blood is bright in a cine and muscle dark: they are so in the 4-chamber image where the plane says they are."""
    picture = real_heart(tmp_path)
    assert str(picture) in capsys.readouterr().out and picture.stat().st_size > 50_000
    image = np.asarray(nib.load(bundle_root() / "examples" / "volunteer" / "4ch.nii.gz").dataobj, float)
    classes = np.asarray(nib.load(tmp_path / "4ch_seg.nii.gz").dataobj)
    assert classes.shape == image.shape
    blood, muscle = (image[classes == k] for k in (1, 2))
    assert min(len(blood), len(muscle)) > 10_000
    assert np.median(blood) > 2 * np.median(muscle)
    areas = (classes == 1).sum(axis=(0, 1, 2))
    assert areas.argmin() not in (0, len(areas) - 1) and areas.min() < 0.6 * areas.max()
