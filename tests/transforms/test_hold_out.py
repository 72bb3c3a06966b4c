"""Slices and frames that a fit does not see."""

import nibabel as nib
import numpy as np
import pytest
import torch
from helpers.tensors import tensor
from helpers.tiny import chain, phantom_scans
from monai.data import MetaTensor
from monai.transforms import Invertd

from nisf.transforms.hold_out import HoldOutd
from nisf.transforms.scan import scan_of
from nisf.utils.errors import InputError


@pytest.mark.parametrize(
    "slices, kept",
    [
        ("every_2", [0, 2, 4]),
        ("every_3", [0, 1, 3, 4]),
        ("basal_2", [2, 3, 4]),
        ("apical_1", [0, 1, 2, 3]),
        ([0, 3], [1, 2, 4]),
        ([-1], [0, 1, 2, 3]),
        (2, [0, 1, 3, 4]),
        ([], [0, 1, 2, 3, 4]),
    ],
)
def test_held_out_slices_are_noted_once_and_the_voxels_stay(slices, kept):
    image = tensor(torch.rand(1, 4, 4, 5, 2))
    transform = HoldOutd("image", slices)
    item = transform({"image": image})
    assert scan_of(item["image"]).kept_slices == kept and scan_of(item["image"]).kept_frames is None
    assert torch.equal(item["image"].as_tensor(), image.as_tensor()) and scan_of(image).kept_slices is None
    assert scan_of(transform(item)["image"]).kept_slices == kept, "a second time changes nothing"


@pytest.mark.parametrize("frames, kept", [("every_2", [0, 2, 4, 6]), ([0, -1], [1, 2, 3, 4, 5])])
def test_held_out_frames_are_noted(frames, kept):
    item = HoldOutd("image", frames=frames)({"image": tensor(torch.rand(1, 4, 4, 3, 7))})
    assert scan_of(item["image"]).kept_frames == kept and scan_of(item["image"]).kept_slices is None


@pytest.mark.parametrize("slices", [[0, 1, 2, 3, 4], [5], [-6], "every_1", "basal_5", "middle_2", "every_0", ["a"]])
def test_hold_out_that_does_not_fit(slices):
    with pytest.raises(InputError, match="slices to hold out"):
        HoldOutd("image", slices)({"image": tensor(torch.rand(1, 4, 4, 5, 2))})


def test_frames_have_no_base():
    with pytest.raises(InputError, match="frames to hold out: 'basal_2' is unknown"):
        HoldOutd("image", frames="basal_2")


def test_held_out_slices_pass_the_inverse(tmp_path):
    transform = chain(HoldOutd("image", "every_2"))
    for entry in phantom_scans(tmp_path, 2, matrix=(26, 32), voxel_mm=5.5, slices=6, thickness_mm=14):
        item = transform(entry)
        item["seg"] = MetaTensor(item["label"].as_tensor().clone())
        back = Invertd("seg", transform, orig_keys="image", nearest_interp=False)(item)["seg"]
        assert np.array_equal(back[0].numpy(), np.asarray(nib.load(entry["label"]).dataobj))
