"""From a scan to points and back: everything stays where it is in the patient."""

import logging

import nibabel as nib
import numpy as np
import pytest
import torch
from helpers.tensors import tensor
from helpers.tiny import TINY, chain, phantom_scans
from monai.data import MetaTensor
from monai.transforms import Compose, Invertd

from nisf.geometry import orientation
from nisf.geometry.orientation import SHORT_AXIS
from nisf.phantom.cohort import make_subject
from nisf.transforms.load import LoadCined
from nisf.transforms.points import GridToPointsd
from nisf.transforms.scan import scan_of
from nisf.transforms.spatial import CanonicalOrientationd, CropToFieldd, motion_center
from nisf.utils.errors import InputError

SEED = 3

SIZE = {"matrix": (26, 32), "voxel_mm": 5.5, "slices": 6, "thickness_mm": 14}


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    return phantom_scans(tmp_path_factory.mktemp("cohort"), 4, SEED, **SIZE)


@pytest.fixture
def scan(scans):
    return scans[0]


def mean_place(label, value):
    """Mean array position of a class, over frames."""
    return np.argwhere(label[0].numpy() == value)[:, :3].mean(axis=0)


# ---- orientation


def test_phantoms_stored_any_way_come_out_with_the_rv_septal_and_the_base_first(scans):
    stored = set()
    for number, entry in enumerate(scans):
        raw = LoadCined()(entry)
        stored.add(orientation.short_axis_permutation(np.asarray(raw["image"].affine)))
        item = CanonicalOrientationd()(raw)
        lv, rv = (mean_place(item["label"], value) for value in (1, 3))
        spacing = orientation.spacing_of(np.asarray(item["image"].affine))
        assert (lv[0] - rv[0]) * spacing[0] > 15, "the LV lies lateral of the RV: x grows away from the septum"
        heart = make_subject([SEED, 2, number], **{**TINY, **SIZE}).heart  # the very heart that was scanned
        got = orientation.directions(np.asarray(item["image"].affine))
        assert np.all(np.sum(got * heart.axes.T, axis=0) > 0.95), "x lateral, y inferior, slices from base to apex"
    assert len(stored) > 1, "the phantoms are stored in different ways"


def test_each_voxel_keeps_its_place_in_the_patient(scans):
    for entry in scans:
        raw, item = LoadCined()(entry), CanonicalOrientationd()(LoadCined()(entry))
        for key in ("image", "label"):
            before, after = raw[key], item[key]
            to_raw = np.linalg.inv(np.asarray(before.affine)) @ np.asarray(after.affine)
            rng = np.random.default_rng(0)
            for voxel in rng.integers(0, after.shape[1:4], (20, 3)):
                old = np.rint(to_raw @ [*voxel, 1])[:3].astype(int)
                assert torch.equal(after[(0, *voxel)].as_tensor(), before[(0, *old)].as_tensor()), key


def test_orientation_is_undone_to_the_identical_array_and_affine(scans):
    transform = CanonicalOrientationd()
    for entry in scans:
        raw = LoadCined()(entry)
        turned = transform(LoadCined()(entry))
        turned["seg"] = MetaTensor(turned["label"].as_tensor().clone())
        back = Invertd("seg", Compose([transform]), orig_keys="image", nearest_interp=False)(turned)["seg"]
        assert torch.equal(back.as_tensor(), raw["label"].as_tensor())
        assert torch.equal(back.affine, raw["image"].affine)
        assert back.meta["filename_or_obj"] == entry["image"]
        both = transform.inverse(turned)
        assert torch.equal(both["image"].as_tensor(), raw["image"].as_tensor())
        assert both["image"].applied_operations == []


def test_stated_axes_win_over_the_affine():
    image = tensor(np.random.default_rng(0).random((1, 3, 4, 5, 2), dtype=np.float32))
    transform = CanonicalOrientationd("image")
    item = transform({"image": image, "array_axes": ["base", "septal", "inferior"]})
    # array axis 0 points to the base, 1 to the septum, 2 inferior
    expected = image.as_tensor().permute(0, 2, 3, 1, 4).flip([1, 3])
    assert torch.equal(item["image"].as_tensor(), expected)
    for voxel in ((0, 0, 0), (3, 4, 2), (1, 2, 1)):
        old = (2 - voxel[2], 3 - voxel[0], voxel[1])
        assert np.allclose(item["image"].affine.numpy() @ [*voxel, 1], image.affine.numpy() @ [*old, 1])
    assert torch.equal(transform.inverse(item)["image"].as_tensor(), image.as_tensor())


