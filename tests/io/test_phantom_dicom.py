"""A phantom examination looks as a scanner's export does, and is the same each time."""

import numpy as np
import pydicom
from helpers.dicom_help import examination

from nisf.io.dicom_headers import dicom_paths


def headers(folder):
    return [pydicom.dcmread(path, stop_before_pixels=True) for path in dicom_paths(folder)]


def test_names_say_nothing_of_the_order(tmp_path):
    _, folder = examination(tmp_path)
    numbers = [(d.SeriesNumber, d.InstanceNumber) for d in headers(folder)]
    assert numbers != sorted(numbers) and len({n for n, _ in numbers}) == 5


def test_the_same_seed_writes_the_same_files(tmp_path):
    for name in ("a", "b"):
        examination(tmp_path / name, spread=True)
    one, two = (sorted(p.relative_to(tmp_path / n) for p in (tmp_path / n).rglob("*.*")) for n in ("a", "b"))
    assert one == two
    first, second = dicom_paths(tmp_path / "a"), dicom_paths(tmp_path / "b")
    assert len(first) > 20
    assert all(open(x, "rb").read() == open(y, "rb").read() for x, y in zip(first, second, strict=True))


def test_long_axis_views_stand_across_the_stack(tmp_path):
    _, folder = examination(tmp_path)
    normals = {}
    for data in headers(folder):
        row, column = np.array(data.ImageOrientationPatient, float).reshape(2, 3)
        normals[data.SeriesDescription] = np.cross(row, column)
    for view in ("cine_2ch", "cine_4ch"):
        assert abs(normals[view] @ normals["cine_sax"]) < np.sin(np.radians(15))
    assert abs(normals["cine_2ch"] @ normals["cine_4ch"]) < 0.1


def test_every_file_has_what_readers_ask_for(tmp_path):
    _, folder = examination(tmp_path)
    found = headers(folder)
    assert len({d.SOPInstanceUID for d in found}) == len(found)
    assert len({d.StudyInstanceUID for d in found}) == len({d.FrameOfReferenceUID for d in found}) == 1
    for data in found:
        assert len(data.ImageOrientationPatient) == 6 and data.Rows > 1 and data.Modality == "MR"
        row, column = np.array(data.ImageOrientationPatient, float).reshape(2, 3)
        np.testing.assert_allclose([row @ row, column @ column, row @ column], [1, 1, 0], atol=1e-5)
        assert ("TriggerTime" in data) == data.SeriesDescription.startswith("cine")
