"""The headers of DICOM files say where each picture lies; who the patient is does not come through."""

import os

import numpy as np
import pydicom
import pytest
from helpers.dicom_help import change, enhanced, examination, of_series

from nisf.io.dicom_headers import dicom_paths, is_dicom, read_examination
from nisf.utils.errors import InputError


def read_pictures(source):
    return read_examination(source).pictures


def test_pictures_are_found_in_any_folder_under_any_name(tmp_path):
    subject, folder = examination(tmp_path)
    pictures = read_pictures(folder)
    x, y, z = subject.acquisition.shape
    frames = subject.acquisition.frames
    assert (
        len(pictures) == 3 + 2 * frames + z * frames + z
    ), "localiser, two long-axis cines, the stack, the still stack"
    assert len({p.path.rsplit("/", 1)[0] for p in pictures}) == 3, "in several folders"
    assert not is_dicom(folder / "README.TXT") and not is_dicom(folder / "none")
    cine = [p for p in pictures if p.order == 7]
    assert {p.size for p in cine} == {(x, y)} and {(p.label, p.description) for p in cine} == {("series 7", "cine_sax")}
    assert sorted({p.trigger for p in cine}) == pytest.approx(
        [1000 * subject.acquisition.frame_duration * t for t in range(frames)]
    )
    assert {(p.sex, p.height, p.weight) for p in cine} == {("F", 1.68, 64.0)}


def test_nothing_of_a_picture_names_the_patient(tmp_path):
    _, folder = examination(tmp_path)
    text = " ".join(str(vars(p)) for p in read_pictures(folder))
    for secret in ("Phantom^Heart", "Phantom", "PHANTOM0", "19700101"):
        assert secret not in text.replace(str(folder), "")


def test_what_is_no_picture_in_the_patient_is_passed_over(tmp_path):
    _, folder = examination(tmp_path, others=False)
    there = len(read_pictures(folder))
    paths = dicom_paths(folder)
    report = pydicom.dcmread(paths[0])
    del report.ImagePositionPatient
    report.SOPInstanceUID = pydicom.uid.generate_uid()
    report.save_as(folder / "report")
    colours = pydicom.dcmread(paths[0])
    colours.SamplesPerPixel = 3
    colours.SOPInstanceUID = pydicom.uid.generate_uid()
    colours.save_as(folder / "screenshot")
    (folder / "damaged.dcm").write_bytes(open(paths[0], "rb").read()[:300])
    (folder / "copy.dcm").write_bytes(open(paths[1], "rb").read())
    assert len(dicom_paths(folder)) == there + 4
    assert len(read_pictures(folder)) == there, "of two files of one image one counts"


def test_a_file_without_preamble_is_read(tmp_path):
    _, folder = examination(tmp_path, others=False)
    path = dicom_paths(folder)[0]
    content = open(path, "rb").read()
    bare = tmp_path / "bare"
    bare.write_bytes(content[132:])
    assert is_dicom(bare)
    (picture,) = read_pictures(bare)
    assert np.array_equal(picture.position, read_pictures(path)[0].position)


def test_an_enhanced_file_holds_many_pictures(tmp_path):
    array = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    affine = np.diag([1.0, 2.0, 8.0, 1.0])
    pictures = read_pictures(enhanced(tmp_path / "one.dcm", array, affine))
    assert len(pictures) == 20 and sorted(p.number for p in pictures) == list(range(20))
    assert {p.spacing for p in pictures} == {(1.0, 2.0)} and {p.size for p in pictures} == {(2, 3)}
    assert sorted({round(p.trigger) for p in pictures}) == [0, 160, 320, 480, 640]
    assert {p.interval for p in pictures} == {800.0}


def test_patients_are_not_mixed(tmp_path):
    _, folder = examination(tmp_path)
    assert change(folder, lambda data: setattr(data, "PatientID", "OTHER"), of_series(60))
    with pytest.raises(InputError, match="images of 2 patients mixed; give one folder a patient"):
        read_pictures(folder)


def test_a_folder_without_images_is_said(tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(InputError, match="holds no DICOM images"):
        read_pictures(tmp_path)


def test_velocity_pictures_are_known(tmp_path):
    _, folder = examination(tmp_path, others=False, ImageType=["ORIGINAL", "PRIMARY", "P", "ND"])
    assert not any(p.magnitude for p in read_pictures(folder))


def test_files_that_change_are_read_anew(tmp_path):
    _, folder = examination(tmp_path, others=False)
    before = read_pictures(folder)
    assert [vars(p) for p in read_pictures(folder)] == [vars(p) for p in before]
    first = pydicom.dcmread(dicom_paths(folder)[0])
    first.PatientSex = "M"
    first.save_as(dicom_paths(folder)[0])
    assert [p.sex for p in read_pictures(folder)].count("M") == 1
    for path in dicom_paths(folder)[1:3]:
        os.remove(path)
    assert len(read_pictures(folder)) == len(before) - 2
