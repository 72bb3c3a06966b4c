"""Files are known by their content, wherever they are and whenever they were written."""

import os
import shutil

import numpy as np
import pytest
from helpers.dicom_help import change, examination, of_series

from nisf.io.dicom_headers import dicom_paths
from nisf.io.source import Source, digest_of_image


@pytest.fixture(scope="module")
def exam(tmp_path_factory):
    """An examination whose short-axis slices are series 11 and on, each file in a folder below."""
    folder = tmp_path_factory.mktemp("exam") / "DICOM"
    examination(folder, spread=True)
    return folder


@pytest.fixture
def copied(exam, tmp_path):
    return shutil.copytree(exam, tmp_path / "copy" / "DICOM")


def digest(path, **entry):
    return Source.of_subject({"image": str(path), **entry}).digest


def test_a_file_elsewhere_or_written_later_is_the_same_and_one_of_the_same_size_and_time_is_not(tmp_path):
    file, other = tmp_path / "a.nii.gz", tmp_path / "b" / "c.nii.gz"
    other.parent.mkdir()
    for path in (file, other):
        path.write_bytes(b"a scan")
    os.utime(other, (1, 1))
    assert digest(file) == digest(other) != ""
    before = file.stat()
    other.write_bytes(b"B scan")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert digest(file) != digest(other)


def test_a_folder_of_dicom_files_moved_and_with_other_names_is_the_same(exam, copied):
    for number, path in enumerate(dicom_paths(copied)):
        os.rename(path, os.path.join(copied, f"IM{9999 - number}"))
    assert digest(copied) == digest(exam) != ""


def test_a_file_replaced_in_a_folder_below_is_seen_though_no_time_tells(exam, copied):
    times = {path: os.stat(path) for path in dicom_paths(copied)}
    cine = digest(copied)

    def brighter(data):
        data.PixelData = (np.frombuffer(data.PixelData, "<u2") + 1).tobytes()

    assert change(copied, brighter, of_series(1)) and digest(copied) == cine  # the localiser is not what is fitted
    assert change(copied, brighter, lambda data: data.SeriesNumber >= 10)
    for path, before in times.items():
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert digest(copied) not in ("", cine)


@pytest.mark.parametrize("name, line", [("a.mhd", "ElementDataFile = a.raw"), ("a.nhdr", "data file: a.raw")])
def test_the_voxels_that_a_header_names_count(tmp_path, name, line):
    (tmp_path / name).write_text(f"NDims = 3\n{line}\n")
    (tmp_path / "a.raw").write_bytes(b"voxels")
    before = digest(tmp_path / name)
    (tmp_path / "a.raw").write_bytes(b"Voxels")
    assert digest(tmp_path / name) != before


def test_mask_other_series_and_times_belong_to_it(tmp_path):
    files = {name: tmp_path / name for name in ("a.nii.gz", "b.nii.gz", "c.csv")}
    for name, path in files.items():
        path.write_text(name)
    image, other, points = map(str, files.values())
    whole = {"series": [points], "mask": other, "times": [0.0, 0.5]}
    digests = {digest(image, **{k: v for k, v in whole.items() if k != left}) for left in (None, *whole)}
    assert len(digests) == 4 and digest(image, mask=None, series=[], times=None) == digest(image)
    files["c.csv"].write_text("x,y,z")
    assert digest(image, **whole) not in digests


def test_what_cannot_be_read_has_no_digest_but_its_path(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "gone.nii.gz")
    (tmp_path / "empty").mkdir()
    gone = Source.of_subject({"image": [str(tmp_path / "link")]})
    assert gone == Source((str(tmp_path.resolve() / "gone.nii.gz"),))
    assert digest(tmp_path / "empty") == ""
    with pytest.raises(FileNotFoundError):
        digest_of_image(tmp_path / "gone.nii.gz")
