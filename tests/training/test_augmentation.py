"""Intensity augmentations of the U-Net's training: each changes some images, within bounds, and no label."""

import pytest
import torch
from monai.utils import ensure_tuple

from nisf.utils.bundle import parser_of

STEPS = parser_of(["inference", "train", "unet"]).get_parsed_content("train#random_transforms")
NAMES = [type(step).__name__ for step in STEPS]
#: Those that change intensities alone: between the one that moves and the one that crops image and label.
ALONE = STEPS[NAMES.index("Rand2DElasticd") + 1 : NAMES.index("RandFieldOfViewd")]


def name_of(step):
    return type(step).__name__


def test_there_are_some():
    assert len(ALONE) >= 5
    assert {ensure_tuple(step.keys) for step in ALONE} == {("image",)}


@pytest.mark.parametrize("step", ALONE, ids=name_of)
def test_an_augmentation_changes_some_images_and_no_label(step):
    step.set_random_state(seed=0)
    x, y = torch.meshgrid(torch.linspace(0, 1, 32), torch.linspace(0, 1, 32), indexing="ij")
    image = torch.stack([0.5 + 0.4 * torch.sin(9 * x + k) * torch.cos(7 * y) for k in range(3)])
    label = torch.zeros(1, 32, 32)
    label[:, 8:24, 8:24] = 1
    changed = 0
    for _ in range(60):
        out = step({"image": image.clone(), "label": label.clone()})
        assert torch.equal(torch.as_tensor(out["label"]), label)
        shown = torch.as_tensor(out["image"])
        assert shown.shape == image.shape and torch.isfinite(shown).all() and shown.abs().max() < 3
        assert torch.corrcoef(torch.stack([shown.flatten(), image.flatten()]))[0, 1] > 0.4
        changed += not torch.equal(torch.as_tensor(out["image"]), image)
    assert 0 < changed < 60, f"{name_of(step)} changes {changed} of 60 images; set its prob between 0 and 1"
