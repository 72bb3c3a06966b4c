"""ACDC as it lies on disk becomes the right subjects."""

import logging
import os

import pytest
from helpers.layout_files import acdc_patient, save

from nisf.io.datalist import find_subjects
from nisf.utils.errors import InputError


def test_acdc_frames_times_phases_and_orientation(tmp_path):
    folder = acdc_patient(tmp_path / "training", 1)
    (subject,) = find_subjects("acdc", tmp_path)
    assert subject["subject"] == "patient001"
    assert subject["image"] == [str(folder / f"patient001_frame{n}.nii.gz") for n in ("01", "12")]
    assert subject["label"] == [str(folder / f"patient001_frame{n}_gt.nii.gz") for n in ("01", "12")]
    assert subject["times"] == pytest.approx([0.0, 11 / 30])
    assert subject["phases"] == {"ED": 0, "ES": 1}
    assert subject["label_map"] == {"0": 0, "1": 3, "2": 2, "3": 1}
    assert subject["array_axes"] == ["lateral", "inferior", "apex"]


def test_acdc_without_labels_and_with_results_beside_the_images(tmp_path):
    folder = acdc_patient(tmp_path, 1, labels=False)
    save(folder / "patient001_frame01_seg.nii.gz")
    (subject,) = find_subjects("acdc", tmp_path)
    assert subject["label"] is None
    assert len(subject["image"]) == 2


def test_acdc_with_one_label_keeps_its_place(tmp_path):
    folder = acdc_patient(tmp_path, 1)
    os.remove(folder / "patient001_frame01_gt.nii.gz")
    (subject,) = find_subjects("acdc", tmp_path)
    assert subject["label"] == [None, str(folder / "patient001_frame12_gt.nii.gz")]


@pytest.mark.parametrize("info", [None, "ED: 1\nES: 12\n"])
def test_acdc_without_cycle_length_takes_a_typical_systole_and_says_so(tmp_path, caplog, info):
    acdc_patient(tmp_path, 1, info=info)
    with caplog.at_level(logging.WARNING):
        (subject,) = find_subjects("acdc", tmp_path)
    assert subject["times"] == [0.0, 0.35]
    assert subject["phases"] == {"ED": 0, "ES": 1}
    assert "patient001" in caplog.text


def test_acdc_cine_is_the_image_where_it_is_with_one_label_entry_per_frame(tmp_path):
    folder = acdc_patient(tmp_path, 1, frames=(1, 4), info="ED: 1\nES: 4\nNbFrame: 6\n")
    cine = save(folder / "patient001_4d.nii.gz", (3, 3, 2, 6))
    (subject,) = find_subjects("acdc", tmp_path)
    assert subject["image"] == cine and subject["times"] is None
    assert [label and os.path.basename(label) for label in subject["label"]] == [
        "patient001_frame01_gt.nii.gz",
        None,
        None,
        "patient001_frame04_gt.nii.gz",
        None,
        None,
    ]
    assert subject["phases"] == {"ED": 0, "ES": 3}


def test_acdc_cine_needs_no_frames_beside_it_and_a_broken_one_fails_alone(tmp_path):
    save(tmp_path / "patient001" / "patient001_4d.nii.gz", (3, 3, 2, 6))
    broken = tmp_path / "patient002" / "patient002_4d.nii.gz"
    broken.parent.mkdir()
    broken.write_bytes(b"no image")
    with pytest.raises(InputError, match="patient002_4d.nii.gz cannot be read"):
        find_subjects("acdc", tmp_path)
    found = find_subjects("acdc", tmp_path, strict=False)
    assert [s["image"].endswith("_4d.nii.gz") for s in found] == [True, True]
    assert found[0]["label"] is None


def test_linked_patients_are_found_and_a_circular_link_ends(tmp_path):
    folder = acdc_patient(tmp_path / "store", 1)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "patient001").symlink_to(folder)
    (tmp_path / "data" / "again").symlink_to(tmp_path / "data")
    assert [s["subject"] for s in find_subjects("acdc", tmp_path / "data")] == ["patient001"]
