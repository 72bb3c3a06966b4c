"""From a scanner's folder to labels and DICOM SEG by the real command; the same as from NIfTI."""

import gzip
import sys
from pathlib import Path

import highdicom
import itk
import nibabel as nib
import numpy as np
import pydicom
import pytest
from helpers.dicom_help import change, enhanced, examination
from helpers.forked import run_command
from helpers.phantom_dicom import stored, write_dicom
from helpers.tiny import TINY, disk_full_after
from nibabel.affines import apply_affine

from nisf.inference.dicom_seg import check_sources, phases_of, write_segmentations
from nisf.io.dicom_cine import RAS
from nisf.io.dicom_headers import dicom_paths
from nisf.io.images import read_scan
from nisf.io.latent_file import read_latent
from nisf.phantom.cohort import make_subject
from nisf.utils.errors import InputError

NAMES = {1: "LV", 2: "MYO", 3: "RV"}
CODES = {"LV blood pool": "87878005", "LV myocardium": "49848007", "RV blood pool": "53085002"}


def save_nifti(subject, path):
    acquisition = subject.acquisition
    image = nib.Nifti1Image(stored(subject), acquisition.affine)
    image.header.set_xyzt_units("mm", "sec")
    image.header.set_zooms([*image.header.get_zooms()[:3], acquisition.frame_duration])
    nib.save(image, path)
    return path


def nisf(folder, *words):
    done = run_command([Path(sys.executable).with_name("nisf"), "segment", *words], folder)
    assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-3000:]
    return done.stdout


SECRETS = {"PatientName": "Zzuser^Secret", "PatientID": "ZZID4711", "PatientBirthDate": "19331231"}
SECRETS |= {"AccessionNumber": "ZZACC815", "ReferringPhysicianName": "Zzdoctor^Hidden", "StudyDate": "20371130"}


def name_them(data):
    for keyword, value in SECRETS.items():
        setattr(data, keyword, value)


@pytest.fixture(scope="module")
def segmented(tmp_path_factory):
    """A folder with a phantom as NIfTI and as an examination, and both segmented; what the command said."""
    folder = tmp_path_factory.mktemp("both")
    subject = make_subject(5, **{**TINY, "matrix": 32, "voxel_mm": 4, "frames": 4})
    save_nifti(subject, folder / "heart.nii.gz")
    write_dicom(subject, folder / "exam", spread=True)
    assert change(folder / "exam", name_them)
    nisf(folder, "heart.nii.gz", "-o", "out")
    said = nisf(folder, "exam", "-o", "out", "--dicom_seg", "all")
    return folder, said


def labels_of(path):
    image = nib.load(path)
    return np.asarray(image.dataobj), image


def test_a_scanners_folder_gives_the_labels_of_the_nifti(segmented):
    folder, said = segmented
    ours, image = labels_of(folder / "out" / "exam" / "exam_seg.nii.gz")
    theirs, reference = labels_of(folder / "out" / "heart" / "heart_seg.nii.gz")
    assert set(np.unique(theirs)) == {0, 1, 2, 3}
    turn = np.rint(np.linalg.inv(reference.affine) @ image.affine)  # voxel of one to voxel of the other
    np.testing.assert_allclose(reference.affine @ turn, image.affine, atol=1e-3)
    index = apply_affine(turn, np.stack(np.meshgrid(*map(np.arange, ours.shape[:3]), indexing="ij"), axis=-1))
    np.testing.assert_array_equal(ours, theirs[tuple(np.moveaxis(index.astype(int), -1, 0))])
    np.testing.assert_allclose(image.header.get_zooms(), reference.header.get_zooms(), rtol=1e-5)
    assert "short-axis cine series 7 to 10, 4 slices, 4 frames" in said
    for label in ("localizer", "cine_2ch", "cine_4ch", "lge_sax"):
        assert f"'{label}': " in said


def test_the_patient_is_named_nowhere_but_in_the_dicom_objects(segmented):
    folder, said = segmented
    kept = [said.encode()] + [p.read_bytes() for p in (folder / "out" / "exam").iterdir() if p.suffix != ".dcm"]
    assert len(kept) >= 5
    for content in kept:
        assert not any(secret in content for secret in (b"Phantom^Heart", b"PHANTOM0", b"19700101"))
    person = read_latent(folder / "out" / "exam" / "exam_latent.pt").person
    assert person["sex"] == "F" and person["height_cm"] == 168 and person["heart_rate"] > 0


