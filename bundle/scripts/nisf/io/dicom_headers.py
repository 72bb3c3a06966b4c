"""The 2D pictures in DICOM files, from their headers; the patient's identity is never kept."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nisf.utils.errors import InputError
from nisf.utils.files import walk_files

logger = logging.getLogger(__name__)

#: Words of ImageType or ComplexImageComponent that mark pictures other than magnitude (velocity, phase, real parts).
NO_MAGNITUDE = {"P", "PHASE", "PHASE MAP", "VELOCITY", "VELOCITY MAP", "R", "REAL", "I", "IMAGINARY", "MIXED"}

#: Keywords read, with the functional groups of enhanced files.
_READ = (
    *("SOPInstanceUID", "SOPClassUID", "StudyInstanceUID", "SeriesInstanceUID", "SeriesNumber", "SeriesDescription"),
    *("PatientID", "PatientSex", "PatientSize", "PatientWeight", "FrameOfReferenceUID", "Modality", "ImageType"),
    *("ComplexImageComponent", "Rows", "Columns", "SamplesPerPixel", "NumberOfFrames", "PixelSpacing"),
    *("ImagePositionPatient", "ImageOrientationPatient", "TriggerTime", "InstanceNumber", "AcquisitionTime"),
    *("ContentTime", "NominalInterval", "HeartRate", "RescaleSlope", "RescaleIntercept", "SpecificCharacterSet"),
    *("SliceThickness", "CardiacRRIntervalSpecified"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
)


#: Elements with the ms from beat to beat, the most particular first; scanners write 0 for what they did not measure.
_INTERVALS = ("RRIntervalTimeNominal", "NominalInterval", "CardiacRRIntervalSpecified")


@dataclass(frozen=True, eq=False)
class Picture:
    """One 2D picture of a DICOM file: its position, its time, and where its pixels are.

    Attributes:
        path, number: file, and number of the frame in it (0 in single-frame files).
        uid, study, series, family: UIDs of the instance, the study, the series and the frame of reference.
        patient: digest that only tells patients apart.
        description: of the series, for the screen alone: people type names into it.
        order: series number, 0 where it has none.
        size: columns and rows.
        spacing: mm from column to column and from row to row.
        thickness: mm, None where unknown.
        position: centre of the first pixel, [3] LPS mm.
        directions: directions of increasing column and row numbers, [2, 3] LPS.
        magnitude: False for velocity and phase pictures.
        trigger: ms after the R wave; instance: number in its series; taken: seconds of the day. None where unknown.
        interval: ms from beat to beat; rate: beats a minute; sex, height (m), weight (kg). None where unknown.
        slope, intercept: rescaling from stored to true pixel values.
    """

    path: str
    number: int
    uid: str
    study: str
    series: str
    family: str
    patient: str
    description: str
    order: int
    size: tuple[int, int]
    spacing: tuple[float, float]
    thickness: float | None
    position: np.ndarray
    directions: np.ndarray
    magnitude: bool
    trigger: float | None
    instance: int | None
    taken: float | None
    interval: float | None
    rate: float | None
    sex: str | None
    height: float | None
    weight: float | None
    slope: float
    intercept: float

    @cached_property
    def normal(self) -> np.ndarray:
        """Unit vector [3] across the picture, LPS."""
        normal = np.cross(*self.directions)
        return normal / np.linalg.norm(normal)

    @property
    def label(self) -> str:
        """Its series, for messages."""
        return f"series {self.order}"

    @property
    def depth(self) -> float:
        """Position along the normal, mm."""
        return float(self.position @ self.normal)


def is_dicom(path: str | os.PathLike) -> bool:
    """Whether a file begins as a DICOM file does: the preamble, or, without one, a first element of group 2 or 8."""
    try:
        with open(path, "rb") as file:
            start = file.read(132)
    except OSError:
        return False
    return start[128:] == b"DICM" or (start[:2] in (b"\x02\x00", b"\x08\x00") and start[3:4] == b"\x00")


def dicom_paths(source: str | os.PathLike) -> list[str]:
    """Paths of the DICOM files below a folder (at any depth, any names), or the file itself."""
    return [path for path in (walk_files(source) if os.path.isdir(source) else [str(source)]) if is_dicom(path)]


@dataclass(frozen=True)
class FileKind:
    """What a DICOM file is, by its header.

    Attributes:
        image: whether it is an image, not a DICOMDIR, a report or a segmentation.
        damaged: whether it ends before its header tells so.
        study: StudyInstanceUID, empty where it has none.
    """

    image: bool
    damaged: bool
    study: str


def kind_of(path: str) -> FileKind:
    """The kind of a DICOM file; a damaged one passes for an image."""
    header = _header(path, ["SOPClassUID", "StudyInstanceUID", "Rows"])
    image = header is None or _is_image(header)
    return FileKind(
        image, header is None or (image and "Rows" not in header), str((header or {}).get("StudyInstanceUID", ""))
    )


def _is_image(header) -> bool:
    """Whether a file is of a class of images, or has rows and is of a class that the standard does not list."""
    kind = header.get("SOPClassUID") or header.file_meta.get("MediaStorageSOPClassUID", "")
    name = getattr(kind, "name", kind)
    return "Image Storage" in name or (name == kind and "Rows" in header)


def read_pictures(source: str | os.PathLike) -> list[Picture]:
    """Every picture with a position in the patient in a folder or a single file; duplicates once.

    Files that are not DICOM, cannot be read or hold no such picture (reports, screenshots) are skipped.

    Raises:
        InputError: there is no such picture, or the pictures are of several patients.
    """
    found: dict[tuple[str, int], Picture] = {}
    for path in dicom_paths(source):
        header = _header(path, list(_READ))
        for picture in [] if header is None else _pictures(path, header):
            found.setdefault((picture.uid, picture.number), picture)
    if not found:
        raise InputError(f"{source}: holds no DICOM images; give the folder of a scan's DICOM files, or an image file")
    patients = {picture.patient for picture in found.values()}
    if len(patients) > 1:
        raise InputError(f"{source}: holds images of {len(patients)} patients mixed; give one folder a patient")
    return list(found.values())


def _header(path: str, keywords: Iterable[str]):
    import pydicom

    try:
        return pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(keywords), force=True)
    except Exception as error:  # pydicom fails in many ways on files that are cut off
        logger.warning("%s: passed over, its header cannot be read (%s)", path, error)
        return None


def _pictures(path: str, header) -> list[Picture]:
    """The pictures of a file; none where it gives no position or holds colours."""
    pictures = []
    try:
        colours = int(header.get("SamplesPerPixel") or 1) != 1
        if colours or not _is_image(header):
            return []
        if "Rows" not in header:
            logger.warning("%s: passed over, its header is cut off", path)
            return []
        for number in range(int(header.get("NumberOfFrames") or 1)):
            values = _values(header, number)
            if "ImagePositionPatient" in values and "ImageOrientationPatient" in values and "PixelSpacing" in values:
                pictures.append(_picture(path, number, values))
    except (ValueError, TypeError, AttributeError, LookupError, OverflowError) as error:
        logger.warning("%s: passed over, its header is damaged (%s)", path, error)
        return []
    return pictures


def _values(header, number: int) -> dict[str, object]:
    """Keyword to value for one frame; its own functional groups override the shared ones, these the file's elements."""
    values = {element.keyword: element.value for element in header if element.value not in (None, "")}
    shared = values.pop("SharedFunctionalGroupsSequence", None) or []
    own = values.pop("PerFrameFunctionalGroupsSequence", None) or []
    for groups in [*list(shared)[:1], *list(own)[number : number + 1]]:
        for group in groups:
            for element in group.value[0] if group.VR == "SQ" and group.value else []:
                if element.value not in (None, ""):
                    values[element.keyword] = element.value
    return values


