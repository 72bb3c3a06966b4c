"""Splits can be trusted; what is not there is said."""

import json
import os

import pytest
from helpers.layout_files import ACDC_RULE, acdc_patient, entry, write_cohort

from nisf.io.datalist import check_splits, find_subjects, load_split, split_subjects, write_splits
from nisf.io.layouts.registry import READERS
from nisf.utils.errors import InputError

# ---- splits


def test_acdc_split_by_last_digit_written_and_read_back(tmp_path):
    for number in (13, 2, 10, 1, 12):
        acdc_patient(tmp_path / "data", number)
    file = tmp_path / "out" / "splits.json"
    test = load_split("acdc", tmp_path / "data", "test", rule=ACDC_RULE, splits_file=file)
    assert [s["subject"] for s in test] == ["patient010"]
    written = {"training": ["patient001", "patient013"], "validation": ["patient002", "patient012"]}
    assert json.loads(file.read_text()) == {**written, "test": ["patient010"]}
    assert os.listdir(tmp_path / "out") == ["splits.json"], "no temporary file is left"
    for rule in (file, str(file), {"given": str(file)}):
        again = load_split("acdc", tmp_path / "data", "training", rule=rule)
        assert [s["subject"] for s in again] == written["training"]


def subjects(*names):
    return [{"subject": name} for name in names]


def test_split_by_ids_leaves_out_what_is_not_named():
    splits = split_subjects(subjects("a", "b", "c"), {"ids": {"training": ["c", "a"]}})
    assert splits == {"training": subjects("a", "c"), "validation": [], "test": []}


@pytest.mark.parametrize(
    "rule, message",
    [
        ({"ids": {"training": ["a1"], "test": ["a1"]}}, '"a1" is in both "training" and "test"'),
        ({"ids": {"training": ["a1", "zz"]}}, '"zz" of split "training" has no files'),
        ({"ids": {"train": ["a1"]}}, "the split rule: expected lists"),
        ({"last_digit": {"validation": [1], "test": [1]}}, '"a1" is in both'),
        ({"last_digit": {"tset": [1]}}, '"tset"'),
        ({"given": True}, "no split;"),
        ({"random": 0.8}, "not understood"),
        ("nowhere.json", "nowhere.json cannot be read"),
    ],
)
def test_bad_split_rules(rule, message):
    with pytest.raises(InputError, match=message):
        split_subjects(subjects("a1", "a2"), rule)


def test_cohort_file_with_a_subject_in_two_splits(tmp_path):
    write_cohort(tmp_path, training=[entry("s1")], test=[entry("s1")])
    with pytest.raises(InputError, match='"s1" occurs twice .training and test'):
        load_split("cohort", tmp_path, "test")


def test_check_splits_accepts_subjects_and_ids():
    check_splits({"training": ["a"], "test": subjects("b")}, ["a", "b", "c"])
    with pytest.raises(InputError, match='"a"'):
        check_splits({"training": ["a"], "test": subjects("a")})


def test_failed_write_keeps_the_old_splits(tmp_path, monkeypatch):
    file = tmp_path / "splits.json"
    write_splits({"training": ["a"]}, file)

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(InputError, match="splits.json: cannot be written .disk full"):
        write_splits({"training": ["b"]}, file)
    assert json.loads(file.read_text()) == {"training": ["a"]}
    assert os.listdir(tmp_path) == ["splits.json"]


# ---- what is not there


@pytest.mark.parametrize("layout", sorted(READERS))
def test_missing_and_empty_folders_name_the_layout(tmp_path, layout):
    for folder in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(InputError, match=layout):
            find_subjects(layout, folder)


def test_empty_section_unknown_section_unknown_layout_and_no_rule(tmp_path):
    acdc_patient(tmp_path, 1)
    with pytest.raises(InputError, match='no subject is in "test"'):
        load_split("acdc", tmp_path, "test", rule=ACDC_RULE)
    with pytest.raises(InputError, match='"tests"'):
        load_split("acdc", tmp_path, "tests", rule=ACDC_RULE)
    with pytest.raises(InputError, match="acdc, mnms"):
        load_split("ACDC", tmp_path, "test", rule=ACDC_RULE)
    with pytest.raises(InputError, match="No split rule"):
        load_split("acdc", tmp_path, "test")
    assert len(load_split("acdc", tmp_path, "all")) == 1


def test_the_same_id_in_two_places(tmp_path):
    acdc_patient(tmp_path / "one", 1)
    acdc_patient(tmp_path / "two", 1)
    with pytest.raises(InputError, match='"patient001" occurs twice .*one.*two'):
        find_subjects("acdc", tmp_path)


@pytest.mark.parametrize("name", ["../../up", "/etc/x", "..", " . ", "a/b", "a\\b", "a\nb", "x" * 200])
def test_a_subject_cannot_lead_out_of_the_result_folder(tmp_path, name):
    path = tmp_path / "cohort.json"
    (tmp_path / "scan.nii.gz").write_bytes(b"")
    path.write_text(json.dumps({"test": [{"subject": name, "image": "scan.nii.gz"}]}))
    with pytest.raises(InputError, match="cannot be a folder's name"):
        load_split("cohort", str(path), "all")


@pytest.mark.parametrize("one, other", [("Scan", "scan"), ("Zo\u00eb", "Zoe\u0308")])
def test_subjects_that_some_disk_takes_for_one(tmp_path, one, other):
    write_cohort(tmp_path, test=[entry(one), entry(other)])
    with pytest.raises(InputError, match="have the same name on disks that ignore case or the form of an accent"):
        find_subjects("cohort", tmp_path)


def test_a_subject_with_two_images_of_one_name(tmp_path):
    write_cohort(tmp_path, test=[{"subject": "s1", "image": ["a/f.nii.gz", "b/F.nii.gz"]}])
    with pytest.raises(InputError, match='"s1" has images of the same name; rename one'):
        find_subjects("cohort", tmp_path, strict=False)
