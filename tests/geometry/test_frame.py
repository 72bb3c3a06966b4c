"""A voxel, a world point and a normalised coordinate are one place."""

import numpy as np
import pytest
import torch
from helpers.affines import oblique, world

from nisf.geometry import orientation
from nisf.geometry.frame import CoordinateFrame

SHAPE = (6, 5, 4)

TIMES = (0.0, 0.25, 0.6)


def frames():
    affine = oblique(np.random.default_rng(5), spacing=(2.0, 2.5, 8.0))
    return [
        CoordinateFrame.relative(affine, SHAPE, TIMES),
        CoordinateFrame.physical(affine, SHAPE, TIMES, half_field=10.0, center=(1.0, -2.0)),
    ]


@pytest.fixture(params=[0, 1], ids=["relative", "physical"])
def frame(request):
    return frames()[request.param]


def test_relative_coordinates_are_positions_in_the_volume():
    frame = frames()[0]
    assert frame.voxel_to_normalised([[0, 0, 0], [5, 4, 3], [2.5, 2, 1.5]]) == pytest.approx(
        np.array([[1 / 12, 1 / 10, 1 / 8], [11 / 12, 9 / 10, 7 / 8], [0.5, 0.5, 0.5]])
    )
    assert frame.axis(2) == pytest.approx([0.125, 0.375, 0.625, 0.875])
    assert frame.box() == ((0, 6), (0, 5), (0, 4)), "the whole volume is the field"


def test_physical_coordinates_are_millimetres_about_the_centre():
    frame = frames()[1]
    centre = frame.voxel_to_normalised([[2.5, 2.0, 1.5]])[0]
    assert centre == pytest.approx([-0.1, 0.2, 0.0]), "the field's centre lies at (1, -2) mm, 10 mm are one"
    step = frame.voxel_to_normalised([[3.5, 3.0, 2.5]])[0] - centre
    assert step == pytest.approx([0.2, 0.25, 0.5]), "2 mm, 2.5 mm, a fourth of the stack (-1 to 1)"
    # the field's centre in world: from the stack's middle 1 mm along x and -2 mm along y
    x, y, _ = orientation.directions(frame.affine).T
    assert frame.normalised_to_world([[0, 0, 0]])[0] == pytest.approx(world(frame.affine, (2.5, 2, 1.5)) + x - 2 * y)


def test_physical_field_of_a_scan_does_not_depend_on_its_voxel_size():
    affine = oblique(np.random.default_rng(6), spacing=(2.0, 2.0, 8.0))
    fine = affine @ np.diag([0.5, 0.5, 1, 1])
    fine[:3, 3] = world(affine, (-0.25, -0.25, 0))  # the same outer edges, voxels half as wide
    coarse_frame = CoordinateFrame.physical(affine, (10, 10, 3), (0.0,))
    fine_frame = CoordinateFrame.physical(fine, (20, 20, 3), (0.0,))
    points = affine[:3, 3] + np.random.default_rng(7).uniform(-20, 20, (9, 3))
    assert coarse_frame.world_to_normalised(points) == pytest.approx(fine_frame.world_to_normalised(points))


def test_world_and_normalised_go_there_and_back(frame):
    points = np.random.default_rng(8).uniform(-100, 100, (20, 3))
    assert frame.normalised_to_world(frame.world_to_normalised(points)) == pytest.approx(points)
    coords = np.random.default_rng(9).uniform(-1, 1, (20, 3))
    assert frame.voxel_to_normalised(frame.normalised_to_voxel(coords)) == pytest.approx(coords)


def test_a_voxel_index_is_its_world_place(frame):
    voxels = np.array([[0, 0, 0], [5, 0, 0], [0, 4, 0], [0, 0, 3], [3, 1, 2]])
    places = np.stack([world(frame.affine, v) for v in voxels])
    assert frame.world_to_normalised(places) == pytest.approx(frame.voxel_to_normalised(voxels))


