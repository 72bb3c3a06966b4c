"""From a scanner's folder to labels and DICOM SEG by the real command; the same as from NIfTI."""

import sys
from pathlib import Path

import highdicom
import nibabel as nib
import numpy as np
import pydicom
import pytest
from helpers.corpus import the_subject
from helpers.corpus_cases import CASES
from helpers.dicom_help import change, examination
from helpers.forked import run_command
from helpers.phantom_dicom import stored, write_dicom
from helpers.secrets import contents, found_in, secrets, values
from helpers.seg_files import by_highdicom, by_itk, places
from helpers.tiny import TINY, disk_full_after
from nibabel.affines import apply_affine

from nisf.cli.main import main
from nisf.inference.dicom_seg import check_sources, phases_of, write_segmentations
from nisf.inference.dicom_source import EMPTY
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


@pytest.fixture(scope="module")
def segmented(tmp_path_factory):
    """A folder with a phantom as NIfTI and as an examination, and both segmented; what the command said."""
    folder = tmp_path_factory.mktemp("both")
    subject = make_subject(5, **{**TINY, "matrix": 32, "voxel_mm": 4, "frames": 4})
    save_nifti(subject, folder / "heart.nii.gz")
    exam = write_dicom(subject, folder / "ZQPARENT" / "exam", spread=True)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pydicom.config.settings, "writing_validation_mode", pydicom.config.IGNORE)
        assert change(exam, lambda data: data.update(secrets()), lambda data: data.InstanceNumber == 1) > 6
        change(exam, lambda data: setattr(data, "PatientID", values()["PatientID"]))
    nisf(folder, "heart.nii.gz", "-o", "out")
    said = nisf(folder, "ZQPARENT/exam", "-o", "out", "--dicom_seg", "all", "--slicer")
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
    for number in (1, 3, 4, 60):
        assert f"left series {number} '" in said


@pytest.mark.parametrize("read", [by_itk, by_highdicom])
def test_dicom_seg_holds_the_labels_of_the_nifti(segmented, read):
    folder = segmented[0] / "out" / "exam"
    labels, image = labels_of(folder / "exam_seg.nii.gz")
    assert len(list(folder.glob("*.dcm"))) == labels.shape[3]
    for frame in range(labels.shape[3]):
        np.testing.assert_array_equal(read(folder / f"exam_seg_frame{frame + 1:02d}.dcm", image), labels[..., frame])


def test_dicom_seg_refers_to_the_images_of_its_frame(segmented):
    folder = segmented[0]
    sources = {d.SOPInstanceUID: d for d in map(pydicom.dcmread, dicom_paths(folder / "ZQPARENT"))}
    triggers = []
    for path in sorted((folder / "out" / "exam").glob("*.dcm")):
        seg = highdicom.seg.segread(path)
        uids = seg.get_source_image_uids()
        used = [sources[uid] for _, _, uid in uids]
        assert len(used) == 4 and {d.SeriesNumber for d in used} == {7, 8, 9, 10}
        assert [(study, series) for study, series, _ in uids] == [
            (d.StudyInstanceUID, d.SeriesInstanceUID) for d in used
        ]
        (trigger,) = {float(d.TriggerTime) for d in used}
        triggers.append(trigger)
        assert {seg.StudyInstanceUID} == {d.StudyInstanceUID for d in used}
    assert triggers == sorted(triggers) and len(set(triggers)) == 4


def test_no_text_of_a_header_leaves_in_any_file(segmented, monkeypatch):
    """Whatever text the headers hold, none of it is in what segment, sample and report write."""
    folder = segmented[0]
    latent = folder / "out" / "exam" / "exam_latent.pt"
    plane = ["-o", "four.nii.gz", "--plane", "4-chamber", "--outputs", "png"]
    for words in (["report", "out/exam"], ["sample", str(latent), *plane]):
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "argv", ["nisf", *words])
        main()
    written = [p for p in [*folder.glob("four*"), *(folder / "out").rglob("*")] if p.is_file()]
    kinds = {"scans.json", "four.png", "exam_seg_frame01.dcm", "exam_ED.seg.nrrd", "exam_seg.seq.nrrd", "measures.csv"}
    kinds |= {"report.html", "report.png"}
    assert kinds <= {path.name for path in written} and len(values()) > 3000
    found = {path.name: names for path in written if (names := found_in(path))}
    print(f"| {len(values())} | {len(written)} | {len(found)} |")
    assert not found
    named = {path.name for path in written if any(b"ZQPARENT" in part for part in contents(path))}
    assert named <= {"exam_latent.pt"}, "reports find the images by their path"
    person = read_latent(latent).person
    assert person["height_cm"] == 168 and person["heart_rate"] > 0, "numbers are kept"


def test_an_object_states_what_was_left_out_of_it(segmented, tmp_path):
    bare = pydicom.dcmread(segmented[0] / "out" / "exam" / "exam_seg_frame01.dcm")
    assert (bare.PatientIdentityRemoved, bare.LongitudinalTemporalInformationModified) == ("YES", "REMOVED")
    codes = [code.CodeValue for code in bare.DeidentificationMethodCodeSequence]
    assert codes == ["113100", "113110"], "basic profile, unique identifiers retained"
    dates = {element.value for element in bare.iterall() if element.VR in ("DA", "TM", "DT") and element.value}
    assert dates == {"19000101", "000000"}
    for keyword in (*EMPTY, "ContentCreatorName"):
        assert keyword in bare and not bare[keyword].value, "type 2: there, and empty"


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
    files = write_segmentations(folder / "ZQPARENT" / "exam", folder / "out" / "exam" / "exam_seg.nii.gz", tmp_path)
    assert [f.name for f in files] == ["exam_seg_ED.dcm", "exam_seg_ES.dcm"]
    sizes = (labels == 1).sum(axis=(0, 1, 2))
    for path, frame in zip(files, (sizes.argmax(), sizes.argmin())):
        np.testing.assert_array_equal(by_itk(path, image), labels[..., frame])
    again = write_segmentations(folder / "ZQPARENT" / "exam", labels, tmp_path / "again", {"mid": 1})
    assert [f.name for f in again] == ["exam_seg_mid.dcm"]
    np.testing.assert_array_equal(by_highdicom(again[0], image), labels[..., 1])


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


@pytest.mark.filterwarnings("ignore")
def test_a_missing_slice_is_in_no_object(tmp_path):
    (case,) = [case for case in CASES if case.name == "a slice lost"]
    folder = case.make(the_subject(), tmp_path / "exam")
    scan = read_scan(folder)
    labels = np.zeros(scan.array.shape, np.uint8)
    labels[8:12, 8:12] = 1 + np.arange(scan.array.shape[2])[:, None] % 3
    (file,) = write_segmentations(folder, labels, tmp_path / "out", {"ED": 0})
    pixels = pydicom.dcmread(file)
    drawn = {}
    for (segment, place), plane in zip(places(pixels), pixels.pixel_array, strict=True):
        z = int(np.rint(np.linalg.inv(scan.affine) @ [*place, 1])[2])
        drawn.setdefault(z, set()).update({segment} if plane.any() else ())
    assert sorted(drawn) == scan.kept_slices and len(drawn) == labels.shape[2] - 1
    assert all(segments == {1 + z % 3} for z, segments in drawn.items())
