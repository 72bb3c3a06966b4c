"""Poses: there and back, composition, derivatives, and the pose that a segmentation shows."""

import math

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from nisf.geometry.frame import CoordinateFrame
from nisf.geometry.pose import Pose, moved, pose_of_classes, quarter_turns, slopes
from nisf.transforms.spatial import CropToFieldd, PoseOfd
from nisf.utils.errors import InputError, NoHeartFound

POSE = Pose(0.2, -0.1, 0.05, 0.6, 0.2, -0.15)
CHANGE = Pose(-0.05, 0.08, 0.1, -0.3, 0.1, 0.05)


def points(number=20, dims=3, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (dims, number))


def test_invert_undoes_apply():
    coords = points()
    np.testing.assert_allclose(POSE.invert(POSE.apply(coords)), coords, atol=1e-12)


def test_then_is_one_after_the_other():
    coords = points()
    np.testing.assert_allclose(POSE.then(CHANGE).apply(coords), CHANGE.apply(POSE.apply(coords)), atol=1e-12)


def test_change_to_is_what_then_undoes():
    np.testing.assert_allclose(POSE.then(POSE.change_to(CHANGE)).vector(), CHANGE.vector(), atol=1e-6)
    np.testing.assert_allclose(POSE.change_to(POSE.then(CHANGE)).vector(), CHANGE.vector(), atol=1e-6)


def test_a_larger_turned_heart_comes_to_the_same_place():
    """A point 0.2 from the centre, along the organ's own first axis, of an organ twice the size."""
    angle = math.radians(30)
    there = np.array([[0.3 + 0.2 * math.cos(angle)], [0.1 + 0.2 * math.sin(angle)], [0.5]])
    pose = Pose(0.3, 0.1, 0.25, angle, math.log(2), math.log(0.5))
    np.testing.assert_allclose(pose.apply(there)[:, 0], [0.1, 0.0, 0.5], atol=1e-12)


def test_moved_is_apply_for_each_scan_and_keeps_time():
    coords = torch.from_numpy(np.stack([points(7, 4, seed) for seed in range(2)]))
    found = moved(coords, torch.stack([POSE.vector(), CHANGE.vector()]).double())
    for row, pose in enumerate((POSE, CHANGE)):
        np.testing.assert_allclose(found[row, :3], pose.apply(coords[row, :3].numpy()), atol=1e-6)
    assert torch.equal(found[:, 3], coords[:, 3])


def test_slopes_are_the_derivatives_of_moved():
    coords, pose = torch.from_numpy(points(5, 4)), POSE.vector().double()
    full = torch.autograd.functional.jacobian(lambda p: moved(coords, p)[:3], pose)  # [3, N, 6]
    np.testing.assert_allclose(slopes(moved(coords, pose), pose), full.permute(1, 0, 2), atol=1e-10)


def segmentation(pose, shape=(60, 60, 14), unit=80.0):
    """An LV, its wall and an RV beside it, drawn where a pose puts them, and the frame of the grid."""
    frame = CoordinateFrame.posed(np.diag([2.0, 2.0, 6.0, 1.0]), shape, (0.0,), pose, 3, unit)
    x, y, z = frame.points(torch.arange(frame.size)).numpy() * unit
    classes = np.zeros(frame.size, dtype=int)
    long = np.abs(z) < 36
    classes[((x + 40) ** 2 + y**2 < 15**2) & long] = 3
    classes[(x**2 + y**2 < 30**2) & long] = 2
    classes[(x**2 + y**2 < 20**2) & long] = 1
    return classes.reshape(*shape, 1), frame


def found_in(pose, **options):
    classes, frame = segmentation(pose)
    sizes = {"radius": 30 / math.sqrt(2) / 80, "length": 72 / math.sqrt(12) / 80}
    return pose_of_classes(
        classes, tuple(frame.axis(a) for a in range(3)), **{"body": (1, 2), "pointer": 3, **sizes, **options}
    )


@pytest.mark.parametrize(
    "pose", [Pose(), Pose(0.15, -0.1, 0.03, 0.5, 0.12, -0.2), Pose(-0.1, 0.05, 0.0, -2.6, -0.15, 0.0)]
)
def test_the_pose_that_was_drawn_is_found(pose):
    found = found_in(pose).vector() - pose.vector()
    assert found[:2].abs().max() < 1 / 80  # a mm
    assert abs(found[2]) < 3 / 80  # half a slice
    assert abs(found[3]) < 0.03
    assert abs(found[4]) < 0.02
    assert abs(found[5]) < 0.06


def test_pieces_elsewhere_do_no_harm():
    pose = Pose(0.1, 0.05, 0.0, 0.3)
    classes, frame = segmentation(pose, shape=(100, 100, 14))
    places = tuple(frame.axis(a) for a in range(3))
    sizes = {"body": (1, 2), "pointer": 3, "radius": 30 / math.sqrt(2) / 80, "length": 72 / math.sqrt(12) / 80}
    clean = pose_of_classes(classes, places, **sizes).vector()
    classes[:12, :12], classes[-8:, :8] = 2, 3
    torch.testing.assert_close(pose_of_classes(classes, places, **sizes).vector(), clean)


def test_without_pointer_there_is_no_turn():
    assert found_in(Pose(angle=0.5), pointer=None).angle == 0.0


def test_no_body_no_pose():
    assert found_in(Pose(), body=(4,)) is None


