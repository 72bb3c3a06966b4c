"""What ``make demo`` leaves, with a shorter fit."""

import json

import numpy as np
import pytest
import torch

from nisf.cli.demo import canonical, main, rescaled


def test_demo_leaves_files_scores_and_a_picture_in_which_image_and_reconstruction_look_alike(tmp_path, capsys):
    main(str(tmp_path))
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
