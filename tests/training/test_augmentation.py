"""Intensity augmentations of the U-Net's training: each changes some images, within bounds, and no label."""

import pytest
import torch
from monai.utils import ensure_tuple

from nisf.utils.bundle import parser_of

STEPS = parser_of(["inference", "train", "unet"]).get_parsed_content("train#random_transforms")
#: Those that change intensities alone.
ALONE = [step for step in STEPS if ensure_tuple(getattr(step, "keys", ())) == ("image",)]


def name_of(step):
    return type(step).__name__


def test_there_are_some():
    assert len(ALONE) >= 5


@pytest.mark.parametrize("step", ALONE, ids=name_of)
def test_an_augmentation_changes_some_images_and_no_label(step):
    step.set_random_state(seed=0)
    image, label = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(1)), torch.ones(1, 32, 32)
    changed = 0
    for _ in range(60):
        out = step({"image": image.clone(), "label": label.clone()})
        assert torch.equal(torch.as_tensor(out["label"]), label)
        assert out["image"].shape == image.shape and torch.isfinite(torch.as_tensor(out["image"])).all()
        changed += not torch.equal(torch.as_tensor(out["image"]), image)
    assert 0 < changed < 60, f"{name_of(step)} changes {changed} of 60 images; set its prob between 0 and 1"
