"""A voxel, a world point and a normalised coordinate are one place, whichever way the file was stored."""

from itertools import permutations, product

import numpy as np
import pytest
import torch
from nibabel.affines import apply_affine
from scipy.spatial.transform import Rotation

from nisf.geometry import orientation
from nisf.geometry.frame import CoordinateFrame
from nisf.geometry.orientation import ANATOMY, SHORT_AXIS

ORDERS = list(permutations(range(3)))
FLIPS = list(product((False, True), repeat=3))


def oblique(rng, degrees=30.0, spacing=(1.4, 1.6, 9.0)):
    """Affine of an array in canonical orientation, of a heart turned by up to ``degrees`` about a random axis."""
    axis = rng.normal(size=3)
    turn = Rotation.from_rotvec(axis / np.linalg.norm(axis) * np.deg2rad(rng.uniform(0, degrees))).as_matrix()
    affine = np.eye(4)
    affine[:3, :3] = turn @ SHORT_AXIS * spacing
    affine[:3, 3] = rng.uniform(-90, 90, 3)
    return affine


def stored(array, affine, order, flips):
    """The array as another scanner would store it: axes put in ``order``, some reversed; each voxel stays in place."""
    shape = np.array(array.shape)[list(order)]
    columns = affine[:3, list(order)]
    first = affine[:3, 3] + sum(columns[:, a] * (shape[a] - 1) for a in range(3) if flips[a])
    out = np.eye(4)
    out[:3, :3], out[:3, 3] = np.where(flips, -columns, columns), first
    return np.flip(array.transpose(order), [a for a in range(3) if flips[a]]), out


def turned(array, order, flips):
    return np.flip(array.transpose(order), [a for a in range(3) if flips[a]])


def world(affine, voxel):
    return apply_affine(affine, np.asarray(voxel, float))


# ---- directions of the heart


def test_reference_directions_are_orthonormal_and_point_where_they_say():
    assert np.allclose(SHORT_AXIS.T @ SHORT_AXIS, np.eye(3))
    lateral, inferior, apex = SHORT_AXIS.T
    assert np.allclose(apex, [-0.651, 0.501, -0.571], atol=1e-3), "left, forwards, down"
    assert np.allclose(inferior, [0.452, -0.348, -0.821], atol=1e-3), "mostly down"
    assert np.allclose(lateral, [-0.610, -0.793, 0.0], atol=1e-3), "left and backwards, level"
    assert [ANATOMY[word] for word in ("septal", "anterior", "base")] == [(0, -1), (1, -1), (2, -1)]


def test_spacing_and_directions():
    affine = oblique(np.random.default_rng(0))
    assert orientation.spacing_of(affine) == pytest.approx((1.4, 1.6, 9.0))
    assert np.allclose(np.linalg.norm(orientation.directions(affine), axis=0), 1)
    assert np.allclose(orientation.directions(affine) * [1.4, 1.6, 9.0], affine[:3, :3])


@pytest.mark.parametrize(
    "spacing, axis",
    [
        ((1.4, 1.4, 8), 2),
        ((8, 1.4, 1.4), 0),
        ((1.4, 8, 1.5), 1),
        ((2, 2, 1), 2),
        ((1, 2, 2), 0),
        ((1, 1, 1), 2),
        ((1, 1, 1.001), 2),
    ],
)
def test_slice_axis_is_the_odd_one_out(spacing, axis):
    assert orientation.slice_axis_of(np.diag([*spacing, 1.0])) == axis


def test_any_storage_order_comes_back_to_the_short_axis_orientation():
    rng = np.random.default_rng(1)
    array = np.arange(5 * 6 * 4).reshape(5, 6, 4)
    for order, flips in product(ORDERS, FLIPS):
        canonical = oblique(rng)
        file, affine = stored(array, canonical, order, flips)
        found = orientation.short_axis_permutation(affine)
        assert np.array_equal(turned(file, *found), array), (order, flips)
        back = orientation.permuted_affine(affine, file.shape, *found)
        assert np.allclose(back, canonical), (order, flips)


