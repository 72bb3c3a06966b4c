"""A scan is read with its time and labels or refused in one sentence; a result lies on the grid of its file."""

import gzip
import zlib

import nibabel as nib
import numpy as np
import pytest
import torch
from helpers.nifti_files import SHAPE, classes, oblique_affine, save, series
from helpers.tiny import phantom_scans

from nisf.geometry.orientation import spacing_of
from nisf.io.nifti import save_nifti
from nisf.transforms.load import UNLABELLED, LoadCined
from nisf.transforms.scan import scan_of
from nisf.utils.errors import InputError

# ---- reading


def test_cine_keeps_values_affine_times_and_frame_duration(tmp_path):
    path = save(tmp_path / "p1_sa.nii.gz", series())
    item = LoadCined()({"subject": "p1", "image": path, "label": None, "times": None})
    image = item["image"]
    assert image.shape == (1, *SHAPE) and image.dtype == torch.float32
    assert np.array_equal(image[0].numpy(), series())
    assert np.allclose(image.affine.numpy(), oblique_affine(), atol=1e-5)
    assert scan_of(image).times == pytest.approx([0, 1 / 3, 2 / 3])
    assert scan_of(image).frame_duration == pytest.approx(0.05, abs=1e-7)
    assert (scan_of(image).files, image.meta["filename_or_obj"], scan_of(image).subject) == ((path,), path, "p1")
    assert "label" not in item, "no label is no key"


def test_a_data_list_may_say_that_the_pixel_size_was_lost(tmp_path):
    path = save(tmp_path / "p1.nii.gz", series())
    said = {known: {"image": path, "pixel_size_known": known} for known in (True, False, None)}
    found = {known: scan_of(LoadCined()(item)["image"]).size_known for known, item in said.items()}
    assert found == {True: True, False: False, None: True} and scan_of(LoadCined()({"image": path})["image"]).size_known


@pytest.mark.parametrize("stated", ["1.5,1.25,8", [1.5, 1.25, 8]])
def test_a_lost_voxel_size_may_be_stated_for_all_scans_or_in_the_data_list(tmp_path, stated):
    path, label = save(tmp_path / "p1.nii.gz", series()), save(tmp_path / "l.nii.gz", classes())
    item = {"image": path, "label": label, "pixel_size_known": False}
    for load, said in ((LoadCined(voxel_mm=stated), {}), (LoadCined(voxel_mm=[3, 3, 3]), {"voxel_mm": [1.5, 1.25, 8]})):
        found = load({**item, **said})
        scan, affine = scan_of(found["image"]), np.asarray(found["image"].affine)
        assert scan.size_known and scan.voxel_mm == (1.5, 1.25, 8)
        np.testing.assert_allclose(spacing_of(affine), (1.5, 1.25, 8))
        unit = oblique_affine()[:3, :3] / spacing_of(oblique_affine())
        np.testing.assert_allclose(affine[:3, :3] / (1.5, 1.25, 8), unit, atol=1e-6)
        np.testing.assert_allclose(affine[:3, 3], oblique_affine()[:3, 3], atol=1e-5)
        written = nib.load(save_nifti(tmp_path / "out.nii.gz", classes(), scan.header, 0.05))
        np.testing.assert_allclose(written.affine, affine, atol=1e-5)


@pytest.mark.parametrize("stated", ["1.4,1.4", "1.4,1.4,0", [1.4, 1.4, "thick"], 1.4, (1.4, 1.4, 200)])
def test_what_is_no_voxel_size_is_refused(stated):
    with pytest.raises(InputError, match="--voxel_mm is .*; give the voxel size along the three array axes in mm, as"):
        LoadCined(voxel_mm=stated)


def test_milliseconds_in_the_header_are_seconds_inside(tmp_path):
    path = save(tmp_path / "p1.nii.gz", series(), seconds=37.5, units=("mm", "msec"))
    assert scan_of(LoadCined()({"image": path})["image"]).frame_duration == pytest.approx(0.0375)
    written = save_nifti(tmp_path / "out.nii.gz", classes(), path, 0.0375)
    assert nib.load(written).header.get_zooms()[3] == pytest.approx(37.5), "in the unit of the file"


