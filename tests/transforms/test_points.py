"""Drawn frames and points carry the values of their voxels, in the shares and order that they should."""

import nibabel as nib
import numpy as np
import pytest
import torch
from helpers.tiny import chain, phantom_scans
from monai.transforms import Compose

from nisf.geometry.frame import CoordinateFrame
from nisf.training.store import typed
from nisf.transforms.points import RandFramed, RandPointsd, ToStored, gather_points, label_box
from nisf.transforms.scan import Scan, scan_of, with_scan
from nisf.utils.tensors import as_intensity


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    return phantom_scans(tmp_path_factory.mktemp("cohort"), 1)[0]


def stored(scan, **crop):
    return {**typed(ToStored()(chain(**crop)(scan))), "index": 5}


def test_stored_subject_holds_8_bits_frames_apart_and_boxes(scan):
    plain, item = chain()(scan), stored(scan)
    assert item["image"].dtype == torch.uint8 and item["label"].dtype == torch.int8
    assert torch.allclose(as_intensity(item["image"]), plain["image"].as_tensor(), atol=0.5 / 255 + 1e-6)
    assert torch.equal(item["label"], plain["label"].as_tensor().to(torch.int8))
    assert item["image"][..., 1].is_contiguous(), "a frame is one piece of memory"
    assert item["subject"] == scan["subject"] and item["phases"] == scan["phases"]
    assert scan_of(item["image"]).frame.to_dict() == scan_of(plain["image"]).frame.to_dict()
    for t, box in enumerate(item["boxes"]):
        where = np.argwhere(item["label"][0, ..., t].numpy() > 0)
        assert [[low, high] for low, high in zip(where.min(axis=0), where.max(axis=0) + 1)] == box
    without = ToStored()(chain()({**scan, "label": None}))
    assert torch.all(without["label"] == -1) and without["label"].shape == (1, *without["image"].shape[1:])
    assert without["boxes"][0] == [[0, n] for n in without["image"].shape[1:4]]


def test_nothing_has_no_label_box():
    assert label_box(torch.full((3, 4, 5), -1)) is None


def test_frames_are_drawn_uniformly_and_whole():
    image = torch.arange(5.0).expand(1, 2, 2, 2, 5)
    times = tuple(t / 5 for t in range(5))
    scan = Scan(times, frame=CoordinateFrame.relative(np.eye(4), (2, 2, 2), times))
    item = {"image": with_scan(image, scan), "label": image.to(torch.int8), "boxes": [[[t, t]] * 3 for t in range(5)]}
    transform = RandFramed()
    transform.set_random_state(0)
    counts = np.zeros(5, int)
    for _ in range(1000):
        drawn = transform(item)
        t = int(drawn["image"][0, 0, 0, 0, 0])
        counts[t] += 1
        assert drawn["image"].shape == (1, 2, 2, 2, 1) and torch.all(drawn["label"] == t)
        assert scan_of(drawn["image"]).frame.times == scan_of(drawn["image"]).times == (t / 5,) and drawn["boxes"] == [
            [[t, t]] * 3
        ]
    assert np.all(np.abs(counts - 200) < 60), counts  # 60 is 4.7 standard deviations
    assert scan_of(item["image"]) is scan and item["image"].shape[-1] == 5, "the stored item stays as it is"


def test_drawn_points_have_the_values_of_their_voxels(scan):
    item = stored(scan, half_field=45.0)
    transform = Compose([RandFramed(), RandPointsd(400, foreground=0.5)])
    transform.set_random_state(1)
    frame = scan_of(item["image"]).frame
    for _ in range(4):
        points = transform(item)
        assert points["coords"].shape == (4, 400) and points["coords"].dtype == torch.float32
        assert points["intensity"].shape == points["label"].shape == (1, 400) and points["index"] == 5
        times = set(points["coords"][3].tolist())
        assert len(times) == 1
        t = int(np.argmin(np.abs(np.array(frame.times) - times.pop())))
        voxels = frame.normalised_to_voxel(points["coords"][:3].numpy().T)
        assert np.allclose(voxels, np.rint(voxels), atol=1e-4)
        where = (0, *np.rint(voxels).astype(int).T, t)
        assert np.array_equal(points["label"][0], item["label"].numpy()[where])
        assert np.allclose(points["intensity"][0], item["image"].numpy()[where] / 255)


def test_points_carry_the_label_of_their_world_place(scan):
    """Independent of the frame's own arithmetic: the file's label at the world place of each coordinate."""
    item = stored(scan, half_field=45.0)
    points = gather_points(item, torch.arange(0, item["image"].numel(), 37))
    frame = scan_of(item["image"]).frame
    file = nib.load(scan["label"])
    world = frame.normalised_to_world(points["coords"][:3].numpy().T.astype(float))
    voxels = np.rint((world - file.affine[:3, 3]) @ np.linalg.inv(file.affine[:3, :3]).T).astype(int)
    frames = np.rint(points["coords"][3].numpy() * file.shape[3]).astype(int)
    assert np.array_equal(points["label"][0].numpy(), np.asarray(file.dataobj)[(*voxels.T, frames)])


def test_foreground_share_is_drawn_from_the_labels_box():
    label = torch.zeros(1, 40, 40, 10, 1, dtype=torch.int8)
    label[0, 18:22, 8:12, 4:6] = 2
    frame = CoordinateFrame.relative(np.eye(4), (40, 40, 10), (0.0,))
    image = with_scan(torch.zeros(1, 40, 40, 10, 1, dtype=torch.uint8), Scan((0.0,), frame=frame))
    item = {"image": image, "label": label, "index": 0}
    item["boxes"], item["seen"] = [label_box(label[0, ..., 0])], [[[0, n] for n in label.shape[1:4]]]

    def voxels(foreground):
        transform = RandPointsd(4000, foreground, margin=3)
        transform.set_random_state(2)
        coords = transform(item)["coords"][:3].numpy().T
        return frame.normalised_to_voxel(coords).round().astype(int)

    def share(v):
        return np.mean(np.all((v >= [15, 5, 3]) & (v < [25, 15, 7]), axis=1))  # 3 voxels wider, 1 slice

    near = voxels(1.0)
    assert near.min(axis=0).tolist() == [15, 5, 3] and near.max(axis=0).tolist() == [24, 14, 6]
    around = 10 * 10 * 4 / (40 * 40 * 10)
    assert share(voxels(0.5)) == pytest.approx(0.5 + 0.5 * around, abs=0.01)
    assert share(voxels(0.0)) == pytest.approx(around, abs=0.015)
    everywhere = voxels(0.0)
    assert everywhere.min(axis=0).tolist() == [0, 0, 0] and everywhere.max(axis=0).tolist() == [39, 39, 9]


def test_all_points_are_every_voxel_once(scan):
    item = stored(scan)
    points = Compose([RandFramed(), RandPointsd(None)])(item)
    assert points["coords"].shape[1] == np.prod(item["image"].shape[1:4])
    assert len(np.unique(points["coords"].numpy(), axis=1).T) == points["coords"].shape[1]


def test_draws_follow_the_seed(scan):
    item = stored(scan)

    def draw(seed):
        transform = Compose([RandFramed(), RandPointsd(50, 0.5)])
        transform.set_random_state(seed)
        return torch.cat([transform(item)["coords"] for _ in range(3)], dim=1)

    assert torch.equal(draw(7), draw(7))
    assert not torch.equal(draw(7), draw(8))
    assert len(set(draw(7)[3].tolist())) > 1, "frames differ from draw to draw"
