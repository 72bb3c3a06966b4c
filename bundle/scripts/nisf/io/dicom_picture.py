"""One 2D picture of a DICOM file, as its header describes it; the patient's identity is never kept."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nisf.io.header_facts import INTERVALS

#: Words of ImageType or ComplexImageComponent that mark pictures other than magnitude (velocity, phase, real parts).
NO_MAGNITUDE = {"P", "PHASE", "PHASE MAP", "VELOCITY", "VELOCITY MAP", "R", "REAL", "I", "IMAGINARY", "MIXED"}


@dataclass(frozen=True, eq=False)
class Picture:
    """One 2D picture of a DICOM file: its position, its time, and where its pixels are.

    Attributes:
        path, number: file, and number of the frame or mosaic tile in it (0 in files of one picture).
        uid, study, series, family: UIDs of the instance, the study, the series and the frame of reference.
        patient: digest that only tells patients apart; empty where there is no number.
        description: of the series, for the screen alone: people type names into it.
        order: series number, 0 where it has none.
        size: columns and rows.
        spacing: mm from column to column and from row to row.
        thickness: mm, None where unknown.
        position: centre of the first pixel, [3] LPS mm.
        directions: directions of increasing column and row numbers, [2, 3] LPS.
        magnitude: False for velocity and phase pictures.
        trigger: ms after the R wave; temporal: number of the time point; instance: number in its series; taken: seconds
            of the day. None where unknown.
        interval: ms from beat to beat; rate: beats a minute; sex, height (m), weight (kg). None where unknown.
        slope, intercept: rescaling from stored to true pixel values.
        alone: whether its file holds no other picture.
        examination, run: what tells examinations and series apart, by the identifiers that can be believed.
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
    temporal: int | None
    instance: int | None
    taken: float | None
    interval: float | None
    rate: float | None
    sex: str | None
    height: float | None
    weight: float | None
    slope: float
    intercept: float
    alone: bool = True
    examination: str = ""
    run: tuple = ()

    @cached_property
    def normal(self) -> np.ndarray:
        """Unit vector [3] across the picture, LPS."""
        normal = np.cross(*self.directions)
        return normal / np.linalg.norm(normal)

    @property
    def label(self) -> str:
        """Its series, for messages."""
        return f"series {self.order}"


def picture_of(path: str, number: int, values: Mapping[str, object]) -> Picture:
    """A picture from the elements of its header, keyword to value.

    Raises:
        ValueError, TypeError, LookupError, OverflowError: an element that it needs is missing or senseless.
    """
    rows, columns = int(values["Rows"]), int(values["Columns"])
    down, across = (float(v) for v in values["PixelSpacing"])
    directions = np.array([float(v) for v in values["ImageOrientationPatient"]]).reshape(2, 3)
    if not (np.linalg.norm(np.cross(*directions)) > 1e-6 and down > 0 and across > 0):
        raise ValueError("no plane")
    kinds = {str(v).upper() for v in _listed(values.get("ImageType"))[2:]} | {
        str(values.get("ComplexImageComponent", "")).upper()
    }
    temporal = values.get("TemporalPositionIndex", values.get("TemporalPositionIdentifier"))
    return Picture(
        path=path,
        number=number,
        uid=str(values.get("SOPInstanceUID") or path),
        study=str(values.get("StudyInstanceUID", "")),
        series=str(values.get("SeriesInstanceUID", "")),
        family=str(values.get("FrameOfReferenceUID", "")),
        patient=digest_of_patient(values.get("PatientID")),
        description=str(values.get("SeriesDescription") or "").strip(),
        order=int(values.get("SeriesNumber") or 0),
        size=(columns, rows),
        spacing=(across, down),
        thickness=_number(values.get("SliceThickness")),
        position=np.array([float(v) for v in values["ImagePositionPatient"]]),
        directions=directions,
        magnitude=not kinds & NO_MAGNITUDE,
        trigger=_number(values.get("NominalCardiacTriggerDelayTime", values.get("TriggerTime"))),
        temporal=None if temporal is None else int(temporal),
        instance=None if "InstanceNumber" not in values else int(values["InstanceNumber"]) * 100_000 + number,
        taken=_seconds(values.get("AcquisitionTime", values.get("ContentTime"))),
        interval=next((v for key in INTERVALS if (v := _number(values.get(key)))), None),
        rate=_number(values.get("HeartRate")),
        sex={"M": "M", "F": "F"}.get(str(values.get("PatientSex", "")).strip().upper()),
        height=_number(values.get("PatientSize")),
        weight=_number(values.get("PatientWeight")),
        slope=float(values.get("RescaleSlope", 1.0)),
        intercept=float(values.get("RescaleIntercept", 0.0)),
        alone=int(values.get("NumberOfFrames") or 1) == 1,
    )


def digest_of_patient(number: object) -> str:
    """A digest that only tells patients apart; empty where there is no number."""
    text = str(number or "").strip()
    return hashlib.sha256(text.encode()).hexdigest() if text else ""


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
