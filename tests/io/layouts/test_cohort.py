"""Data lists, and what is wrong with them."""

import os

import pytest
from helpers.layout_files import entry, write_cohort

from nisf.io.datalist import find_subjects, load_split
from nisf.utils.errors import InputError


def test_cohort_by_folder_or_file_with_its_own_splits(tmp_path):
    write_cohort(tmp_path, training=[entry("s2", phases={"ED": 0, "ES": 3}), entry("s1")], test=[entry("s3")])
    for source in (tmp_path, tmp_path / "cohort.json"):
        training = load_split("cohort", source, "training")
        assert [s["subject"] for s in training] == ["s1", "s2"]
        assert training[1]["image"] == str(tmp_path / "s2.nii.gz")
        assert training[1]["phases"] == {"ED": 0, "ES": 3} and training[0]["phases"] == {}
    assert [s["subject"] for s in load_split("cohort", tmp_path, "all")] == ["s1", "s2", "s3"]


def test_cohort_label_that_is_gone_is_none_and_image_that_is_gone_is_an_error(tmp_path, caplog):
    write_cohort(tmp_path, training=[entry("s1")])
    os.remove(tmp_path / "s1_label.nii.gz")
    assert find_subjects("cohort", tmp_path)[0]["label"] is None
    assert "s1_label.nii.gz" in caplog.text
    os.remove(tmp_path / "s1.nii.gz")
    with pytest.raises(InputError, match='s1.nii.gz, the image of subject "s1"'):
        find_subjects("cohort", tmp_path)


def test_a_split_that_is_the_sections_own_and_a_number_as_subject_are_taken(tmp_path):
    write_cohort(tmp_path, training=[entry("s1", split="training"), entry(7)])
    subjects = load_split("cohort", tmp_path, "training")
    assert [(one["subject"], one["split"]) for one in subjects] == [("7", "training"), ("s1", "training")]


@pytest.mark.parametrize(
    "text, message",
    [
        ("{", "not valid JSON"),
        ("[]", "no cohort file"),
        ('{"training": [{"subject": "s1"}]}', 'no "image"'),
        ('{"training": [{"subject": "s1", "image": ["a.nii", "b.nii"], "label": ["c.nii"]}]}', '"label"'),
        ('{"training": [{"subject": "s1", "image": ["a.nii", "b.nii"], "times": [0]}]}', '"times"'),
        ('{"training": 3}', '"training" is no list'),
        ('{"training": [{"subject": "s1", "image": 3}]}', '"image" of s1 is 3; it must be a path'),
        ('{"training": [{"subject": "s1", "image": ["a.nii", 3]}]}', '"image" of s1 is .*; it must be a path'),
        ('{"training": [{"subject": "s1", "image": "a.nii", "label": {"x": 1}}]}', '"label" of s1'),
        (
            '{"test": [{"subject": "s1", "image": "a.nii", "pixel_size_known": "no"}]}',
            "is 'no'; it must be true or false",
        ),
        ('{"training": [{"subject": ["s1"], "image": "a.nii"}]}', '"subject" of .* must be text'),
        ('{"training": [{"subject": "s1", "image": "a.nii", "times": 0.5}]}', '"times" of s1 is 0.5'),
        ('{"training": [{"subject": "s1", "image": "a.nii", "labelled_frames": "all"}]}', '"labelled_frames" of s1'),
        ('{"training": [{"subject": "s1", "image": "a.nii", "phases": [0, 9]}]}', '"phases" of s1'),
        ('{"training": [{"subject": "s1", "image": "a.nii", "crops": "c.nii"}]}', '"crops" of s1'),
        ('{"training": [{"subject": "s1", "image": "a.nii", "label_map": 1}]}', '"label_map" of s1'),
        (
            '{"training": [{"subject": "s1", "image": "a.nii", "split": "test"}]}',
            's1 is in "training", but its "split"',
        ),
    ],
)
def test_bad_cohort_file(tmp_path, text, message):
    (tmp_path / "cohort.json").write_text(text)
    with pytest.raises(InputError, match=message):
        find_subjects("cohort", tmp_path)
