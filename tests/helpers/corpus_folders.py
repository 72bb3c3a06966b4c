"""Makers of unusual folders of DICOM files."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from copy import deepcopy
from functools import lru_cache
from pathlib import Path

import numpy as np
import pydicom
from helpers.corpus import FRAMES, TILTED, the_subject
from helpers.dicom_help import change, of_series
from helpers.phantom_dicom import Examination, stored, write_dicom

from nisf.io.dicom_headers import dicom_paths
from nisf.phantom.cohort import Subject

UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")


@lru_cache
def files(spread: bool) -> dict[str, bytes]:
    """Relative path and content of the files of a scanner's export."""
    with tempfile.TemporaryDirectory() as folder:
        paths = sorted(path for path in write_dicom(the_subject(), folder, spread=spread).rglob("*") if path.is_file())
        return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def exported(folder: Path, spread: bool = False) -> Path:
    """Writes a scanner's export; returns the folder."""
    for name, content in files(spread).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def edited(edit: Callable | None = None, where: Callable = lambda data: True, **options: bool) -> Callable:
    """A maker of an examination with edited files; an edit that returns False removes the file."""

    def make(subject: Subject, folder: Path) -> Path:
        exported(folder, **options)
        for path in dicom_paths(folder) if edit else []:
            data = pydicom.dcmread(path)
            if where(data):
                if edit(data) is False:
                    Path(path).unlink()
                else:
                    data.save_as(path)
        return folder

    return make


def place(data) -> tuple[int, int]:
    """Slice and frame of a file of the short-axis series."""
    return divmod(data.InstanceNumber - 1, FRAMES)


def sax(data) -> bool:
    """A condition: files of the short-axis series."""
    return data.SeriesNumber == 7


def at(slices=None, frames=None) -> Callable:
    """A condition: the short-axis files of these slices and frames."""

    def where(data) -> bool:
        z, t = place(data)
        return sax(data) and (slices is None or z in slices) and (frames is None or t in frames)

    return where


def own_uids(*keywords: str, text: str = "1.2.826.0.1.{}") -> Callable:
    """An edit that gives every file values of its own."""
    count = [0]

    def edit(data) -> None:
        for keyword in keywords:
            count[0] += 1
            setattr(data, keyword, text.format(count[0]))

    return edit


def with_values(**elements) -> Callable:
    """An edit that sets elements, keyword to value; None removes one."""

    def edit(data) -> None:
        for keyword, value in elements.items():
            if value is None:
                if keyword in data:
                    delattr(data, keyword)
            else:
                setattr(data, keyword, value)

    return edit


def gone(data) -> bool:
    """An edit that removes the file."""
    return False


