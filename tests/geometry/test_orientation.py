"""A voxel, a world point and a normalised coordinate are one place, whichever way the file was stored."""

from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest
from helpers.affines import oblique, world

from nisf.geometry import orientation
from nisf.geometry.orientation import ANATOMY, SHORT_AXIS

ORDERS = list(permutations(range(3)))

FLIPS = list(product((False, True), repeat=3))


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
        ((1, 1, 1), None),
        ((1, 1, 1.001), None),
        ((1.4, 2, 1), None),
    ],
)
def test_slice_axis_is_the_odd_one_out(spacing, axis):
    assert orientation.slice_axis_of(np.diag([*spacing, 1.0])) == axis


@pytest.mark.parametrize("spacing", [(1.4, 2.0, 1.0), (2.0, 2.5, 2.0), (1.2, 1.2, 1.2), (1.0, 1.8, 2.5)])
@pytest.mark.parametrize("order", ORDERS)
def test_thin_slices_of_pixels_that_are_not_square_are_found_by_number_or_direction(spacing, order):
    shape, plain = (200, 160, 60), np.diag([*spacing, 1.0])
    for affine, sizes in ((plain, shape), (oblique(np.random.default_rng(0), spacing=spacing), None)):
        _, file = stored(np.zeros((5, 6, 4)), affine, order, (False, True, False))
        turned_shape = None if sizes is None else np.array(sizes)[list(order)]
        assert orientation.slice_axis_of(file, turned_shape) == order.index(2)
    again = orientation.short_axis_permutation(file)
    got = orientation.directions(orientation.permuted_affine(file, (5, 6, 4), *again))
    assert np.all(np.sum(got * SHORT_AXIS, axis=0) > 0.8)


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
    [
        *(["lateral", "inferior", "up"], ["lateral", "septal", "apex"], ["lateral", "inferior"], ["lateral"] * 3, []),
        *("LPX", "LRS", "LP", ["lateral", "P", "S"]),
    ],
)
def test_stated_axes_that_make_no_sense(words):
    with pytest.raises(ValueError, match="must name three directions"):
        orientation.stated_permutation(words)


@pytest.mark.parametrize("world", [(-1, -1, 1), (-1, 1, 1), (1, 1, -1)])
def test_codes_of_the_patients_axes_correct_an_affine(world):
    """As where LPS was taken for RAS: the codes of the right affine give what the right affine gives."""
    rng = np.random.default_rng(4)
    for order, flips in product(ORDERS, FLIPS):
        _, affine = stored(np.zeros((5, 6, 4)), oblique(rng, 10), order, flips)
        codes = "".join(nib.aff2axcodes(affine))
        found = orientation.stated_permutation(codes.lower(), np.diag([*world, 1.0]) @ affine)
        assert found == orientation.short_axis_permutation(affine), codes


@pytest.mark.parametrize(
    "shape, spacing, exchanged",
    [
        ((200, 10, 180), (1.4, 1.4, 8.0), (2, 1)),  # XZY
        ((10, 180, 200), (1.4, 1.4, 8.0), (2, 0)),
        ((200, 180, 10), (1.4, 1.4, 8.0), None),
        ((200, 10, 180), (1.4, 8.0, 1.4), None),  # transposed with its affine
        ((40, 10, 50), (1.4, 1.4, 8.0), None),  # a narrow stack may be so
        ((300, 280, 600), (1.0, 1.0, 1.0), None),
    ],
)
def test_axes_exchanged_without_their_affine(shape, spacing, exchanged):
    assert orientation.unlike_axes(np.diag([*spacing, 1.0]), shape) == exchanged


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
