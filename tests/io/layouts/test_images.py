"""Images by name, list and folder."""

import pytest
from helpers.layout_files import save

from nisf.io.datalist import find_subjects
from nisf.utils.errors import InputError


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


def test_files_that_some_disk_takes_for_one_are_told_apart_by_their_folders(tmp_path):
    for name in ("a/Scan.nii.gz", "b/scan.nii.gz", "b/other.nii.gz"):
        save(tmp_path / name)
    assert [s["subject"] for s in find_subjects("images", tmp_path)] == ["a_Scan", "b_scan", "other"]