@pytest.mark.parametrize("units", [("mm", "sec"), ("mm", "msec"), ("mm", "unknown")])
def test_a_time_step_of_one_is_what_a_file_says_that_knows_none(tmp_path, units):
    path = save(tmp_path / "p1.nii.gz", series()[..., :2], seconds=1.0, units=units)
    assert scan_of(LoadCined()({"image": path})["image"]).frame_duration == 0.0


def test_volume_is_one_frame_at_time_zero(tmp_path):
    path = save(tmp_path / "p1.nii.gz", series()[..., 0])
    image = LoadCined()({"image": path})["image"]
    assert image.shape == (1, 7, 6, 4, 1)
    assert scan_of(image).times == (0.0,) and scan_of(image).frame_duration == 0.0
    assert scan_of(image).subject == "p1", "the file's name where the list names no subject"


def test_frames_in_files_of_their_own(tmp_path):
    images = [save(tmp_path / f"p1_frame{t}.nii.gz", series()[..., t]) for t in range(3)]
    labels = [save(tmp_path / "gt0.nii.gz", classes()[..., 0]), None, save(tmp_path / "gt2.nii.gz", classes()[..., 2])]
    item = LoadCined()({"image": images, "label": labels, "times": [0.0, 0.3, 0.7]})
    assert np.array_equal(item["image"][0].numpy(), series())
    assert scan_of(item["image"]).files == tuple(images) and scan_of(item["image"]).times == (0.0, 0.3, 0.7)
    label = item["label"][0].numpy()
    assert np.array_equal(label[..., 0], classes()[..., 0]) and np.array_equal(label[..., 2], classes()[..., 2])
    assert np.all(label[..., 1] == UNLABELLED) and UNLABELLED == -1


def test_label_values_are_mapped_as_the_list_says(tmp_path):
    image, label = save(tmp_path / "i.nii.gz", series()), save(tmp_path / "l.nii.gz", classes())
    acdc = {"0": 0, "1": 3, "2": 2, "3": 1}
    loaded = LoadCined()({"image": image, "label": label, "label_map": acdc})["label"]
    assert loaded.shape == (1, *SHAPE) and loaded.dtype == torch.int8
    assert np.array_equal(loaded[0].numpy(), np.array([0, 3, 2, 1])[classes()])
    plain = LoadCined()({"image": image, "label": label, "label_map": None})["label"]
    assert np.array_equal(plain[0].numpy(), classes())


@pytest.mark.parametrize("frames, known", [([2], [2]), ([0, 1], [0, 1]), (None, [0, 1, 2]), ([], [])])
def test_only_labelled_frames_carry_labels(tmp_path, frames, known):
    image, label = save(tmp_path / "i.nii.gz", series()), save(tmp_path / "l.nii.gz", classes())
    loaded = LoadCined()({"image": image, "label": label, "labelled_frames": frames})["label"][0].numpy()
    for t in range(3):
        expected = classes()[..., t] if t in known else np.full(SHAPE[:3], -1)
        assert np.array_equal(loaded[..., t], expected), t


def test_cine_with_single_label_files(tmp_path):
    image, label = save(tmp_path / "i.nii.gz", series()), save(tmp_path / "l.nii.gz", classes()[..., 1])
    loaded = LoadCined()({"image": image, "label": [None, label, None]})["label"][0].numpy()
    assert np.array_equal(loaded[..., 1], classes()[..., 1])
    assert np.all(loaded[..., [0, 2]] == -1)


def test_last_axis_can_be_channels(tmp_path):
    image, label = save(tmp_path / "i.nii.gz", series()), save(tmp_path / "l.nii.gz", classes()[..., 0])
    item = LoadCined(fourth_axis="channel")({"image": image, "label": label, "times": [0.0]})
    assert item["image"].shape == (3, 7, 6, 4, 1) and item["label"].shape == (1, 7, 6, 4, 1)
    assert np.array_equal(item["image"][2, ..., 0].numpy(), series()[..., 2])
    assert scan_of(item["image"]).times == (0.0,) and scan_of(item["image"]).frame_duration == 0.0
    with pytest.raises(InputError, match="'time' or 'channel'"):
        LoadCined(fourth_axis="depth")


