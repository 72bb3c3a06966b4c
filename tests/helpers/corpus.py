"""Folders of DICOM files as hospitals, archives and students have them: what is wrong in each, and what comes out."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pydicom
from helpers.dicom_help import change, enhanced, of_series
from helpers.phantom_dicom import Examination, stored, write_dicom
from helpers.tiny import TINY

from nisf.io.dicom_headers import dicom_paths
from nisf.phantom.cohort import Subject, make_subject

FRAMES, SLICES = 6, 4

UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")


@dataclass
class Case:
    """A folder with something unusual.

    Attributes:
        name: what is wrong.
        make: writes it for a subject; returns the path to give to ``nisf segment``.
        notes: words of the line that the user sees; None where there is none.
        refused: words of the sentence with which it is refused; None where it is read.
        frames: frames that come out; all where None.
        missing: numbers of slices that do not come out.
        near: largest difference of a voxel as a part of the range; 0 where voxels come out as they are.
        options: of ``read_scan``.
        was: what came out before this was looked after, where it was wrong.
    """

    name: str
    make: Callable[[Subject, Path], Path]
    notes: str | None = None
    refused: str | None = None
    frames: tuple[int, ...] | None = None
    missing: tuple[int, ...] = ()
    near: float = 0.0
    options: dict = None
    was: str = "refused"


def the_subject() -> Subject:
    """The heart of all folders."""
    return make_subject(5, **{**TINY, "frames": FRAMES, "slices": SLICES})


@lru_cache
def _files(spread: bool) -> dict[str, bytes]:
    """Relative path and content of the files of a scanner's export."""
    with tempfile.TemporaryDirectory() as folder:
        paths = sorted(path for path in write_dicom(the_subject(), folder, spread=spread).rglob("*") if path.is_file())
        return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def _exported(folder: Path, spread: bool = False) -> Path:
    for name, content in _files(spread).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def _edited(edit: Callable | None = None, where: Callable = lambda data: True, **options: bool) -> Callable:
    """A maker of an examination with edited files; an edit that returns False removes the file."""

    def make(subject: Subject, folder: Path) -> Path:
        _exported(folder, **options)
        for path in dicom_paths(folder) if edit else []:
            data = pydicom.dcmread(path)
            if where(data):
                if edit(data) is False:
                    Path(path).unlink()
                else:
                    data.save_as(path)
        return folder

    return make


def _place(data) -> tuple[int, int]:
    """Slice and frame of a file of the short-axis series."""
    return divmod(data.InstanceNumber - 1, FRAMES)


def _sax(data) -> bool:
    return data.SeriesNumber == 7


def _at(slices=None, frames=None) -> Callable:
    """A condition: the short-axis files of these slices and frames."""

    def where(data) -> bool:
        z, t = _place(data)
        return _sax(data) and (slices is None or z in slices) and (frames is None or t in frames)

    return where


def _own_uids(*keywords: str, text: str = "1.2.826.0.1.{}") -> Callable:
    count = [0]

    def edit(data) -> None:
        for keyword in keywords:
            count[0] += 1
            setattr(data, keyword, text.format(count[0]))

    return edit


def _set(**elements) -> Callable:
    def edit(data) -> None:
        for keyword, value in elements.items():
            if value is None:
                if keyword in data:
                    delattr(data, keyword)
            else:
                setattr(data, keyword, value)

    return edit


def _gone(data) -> bool:
    return False


def _plane(data) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    row, column = np.array(data.ImageOrientationPatient, float).reshape(2, 3)
    return row, column, np.array(data.ImagePositionPatient, float)


def _quarter_turn(data) -> None:
    pixels = np.rot90(data.pixel_array)
    row, column, start = _plane(data)
    data.ImagePositionPatient = list(start + row * data.PixelSpacing[1] * (data.Columns - 1))
    data.ImageOrientationPatient = [*column, *-row]
    data.Rows, data.Columns = pixels.shape
    data.PixelData = np.ascontiguousarray(pixels).tobytes()