def plane(data) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Directions of rows and columns, and position, of a file: [3] each, LPS mm."""
    row, column = np.array(data.ImageOrientationPatient, float).reshape(2, 3)
    return row, column, np.array(data.ImagePositionPatient, float)


def quarter_turn(data) -> None:
    """Turns the picture by 90 degrees in plane, with position and directions."""
    pixels = np.rot90(data.pixel_array)
    row, column, start = plane(data)
    data.ImagePositionPatient = list(start + row * data.PixelSpacing[1] * (data.Columns - 1))
    data.ImageOrientationPatient = [*column, *-row]
    data.Rows, data.Columns = pixels.shape
    data.PixelData = np.ascontiguousarray(pixels).tobytes()


def mirror(data) -> None:
    """Reverses the columns, with position and directions."""
    row, column, start = plane(data)
    data.ImagePositionPatient = list(start + row * data.PixelSpacing[1] * (data.Columns - 1))
    data.ImageOrientationPatient = [*-row, *column]
    data.PixelData = np.ascontiguousarray(data.pixel_array[:, ::-1]).tobytes()


def larger_field(data) -> None:
    """Adds five pixels on each side."""
    row, column, start = plane(data)
    pixels = np.pad(data.pixel_array, 5)
    data.ImagePositionPatient = list(start - 5 * (row * data.PixelSpacing[1] + column * data.PixelSpacing[0]))
    data.Rows, data.Columns = pixels.shape
    data.PixelData = pixels.tobytes()


def finer(data) -> None:
    """Every pixel as four: the values between come out the same within a part of the range."""
    row, column, start = plane(data)
    down, across = (float(v) for v in data.PixelSpacing)
    pixels = data.pixel_array.repeat(2, 0).repeat(2, 1)
    data.ImagePositionPatient = list(start - row * across / 4 - column * down / 4)
    data.PixelSpacing = [down / 2, across / 2]
    data.Rows, data.Columns = pixels.shape
    data.PixelData = pixels.tobytes()


def again(folder: Path, where: Callable, **elements) -> None:
    """Takes pictures of the series again, later and brighter: the first time is darker."""
    for path in dicom_paths(folder):
        data = pydicom.dcmread(path)
        if where(data):
            earlier = deepcopy(data)
            earlier.PixelData = (data.pixel_array // 2).tobytes()
            earlier.save_as(path)
            with_values(
                InstanceNumber=data.InstanceNumber + 1000, SOPInstanceUID=pydicom.uid.generate_uid(), **elements
            )(data)
            data.save_as(f"{path}b")


def taken_again(where: Callable, **elements) -> Callable:
    """A maker of an export in which pictures were taken again in the same series."""

    def make(subject: Subject, folder: Path) -> Path:
        again(exported(folder), where, **elements)
        return folder

    return make


def another_cine(subject: Subject, folder: Path) -> Path:
    """An earlier cine of three slices beside that of four."""
    exported(folder)
    Examination(folder).add(6, "cine_sax", stored(subject)[:, :, 1:], from_slice(subject, 1))
    return folder


def from_slice(subject: Subject, z: int) -> np.ndarray:
    """The affine of a stack that begins at slice ``z``, [4, 4]."""
    affine = subject.acquisition.affine.copy()
    affine[:3, 3] += z * affine[:3, 2]
    return affine


def spread_again(subject: Subject, folder: Path) -> Path:
    """Each slice a series, one of them taken again later."""
    exported(folder, spread=True)
    change(folder, lambda data: setattr(data, "PixelData", (data.pixel_array // 2).tobytes()), of_series(9))
    Examination(folder, 0, 900.0).add(20, "again", stored(subject)[:, :, 2:3], from_slice(subject, 2))
    return folder


def copied(rename: bool) -> Callable:
    """A maker of an export with every file twice, under its own UID or a new one."""

    def make(subject: Subject, folder: Path) -> Path:
        exported(folder)
        for path in dicom_paths(folder):
            data = pydicom.dcmread(path)
            if rename:
                data.SOPInstanceUID = pydicom.uid.generate_uid()
            data.save_as(f"{path}copy")
        return folder

    return make


def phase_beside(subject: Subject, folder: Path) -> Path:
    """Phase pictures beside the magnitudes in the same series."""
    exported(folder)
    for path in dicom_paths(folder):
        data = pydicom.dcmread(path)
        if sax(data):
            with_values(ImageType=["ORIGINAL", "PRIMARY", "P"], SOPInstanceUID=pydicom.uid.generate_uid())(data)
            data.PixelData = bytes(len(data.PixelData))
            data.save_as(f"{path}p")
    return folder


def time_points(data) -> None:
    """An edit that makes each time point a series."""
    z, t = place(data)
    with_values(SeriesNumber=70 + t, SeriesInstanceUID=f"1.2.3.{t}", InstanceNumber=z + 1)(data)


def tilted(*series: tuple[int, str, tuple[int, ...]]) -> Callable:
    """Stacks across the body, named; the first is the subject's, in its own plane turned away from the usual one."""

    def make(subject: Subject, folder: Path) -> Path:
        exam = Examination(folder, 0, 900.0)
        for number, name, axes in series:
            exam.add(number, name, stored(subject), TILTED[list(axes)])
        return folder

    return make


def with_clutter(subject: Subject, folder: Path) -> Path:
    """Notes, a broken file and a report beside the images."""
    exported(folder)
    (folder / "DIR0" / "notes.txt").write_text("short axis is series 7\n")
    (folder / "DIR0" / "cut.dcm").write_bytes(bytes(128) + b"DICM" + b"\x08\x00\x05\x00CS\x0a\x00ISO")
    report = pydicom.dcmread(dicom_paths(folder)[0])
    report.SOPClassUID = pydicom.uid.BasicTextSRStorage
    for keyword in ("PixelData", "Rows", "Columns"):
        delattr(report, keyword)
    report.save_as(folder / "DIR1" / "report")
    return folder


def cut_off(subject: Subject, folder: Path) -> Path:
    """One file ends in its header: the frame is lost."""
    exported(folder)
    for path in dicom_paths(folder):
        data = pydicom.dcmread(path)
        if at([2], [FRAMES - 1])(data):
            Path(path).write_bytes(Path(path).read_bytes()[:700])
    return folder


def two_patients(subject: Subject, folder: Path) -> Path:
    """The exports of two patients in one folder."""
    write_dicom(subject, folder, seed=0)
    write_dicom(subject, folder / "more", seed=1)
    return folder


def zip_names(subject: Subject, folder: Path) -> Path:
    """Every file in a folder of its own."""
    exported(folder)
    for number, path in enumerate(dicom_paths(folder)):
        (folder / f"{number:04d}").mkdir()
        shutil.move(path, folder / f"{number:04d}" / "IM")
    return folder