@pytest.mark.parametrize("words", ["base septal,inferior", ["base", "septal", "inferior"]])
def test_axes_stated_for_all_scans_count_where_a_scan_states_none(words):
    affine = np.eye(4)
    affine[:3, :3] = SHORT_AXIS * [2, 2, 8]  # an orientation, but a wrong one
    image = tensor(np.random.default_rng(0).random((1, 3, 4, 5, 2), dtype=np.float32), affine)
    stated, own = ["base", "septal", "inferior"], ["lateral", "inferior", "apex"]
    transform = CanonicalOrientationd("image", array_axes=words)
    found, expected = transform({"image": image}), CanonicalOrientationd("image")(
        {"image": image, "array_axes": stated}
    )
    assert torch.equal(found["image"].as_tensor(), expected["image"].as_tensor())
    assert found["array_axes"] == stated, "so that the order of the slices is not questioned"
    assert torch.equal(transform({"image": image, "array_axes": own})["image"].as_tensor(), image.as_tensor())


@pytest.mark.parametrize(
    "words, target, sentence",
    [
        ("up,down,left", "short_axis", r"^--orientation must name three directions out of .*apex.*; correct it"),
        ("lateral,septal,apex", "short_axis", "one per axis, .*not lateral,septal,apex; correct it"),
        ("lateral,inferior", "short_axis", "one per axis, .*not lateral,inferior"),
        (
            "lateral,inferior,apex",
            "RAS",
            "--orientation is for short-axis stacks, but these are prepared as RAS; leave it out",
        ),
    ],
)
def test_axes_stated_wrongly_for_all_scans_are_refused_before_any_is_read(words, target, sentence):
    with pytest.raises(InputError, match=sentence):
        CanonicalOrientationd("image", target, words)


def test_wrong_axis_words_name_the_file():
    with pytest.raises(InputError, match="scan.nii: array_axes must name three directions .*; correct the data list"):
        CanonicalOrientationd("image")(
            {"image": tensor(torch.zeros(1, 3, 4, 5, 1)), "array_axes": ["up", "down", "left"]}
        )


def test_lost_orientation_is_taken_as_usual_with_a_warning(caplog):
    image = tensor(np.random.default_rng(0).random((1, 3, 4, 5, 2), dtype=np.float32))
    with caplog.at_level(logging.WARNING):
        item = CanonicalOrientationd("image")({"image": image})
    assert "scan.nii" in caplog.text and "state --orientation, or array_axes in the data list" in caplog.text
    assert torch.equal(item["image"].as_tensor(), image.as_tensor())
    caplog.clear()
    affine = np.eye(4)
    affine[:3, :3] = SHORT_AXIS * [2, 2, 8]
    CanonicalOrientationd("image")({"image": tensor(image.as_tensor(), affine)})
    CanonicalOrientationd("image")({"image": image, "array_axes": ["lateral", "inferior", "apex"]})
    assert caplog.text == ""


def test_axis_codes_as_target():
    affine = np.array([[0, 0, 3.0, 0], [-1.0, 0, 0, 5], [0, 2.0, 0, 0], [0, 0, 0, 1]])  # stored P, S, R
    image = tensor(np.random.default_rng(0).random((1, 3, 4, 5, 1), dtype=np.float32), affine)
    transform = CanonicalOrientationd("image", target="RAS")
    item = transform({"image": image})
    assert nib.aff2axcodes(item["image"].affine.numpy()) == ("R", "A", "S")
    assert item["image"].shape == (1, 5, 3, 4, 1)
    assert np.allclose(item["image"].affine.numpy() @ [4, 2, 1, 1], affine @ [0, 1, 4, 1])
    assert item["image"][0, 4, 2, 1, 0] == image[0, 0, 1, 4, 0]
    assert torch.equal(transform.inverse(item)["image"].as_tensor(), image.as_tensor())