def test_points_follow_the_flattened_grid_with_time_fastest(frame):
    coords = frame.points(torch.arange(frame.size))
    assert coords.shape == (4, 6 * 5 * 4 * 3) and coords.dtype == torch.float32
    grid = coords.reshape(4, *SHAPE, len(TIMES)).numpy()
    for voxel in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (4, 2, 3)):
        place = frame.world_to_normalised([world(frame.affine, voxel)])[0]
        for t, time in enumerate(TIMES):
            assert grid[(slice(None), *voxel, t)] == pytest.approx([*place, time], abs=1e-6), (voxel, t)


def test_points_of_some_indices_are_those_of_all(frame):
    chosen = torch.tensor([7, 0, 359, 100, 7])
    assert torch.equal(frame.points(chosen), frame.points(torch.arange(frame.size))[:, chosen])


def test_static_frames_have_three_coordinates():
    frame = CoordinateFrame.relative(np.eye(4), SHAPE, (0.0,), dims=3)
    assert frame.size == 120
    assert frame.points(torch.arange(frame.size)).shape == (3, 120)


def test_cropping_keeps_world_and_normalised_coordinates(frame):
    box = ((1, 5), (2, 4), (1, 4))
    cropped = frame.crop(box)
    assert cropped.shape == (4, 2, 3) and cropped.times == TIMES and cropped.dims == 4
    whole = frame.points(torch.arange(frame.size)).reshape(4, *SHAPE, 3)
    inside = cropped.points(torch.arange(cropped.size)).reshape(4, *cropped.shape, 3)
    assert torch.allclose(inside, whole[:, 1:5, 2:4, 1:4], atol=1e-6)
    assert world(cropped.affine, (0, 0, 0)) == pytest.approx(world(frame.affine, (1, 2, 1)))
    points = np.random.default_rng(10).uniform(-50, 50, (9, 3))
    assert cropped.world_to_normalised(points) == pytest.approx(frame.world_to_normalised(points))


def test_cropping_twice_is_cropping_once(frame):
    twice = frame.crop(((1, 6), (1, 5), (0, 4))).crop(((1, 3), (1, 3), (2, 4)))
    once = frame.crop(((2, 4), (2, 4), (2, 4)))
    assert np.allclose(twice.affine, once.affine) and twice.offset == pytest.approx(once.offset)


def test_box_holds_the_voxels_whose_centres_lie_in_the_field():
    affine = np.diag([2.0, 2.0, 8.0, 1.0])
    frame = CoordinateFrame.physical(affine, (21, 21, 5), (0.0,), half_field=11.0, center=(4.0, 0.0))
    assert frame.box() == ((7, 18), (5, 16), (0, 5)), "11 mm are 5 voxels to each side; all slices"
    cropped = frame.crop(frame.box())
    assert (cropped.axis(0).min(), cropped.axis(0).max()) == pytest.approx((-10 / 11, 10 / 11))
    assert cropped.box() == ((0, 11), (0, 11), (0, 5)), "a cropped frame lies inside its field"
    near_edge = CoordinateFrame.physical(affine, (21, 21, 5), (0.0,), half_field=11.0, center=(16.0, 0.0))
    assert near_edge.box() == ((13, 21), (5, 16), (0, 5)), "the scan's edge ends the field"


def test_field_outside_the_scan_is_an_error():
    frame = CoordinateFrame.physical(np.eye(4), (5, 5, 5), (0.0,), half_field=10.0, center=(40.0, 0.0))
    with pytest.raises(ValueError, match="outside the scan"):
        frame.box()


def test_frame_survives_a_checkpoint(tmp_path, frame):
    torch.save(frame.crop(((1, 5), (0, 5), (0, 4))).to_dict(), tmp_path / "frame.pt")
    loaded = CoordinateFrame.from_dict(torch.load(tmp_path / "frame.pt", weights_only=True))
    expected = frame.crop(((1, 5), (0, 5), (0, 4)))
    assert np.array_equal(loaded.affine, expected.affine)
    for name in ("shape", "times", "scale", "offset", "dims", "field"):
        assert getattr(loaded, name) == getattr(expected, name), name
    everything = torch.arange(expected.size)
    assert torch.equal(loaded.points(everything), expected.points(everything))