def places(data):
    """Segment number and world (RAS) of the first voxel of each frame of a SEG."""
    for group in data.PerFrameFunctionalGroupsSequence:
        position = np.array([*group.PlanePositionSequence[0].ImagePositionPatient, 1], float)
        yield group.SegmentIdentificationSequence[0].ReferencedSegmentNumber, (RAS @ position)[:3]


def by_itk(path, image):
    """The label of every voxel of a SEG on the grid of a NIfTI image: pixels by ITK, places by the header."""
    pixels, out = itk.array_from_image(itk.imread(str(path))), np.zeros(image.shape[:3], np.uint8)
    for frame, (number, place) in zip(pixels, places(pydicom.dcmread(path)), strict=True):
        x, y, z = np.rint(np.linalg.inv(image.affine) @ [*place, 1])[:3].astype(int)
        assert (x, y) == (0, 0)
        out[:, :, z][frame.T > 0] = number
    return out


def by_highdicom(path, image):
    """The same by highdicom alone."""
    volume = highdicom.seg.segread(path).get_volume(combine_segments=True)
    affine, out = RAS @ volume.affine, np.zeros(image.shape[:3], np.uint8)
    index = np.stack(np.meshgrid(*map(np.arange, volume.array.shape), indexing="ij"), axis=-1).reshape(-1, 3)
    voxel = (np.linalg.inv(image.affine) @ affine @ np.c_[index, np.ones(len(index))].T)[:3].T
    np.testing.assert_allclose(voxel, np.rint(voxel), atol=1e-3)
    out[tuple(np.rint(voxel).astype(int).T)] = volume.array.ravel()
    return out


@pytest.mark.parametrize("read", [by_itk, by_highdicom])
def test_dicom_seg_holds_the_labels_of_the_nifti(segmented, read):
    folder = segmented[0] / "out" / "exam"
    labels, image = labels_of(folder / "exam_seg.nii.gz")
    assert len(list(folder.glob("*.dcm"))) == labels.shape[3]
    for frame in range(labels.shape[3]):
        np.testing.assert_array_equal(read(folder / f"exam_seg_frame{frame + 1:02d}.dcm", image), labels[..., frame])


def test_dicom_seg_refers_to_the_images_of_its_frame(segmented):
    folder = segmented[0]
    sources = {d.SOPInstanceUID: d for d in map(pydicom.dcmread, dicom_paths(folder / "exam"))}
    triggers = []
    for path in sorted((folder / "out" / "exam").glob("*.dcm")):
        seg = highdicom.seg.segread(path)
        uids = seg.get_source_image_uids()
        used = [sources[uid] for _, _, uid in uids]
        assert len(used) == 4 and {d.SeriesDescription for d in used} == {"cine_sax"}
        assert [(study, series) for study, series, _ in uids] == [
            (d.StudyInstanceUID, d.SeriesInstanceUID) for d in used
        ]
        (trigger,) = {float(d.TriggerTime) for d in used}
        triggers.append(trigger)
        assert {seg.StudyInstanceUID} == {d.StudyInstanceUID for d in used}
    assert triggers == sorted(triggers) and len(set(triggers)) == 4


def test_nothing_written_names_the_patient_unless_asked(segmented, tmp_path):
    folder = segmented[0]
    written = [path for path in (folder / "out").rglob("*") if path.is_file()]
    assert {"exam_seg_frame01.dcm", "exam_latent.pt", "scans.json"} <= {path.name for path in written}
    for path in written:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        for value in SECRETS.values():
            assert value.encode() not in content, path
    labels = folder / "out" / "exam" / "exam_seg.nii.gz"
    named = write_segmentations(folder / "exam", labels, tmp_path, {"one": 0}, keep_ids=True)
    seg, bare = pydicom.dcmread(named[0]), pydicom.dcmread(folder / "out" / "exam" / "exam_seg_frame01.dcm")
    assert {keyword: str(seg[keyword].value) for keyword in SECRETS} == SECRETS
    assert "PatientIdentityRemoved" not in seg and bare.PatientIdentityRemoved == "YES"
    assert seg.StudyInstanceUID == bare.StudyInstanceUID


