"""Cropped series of a subject over its full frames: on one world, labelled where that is known."""

import nibabel as nib
import numpy as np
import pytest
import torch
from helpers.tiny import phantom_scans
from monai.transforms import Compose

from nisf.training.store import typed
from nisf.transforms.crops import AddCropsd
from nisf.transforms.load import LoadCined
from nisf.transforms.points import RandFramed, RandPointsd, ToStored
from nisf.transforms.scan import scan_of
from nisf.transforms.spatial import CanonicalOrientationd, CropToFieldd
from nisf.utils.errors import InputError

BOX = ((4, 20), (3, 19), (1, 4))


@pytest.fixture(scope="module")
def subject(tmp_path_factory):
    """A phantom's first and third of four frames as files of their own, all of them cropped as a cine."""
    folder = tmp_path_factory.mktemp("cohort")
    (entry,) = phantom_scans(folder, 1, frames=4)
    image, label = (nib.load(entry[key]) for key in ("image", "label"))
    paths = {}
    for name, source in (("image", image), ("label", label)):
        paths[name] = [str(folder / f"{name}{t}.nii.gz") for t in (0, 2)]
        for path, t in zip(paths[name], (0, 2)):
            nib.save(nib.Nifti1Image(np.asarray(source.dataobj)[..., t], source.affine), path)
    inside = tuple(slice(low, high) for low, high in BOX)
    affine = image.affine.copy()
    affine[:3, 3] = nib.affines.apply_affine(image.affine, [low for low, _ in BOX])
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj)[inside], affine), folder / "cine.nii.gz")
    nib.save(
        nib.Nifti1Image(np.asarray(image.dataobj)[inside], affine @ np.diag([1.1, 1, 1, 1])), folder / "other.nii.gz"
    )
    paths["crops"] = [str(folder / "cine.nii.gz")]
    return {"subject": "a", **paths, "times": [0.0, 0.5], "whole": entry, "other": str(folder / "other.nii.gz")}


def added(subject):
    keys = ("image", "label")
    step = AddCropsd(LoadCined("image"), CanonicalOrientationd("image"))
    return Compose([LoadCined(keys), CanonicalOrientationd(keys), step])(subject)


def test_frames_come_one_after_another_where_they_belong(subject):
    found, whole = added(subject), CanonicalOrientationd()(LoadCined()(subject["whole"]))
    scan = scan_of(found["image"])
    assert scan.times == (0.0, 0.5, 0.0, 0.25, 0.5, 0.75)
    assert len(scan.seen) == 6 and scan.seen[0] == scan.seen[1] != scan.seen[2]
    for t in range(4):
        inside = (slice(None), *(slice(low, high) for low, high in scan.seen[2 + t]))
        assert torch.equal(found["image"][(*inside, 2 + t)].as_tensor(), whole["image"][(*inside, t)].as_tensor())
    assert torch.equal(found["image"][..., 1].as_tensor(), whole["image"][..., 2].as_tensor())


def test_a_frame_takes_the_label_of_its_time_and_no_other(subject):
    found = added(subject)
    scan, label = scan_of(found["image"]), found["label"].as_tensor()
    inside = (slice(None), *(slice(low, high) for low, high in scan.seen[2]))
    assert torch.equal(label[(*inside, 2)], label[(*inside, 0)]) and torch.equal(
        label[(*inside, 4)], label[(*inside, 1)]
    )
    assert (label[..., 3] == -1).all() and (label[..., 2] == -1).any()


def test_points_are_drawn_where_a_frame_was_acquired(subject):
    stored = Compose([CropToFieldd(("image", "label"), half_field=60.0), ToStored()])(added(subject))
    item = {**typed(stored), "index": 0}
    draw, times = Compose([RandFramed(whole_share=0.5), RandPointsd(60, 0.5)]), []
    draw.set_random_state(0)
    for _ in range(60):
        points = draw(item)
        time = float(points["coords"][3, 0])
        times.append(time)
        assert (points["label"] >= 0).all() or time in (0.25, 0.75)
    assert 0.15 < np.mean([time in (0.25, 0.75) for time in times]) < 0.4


def test_a_series_on_another_grid_is_refused(subject):
    keys = ("image", "label")
    item = CanonicalOrientationd(keys)(LoadCined(keys)(subject))
    with pytest.raises(InputError, match="other.nii.gz: is no part of the voxel grid of .*image0.nii.gz"):
        AddCropsd(LoadCined("image"), CanonicalOrientationd("image"))({**item, "crops": [subject["other"]]})