# ---- field


def test_crop_keeps_values_places_and_frame_and_is_undone_with_zeros_outside(scan):
    raw = CanonicalOrientationd()(LoadCined()(scan))
    transform = CropToFieldd(half_field=40.0, center="stack", shift=(-10.0, 5.0))
    item = transform(raw)
    frame = scan_of(item["image"]).frame
    assert item["image"].shape == (1, *frame.shape, 3) and item["label"].shape == item["image"].shape
    assert max(frame.shape[:2]) < min(raw["image"].shape[1:3]), "something was cut away"
    assert np.allclose(frame.affine, item["image"].affine.numpy())
    start = np.rint(np.linalg.solve(raw["image"].affine.numpy(), frame.affine[:, 3]))[:3].astype(int)
    inside = tuple(slice(s, s + n) for s, n in zip(start, frame.shape))
    assert torch.equal(item["image"][0].as_tensor(), raw["image"][0].as_tensor()[inside])
    assert np.all(np.abs(frame.axis(0)) <= 1) and np.all(np.abs(frame.axis(1)) <= 1)
    back = transform.inverse(item)
    assert back["image"].shape == raw["image"].shape and torch.equal(back["image"].affine, raw["image"].affine)
    assert torch.equal(back["image"][0].as_tensor()[inside], raw["image"][0].as_tensor()[inside])
    outside = torch.ones(raw["image"].shape[1:4], dtype=torch.bool)
    outside[inside] = False
    assert outside.any() and not back["image"][0].as_tensor()[outside].any()


def test_field_center_is_where_the_shift_says(scan):
    raw = CanonicalOrientationd("image")(LoadCined("image")(scan))
    frame = scan_of(CropToFieldd("image", half_field=40.0, shift=(-10.0, 5.0))(raw)["image"]).frame
    image = raw["image"]
    middle = image.affine.numpy() @ [*((np.array(image.shape[1:4]) - 1) / 2), 1]
    x, y, _ = orientation.directions(image.affine.numpy()).T
    assert frame.normalised_to_world([[0, 0, 0]])[0] == pytest.approx(middle[:3] - 10 * x + 5 * y)


def test_relative_frame_keeps_the_whole_scan(scan):
    raw = LoadCined()(scan)
    item = CropToFieldd(kind="relative", dims=4)(CanonicalOrientationd()(raw))
    frame = scan_of(item["image"]).frame
    assert (
        sorted(item["image"].shape[1:3]) == sorted(raw["image"].shape[1:3]) and frame.shape == item["image"].shape[1:4]
    )
    assert frame.axis(0)[0] == pytest.approx(0.5 / frame.shape[0])


def test_motion_center_finds_what_moves():
    x, y = np.meshgrid(np.arange(60), np.arange(50), indexing="ij")
    still = 0.2 + (np.hypot(x - 12, y - 40) < 8) * 0.7  # bright, but still
    disc = [np.hypot((x - 38) * 1.5, (y - 15) * 2.0) < radius for radius in (10, 14, 18, 12)]
    image = np.stack([np.where(d, 1.0, still) for d in disc], axis=-1)[None, :, :, None].repeat(3, axis=3)
    found = motion_center(torch.from_numpy(image), (1.5, 2.0, 8.0))
    assert found == pytest.approx(((38 - 29.5) * 1.5, (15 - 24.5) * 2.0), abs=1.0), "mm from the stack's centre"
    assert motion_center(torch.ones(1, 8, 8, 2, 3), (1.0, 1.0, 8.0)) == (0.0, 0.0), "nothing moves: the centre"


def test_field_can_follow_the_motion(scan):
    raw = CanonicalOrientationd("image")(LoadCined("image")(scan))
    item = CropToFieldd("image", half_field=40.0, center="motion", shift=(-15.0, 0.0))(raw)
    frame = scan_of(item["image"]).frame
    found = motion_center(raw["image"].as_tensor(), orientation.spacing_of(raw["image"].affine.numpy()))
    image = raw["image"]
    middle = image.affine.numpy() @ [*((np.array(image.shape[1:4]) - 1) / 2), 1]
    x, y, _ = orientation.directions(image.affine.numpy()).T
    expected = middle[:3] + (found[0] - 15) * x + found[1] * y
    assert frame.normalised_to_world([[0, 0, 0]])[0] == pytest.approx(expected)