def test_dicom_seg_says_what_it_is(segmented):
    folder = segmented[0] / "out" / "exam"
    seg = highdicom.seg.segread(folder / "exam_seg_frame01.dcm")
    assert seg.Modality == "SEG" and seg.SegmentationType == "BINARY"
    assert "Research use only" in seg.ContentDescription and "Research use only" in seg.SeriesDescription
    assert (
        seg.SoftwareVersions.startswith("nisf ") and seg.BurnedInAnnotation == "NO"
        if "BurnedInAnnotation" in seg
        else True
    )
    for segment in seg.SegmentSequence:
        code = segment.SegmentedPropertyTypeCodeSequence[0]
        assert (code.CodingSchemeDesignator, code.CodeValue) == ("SCT", CODES[segment.SegmentLabel])
        assert segment.SegmentAlgorithmType == "AUTOMATIC" and segment.SegmentAlgorithmName == "NISF"
    assert [s.SegmentLabel for s in seg.SegmentSequence] == list(CODES)


def test_phases_are_written_alone_unless_all_are_wanted(segmented, tmp_path):
    folder = segmented[0]
    labels, image = labels_of(folder / "out" / "exam" / "exam_seg.nii.gz")
    files = write_segmentations(folder / "exam", folder / "out" / "exam" / "exam_seg.nii.gz", tmp_path)
    assert [f.name for f in files] == ["exam_seg_ED.dcm", "exam_seg_ES.dcm"]
    sizes = (labels == 1).sum(axis=(0, 1, 2))
    for path, frame in zip(files, (sizes.argmax(), sizes.argmin())):
        np.testing.assert_array_equal(by_itk(path, image), labels[..., frame])
    again = write_segmentations(folder / "exam", labels, tmp_path / "again", {"mid": 1})
    assert [f.name for f in again] == ["exam_seg_mid.dcm"]
    np.testing.assert_array_equal(by_highdicom(again[0], image), labels[..., 1])


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


def test_phases_are_where_the_lv_is_largest_and_smallest():
    labels = np.zeros((4, 4, 2, 3), np.uint8)
    labels[:2, :, :, 1], labels[:3, 0, 0, 0], labels[0, 0, 0, 2] = 1, 1, 1
    assert phases_of(labels, NAMES) == {"ED": 1, "ES": 2}
    assert phases_of(labels[..., :1], NAMES) == {"ED": 0}
    with pytest.raises(InputError, match="shows no LV"):
        phases_of(labels * 2, NAMES)


def test_what_is_no_dicom_is_refused_before_anything_is_fitted(tmp_path):
    subject, folder = examination(tmp_path / "exam", others=False)
    path = save_nifti(subject, tmp_path / "heart.nii.gz")
    subjects = [{"image": str(folder)}, {"image": str(path)}]
    assert check_sources(subjects, None) == subjects and check_sources(subjects[:1], "all") == subjects[:1]
    with pytest.raises(InputError, match="heart.nii.gz: is not a DICOM scan, and a DICOM SEG must .*; give the"):
        check_sources(subjects, True)
    with pytest.raises(InputError, match="choose one of phases, all"):
        check_sources(subjects, "some")
    with pytest.raises(InputError, match="is not a DICOM scan"):
        write_segmentations(path, np.ones(subject.render().shape), tmp_path)


def test_labels_of_another_grid_or_anatomy_are_refused(tmp_path):
    subject, folder = examination(tmp_path / "exam", others=False)
    with pytest.raises(InputError, match="has the shape .* give those of this scan"):
        write_segmentations(folder, np.ones((3, 3, 3, 3)), tmp_path)
    moved = nib.Nifti1Image(np.ones(read_scan(folder).array.shape, np.uint8), np.eye(4))
    nib.save(moved, tmp_path / "moved.nii.gz")
    with pytest.raises(InputError, match="moved.nii.gz: is not on the grid of"):
        write_segmentations(folder, tmp_path / "moved.nii.gz", tmp_path)
    with pytest.raises(InputError, match="not for anterior"):
        write_segmentations(folder, np.ones(subject.render().shape), tmp_path, class_names={"1": "anterior"})


def test_full_disk_leaves_no_half_object(tmp_path):
    _, folder = examination(tmp_path / "exam", others=False)
    labels = np.ones(read_scan(folder).array.shape, np.uint8)
    with disk_full_after(2000), pytest.raises(InputError, match="exam_seg_ED.dcm: cannot be written"):
        write_segmentations(folder, labels, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())
