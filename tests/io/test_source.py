"""Files are known by their content, wherever they are and whenever they were written."""

import os
import shutil

import numpy as np
import pytest
from helpers.dicom_help import change, enhanced, examination, of_series

from nisf.io.dicom_headers import dicom_paths
from nisf.io.images import read_image, read_volume
from nisf.io.source import Source, digest_of_image
from nisf.utils.errors import InputError


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


META = "ObjectType = Image\nNDims = 3\nDimSize = 6 5 2\nElementType = MET_SHORT\nElementDataFile = "
NRRD = "NRRD0004\ntype: short\ndimension: 3\nsizes: 6 5 2\nendian: little\nencoding: raw\ndata file: "


@pytest.mark.parametrize(
    "name, header",
    [
        ("a.mhd", META + "all.raw\n"),
        ("a.nhdr", NRRD + "all.raw\n"),
        ("a.mhd", META + "LIST\ns0.raw\ns1.raw\n"),
        ("a.nhdr", NRRD + "LIST 2\r\ns0.raw\r\ns1.raw\r\n"),
        ("a.mhd", META + "s%d.raw 0 1 1\n"),
        ("a.mha", META + "s%d.raw 0 1 1\n"),
        ("a.nhdr", NRRD + "s%01d.raw 1 0 -1 2\n"),
        ("a.nrrd", NRRD + "s%d.raw 0 1 1\n"),
    ],
)
def test_the_voxels_that_a_header_names_count_in_one_file_or_several(tmp_path, name, header):
    (tmp_path / name).write_text(header, newline="")
    files = [tmp_path / file for file in ("all.raw", "s0.raw", "s1.raw")]
    for size, path in zip((60, 30, 30), files):
        np.arange(size, dtype="<i2").tofile(path)
    voxels, before = read_volume(str(tmp_path / name))[0], digest(tmp_path / name)
    for path in files[:1] if "all" in header else files[1:]:
        content = path.read_bytes()
        path.write_bytes(content[:-1] + b"\1")
        assert (read_volume(str(tmp_path / name))[0] != voxels).any() and digest(tmp_path / name) not in ("", before)
        path.write_bytes(content)
        assert digest(tmp_path / name) == before
    path.unlink()
    assert digest(tmp_path / name) == ""  # never that of the header alone
    with pytest.raises(InputError, match=rf"{name}: names .+\.raw as a file of its voxels, which is missing"):
        digest_of_image(tmp_path / name)


def test_a_header_with_its_voxels_behind_it_names_no_other_file(tmp_path):
    (tmp_path / "a.mha").write_bytes(META.encode() + b"LOCAL\n" + bytes(120))
    (tmp_path / "a.nrrd").write_bytes(NRRD.replace("data file: ", "").encode() + b"\ndata file: gone.raw\n")
    assert "" not in {digest(tmp_path / name) for name in ("a.mha", "a.nrrd")}


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


def test_a_series_that_is_a_folder_of_another_plane_counts_by_its_content(tmp_path):
    image, long_axis = tmp_path / "a.nii.gz", tmp_path / "long"
    image.write_bytes(b"a scan")
    cine = np.arange(8 * 9 * 3).reshape(8, 9, 1, 3)
    enhanced(long_axis / "IM1", cine, np.eye(4))
    assert read_image(long_axis)[0].shape == cine.shape
    before = digest(image, series=[str(long_axis)])
    assert digest(image, series=[str(shutil.copytree(long_axis, tmp_path / "copy"))]) == before
    enhanced(long_axis / "IM1", cine + 1, np.eye(4))
    assert len({before, digest(image), digest(image, series=[str(long_axis)]), ""}) == 4


@pytest.mark.parametrize("name, wrapped", [("series", lambda path: [path]), ("mask", str)])
def test_a_series_or_mask_that_cannot_be_read_equals_nothing_and_hides_no_other_part(tmp_path, name, wrapped):
    (tmp_path / "a.nii.gz").write_bytes(b"a scan")
    (tmp_path / "empty").mkdir()
    entries = [{}] + [{name: wrapped(str(tmp_path / part))} for part in ("gone.nii.gz", "empty", "empty")]
    assert len({digest(tmp_path / "a.nii.gz", **entry) for entry in entries} | {""}) == 5


def test_what_cannot_be_read_has_no_digest_but_its_path(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "gone.nii.gz")
    (tmp_path / "empty").mkdir()
    gone = Source.of_subject({"image": [str(tmp_path / "link")]})
    assert gone == Source((str(tmp_path.resolve() / "gone.nii.gz"),))
    assert digest(tmp_path / "empty") == ""
    with pytest.raises(FileNotFoundError):
        digest_of_image(tmp_path / "gone.nii.gz")