@pytest.mark.parametrize(
    "options, said", [({"kind": "polar"}, "'polar'"), ({"center": "heart"}, "'heart'"), ({"half_field": 0}, "0 mm")]
)
def test_unknown_field_options(options, said):
    with pytest.raises(InputError, match=said):
        CropToFieldd(**options)


def test_field_outside_the_scan_names_the_file():
    with pytest.raises(InputError, match="scan.nii: the field .* lies outside the scan; use"):
        CropToFieldd("image", half_field=10.0, shift=(90.0, 0.0))({"image": tensor(torch.zeros(1, 5, 5, 5, 1))})


# ---- the whole way there and back


def test_intensities_span_zero_to_one_over_the_whole_sequence(scan):
    image = chain()(scan)["image"]
    assert (float(image.min()), float(image.max())) == (0.0, 1.0)
    raw = CropToFieldd()(CanonicalOrientationd()(LoadCined()(scan)))["image"].numpy()
    low, high = np.percentile(raw, [1, 99])
    expected = np.clip((raw - low) / (high - low), 0, 1)
    assert np.allclose(image.numpy(), expected, atol=1e-3), "one scale for all frames"


@pytest.mark.parametrize("nearest", [True, False])
@pytest.mark.parametrize("kind, half_field", [("physical", 45.0), ("relative", 80.0)])
def test_predicted_points_come_back_on_the_grid_of_the_file(scans, kind, half_field, nearest):
    for entry in scans[:2]:
        transform = chain(GridToPointsd(), kind=kind, half_field=half_field)
        item = transform(entry)
        assert item["coords"].shape == (4, item["label_points"].shape[1]) == (4, item["intensity"].shape[1])
        # what a perfect network would predict at the points
        item["pred"] = MetaTensor(item["label_points"].to(torch.uint8) + 1)
        item = Invertd("pred", transform, orig_keys="intensity", nearest_interp=nearest)(item)
        file = nib.load(entry["label"])
        pred = item["pred"]
        assert isinstance(pred, MetaTensor) and pred.shape == (1, *file.shape)
        assert np.allclose(pred.affine.numpy(), file.affine)
        assert pred.meta["filename_or_obj"] == entry["image"]
        got, truth = pred[0].numpy(), np.asarray(file.dataobj)
        inside = got > 0
        assert np.array_equal(got[inside] - 1, truth[inside]), "each voxel has the label of the file"
        assert np.all(inside) if kind == "relative" else 0.2 < inside.mean() < 0.9, "zero outside the field"


def test_several_channels_of_points_come_back(scan):
    transform = chain(GridToPointsd())
    item = transform(scan)
    channels = torch.stack([torch.full((item["coords"].shape[1],), float(c)) for c in range(3)])
    item["prob"] = MetaTensor(channels)
    back = Invertd("prob", transform, orig_keys="intensity", nearest_interp=False)(item)["prob"]
    assert back.shape == (3, *nib.load(scan["image"]).shape)
    assert [float(back[c].max()) for c in range(3)] == [0.0, 1.0, 2.0]


def test_coordinates_of_points_are_the_world_places_of_the_file(scan):
    """World -> normalised through the frame equals the coordinate of the point that carries the voxel."""
    transform = chain(GridToPointsd(), kind="relative")
    item = transform(scan)
    frame = scan_of(item["image"]).frame
    for axis in range(4):
        item[f"c{axis}"] = MetaTensor(item["coords"][axis : axis + 1].clone())
    keys = [f"c{axis}" for axis in range(4)]
    item = Invertd(keys, transform, orig_keys="intensity", nearest_interp=False)(item)
    file = nib.load(scan["image"])
    for voxel in np.random.default_rng(0).integers(0, file.shape, (20, 4)):
        place = file.affine @ [*voxel[:3], 1]
        expected = [*frame.world_to_normalised([place[:3]])[0], voxel[3] / file.shape[3]]
        assert [float(item[key][(0, *voxel)]) for key in keys] == pytest.approx(expected, abs=1e-5)
