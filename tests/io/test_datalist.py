"""Each layout as it lies on disk becomes the right subjects, and splits can be trusted."""

import csv
import json
import logging
import os

import nibabel as nib
import numpy as np
import pytest

from nisf.io.datalist import check_splits, find_subjects, load_split, split_subjects, write_splits
from nisf.utils.errors import InputError

ACDC_RULE = {"last_digit": {"validation": [2], "test": [0]}}


def save(path, shape=(3, 3, 2), fill=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    array = fill if isinstance(fill, np.ndarray) else np.full(shape, fill, np.uint8)
    nib.save(nib.Nifti1Image(array, np.eye(4)), path)
    return str(path)


def acdc_patient(root, number, frames=(1, 12), labels=True, info="ED: 1\nES: 12\nGroup: DCM\nNbFrame: 30\n"):
    name = f"patient{number:03d}"
    for frame in frames:
        save(root / name / f"{name}_frame{frame:02d}.nii.gz")
        if labels:
            save(root / name / f"{name}_frame{frame:02d}_gt.nii.gz")
    if info:
        (root / name / "Info.cfg").write_text(info)
    return root / name


# ---- ACDC


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


def test_acdc_cine_has_one_label_entry_per_frame(tmp_path):
    folder = acdc_patient(tmp_path, 1, frames=(1, 4), info="ED: 1\nES: 4\nNbFrame: 6\n")
    cine = save(folder / "patient001_4d.nii.gz", (3, 3, 2, 6))
    assert isinstance(find_subjects("acdc", tmp_path)[0]["image"], list)
    (subject,) = find_subjects("acdc", tmp_path, use_4d=True)
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


def test_acdc_cine_alone_needs_no_option_and_a_broken_one_fails_alone(tmp_path):
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


# ---- M&Ms, UK Biobank, MSD


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


def test_ukbb(tmp_path):
    for name in ("1002", "1001"):
        save(tmp_path / name / "sa.nii.gz", (3, 3, 2, 4))
    label = save(tmp_path / "1002" / "seg_sa.nii.gz", (3, 3, 2, 4))
    subjects = find_subjects("ukbb", tmp_path)
    assert [(s["subject"], s["label"]) for s in subjects] == [("1001", None), ("1002", label)]
    assert subjects[1]["labelled_frames"] is None, "every frame of the label file carries labels"


def test_msd(tmp_path):
    for name in ("organ_002", "organ_001", "._organ_001"):
        save(tmp_path / "imagesTr" / f"{name}.nii.gz")
    label = save(tmp_path / "labelsTr" / "organ_001.nii.gz")
    subjects = find_subjects("msd", tmp_path)
    assert [(s["subject"], s["label"], s["times"]) for s in subjects] == [
        ("organ_001", label, [0.0]),
        ("organ_002", None, [0.0]),
    ]
    save(tmp_path / "test" / "imagesTs" / "organ_003.nii.gz")
    assert find_subjects("msd", tmp_path / "test")[0]["subject"] == "organ_003"


# ---- any images


def test_images_by_file_list_and_folder(tmp_path):
    a, b = save(tmp_path / "a" / "sa.nii.gz"), save(tmp_path / "b" / "sa.nii")
    c = save(tmp_path / "c.nii.gz")
    save(tmp_path / "c_seg.nii.gz")
    (tmp_path / "notes.txt").write_text("")
    assert [(s["subject"], s["image"]) for s in find_subjects("images", tmp_path)] == [
        ("a_sa", a),
        ("b_sa", b),
        ("c", c),
    ]
    assert find_subjects("images", c)[0]["label"] is None
    assert [s["subject"] for s in find_subjects("images", [c, a, a])] == ["c", "sa"]
    assert find_subjects("images", tmp_path / "c_seg.nii.gz")[0]["subject"] == "c_seg"


def test_images_paths_are_absolute(tmp_path, monkeypatch):
    path = save(tmp_path / "scan.nii.gz")
    monkeypatch.chdir(tmp_path)
    assert find_subjects("images", "scan.nii.gz")[0]["image"] == path


def test_missing_image_stops_all_unless_told_to_go_on(tmp_path):
    there, gone = save(tmp_path / "there.nii.gz"), str(tmp_path / "gone.nii.gz")
    with pytest.raises(InputError, match="gone.nii.gz"):
        find_subjects("images", [there, gone])
    assert [s["image"] for s in find_subjects("images", [there, gone], strict=False)] == [gone, there]
    assert [s["image"] for s in find_subjects("images", gone, strict=False)] == [gone]
    text = str(tmp_path / "notes.txt")
    with pytest.raises(InputError, match="notes.txt is no image file"):
        find_subjects("images", [there, text])
    assert [s["subject"] for s in find_subjects("images", [there, text], strict=False)] == ["notes.txt", "there"]


# ---- cohort files


def write_cohort(folder, **sections):
    for name in (s["subject"] for section in sections.values() for s in section):
        save(folder / f"{name}.nii.gz")
        save(folder / f"{name}_label.nii.gz")
    (folder / "cohort.json").write_text(json.dumps({"name": "test", "labels": {}, **sections}))


def entry(name, **fields):
    return {"subject": name, "image": f"{name}.nii.gz", "label": f"{name}_label.nii.gz", **fields}


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
        ({"given": True}, "no split of its own"),
        ({"random": 0.8}, "not understood"),
        ("nowhere.json", "nowhere.json cannot be read"),
    ],
)
def test_bad_split_rules(rule, message):
    with pytest.raises(InputError, match=message):
        split_subjects(subjects("a1", "a2"), rule)


def test_cohort_file_with_a_subject_in_two_splits(tmp_path):
    write_cohort(tmp_path, training=[entry("s1")], test=[entry("s1")])
    with pytest.raises(InputError, match='"s1" is there twice .training and test'):
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


@pytest.mark.parametrize("layout", ["acdc", "mnms", "ukbb", "msd", "cohort", "images"])
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
    with pytest.raises(InputError, match='"patient001" is there twice .*one.*two'):
        find_subjects("acdc", tmp_path)


@pytest.mark.parametrize("name", ["../../up", "/etc/x", "..", " . ", "a/b", "a\\b", "a\nb", "x" * 200])
def test_a_subject_cannot_lead_out_of_the_result_folder(tmp_path, name):
    path = tmp_path / "cohort.json"
    (tmp_path / "scan.nii.gz").write_bytes(b"")
    path.write_text(json.dumps({"test": [{"subject": name, "image": "scan.nii.gz"}]}))
    with pytest.raises(InputError, match="cannot be a folder's name"):
        load_split("cohort", str(path), "all")
