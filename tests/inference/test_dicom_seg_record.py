"""Files made from a scan's labels are among its results: they are tried again, and added to a finished scan without a
fit."""

import json

import pydicom
import pytest
from helpers.dicom_help import examination
from helpers.one_name import relabel, small_network

from nisf.runs import segment


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Folder with an examination, and a config with a small network without training."""
    folder = tmp_path_factory.mktemp("seg")
    examination(folder / "exam", others=False, PatientName="Zz^Secret")
    small_network(folder)
    return folder


@pytest.fixture
def nisf(place, tmp_path):
    """nisf segment: exit status, and what scans.json says of the scan."""

    def run(**settings):
        config = f"phantom,plain,{place / 'tiny.json'}"
        try:
            segment([str(place / "exam")], str(tmp_path), config, device="cpu", skip_finished=True, **settings)
            status = 0
        except SystemExit as ended:
            status = ended.code
        (row,) = json.loads((tmp_path / "scans.json").read_text())["scans"]
        return status, row

    return run


def show_a_heart(folder):
    """Labels with a ventricle, which a network without training need not show."""

    def draw(labels):
        labels[...] = 0
        labels[8:16, 8:16] = 1
        labels[8:12, 8:16, :, 1] = 0

    relabel(folder / "exam" / "exam_seg.nii.gz", draw)


def objects(folder):
    return {path.name: path.read_bytes() for path in sorted((folder / "exam").glob("*.dcm"))}


def made(folder):
    return (folder / "exam" / "exam_latent.pt").stat().st_mtime_ns


def test_objects_are_added_to_a_finished_scan_without_a_fit_and_are_those_of_its_labels(nisf, tmp_path):
    assert nisf()[1]["state"] == "done" and objects(tmp_path) == {}
    show_a_heart(tmp_path)
    before = made(tmp_path)
    status, row = nisf(dicom_seg="phases")
    first = objects(tmp_path)
    assert (status, row["state"]) == (0, "finished") and made(tmp_path) == before
    assert list(first) == ["exam_seg_ED.dcm", "exam_seg_ES.dcm"]
    assert {name for name in map(lambda file: file.split("/")[-1], row["files"])} >= set(first)
    assert nisf(dicom_seg="phases")[0] == 0 and objects(tmp_path) == first  # and nothing is written twice
    file = tmp_path / "exam" / "exam_seg_ED.dcm"
    for damage in (lambda: file.unlink(), lambda: file.write_bytes(first[file.name][:-100])):
        damage()
        assert nisf(dicom_seg="phases")[0] == 0 and set(objects(tmp_path)) == set(first)
        assert (
            pydicom.dcmread(file).PixelData
            == pydicom.dcmread(pydicom.filebase.DicomBytesIO(first[file.name])).PixelData
        )
    assert made(tmp_path) == before


def test_other_objects_than_were_written_are_written(nisf, tmp_path):
    nisf()
    show_a_heart(tmp_path)
    nisf(dicom_seg="phases")
    file = tmp_path / "exam" / "exam_seg_ED.dcm"
    assert str(pydicom.dcmread(file).get("PatientName", "")) != "Zz^Secret"
    nisf(dicom_seg="phases", keep_ids=True)
    assert str(pydicom.dcmread(file).PatientName) == "Zz^Secret"
    nisf(dicom_seg="all")
    assert len(objects(tmp_path)) == 3  # those that name the patient are gone


def test_objects_that_could_not_be_written_fail_the_scan_and_are_tried_again_without_a_fit(nisf, tmp_path):
    nisf()
    show_a_heart(tmp_path)
    before = made(tmp_path)
    (tmp_path / "exam" / "exam_seg_ES.dcm").mkdir()  # stands in the way
    for _ in range(2):
        status, row = nisf(dicom_seg="phases")
        assert (status, row["state"]) == (1, "failed") and "exam_seg_ES.dcm: cannot be written" in row["reason"]
    (tmp_path / "exam" / "exam_seg_ES.dcm").rmdir()
    status, row = nisf(dicom_seg="phases")
    assert (status, row["state"]) == (0, "finished") and len(objects(tmp_path)) == 2 and made(tmp_path) == before


def for_slicer(folder):
    return {path.name: path.read_bytes() for path in sorted((folder / "exam").glob("*.nrrd"))}


def test_files_for_slicer_are_added_without_a_fit_and_follow_the_labels_and_the_fit(nisf, tmp_path):
    nisf()
    show_a_heart(tmp_path)
    before = made(tmp_path)
    status, row = nisf(slicer=True)
    first = for_slicer(tmp_path)
    assert (status, row["state"]) == (0, "finished") and made(tmp_path) == before
    assert list(first) == ["exam_ED.seg.nrrd", "exam_ES.seg.nrrd", "exam_seg.seq.nrrd"]
    assert set(first) <= {file.split("/")[-1] for file in row["files"]}
    assert nisf(slicer=True, dicom_seg="phases")[0] == 0 and for_slicer(tmp_path) == first
    assert len(objects(tmp_path)) == 2, "one kind does not stand in the other's way"
    relabel(tmp_path / "exam" / "exam_seg.nii.gz", lambda labels: labels[8:16, 8:16, 1:].fill(2))
    assert nisf(slicer=True)[0] == 0
    changed = for_slicer(tmp_path)
    assert set(changed) == set(first) and all(changed[name] != first[name] for name in first)
    (tmp_path / "exam" / "exam_seg.nii.gz").unlink()  # done again, without them
    assert nisf()[1]["state"] == "done" and for_slicer(tmp_path) == objects(tmp_path) == {}
    assert not list((tmp_path / "exam").glob("exam_*.json"))


def test_objects_that_name_the_patient_do_not_stay_beside_others(nisf, tmp_path):
    nisf()
    show_a_heart(tmp_path)
    assert nisf(dicom_seg="all", keep_ids=True)[0] == 0
    assert any(b"Zz^Secret" in content for content in objects(tmp_path).values())
    assert nisf(dicom_seg="phases")[0] == 0
    assert set(objects(tmp_path)) == {"exam_seg_ED.dcm", "exam_seg_ES.dcm"}
    assert not any(b"Zz^Secret" in content for content in objects(tmp_path).values())
