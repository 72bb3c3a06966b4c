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


@pytest.mark.parametrize(
    "text, message",
    [
        ("{", "not valid JSON"),
        ("[]", "no cohort file"),
        ('{"training": [{"subject": "s1"}]}', 'no "image"'),
        ('{"training": [{"subject": "s1", "image": ["a.nii", "b.nii"], "label": ["c.nii"]}]}', '"label"'),
        ('{"training": [{"subject": "s1", "image": ["a.nii", "b.nii"], "times": [0]}]}', '"times"'),
    ],
)
def test_bad_cohort_file(tmp_path, text, message):
    (tmp_path / "cohort.json").write_text(text)
    with pytest.raises(InputError, match=message):
        find_subjects("cohort", tmp_path)
