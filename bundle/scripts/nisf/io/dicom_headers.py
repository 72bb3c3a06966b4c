"""The pictures of an examination in DICOM files, from their headers."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from nisf.io.dicom_identity import identified, patients_of
from nisf.io.dicom_mosaic import is_mosaic, tiles_of
from nisf.io.dicom_picture import Picture, digest_of_patient, picture_of
from nisf.utils.errors import InputError
from nisf.utils.files import walk_files

logger = logging.getLogger(__name__)

#: Keywords read, with the functional groups of enhanced files.
_READ = (
    *("SOPInstanceUID", "SOPClassUID", "StudyInstanceUID", "SeriesInstanceUID", "SeriesNumber", "SeriesDescription"),
    *("PatientID", "PatientSex", "PatientSize", "PatientWeight", "FrameOfReferenceUID", "Modality", "ImageType"),
    *("ComplexImageComponent", "Rows", "Columns", "SamplesPerPixel", "NumberOfFrames", "PixelSpacing"),
    *("ImagePositionPatient", "ImageOrientationPatient", "TriggerTime", "InstanceNumber", "AcquisitionTime"),
    *("ContentTime", "NominalInterval", "HeartRate", "RescaleSlope", "RescaleIntercept", "SpecificCharacterSet"),
    *("SliceThickness", "CardiacRRIntervalSpecified", "TemporalPositionIdentifier", "SpacingBetweenSlices"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
)

#: What reading a damaged header raises.
_DAMAGE = (ValueError, TypeError, AttributeError, LookupError, OverflowError)


@dataclass(frozen=True)
class Examination:
    """What DICOM files hold.

    Attributes:
        source: folder or file, for messages.
        pictures: every picture with a position in the patient, duplicates once.
        passed: number of files that were passed over, by the reason.
    """

    source: str
    pictures: list[Picture]
    passed: Counter[str] = field(default_factory=Counter)

    def told(self) -> list[str]:
        """A line for each reason why files were passed over."""
        return [f"{count} file{'s' * (count > 1)} passed over, {reason}" for reason, count in self.passed.items()]


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
        study, patient, series: what it says that it belongs to, empty where it says nothing.
        alone: whether it holds a single picture.
    """

    image: bool
    damaged: bool
    study: str
    patient: str
    series: str
    alone: bool


def kind_of(path: str) -> FileKind:
    """The kind of a DICOM file; a damaged one passes for an image."""
    header = _header(
        path, ["SOPClassUID", "StudyInstanceUID", "SeriesInstanceUID", "PatientID", "Rows", "NumberOfFrames"]
    )
    image = header is None or _is_image(header)
    told = header or {}
    return FileKind(
        image,
        header is None or (image and "Rows" not in header),
        str(told.get("StudyInstanceUID", "")),
        digest_of_patient(told.get("PatientID")),
        str(told.get("SeriesInstanceUID", "")),
        str(told.get("NumberOfFrames") or 1).strip() == "1",
    )


def _is_image(header) -> bool:
    """Whether a file is of a class of images, or has rows and is of a class that the standard does not list."""
    kind = header.get("SOPClassUID") or header.file_meta.get("MediaStorageSOPClassUID", "")
    name = getattr(kind, "name", kind)
    return "Image Storage" in name or (name == kind and "Rows" in header)


def read_examination(source: str | os.PathLike) -> Examination:
    """The pictures in a folder or a single file.

    Files that are not DICOM, cannot be read or hold no picture with a position (reports, screenshots) are skipped.

    Raises:
        InputError: there is no such picture, or the pictures are of several patients.
    """
    paths = tuple(dicom_paths(source))
    return _examination(str(source), paths, tuple(_stamp(path) for path in paths))


def _stamp(path: str) -> tuple[int, int, int]:
    """What is no longer the same once a file has been changed."""
    found = os.stat(path)
    return found.st_ino, found.st_size, found.st_mtime_ns


@lru_cache(maxsize=1)  # a scan's headers are asked for twice: for the digest of its files, and to load it
def _examination(source: str, paths: tuple[str, ...], stamps: tuple) -> Examination:
    """``read_examination`` of files as they were at the time of their stamps."""
    found: dict[tuple, Picture] = {}
    passed: Counter[str] = Counter()
    for path in paths:
        try:
            for picture in _pictures(path):
                # one UID for all files is no identifier, so the same picture is also in the same place at the same time
                place = (*picture.position.round(3), picture.trigger, picture.temporal, picture.instance)
                found.setdefault((picture.uid, picture.number, *place), picture)
        except InputError as error:
            passed[str(error)] += 1
            logger.debug("%s: passed over, %s", path, error)
    if not found:
        damaged = f" ({'; '.join(Examination('', [], passed).told())})" if passed else ""
        raise InputError(
            f"{source}: holds no DICOM images{damaged}; give the folder of a scan's DICOM files, or an image file"
        )
    pictures = list(found.values())
    patients = patients_of(pictures)
    if len(patients) > 1:
        raise InputError(f"{source}: holds images of {len(patients)} patients mixed; give one folder a patient")
    return Examination(source, identified(pictures), passed)


def _header(path: str, keywords: Iterable[str]):
    """The elements of a header; None where pydicom, which fails in many ways on files that are cut off, fails."""
    import pydicom

    try:
        return pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(keywords), force=True)
    except Exception as error:
        logger.debug("%s: its header cannot be read (%s)", path, error)
        return None


def _pictures(path: str) -> list[Picture]:
    """The pictures of a file; none where it is no image or holds colours.

    Raises:
        InputError: the file is damaged or an image without a position; the reason without its name.
    """
    header = _header(path, _READ)
    if header is None:
        raise InputError("their headers cannot be read")
    try:
        if int(header.get("SamplesPerPixel") or 1) != 1 or not _is_image(header):
            return []
        whole = "Rows" in header
        found = [picture_of(path, *one) for one in _placed_values(path, header)] if whole else []
    except InputError:
        raise
    except _DAMAGE as error:
        raise InputError("their headers are damaged") from error
    if not found:
        raise InputError("they give no position in the patient" if whole else "their headers are cut off")
    return found


def _placed_values(path: str, header) -> Iterator[tuple[int, dict[str, object]]]:
    """Number and elements of each picture of a file that has a position."""
    for number in range(int(header.get("NumberOfFrames") or 1)):
        values = _values(header, number)
        if is_mosaic(values):
            yield from tiles_of(path, values)
        elif "ImagePositionPatient" in values and "ImageOrientationPatient" in values and "PixelSpacing" in values:
            yield number, values


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