def _picture(path: str, number: int, values: Mapping[str, object]) -> Picture:
    rows, columns = int(values["Rows"]), int(values["Columns"])
    down, across = (float(v) for v in values["PixelSpacing"])
    directions = np.array([float(v) for v in values["ImageOrientationPatient"]]).reshape(2, 3)
    if not (np.linalg.norm(np.cross(*directions)) > 1e-6 and down > 0 and across > 0):
        raise ValueError("no plane")
    kinds = {str(v).upper() for v in _listed(values.get("ImageType"))[2:]} | {
        str(values.get("ComplexImageComponent", "")).upper()
    }
    return Picture(
        path=path,
        number=number,
        uid=str(values.get("SOPInstanceUID") or path),
        study=str(values.get("StudyInstanceUID", "")),
        series=str(values.get("SeriesInstanceUID", "")),
        family=str(values.get("FrameOfReferenceUID", "")),
        patient=hashlib.sha256(str(values.get("PatientID", "")).strip().encode()).hexdigest(),
        description=str(values.get("SeriesDescription") or "").strip(),
        order=int(values.get("SeriesNumber") or 0),
        size=(columns, rows),
        spacing=(across, down),
        thickness=_number(values.get("SliceThickness")),
        position=np.array([float(v) for v in values["ImagePositionPatient"]]),
        directions=directions,
        magnitude=not kinds & NO_MAGNITUDE,
        trigger=_number(values.get("NominalCardiacTriggerDelayTime", values.get("TriggerTime"))),
        instance=None if "InstanceNumber" not in values else int(values["InstanceNumber"]) * 100_000 + number,
        taken=_seconds(values.get("AcquisitionTime", values.get("ContentTime"))),
        interval=next((v for key in _INTERVALS if (v := _number(values.get(key)))), None),
        rate=_number(values.get("HeartRate")),
        sex={"M": "M", "F": "F"}.get(str(values.get("PatientSex", "")).strip().upper()),
        height=_number(values.get("PatientSize")),
        weight=_number(values.get("PatientWeight")),
        slope=float(values.get("RescaleSlope", 1.0)),
        intercept=float(values.get("RescaleIntercept", 0.0)),
    )


def _listed(value: object) -> list:
    return [] if value is None else [value] if isinstance(value, str) else list(value)


def _number(value: object) -> float | None:
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if np.isfinite(found) else None


def _seconds(value: object) -> float | None:
    """Seconds of the day of HHMMSS.FFFFFF, with or without colons; None for any other text."""
    text = str(value or "").replace(":", "").strip()
    try:
        return int(text[:2]) * 3600 + int(text[2:4]) * 60 + float(text[4:] or 0)
    except ValueError:
        return None
