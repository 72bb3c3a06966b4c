"""M&Ms as it lies on disk becomes the right subjects."""

import csv
import os

import numpy as np
import pytest
from helpers.layout_files import save

from nisf.io.datalist import find_subjects
from nisf.utils.errors import InputError


def cine_label(frames):
    label = np.zeros((3, 3, 2, 8), np.uint8)
    for frame, size in frames.items():
        label[:size, 0, 0, frame] = 1
    return label


def test_mnms_labelled_frames_from_the_labels_themselves(tmp_path):
    folder = tmp_path / "Training" / "Labeled" / "A1B2C3"
    save(folder / "A1B2C3_sa.nii.gz", (3, 3, 2, 8))
    save(folder / "A1B2C3_sa_gt.nii.gz", fill=cine_label({2: 1, 7: 3}))
    (subject,) = find_subjects("mnms", tmp_path)
    assert subject["subject"] == "A1B2C3"
    assert subject["labelled_frames"] == [2, 7]
    assert subject["phases"] == {"ED": 7, "ES": 2}, "end diastole is the frame with the larger LV"
    assert subject["label_map"] is None and subject["array_axes"] is None and subject["times"] is None


def test_mnms_labelled_frames_from_the_csv(tmp_path):
    for name in ("A1", "B2"):
        save(tmp_path / name / f"{name}_sa.nii.gz", (3, 3, 2, 8))
    save(tmp_path / "A1" / "A1_sa_gt.nii.gz", (3, 3, 2, 8))
    with open(tmp_path / "info.csv", "w", newline="") as stream:
        csv.writer(stream).writerows([["", "External code", "ED", "ES"], [0, "A1", 0, 5], [1, "B2", 1, 6]])
    a, b = find_subjects("mnms", tmp_path)
    assert (a["labelled_frames"], a["phases"]) == ([0, 5], {"ED": 0, "ES": 5})
    assert (b["label"], b["labelled_frames"], b["phases"]) == (None, None, {"ED": 1, "ES": 6})
    save(tmp_path / "A1" / "A1_sa.nii.gz", (3, 3, 2, 4))
    with pytest.raises(InputError, match="A1_sa.nii.gz has 4 frames"):
        find_subjects("mnms", tmp_path)


def test_mnms_single_frames(tmp_path):
    for phase in ("ED", "ES"):
        save(tmp_path / "A1" / f"A1_sa_{phase}.nii.gz")
    save(tmp_path / "A1" / "A1_sa_ES_gt.nii.gz")
    (subject,) = find_subjects("mnms", tmp_path)
    assert [os.path.basename(f) for f in subject["image"]] == ["A1_sa_ED.nii.gz", "A1_sa_ES.nii.gz"]
    assert subject["label"] == [None, str(tmp_path / "A1" / "A1_sa_ES_gt.nii.gz")]
    assert (subject["times"], subject["phases"]) == ([0.0, 0.35], {"ED": 0, "ES": 1})
