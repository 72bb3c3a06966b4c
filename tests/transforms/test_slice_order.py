"""The order of the slices: found in the image where the file does not tell it, and undone in what is written."""

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.tiny import phantom_scans
from monai.data import MetaTensor

from nisf.transforms.load import LoadCined
from nisf.transforms.scan import UNetProb, scan_of, with_scan
from nisf.transforms.slice_order import SliceOrderd, taper_of
from nisf.transforms.spatial import CanonicalOrientationd

SIZE = {"matrix": (32, 32), "voxel_mm": 5.5, "slices": 7, "thickness_mm": 12}
PLAIN = np.diag([5.5, 5.5, 12.0, 1.0])


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    (entry,) = phantom_scans(tmp_path_factory.mktemp("cohort"), 1, 3, **SIZE)
    return CanonicalOrientationd()(LoadCined()(entry))


def stored(scan, reverse, affine=None):
    """The scan as a file would give it: slices in either order, with another affine."""
    item = {"subject": "a"}
    for key in ("image", "label"):
        plain = scan[key].as_tensor()
        item[key] = MetaTensor(plain.flip([3]) if reverse else plain.clone(), meta=dict(scan[key].meta))
        item[key].affine = torch.as_tensor(scan[key].affine if affine is None else affine)
    item["unet_class"] = MetaTensor(item["label"].as_tensor().clamp(min=0), affine=item["label"].affine)
    return item


@pytest.mark.parametrize("reverse", [False, True])
def test_slices_of_a_file_without_orientation_come_out_from_base_to_apex(scan, reverse, caplog):
    with caplog.at_level(logging.INFO):
        found = SliceOrderd()(stored(scan, reverse, PLAIN))
    assert torch.equal(found["label"].as_tensor(), scan["label"].as_tensor())
    assert ("from apex to base" in caplog.text) == reverse


def test_a_voxel_stays_where_it_is_in_the_world(scan):
    before = stored(scan, True, PLAIN)
    after = SliceOrderd()(before)
    places = [np.argwhere(one["label"][0, ..., 0].numpy() == 1).mean(axis=0) for one in (before, after)]
    world = [one["image"].affine.numpy() @ [*place, 1] for one, place in zip((before, after), places)]
    np.testing.assert_allclose(*world, atol=1e-6)


@pytest.mark.parametrize("reverse", [False, True])
def test_results_are_written_in_the_files_order(scan, reverse):
    before, step = stored(scan, reverse, PLAIN), SliceOrderd()
    back = step.inverse(step(before))
    for key in ("image", "label"):
        assert torch.equal(back[key].as_tensor(), before[key].as_tensor())
        np.testing.assert_allclose(back[key].affine, before[key].affine)


def test_an_affine_that_tells_the_orientation_counts_unless_the_image_leaves_no_doubt(scan, caplog):
    assert torch.equal(SliceOrderd()(stored(scan, False))["label"].as_tensor(), scan["label"].as_tensor())
    assert "otherwise" not in caplog.text
    blunt = stored(scan, True)  # its slices show less taper
    blunt["unet_class"] = MetaTensor(torch.ones_like(blunt["label"]))
    assert torch.equal(SliceOrderd()(blunt)["label"].as_tensor(), blunt["label"].as_tensor())
    assert torch.equal(SliceOrderd()(stored(scan, True))["label"].as_tensor(), scan["label"].as_tensor())
    assert "though its affine says otherwise" in caplog.text


def test_stated_axes_are_not_questioned(scan):
    item = {**stored(scan, True, PLAIN), "array_axes": ["lateral", "inferior", "apex"]}
    assert torch.equal(SliceOrderd()(item)["label"].as_tensor(), item["label"].as_tensor())


def test_what_a_fit_may_see_and_the_probabilities_turn_with_the_image(scan):
    item = stored(scan, True, PLAIN)
    values = torch.rand(4, *item["image"].shape[1:4], 1)
    mask = torch.rand(item["image"].shape[1:4]) > 0.5
    image = with_scan(item["image"], scan_of(item["image"]))
    known = scan_of(image).__class__(
        scan_of(image).times, unet_prob=UNetProb(values, [0]), mask=mask, kept_slices=[0, 1, 3, 4, 5]
    )
    found = scan_of(SliceOrderd()({**item, "image": with_scan(image, known)})["image"])
    assert torch.equal(found.unet_prob.values, values.flip([3])) and torch.equal(found.mask, mask.flip([2]))
    assert found.kept_slices == [1, 2, 3, 5, 6]


