"""What a DICOM SEG takes over from its images, and which files and frames it refers to."""

from pathlib import Path

import highdicom
import nibabel as nib
import numpy as np
import pydicom
import pytest
from helpers.dicom_help import change, enhanced, examination
from helpers.phantom_dicom import stored
from helpers.seg_files import by_itk

from nisf.inference.dicom_seg import write_segmentations
from nisf.inference.dicom_source import EMPTY
from nisf.io.dicom_headers import dicom_paths
from nisf.io.images import read_scan
from nisf.utils.errors import InputError


def test_patient_and_visit_are_named_where_asked_for(tmp_path):
    named = {"PatientName": "A^B", "PatientID": "4711", "PatientBirthDate": "19331231", "StudyDate": "20371130"}
    _, folder = examination(tmp_path / "exam", others=False)
    change(folder, lambda data: [setattr(data, keyword, value) for keyword, value in named.items()])
    labels = np.ones(read_scan(folder).array.shape, np.uint8)
    (path,) = write_segmentations(folder, labels, tmp_path, {"one": 0}, keep_ids=True)
    seg = pydicom.dcmread(path)
    assert {keyword: str(seg[keyword].value) for keyword in named} == named
    assert not {"PatientIdentityRemoved", "DeidentificationMethod"} & set(seg.dir()) and seg.ContentDate > "2026"


@pytest.mark.parametrize("keep_ids", [False, True])
def test_files_that_an_anonymiser_emptied_get_an_object(tmp_path, keep_ids):
    _, folder = examination(tmp_path / "exam", others=False)
    gone = (*EMPTY, "FrameOfReferenceUID", "SeriesNumber", "Manufacturer", "SliceThickness", "SpacingBetweenSlices")

    def empty(data):
        for keyword in gone:
            data.pop(keyword, None)

    change(folder, empty)
    scan = read_scan(folder)
    labels = np.random.default_rng(0).integers(0, 4, scan.array.shape).astype(np.uint8)
    (path,) = write_segmentations(folder, labels, tmp_path, {"one": 1}, keep_ids=keep_ids)
    np.testing.assert_array_equal(by_itk(path, nib.Nifti1Image(labels[..., 1], scan.affine)), labels[..., 1])
    assert highdicom.seg.segread(path).get_volume(combine_segments=True).spacing[0] == pytest.approx(20)


def test_objects_that_differ_have_other_unique_identifiers_and_the_same_object_has_its_own(tmp_path):
    _, folder = examination(tmp_path / "exam", others=False)
    labels = np.ones(read_scan(folder).array.shape, np.uint8)

    def uids(frames={"one": 0}, **options):
        (path,) = write_segmentations(folder, labels, tmp_path, frames, **options)
        made = pydicom.dcmread(path, stop_before_pixels=True)
        return made.SOPInstanceUID, made.SeriesInstanceUID

    bare = uids()
    assert bare == uids()
    others = [uids(keep_ids=True), uids({"one": 1}), uids(class_names={"1": "LV", "2": "MYO"})]
    assert len({uid for pair in [bare, *others] for uid in pair}) == 8


def test_no_value_of_a_header_is_quoted_where_it_allows_no_object(tmp_path):
    _, folder = examination(tmp_path / "exam", others=False)
    change(folder, lambda data: setattr(data, "PatientBirthDate", "19331231"))
    for path in map(Path, dicom_paths(folder)):  # pydicom would not write it
        path.write_bytes(path.read_bytes().replace(b"19331231", b"ZQSECRET"))
    labels = np.ones(read_scan(folder).array.shape, np.uint8)
    with pytest.raises(InputError, match="its header allows no DICOM SEG .ValueError .*; leave keep_ids out") as caught:
        write_segmentations(folder, labels, tmp_path, {"one": 0}, keep_ids=True)
    assert "ZQ" not in str(caught.value)


def test_images_that_cannot_be_referred_to_are_named(tmp_path):
    _, folder = examination(tmp_path / "exam", others=False)
    change(folder, lambda data: data.pop("SOPInstanceUID"))
    with pytest.raises(InputError, match="lacks a unique identifier .* leave dicom_seg out"):
        write_segmentations(folder, np.ones(read_scan(folder).array.shape, np.uint8), tmp_path)


def test_slices_that_are_enhanced_files_of_their_own_are_referred_to_by_file_and_frame(tmp_path):
    subject, _ = examination(tmp_path / "classic", others=False)
    array, affine = stored(subject), subject.acquisition.affine
    for z in range(array.shape[2]):
        place = affine.copy()
        place[:3, 3] += z * affine[:3, 2]
        enhanced(tmp_path / "exam" / f"{z}.dcm", array[:, :, z : z + 1], place, name=str(z))
    scan = read_scan(tmp_path / "exam")
    labels = np.random.default_rng(0).integers(0, 4, scan.array.shape).astype(np.uint8)
    (file,) = write_segmentations(tmp_path / "exam", labels, tmp_path, {"ED": 2})
    np.testing.assert_array_equal(by_itk(file, nib.Nifti1Image(labels[..., 2], scan.affine)), labels[..., 2])
    seg = highdicom.seg.segread(file)
    assert len({(series, uid) for _, series, uid in seg.get_source_image_uids()}) == array.shape[2]
    for group in seg.PerFrameFunctionalGroupsSequence:
        (item,) = group.DerivationImageSequence[0].SourceImageSequence
        (source,) = (d for d in map(pydicom.dcmread, dicom_paths(tmp_path / "exam")) if refers(item, d))
        own = source.PerFrameFunctionalGroupsSequence[item.ReferencedFrameNumber - 1]
        assert own.FrameContentSequence[0].TemporalPositionIndex == 3
        np.testing.assert_allclose(*(g.PlanePositionSequence[0].ImagePositionPatient for g in (group, own)))


def refers(item, data):
    return (item.ReferencedSOPInstanceUID, item.ReferencedSOPClassUID) == (data.SOPInstanceUID, data.SOPClassUID)


def test_an_enhanced_file_is_referred_to_by_its_frames(tmp_path):
    subject, _ = examination(tmp_path / "classic", others=False)
    path = enhanced(tmp_path / "one.dcm", stored(subject), subject.acquisition.affine)
    scan = read_scan(path)
    labels = np.random.default_rng(0).integers(0, 4, scan.array.shape).astype(np.uint8)
    image = nib.Nifti1Image(labels[..., 0], scan.affine)
    (file,) = write_segmentations(path, labels, tmp_path, {"ED": 2})
    assert file.name == "one_seg_ED.dcm"
    np.testing.assert_array_equal(by_itk(file, image), labels[..., 2])
    assert {uid for _, _, uid in highdicom.seg.segread(file).get_source_image_uids()} == {
        pydicom.dcmread(path).SOPInstanceUID
    }
