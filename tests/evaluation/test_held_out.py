"""Held-out slices: found on the file's grid, scored by themselves and against what their neighbours' labels say."""

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from nisf.evaluation.held_out import SEEN, UNSEEN, HeldOut, nearest_slice, shape_based
from nisf.geometry.orientation import permuted_affine
from nisf.transforms.scan import Scan, with_scan

NAMES = {1: "LV", 2: "MYO", 3: "RV"}


def disc(radius, size=41):
    x, y = np.indices((size, size)) - size // 2
    return np.hypot(x, y) <= radius


def a_cone(slices=5):
    """A blood pool in a wall, both narrowing from slice to slice."""
    label = np.zeros((41, 41, slices), np.uint8)
    for z in range(slices):
        label[:, :, z][disc(16 - 2 * z)] = 2
        label[:, :, z][disc(12 - 2 * z)] = 1
    return label


def test_shape_based_interpolation_finds_the_outline_half_way():
    label = a_cone()
    found = shape_based(label, [0, 2, 4], (1.0, 1.0))
    assert np.array_equal(found[:, :, [0, 2, 4]], label[:, :, [0, 2, 4]])
    for z in (1, 3):
        for c in (1, 2):
            area = [(volume[:, :, z] == c).sum() for volume in (found, label)]
            assert area[0] == pytest.approx(area[1], rel=0.12)
    nearest = nearest_slice(label, [0, 2, 4])
    assert np.array_equal(nearest[:, :, 1], label[:, :, 0]) and np.array_equal(nearest[:, :, 3], label[:, :, 2])


def test_what_only_one_neighbour_shows_ends_between_them_and_beyond_the_last_slice_it_stays():
    label = a_cone()
    label[:, :, 4] = 0
    found = shape_based(label, [0, 2, 4], (1.0, 1.0))
    assert (found[:, :, 3] > 0).sum() < 0.5 * (label[:, :, 2] > 0).sum()
    alone = shape_based(a_cone(), [1, 2], (1.0, 1.0))
    assert np.array_equal(alone[:, :, 4], a_cone()[:, :, 2]) and np.array_equal(alone[:, :, 0], a_cone()[:, :, 1])


def test_voxels_need_not_be_square():
    label = np.zeros((41, 41, 3), np.uint8)
    label[12:29, 18:23] = 1
    label[:, :, 0] = 0
    label[16:25, 16:25, 0] = 1
    wide, square = (shape_based(label, [0, 2], spacing)[:, :, 1] for spacing in ((1.0, 4.0), (1.0, 1.0)))
    assert wide.any() and not np.array_equal(wide, square)


@pytest.mark.parametrize("order, flips", [((0, 1, 2), (0, 0, 0)), ((2, 0, 1), (1, 0, 1)), ((1, 2, 0), (0, 1, 1))])
def test_slices_are_found_on_a_grid_of_another_order(order, flips):
    shape = (6, 7, 5)
    fitted = np.array([[0, 1.5, 0, 3], [-1.5, 0, 0, 2], [0, 0, 8, -9], [0, 0, 0, 1.0]])
    file_affine = permuted_affine(fitted, shape, order, flips)
    image = MetaTensor(torch.zeros(1, *shape, 2), affine=torch.from_numpy(fitted))
    image = with_scan(image, Scan((0.0, 0.5), kept_slices=[0, 2, 3]))
    held = HeldOut.of(image, file_affine, tuple(shape[a] for a in order))
    mask = np.zeros(shape, bool)
    mask[:, :, [1, 4]] = True
    turned = np.flip(mask.transpose(order), [a for a in range(3) if flips[a]])
    assert np.array_equal(held.regions()[UNSEEN], turned) and np.array_equal(held.regions()[SEEN], ~turned)
    assert HeldOut.of(MetaTensor(torch.zeros(1, *shape, 2)), file_affine, shape) is None


def test_rivals_are_scored_in_the_held_out_slices_alone():
    truth = np.moveaxis(a_cone(), 2, 0)[..., None]
    held = HeldOut(0, (0, 2, 4), truth.shape[:3])
    rows = held.baselines(truth, {"ED": 0}, (8.0, 1.0, 1.0), NAMES, "one")
    assert {row["region"] for row in rows} == {f"{UNSEEN}: nearest", f"{UNSEEN}: shape-based"}
    dice = {(row["region"].split(": ")[1], row["class"]): row["dice"] for row in rows}
    assert dice["shape-based", "LV"] > 0.95 > dice["nearest", "LV"]
    said, label = nearest_slice(a_cone(), [0, 2, 4]), a_cone()
    first, second = said[:, :, [1, 3]] == 1, label[:, :, [1, 3]] == 1
    assert dice["nearest", "LV"] == pytest.approx(2 * (first & second).sum() / (first.sum() + second.sum()))