def test_taper_needs_slices_enough_and_counts_hidden_ones_not():
    classes = np.zeros((8, 8, 6, 1), dtype=int)
    for place, width in enumerate([8, 7, 6, 5, 4]):
        classes[:width, :, place] = 1
    assert taper_of(classes, (1, 2)) == pytest.approx(-5 / 6)
    assert taper_of(classes[:, :, :3], (1, 2)) == 0
    classes[:, :, 3] = 0  # hidden
    assert taper_of(classes, (1, 2), [0, 1, 2, 4]) < -0.7


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("kept", [[0, 2, 4, 6], [1, 4], [2, 5]])
def test_two_slices_tell_the_order_where_the_affine_does_not(scan, kept, reverse):
    """As where most slices are hidden; slices are numbered as they lie from base to apex."""
    item = stored(scan, reverse, PLAIN)
    places = [6 - place for place in kept] if reverse else kept
    item["unet_class"][:, :, :, [place for place in range(7) if place not in places]] = 0
    item["image"] = with_scan(item["image"], replace(scan_of(item["image"]), kept_slices=sorted(places)))
    found = SliceOrderd()(item)
    assert torch.equal(found["label"].as_tensor(), scan["label"].as_tensor())
    assert scan_of(found["image"]).kept_slices == kept


def test_three_slices_do_not_overrule_a_file(scan):
    item = stored(scan, True)
    item["unet_class"][:, :, :, [0, 2, 4, 6]] = 0
    item["image"] = with_scan(item["image"], replace(scan_of(item["image"]), kept_slices=[1, 3, 5]))
    assert torch.equal(SliceOrderd()(item)["label"].as_tensor(), item["label"].as_tensor())


def test_a_base_that_leaves_its_slices_and_a_stray_voxel_do_not_hide_the_taper():
    classes = np.zeros((9, 9, 7, 2), dtype=int)
    for place, width in enumerate([8, 9, 8, 7, 6, 5]):
        classes[:width, :, place + 1] = 1
    classes[:, :, :4, 1] = 0  # contracted: the base has moved towards the apex
    classes[0, 0, 0, 0] = 1  # taken for the organ above it
    assert taper_of(classes, (1, 2)) < -0.5
    assert taper_of(classes[:, :, ::-1], (1, 2)) > 0.5


def test_the_end_that_the_heart_leaves_is_the_base():
    """Slices as large as each other tell the order by what is left of them; a frame without labels says nothing."""
    classes = np.zeros((9, 9, 3, 3), dtype=int)
    classes[:8, :8, :, 0] = 1
    assert taper_of(classes, (1, 2), fewest=2) == 0
    for place, width in enumerate([2, 5, 7]):
        classes[:width, :8, place, 1] = 1
    assert taper_of(classes, (1, 2), fewest=2) < -0.1
    assert taper_of(classes[:, :, ::-1], (1, 2), fewest=2) > 0.1


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_heart_comes_out_upright_and_unmirrored(scan, turns, mirrored, caplog):
    """Where the affine is lost; the U-Net has said how it lies."""
    item, right = {"subject": "a"}, scan["label"].as_tensor()
    lying = right.rot90(turns, (1, 2))
    for key in ("image", "label", "unet_class"):
        item[key] = MetaTensor(lying.flip(2) if mirrored else lying.clone(), affine=torch.from_numpy(PLAIN))
    read = UNetProb(torch.zeros(1, *lying.shape[1:]), [0, 1, 2], mirrored, turns)
    item["image"] = with_scan(item["image"], replace(scan_of(scan["image"]), unet_prob=read))
    with caplog.at_level(logging.INFO):
        found = SliceOrderd()(item)
    assert torch.equal(found["label"].as_tensor(), right)
    assert ("mirrored" in caplog.text) == mirrored and ("turned" in caplog.text) == bool(turns)
    stated = SliceOrderd()({**item, "array_axes": ["lateral", "inferior", "apex"]})
    assert torch.equal(stated["label"].as_tensor(), item["label"].as_tensor())
