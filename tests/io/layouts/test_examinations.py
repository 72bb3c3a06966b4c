"""Each DICOM examination below a folder is a scan of its own, whatever else lies there."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from helpers.dicom_help import change, of_series
from helpers.phantom_dicom import write_dicom
from helpers.tiny import TINY
from pydicom.fileset import FileSet

from nisf.inference.dicom_seg import write_segmentations
from nisf.io.datalist import find_subjects
from nisf.io.dicom_cine import find_scan
from nisf.io.dicom_headers import dicom_paths
from nisf.io.images import read_scan
from nisf.phantom.cohort import make_subject
from nisf.utils.errors import InputError


def written(folder, seed=0, **options):
    return write_dicom(make_subject(5, **TINY), folder, seed=seed, **{"others": False, **options})


def images(folder):
    return [Path(subject["image"]) for subject in find_subjects("images", folder)]


def of_a_patient(folder):
    change(folder, lambda data: setattr(data, "PatientID", "ONE"))


def on_a_medium(folder, medium):
    """The files of a folder as a CD holds them: DICOMDIR above folders of patient, study and series."""
    files = FileSet()
    for path in dicom_paths(folder):
        files.add(path)
    files.write(medium)
    assert (medium / "DICOMDIR").is_file()
    return medium


def test_a_dicomdir_above_two_studies_gives_a_scan_for_each(tmp_path):
    for seed in (0, 1):
        written(tmp_path / "from" / str(seed), seed, others=seed == 1)
    of_a_patient(tmp_path / "from")
    found = images(on_a_medium(tmp_path / "from", tmp_path / "cd"))
    studies = {find_scan(folder).slices[0][0].study for folder in found}
    assert len(found) == len(studies) == 2 and all(find_scan(folder).shape == (24, 24, 4, 3) for folder in found)


def test_a_dicomdir_in_each_patients_folder_mixes_nobody(tmp_path):
    for seed in (0, 1):
        on_a_medium(written(tmp_path / "from" / str(seed), seed), tmp_path / "cds" / f"p{seed}")
    found = images(tmp_path / "cds")
    assert [folder.relative_to(tmp_path / "cds").parts[0] for folder in found] == ["p0", "p1"]
    assert len({find_scan(folder).slices[0][0].patient for folder in found}) == 2


def test_studies_mixed_in_one_folder_are_refused_unless_one_alone_has_a_cine(tmp_path):
    folder = written(tmp_path, 0)
    written(tmp_path, 1)
    of_a_patient(folder)
    assert images(folder) == [folder]
    with pytest.raises(InputError, match=r"cines of 2 studies \(series 7, series 7\) .* folder of its own"):
        read_scan(folder)
    study = pydicom.dcmread(dicom_paths(folder)[0]).StudyInstanceUID
    change(folder, lambda data: setattr(data, "SeriesNumber", 60), lambda data: data.StudyInstanceUID != study)
    change(folder, lambda data: setattr(data, "ImageType", ["ORIGINAL", "PRIMARY", "P"]), of_series(60))
    scan = find_scan(folder)
    assert {p.study for s in scan.slices for p in s} == {study}
    assert scan.left == ["series 60 'cine_sax': velocity or phase pictures"]


@pytest.mark.parametrize("where", ["out", "a/out", "."])
def test_earlier_segmentations_in_the_data_change_nothing(tmp_path, where):
    scans = [written(tmp_path / name, seed) for seed, name in enumerate("ab")]
    assert images(tmp_path) == scans
    before = read_scan(scans[0])
    labels = np.ones(before.array.shape, np.uint8)
    write_segmentations(scans[0], labels, tmp_path / where, "all")
    assert len(list((tmp_path / where).glob("*_seg_*.dcm"))) == 3
    assert images(tmp_path) == scans, "nothing more, nothing wider"
    np.testing.assert_array_equal(read_scan(scans[0]).array, before.array)
    if where == "out":
        with pytest.raises(InputError, match="holds no images data"):
            find_subjects("images", tmp_path / "out")


def test_a_damaged_file_joins_no_examinations_and_is_no_reason_to_forget_one(tmp_path):
    scans = [written(tmp_path / name, seed) for seed, name in enumerate("ab")]
    content = Path(dicom_paths(scans[0])[0]).read_bytes()
    for place in (tmp_path, scans[0], tmp_path / "alone"):
        place.mkdir(exist_ok=True)
        (place / "cut").write_bytes(content[:300])
    assert images(tmp_path) == [scans[0], tmp_path / "alone", scans[1]]
    with pytest.raises(InputError, match="alone: holds no DICOM images"):
        read_scan(tmp_path / "alone")