def a_cine(shortening=(0.0, 0.1, 0.35, 0.3, 0.05), blank=()):
    """A heart whose cavity narrows and whose base sinks towards the apex, frame by frame; [1, X, Y, Z, T]."""
    still, frame = segmentation(Pose())
    x, y = frame.axis(0)[:, None, None], frame.axis(1)[None, :, None]
    frames = []
    for part in shortening:
        one = still[..., 0].copy()
        one[(one == 1) & (np.hypot(x, y) > (1 - part) * 20 / 80)] = 2
        one[:, :, : round(8 * part)] = 0
        frames.append(one)
    for number in blank:
        frames[number] = np.full_like(still[..., 0], -1)
    return MetaTensor(torch.from_numpy(np.stack(frames, axis=-1)[None]), affine=torch.from_numpy(frame.affine))


def pose_in(cine, **options):
    return torch.tensor(PoseOfd("label", **options)({"label": cine})["pose"])


def test_a_cine_has_the_pose_of_its_ed_and_es_alone():
    """Training's labels are of ED and ES: all frames of a cycle together lie elsewhere and are larger."""
    cine = a_cine()
    both = pose_in(cine[..., [0, 2]])
    assert torch.equal(pose_in(cine), both)
    assert float((pose_in(cine, phases=None) - both).abs().max()) > 0.01
    assert torch.equal(pose_in(cine, phases=None), pose_in(cine[..., [4, 3, 2, 1, 0]], phases=None))


def test_frames_without_labels_are_neither_ed_nor_es():
    assert torch.equal(pose_in(a_cine(blank=(0, 3))), pose_in(a_cine()[..., [2, 4]]))
    alone = a_cine(blank=(0, 1, 3, 4))
    assert torch.equal(pose_in(alone), pose_in(a_cine()[..., [2]], phases=None))


def test_a_posed_frame_goes_to_world_and_back():
    frame = CoordinateFrame.posed(np.diag([2.0, 1.5, 8.0, 1.0]), (30, 40, 6), (0.0, 0.5), POSE, 4)
    voxels = np.array([[3.0, 4.0, 5.0], [20.0, 11.5, 0.0]])
    world = voxels * [2.0, 1.5, 8.0]
    np.testing.assert_allclose(frame.normalised_to_world(frame.voxel_to_normalised(voxels)), world, atol=1e-9)
    np.testing.assert_allclose(frame.world_to_normalised(world), frame.voxel_to_normalised(voxels), atol=1e-9)
    flat = torch.tensor([((3 * 40 + 4) * 6 + 5) * 2 + 1])
    np.testing.assert_allclose(frame.points(flat)[:3, 0], frame.voxel_to_normalised(voxels[:1])[0], atol=1e-6)
    again = CoordinateFrame.from_dict(frame.to_dict())
    assert again.pose == frame.pose and torch.equal(again.points(flat), frame.points(flat))


def test_the_field_of_a_posed_frame_follows_the_heart():
    """A heart 20 mm off centre, half the usual size: the field is 40 mm about it."""
    pose = Pose(x=20 / 80, in_plane=math.log(0.5))
    frame = CoordinateFrame.posed(np.diag([2.0, 2.0, 8.0, 1.0]), (101, 101, 6), (0.0,), pose, 4, 80.0, 1.0)
    assert frame.box() == ((40, 81), (30, 71), (0, 6))
    cropped = frame.crop(frame.box())
    assert torch.allclose(
        cropped.points(torch.tensor([0])), frame.points(torch.tensor([(40 * 101 + 30) * 6])), atol=1e-6
    )


def test_a_scan_without_a_heart_is_refused_by_name():
    empty = MetaTensor(torch.zeros(1, 8, 8, 3, 1), affine=torch.eye(4), meta={"filename_or_obj": "scan7.nii.gz"})
    with pytest.raises(NoHeartFound, match="scan7.nii.gz: no heart found: no voxel has one of .* is it in view"):
        PoseOfd("label")({"label": empty})
    with pytest.raises(InputError, match="scan7.nii.gz: no organ found") as caught:
        PoseOfd("label", pointer=None)({"label": empty})
    assert not isinstance(caught.value, NoHeartFound), "nobody looked for a heart"


def test_a_posed_frame_without_a_pose_says_what_to_name():
    image = MetaTensor(torch.rand(1, 8, 8, 3, 1), affine=torch.eye(4), meta={"filename_or_obj": "a.nii"})
    with pytest.raises(InputError, match="a.nii: the organ's position is unknown; name a unet_model"):
        CropToFieldd("image", kind="posed")({"image": image})


@pytest.mark.parametrize("turns", range(4))
def test_a_quarter_turn_is_told_by_where_the_pointer_lies(turns):
    """Voxels are not square; an organ without a pointer in view has no direction."""
    classes = np.zeros((40, 40, 3, 1), dtype=int)
    classes[22:28, 14:24], classes[14:22, 16:22] = 1, 3
    turned, spacing = np.rot90(classes, turns), ((3.0, 2.0, 8.0) if turns % 2 else (2.0, 3.0, 8.0))
    assert quarter_turns(turned, spacing, (1, 2), 3, 10.0) == turns
    assert quarter_turns(np.where(turned == 3, 0, turned), spacing, (1, 2), 3, 10.0) == 0
    assert quarter_turns(turned, spacing, (1, 2), None, 10.0) == quarter_turns(turned, spacing, None, 3, 10.0) == 0
