"""The Scan stays with its image through transforms, batches and files, and never changes under another's hands."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.tiny import chain, phantom_scans
from monai.data import DataLoader, MetaTensor, decollate_batch

from nisf.geometry.frame import CoordinateFrame
from nisf.transforms.scan import Scan, UNetProb, scan_of, with_scan


@pytest.fixture(scope="module")
def entry(tmp_path_factory):
    return phantom_scans(tmp_path_factory.mktemp("scans"), 1, seed=2)[0]


def test_an_image_of_its_own_has_frames_spread_over_the_cycle():
    for image in (torch.rand(1, 3, 3, 2, 4), MetaTensor(torch.rand(1, 3, 3, 2, 4))):
        assert scan_of(image).times == (0.0, 0.25, 0.5, 0.75) and scan_of(image).frame is None


def test_another_scan_leaves_the_image_that_is_given_as_it_was():
    first, second = Scan((0.0, 0.5), "first"), Scan((0.0, 0.5), "second")
    image = with_scan(MetaTensor(torch.rand(1, 3, 3, 2, 2), meta={"filename_or_obj": "a.nii"}), first)
    other = with_scan(image, second)
    assert scan_of(image) is first and scan_of(other) is second
    assert torch.equal(image.as_tensor(), other.as_tensor()) and other.meta["filename_or_obj"] == "a.nii"
    assert scan_of(image[None][0] / 2) is first, "arithmetic and slices keep it"


def test_the_preprocessed_image_knows_all_that_is_needed(entry):
    image = chain(half_field=45.0)(entry)["image"]
    scan = scan_of(image)
    assert (scan.subject, scan.files) == (entry["subject"], (entry["image"],))
    assert scan.frame.shape == tuple(image.shape[1:4]) and scan.frame.times == scan.times
    assert np.array_equal(scan.frame.affine, image.affine.numpy())
    assert scan.fit is None and scan.quality is None and scan.mask is None and scan.unet_prob is None


def test_what_goes_back_to_the_files_grid_has_no_frame_of_the_cropped_one(entry):
    transform = chain(half_field=45.0)
    item = transform(entry)
    back = transform.transforms[2].inverse(item)
    assert back["image"].shape[1:3] != item["image"].shape[1:3]
    assert scan_of(back["image"]).frame is None and scan_of(item["image"]).frame is not None


def test_unet_probabilities_are_cropped_with_the_image():
    values = torch.rand(4, 6, 5, 3, 1)
    scan = Scan((0.0, 0.5), unet_prob=UNetProb(values, [1]), mask=torch.rand(6, 5, 3) > 0.5)
    frame = CoordinateFrame.relative(np.eye(4), (6, 5, 3), scan.times)
    box = ((1, 4), (0, 5), (1, 3))
    found = scan.cropped(box, frame.crop(box))
    assert torch.equal(found.unet_prob.values, values[:, 1:4, :, 1:3]) and found.unet_prob.frames == [1]
    assert torch.equal(found.mask, scan.mask[1:4, :, 1:3]) and found.frame.shape == (3, 5, 2)
    assert scan.unet_prob.values.shape == (4, 6, 5, 3, 1) and scan.frame is None


def test_one_frame_alone_has_one_time():
    times = (0.0, 0.3, 0.7)
    frame = CoordinateFrame.relative(np.eye(4), (3, 3, 2), times)
    found = Scan(times, "a", frame=frame, kept_frames=[0, 2]).at(2)
    assert found.times == found.frame.times == (0.7,) and found.kept_frames is None and found.subject == "a"


def test_monais_loader_puts_scans_into_a_batch_and_takes_them_out_again(entry):
    first = chain(half_field=45.0)(entry)
    second = {**first, "image": with_scan(first["image"], replace(scan_of(first["image"]), subject="other"))}
    (batch,) = DataLoader([{"image": one["image"]} for one in (first, second)], batch_size=2)
    assert [scan.subject for scan in batch["image"].meta["scan"]] == [entry["subject"], "other"]
    assert [scan_of(image).subject for image in batch["image"]] == [entry["subject"], "other"]
    items = decollate_batch(batch)
    assert scan_of(items[1]["image"]).subject == "other"
    assert scan_of(items[0]["image"]).frame is scan_of(first["image"]).frame