def test_axes_of_one_behind_the_fourth_are_dropped(tmp_path):
    path = save(tmp_path / "i.nii.gz", series()[..., None])
    assert LoadCined()({"image": path})["image"].shape == (1, *SHAPE)


def test_phantom_scan_reads_back(tmp_path):
    (entry,) = phantom_scans(tmp_path, 1)
    item = LoadCined()(entry)
    assert scan_of(item["image"]).frame_duration == pytest.approx(nib.load(entry["image"]).header.get_zooms()[3])
    assert sorted(item["label"].unique().tolist()) == [0, 1, 2, 3]


# ---- bad input: each gets one sentence that names the file


def bit_changed(content):
    """A compressed file that unpacks to other voxels: its checksum alone shows it."""
    stored = bytearray(gzip.compress(gzip.decompress(content), compresslevel=0))
    stored[-100] ^= 1
    return bytes(stored)


def garbled(zipped, start):
    """A gzip file that is whole up to byte ``start`` of its content, then nonsense."""
    packer = zlib.compressobj(wbits=31)
    return packer.compress(gzip.decompress(zipped)[:start]) + packer.flush(zlib.Z_FULL_FLUSH) + b"\xff" * 500


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """name -> (list entry, what the sentence says)."""
    tmp_path = tmp_path_factory.mktemp("broken")
    good, affine = save(tmp_path / "good.nii.gz", series()), oblique_affine()
    raw = (tmp_path / "good.nii.gz").read_bytes()
    save(tmp_path / "large.nii.gz", series((40, 40, 8, 3)))
    large = (tmp_path / "large.nii.gz").read_bytes()
    nan, other = series().astype(np.float32), affine.copy()
    nan[3, 3, 3, 1], other[1, 3] = np.nan, affine[1, 3] + 1.0

    def put(name, content):
        (tmp_path / name).write_bytes(content)
        return str(tmp_path / name)

    def header(name, start, stop):
        content = bytearray(gzip.decompress(raw))
        content[start:stop] = bytes(stop - start)
        return put(name, bytes(content))

    def label(name, array, affine=None, **entry):
        return {"image": good, "label": save(tmp_path / name, array, affine), **entry}

    wrong = classes()
    wrong[0, 0, 0, 0] = 7
    colours = np.zeros(SHAPE[:3], dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    return {
        "missing": ({"image": str(tmp_path / "missing.nii.gz")}, "there is no such file"),
        "folder": ({"image": str(tmp_path)}, "holds no DICOM images"),
        "text": ({"image": put("text.nii.gz", b"hello" * 200)}, "is empty, cut off or no image"),
        "empty": ({"image": put("empty.nii.gz", b"")}, "is empty, cut off or no image"),
        "cut in header": ({"image": put("stub.nii.gz", raw[:120])}, "is empty, cut off or no image"),
        "cut in voxels": ({"image": put("cut.nii.gz", large[: len(large) // 2])}, "damaged or cut off"),
        "cut, not zipped": ({"image": put("cut.nii", gzip.decompress(raw)[:600])}, "damaged or cut off"),
        "garbled header": ({"image": put("flip0.nii.gz", garbled(large, 0))}, "is empty, cut off or no image"),
        "garbled voxels": ({"image": put("flip1.nii.gz", garbled(large, 40_000))}, "damaged or cut off"),
        "changed voxel": ({"image": put("bit.nii.gz", bit_changed(raw))}, "damaged or cut off"),
        "2D": ({"image": save(tmp_path / "flat.nii.gz", series()[:, :, 0, 0])}, "has 2 axes"),
        "5D": ({"image": save(tmp_path / "5d.nii.gz", np.stack([series()] * 2, -1))}, "has 5 axes"),
        "single slice": ({"image": save(tmp_path / "one.nii.gz", series()[:, :, :1])}, "has a single slice"),
        "NaN": ({"image": save(tmp_path / "nan.nii.gz", nan)}, "NaN or infinite"),
        "infinite": ({"image": save(tmp_path / "inf.nii.gz", np.where(nan > 800, np.inf, 1))}, "NaN or infinite"),
        "constant": ({"image": save(tmp_path / "flat7.nii.gz", np.full(SHAPE, 7, np.uint8))}, "has the value 7"),
        "colours": ({"image": save(tmp_path / "rgb.nii.gz", colours)}, "colours or complex"),
        "zero affine": ({"image": header("affine.nii", 280, 328)}, "affine is degenerate"),
        "times": ({"image": good, "times": [0.0, 0.5]}, "has 3 frames, but the data list has 2 times"),
        "grids": ({"image": [good, save(tmp_path / "g2.nii.gz", series()[:-1])]}, "the frame's shape"),
        "frame affines": ({"image": [good, save(tmp_path / "g3.nii.gz", series(), other)]}, "the frame's affine"),
        "label missing": ({"image": good, "label": str(tmp_path / "missing_gt.nii.gz")}, "there is no such file"),
        "label value": (label("gt7.nii.gz", wrong), "label value 7, not one of 0, 1, 2, 3"),
        "label between": (label("half.nii.gz", classes() * np.float32(0.5)), "label value 0.5"),
        "label unmapped": (label("gt.nii.gz", classes(), label_map={"0": 0, "1": 1}), "value 2, not one of 0, 1;"),
        "label map": (label("gm.nii.gz", classes(), label_map={"0": 0, "1": 9}), "classes beyond the 4"),
        "label shape": (label("gs.nii.gz", classes()[:-1]), r"the label's shape \(6, 6, 4, 3\) is not \(7, 6, 4, 3\)"),
        "label transposed": (label("gT.nii.gz", classes().swapaxes(0, 1)), "the label's shape"),
        "label frames": (label("gf.nii.gz", classes()[..., :2]), "the label's shape"),
        "label affine": (label("ga.nii.gz", classes(), other), "the label's affine differs from that of .*good.nii.gz"),
        "label flipped": (label("gl.nii.gz", classes(), affine * [-1, 1, 1, 1]), "the label's affine"),
        "labelled frames": (label("gn.nii.gz", classes(), labelled_frames=[0, 9]), "beyond the scan's 3 frames"),
    }


CASES = [
    *("missing", "folder", "text", "empty", "cut in header", "cut in voxels", "cut, not zipped", "2D", "5D"),
    *("garbled header", "garbled voxels", "changed voxel"),
    *("single slice", "NaN", "infinite", "constant", "colours", "zero affine", "times", "grids", "frame affines"),
    *("label missing", "label value", "label between", "label unmapped", "label map", "label shape"),
    *("label transposed", "label frames", "label affine", "label flipped", "labelled frames"),
]


@pytest.mark.parametrize("case", CASES)
def test_bad_input_gets_one_sentence(broken, case):
    entry, says = broken[case]
    with pytest.raises(InputError, match=says) as caught:
        LoadCined()(entry)
    sentence = str(caught.value)
    named = entry["label"] if "label" in entry else entry["image"]
    named = named[-1] if isinstance(named, list) else named
    assert sentence.startswith(f"{named}: "), "begins with the file"
    assert "\n" not in sentence and "; " in sentence, "one line: what is wrong; what to do"
    assert not sentence.endswith(".")


def test_every_kind_of_bad_input_is_tried(broken):
    assert sorted(broken) == sorted(CASES)


def test_what_a_header_says_in_words_is_not_passed_on(tmp_path):
    source = nib.Nifti1Image(np.ones((4, 5, 3), np.float32), np.eye(4))
    source.header["descrip"], source.header["db_name"] = b"Doe^Jane", b"Doe^Jane"
    source.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"Doe^Jane"))
    nib.save(source, tmp_path / "scan.nii")
    written = save_nifti(tmp_path / "seg.nii", np.ones((4, 5, 3), np.uint8), str(tmp_path / "scan.nii"))
    assert b"Doe" in (tmp_path / "scan.nii").read_bytes() and b"Doe" not in written.read_bytes()