def test_many_oblique_scans_end_lateral_inferior_apex_and_never_mirrored():
    rng = np.random.default_rng(2)
    for _ in range(100):
        order, flips = ORDERS[rng.integers(6)], FLIPS[rng.integers(8)]
        file, affine = stored(np.zeros((5, 6, 4)), oblique(rng), order, flips)
        found = orientation.short_axis_permutation(affine)
        got = orientation.directions(orientation.permuted_affine(affine, file.shape, *found))
        assert np.all(np.sum(got * SHORT_AXIS, axis=0) > np.cos(np.deg2rad(30.001))), "x lateral, y inferior, z apex"
        assert np.linalg.det(got) == pytest.approx(np.linalg.det(SHORT_AXIS))


def test_slices_go_last_even_where_another_axis_lies_nearer_to_the_apex_direction():
    """A stack planned across the usual slices is still read slice by slice, and not mirrored."""
    affine = np.eye(4)
    affine[:3, :3] = SHORT_AXIS * [9.0, 1.4, 1.4]  # slices run along the lateral direction
    order, flips = orientation.short_axis_permutation(affine)
    assert order[2] == 0
    got = orientation.directions(orientation.permuted_affine(affine, (5, 6, 4), order, flips))
    assert np.linalg.det(got) == pytest.approx(np.linalg.det(SHORT_AXIS))


# ---- orientation by words


@pytest.mark.parametrize(
    "words, order, flips",
    [
        (["lateral", "inferior", "apex"], (0, 1, 2), (False, False, False)),
        (["inferior", "septal", "apex"], (1, 0, 2), (True, False, False)),
        (["base", "lateral", "anterior"], (1, 2, 0), (False, True, True)),
    ],
)
def test_stated_axes(words, order, flips):
    assert orientation.stated_permutation(words) == (order, flips)


def test_stated_axes_agree_with_the_affine():
    rng = np.random.default_rng(3)
    names = {(column, sign): word for word, (column, sign) in ANATOMY.items()}
    for order, flips in product(ORDERS, FLIPS):
        _, affine = stored(np.zeros((5, 6, 4)), oblique(rng, 10), order, flips)
        words = [names[axis, -1 if flip else 1] for axis, flip in zip(order, flips)]
        assert orientation.stated_permutation(words) == orientation.short_axis_permutation(affine), words


@pytest.mark.parametrize(
    "words",
    [["lateral", "inferior", "up"], ["lateral", "septal", "apex"], ["lateral", "inferior"], ["lateral"] * 3, []],
)
def test_stated_axes_that_make_no_sense(words):
    with pytest.raises(ValueError, match="array_axes must name three directions"):
        orientation.stated_permutation(words)


def test_affines_without_obliqueness_have_lost_the_orientation():
    assert not orientation.has_orientation(np.diag([1.5, 1.5, 10.0, 1.0]))
    assert not orientation.has_orientation(np.diag([-1.5, 1.5, 10.0, 1.0])[[1, 0, 2, 3]])
    assert orientation.has_orientation(oblique(np.random.default_rng(0)))


@pytest.mark.parametrize("order, flips", [(ORDERS[i], f) for i, f in ((0, FLIPS[7]), (3, FLIPS[2]), (4, FLIPS[5]))])
def test_permuted_affine_leaves_every_voxel_where_it_is(order, flips):
    shape = (4, 3, 5)
    affine = oblique(np.random.default_rng(4))
    numbers = np.arange(60).reshape(shape)
    moved = turned(numbers, order, flips)
    after = orientation.permuted_affine(affine, shape, order, flips)
    for voxel in np.ndindex(moved.shape):
        old = np.argwhere(numbers == moved[voxel])[0]
        assert np.allclose(world(after, voxel), world(affine, old))


# ---- coordinate frames

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