def _mirror(data) -> None:
    row, column, start = _plane(data)
    data.ImagePositionPatient = list(start + row * data.PixelSpacing[1] * (data.Columns - 1))
    data.ImageOrientationPatient = [*-row, *column]
    data.PixelData = np.ascontiguousarray(data.pixel_array[:, ::-1]).tobytes()


def _larger_field(data) -> None:
    row, column, start = _plane(data)
    pixels = np.pad(data.pixel_array, 5)
    data.ImagePositionPatient = list(start - 5 * (row * data.PixelSpacing[1] + column * data.PixelSpacing[0]))
    data.Rows, data.Columns = pixels.shape
    data.PixelData = pixels.tobytes()


def _finer(data) -> None:
    """Every pixel as four: the values between come out the same within a part of the range."""
    row, column, start = _plane(data)
    down, across = (float(v) for v in data.PixelSpacing)
    pixels = data.pixel_array.repeat(2, 0).repeat(2, 1)
    data.ImagePositionPatient = list(start - row * across / 4 - column * down / 4)
    data.PixelSpacing = [down / 2, across / 2]
    data.Rows, data.Columns = pixels.shape
    data.PixelData = pixels.tobytes()


def _again(folder: Path, where: Callable, **elements) -> None:
    """Takes pictures of the series again, later and brighter: the first time is darker."""
    for path in dicom_paths(folder):
        data = pydicom.dcmread(path)
        if where(data):
            earlier = deepcopy(data)
            earlier.PixelData = (data.pixel_array // 2).tobytes()
            earlier.save_as(path)
            _set(InstanceNumber=data.InstanceNumber + 1000, SOPInstanceUID=pydicom.uid.generate_uid(), **elements)(data)
            data.save_as(f"{path}b")


def _taken_again(where: Callable, **elements) -> Callable:
    def make(subject: Subject, folder: Path) -> Path:
        _again(_exported(folder), where, **elements)
        return folder

    return make


def _another_cine(subject: Subject, folder: Path) -> Path:
    _exported(folder)
    Examination(folder).add(6, "cine_sax", stored(subject)[:, :, 1:], _from_slice(subject, 1))
    return folder


def _from_slice(subject: Subject, z: int) -> np.ndarray:
    affine = subject.acquisition.affine.copy()
    affine[:3, 3] += z * affine[:3, 2]
    return affine


def _spread_again(subject: Subject, folder: Path) -> Path:
    _exported(folder, spread=True)
    change(folder, lambda data: setattr(data, "PixelData", (data.pixel_array // 2).tobytes()), of_series(9))
    Examination(folder, 0, 900.0).add(20, "again", stored(subject)[:, :, 2:3], _from_slice(subject, 2))
    return folder


def _copied(rename: bool) -> Callable:
    def make(subject: Subject, folder: Path) -> Path:
        _exported(folder)
        for path in dicom_paths(folder):
            data = pydicom.dcmread(path)
            if rename:
                data.SOPInstanceUID = pydicom.uid.generate_uid()
            data.save_as(f"{path}copy")
        return folder

    return make


def _enhanced(subject: Subject, folder: Path) -> Path:
    enhanced(folder / "one.dcm", stored(subject), subject.acquisition.affine)
    return folder


def _enhanced_slices(subject: Subject, folder: Path) -> Path:
    for z in range(SLICES):
        enhanced(folder / f"{z}.dcm", stored(subject)[:, :, z : z + 1], _from_slice(subject, z), name=str(z))
    return folder


def _compressed(uid: str, codec: str = "") -> Callable:
    """All files in another transfer syntax, by pydicom or, where it has no encoder, by GDCM."""

    def make(subject: Subject, folder: Path) -> Path:
        _exported(folder)
        for path in dicom_paths(folder):
            if codec:
                _by_gdcm(path, codec)
            else:
                data = pydicom.dcmread(path)
                data.compress(uid)
                data.save_as(path)
        return folder

    return make


def _by_gdcm(path: str, codec: str) -> None:
    import gdcm

    reader = gdcm.ImageReader()
    reader.SetFileName(path)
    reader.Read()
    turn = gdcm.ImageChangeTransferSyntax()
    turn.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, codec)))
    turn.SetInput(reader.GetImage())
    turn.Change()
    writer = gdcm.ImageWriter()
    writer.SetFile(reader.GetFile())
    writer.SetImage(turn.GetOutput())
    writer.SetFileName(path)
    writer.Write()


def _byte_order(uid: str, little: bool, preamble: bool = True) -> Callable:
    def make(subject: Subject, folder: Path) -> Path:
        _exported(folder)
        for path in dicom_paths(folder):
            data = pydicom.dcmread(path)
            if not little:
                data.PixelData = data.pixel_array.astype(">u2").tobytes()
            data.file_meta.TransferSyntaxUID = uid
            implicit = uid == pydicom.uid.ImplicitVRLittleEndian
            if not preamble:
                del data.file_meta, data.preamble
            pydicom.dcmwrite(path, data, implicit_vr=implicit, little_endian=little, force_encoding=True)
        return folder

    return make


def _mosaic(subject: Subject, folder: Path) -> Path:
    """One file per frame with the slices side by side, their number in a private element of Siemens."""
    array, affine = stored(subject), subject.acquisition.affine
    exam = Examination(folder, 0, 900.0)
    files = exam.add(5, "cine", array[:, :, :1], affine, ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"])
    for t, path in enumerate(files):
        data = pydicom.dcmread(path)
        row, column, start = _plane(data)
        normal = np.cross(row, column)
        planes = array[..., t].transpose(2, 1, 0)
        step = np.array([-1, -1, 1]) * affine[:3, 2]
        if step @ normal < 0:  # mosaics go along the normal
            planes, start = planes[::-1], start + (SLICES - 1) * step
        tiles = planes.reshape(2, 2, *planes.shape[1:]).swapaxes(1, 2).reshape(2 * data.Rows, 2 * data.Columns)
        corner = start - (row * data.PixelSpacing[1] * data.Columns + column * data.PixelSpacing[0] * data.Rows) / 2
        data.ImagePositionPatient = list(corner)
        data.Rows, data.Columns = tiles.shape
        data.PixelData = np.ascontiguousarray(tiles.astype("<u2")).tobytes()
        data.private_block(0x19, "SIEMENS MR HEADER", create=True).add_new(0x0A, "US", SLICES)
        data.save_as(path)
    return folder


def _philips(data) -> None:
    """Stored values and their slope and intercept differ from slice to slice."""
    z, _ = _place(data)
    data.RescaleSlope, data.RescaleIntercept = 2.0 / (z + 1), -3.0
    data.PixelData = np.rint((data.pixel_array + 3.0) * (z + 1) / 2).astype("<u2").tobytes()


def _phase_beside(subject: Subject, folder: Path) -> Path:
    _exported(folder)
    for path in dicom_paths(folder):
        data = pydicom.dcmread(path)
        if _sax(data):
            _set(ImageType=["ORIGINAL", "PRIMARY", "P"], SOPInstanceUID=pydicom.uid.generate_uid())(data)
            data.PixelData = bytes(len(data.PixelData))
            data.save_as(f"{path}p")
    return folder


def _time_points(data) -> None:
    z, t = _place(data)
    _set(SeriesNumber=70 + t, SeriesInstanceUID=f"1.2.3.{t}", InstanceNumber=z + 1)(data)


def _tilted(*series: tuple[int, str, tuple[int, ...]]) -> Callable:
    """Stacks across the body, named; the first is the subject's, in its own plane turned away from the usual one."""

    def make(subject: Subject, folder: Path) -> Path:
        exam = Examination(folder, 0, 900.0)
        for number, name, axes in series:
            exam.add(number, name, stored(subject), _tilted_affine()[list(axes)])
        return folder

    return make


def _tilted_affine() -> np.ndarray:
    return np.diag([-6.0, -6.0, 8.0, 1.0])


def _with_clutter(subject: Subject, folder: Path) -> Path:
    _exported(folder)
    (folder / "DIR0" / "notes.txt").write_text("short axis is series 7\n")
    (folder / "DIR0" / "cut.dcm").write_bytes(bytes(128) + b"DICM" + b"\x08\x00\x05\x00CS\x0a\x00ISO")
    report = pydicom.dcmread(dicom_paths(folder)[0])
    report.SOPClassUID = pydicom.uid.BasicTextSRStorage
    for keyword in ("PixelData", "Rows", "Columns"):
        delattr(report, keyword)
    report.save_as(folder / "DIR1" / "report")
    return folder


def _cut_off(subject: Subject, folder: Path) -> Path:
    """One file ends in its header: the frame is lost."""
    _exported(folder)
    for path in dicom_paths(folder):
        data = pydicom.dcmread(path)
        if _at([2], [FRAMES - 1])(data):
            Path(path).write_bytes(Path(path).read_bytes()[:700])
    return folder


def _two_patients(subject: Subject, folder: Path) -> Path:
    write_dicom(subject, folder, seed=0)
    write_dicom(subject, folder / "more", seed=1)
    return folder


def _signed(data) -> None:
    data.PixelRepresentation, data.RescaleIntercept, data.RescaleSlope = 1, 100, 1
    data.PixelData = (data.pixel_array.astype("<i2") - 100).tobytes()


def _zip_names(subject: Subject, folder: Path) -> Path:
    """Every file in a folder of its own."""
    _exported(folder)
    for number, path in enumerate(dicom_paths(folder)):
        (folder / f"{number:04d}").mkdir()
        shutil.move(path, folder / f"{number:04d}" / "IM")
    return folder


TRIMMED = "has other numbers of frames than 6: the 5 that all slices have are read"
TURNED = "another turn, pixel size or field in plane: read onto the grid of the others"
EMPTY = "1 place between them have none, and the segmentation there is computed from the others"
TILTED = "although it is 4 slices of another plane"

CASES = [
    Case("a scanner's export: several series, meaningless names, three folders", _edited(), was="right"),
    Case("every file in a folder of its own", _zip_names, was="right"),
    Case("each slice a series", _edited(spread=True), was="right"),
    Case("each time point a series", _edited(_time_points, _sax)),
    Case("FrameOfReferenceUID of its own in every file", _edited(_own_uids(UIDS[2]))),
    Case("all UIDs of their own in every file", _edited(_own_uids(*UIDS))),
    Case("the same, each slice a series number", _edited(_own_uids(*UIDS), spread=True)),
    Case("all UIDs of their own in every file, no series number", _edited(_own_uids(*UIDS, "SeriesNumber", text="{}"))),
    Case(
        "the same UIDs in all files", _edited(_set(**dict.fromkeys([*UIDS, "SOPInstanceUID"], "1.2.3"))), was="a frame"
    ),
    Case("no UIDs", _edited(_set(**dict.fromkeys([*UIDS, "SOPInstanceUID"])))),
    Case("malformed UIDs", _edited(_own_uids(*UIDS, "SOPInstanceUID", text="1.02.x.0{}"))),
    Case("series number 1 everywhere", _edited(_set(SeriesNumber=1)), was="right"),
    Case("no series numbers, no descriptions", _edited(_set(SeriesNumber=None, SeriesDescription=None)), was="right"),
    Case("a patient number of its own in every file", _edited(_own_uids("PatientID", text="P{}"))),
    Case("no patient number in some files", _edited(_set(PatientID=None), _at([1]))),
    Case("a frame lost in a slice", _edited(_gone, _at([1], [2])), TRIMMED, frames=(0, 1, 3, 4, 5)),
    Case("a file cut off", _cut_off, TRIMMED, frames=(0, 1, 2, 3, 4)),
    Case(
        "a frame lost, --strict",
        _edited(_gone, _at([1], [2])),
        refused="mend the files, or leave --strict out",
        options={"strict": True},
    ),
    Case("half the frames of a slice lost", _edited(_gone, _at([1], [1, 3, 5])), "the nearest in time stand", near=1.0),
    Case("a slice lost", _edited(_gone, _at([1])), EMPTY, missing=(1,)),
    Case(
        "a slice lost, each slice a series",
        _edited(_gone, lambda d: d.SeriesNumber == 9, spread=True),
        EMPTY,
        missing=(2,),
    ),
    Case("a slice taken again, in a series of its own", _spread_again, was="right"),
    Case("a slice taken again, in the same series", _taken_again(_at([2]))),
    Case("the whole cine taken again, in the same series", _taken_again(_sax)),
    Case("two cines of one heart, one with fewer slices", _another_cine, was="right"),
    Case("every file twice", _copied(False), was="right"),
    Case("every file twice, under new UIDs", _copied(True), was="right"),
    Case("a slice turned by 90 degrees in plane", _edited(_quarter_turn, _at([2])), TURNED),
    Case(
        "two slices turned by 90 degrees, each slice a series",
        _edited(_quarter_turn, lambda d: d.SeriesNumber in (8, 10), spread=True),
        TURNED,
    ),
    Case("a slice mirrored, position and directions too", _edited(_mirror, _at([1])), TURNED),
    Case("a slice with a larger field", _edited(_larger_field, _at([3])), TURNED),
    Case("a slice with finer pixels", _edited(_finer, _at([0])), TURNED, near=0.35),
    Case("enhanced, one file", _enhanced, was="right"),
    Case("enhanced, a file for each slice", _enhanced_slices, was="right"),
    Case("RLE", _compressed(pydicom.uid.RLELossless), was="right"),
    Case("JPEG-LS", _compressed(pydicom.uid.JPEGLSLossless), was="refused without a named decoder"),
    Case("JPEG lossless", _compressed("", "JPEGLosslessProcess14_1"), was="refused without a named decoder"),
    Case("JPEG 2000 lossless", _compressed("", "JPEG2000Lossless"), was="refused without a named decoder"),
    Case("Siemens mosaic", _mosaic),
    Case("big-endian", _byte_order(pydicom.uid.ExplicitVRBigEndian, False), was="right"),
    Case("implicit little-endian", _byte_order(pydicom.uid.ImplicitVRLittleEndian, True), was="right"),
    Case("no preamble", _byte_order(pydicom.uid.ImplicitVRLittleEndian, True, False), was="right"),
    Case("no trigger times", _edited(_set(TriggerTime=None)), was="right"),
    Case("trigger times all 0", _edited(_set(TriggerTime=0)), was="right"),
    Case(
        "no trigger times nor instance numbers, time points numbered",
        _edited(
            lambda d: _set(TemporalPositionIdentifier=_place(d)[1] + 1, TriggerTime=None, InstanceNumber=None)(d), _sax
        ),
    ),
    Case("stored values scaled slice by slice", _edited(_philips, _sax), near=0.01, was="right"),
    Case("negative stored values", _edited(_signed, _sax), was="right"),
    Case("phase pictures in the same series", _phase_beside, was="right"),
    Case("only stack 52 degrees off the usual short axis", _tilted((7, "SAX", (0, 1, 2, 3))), TILTED),
    Case(
        "two such stacks, one called short axis",
        _tilted((7, "pig_sax", (0, 1, 2, 3)), (8, "cine", (0, 2, 1, 3))),
        TILTED,
    ),
    Case(
        "two such stacks, --stack 7",
        _tilted((7, "a", (0, 1, 2, 3)), (8, "b", (0, 2, 1, 3))),
        "as --stack says",
        options={"stack": "7"},
    ),
    Case(
        "two such stacks",
        _tilted((7, "a", (0, 1, 2, 3)), (8, "b", (0, 2, 1, 3))),
        refused="name a series with --stack",
        was="refused, rightly",
    ),
    Case("reports, notes and a broken file beside them", _with_clutter, was="right"),
    Case("two patients in one folder", _two_patients, refused="images of 2 patients mixed", was="refused, rightly"),
    Case(
        "no positions",
        _edited(_set(ImagePositionPatient=None, ImageOrientationPatient=None)),
        refused="holds no DICOM images",
        was="refused, rightly",
    ),
    Case("no cine", _edited(_gone, _sax), refused="holds no short-axis cine", was="refused, rightly"),
]


def expected(case: Case, subject: Subject) -> tuple[np.ndarray, np.ndarray]:
    """Array [X, Y, Z, T] and affine that come out, slices and frames that do not left out of the array."""
    tilted = case.notes in (TILTED, "as --stack says")
    array = stored(subject).astype(np.float32)
    affine = _tilted_affine() if tilted else subject.acquisition.affine
    return array if case.frames is None else array[..., list(case.frames)], affine
