"""The JSON file that dcm2niix and other converters write beside a NIfTI file: frame times, heart rate, person.

Keys and units as in dcm2niix' ``BIDS/README.md``: ``FrameTimesStart`` and, of BIDS, ``VolumeTiming`` are seconds,
``TriggerDelayTime`` is milliseconds and, in a file of one frame, a single number.
"""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nisf.io.header_facts import INTERVALS, beat_of, believed, person_of, rate_of
from nisf.io.nifti import image_stem

logger = logging.getLogger(__name__)

#: Lists of frame times, and the seconds of one of their units.
TIMES = {"FrameTimesStart": 1.0, "VolumeTiming": 1.0, "TriggerTime": 1e-3, "TriggerDelayTime": 1e-3}


@dataclass(frozen=True)
class Sidecar:
    """What a sidecar says.

    Attributes:
        starts: seconds of each frame, ascending; empty where unknown.
        beat: seconds from beat to beat, 0 where unknown.
        person: ``heart_rate``, ``sex``, ``height_cm``, ``weight_kg`` as far as known, see ``dicom_cine.DicomScan``.
    """

    starts: tuple[float, ...] = ()
    beat: float = 0.0
    person: dict[str, float | str] = field(default_factory=dict)

    @property
    def step(self) -> float:
        """Mean seconds between frames; 0 where unknown."""
        return (self.starts[-1] - self.starts[0]) / (len(self.starts) - 1) if len(self.starts) > 1 else 0.0


def sidecar_path(path: str | os.PathLike) -> Path | None:
    """The JSON file of a NIfTI file's name, if there is one."""
    stem = image_stem(path)
    found = None if stem is None else Path(path).parent / f"{stem}.json"
    return found if found is not None and str(path).endswith((".nii", ".nii.gz")) and found.is_file() else None


def read_sidecar(path: str | os.PathLike, frames: int) -> Sidecar:
    """What the sidecar of a NIfTI file of some number of frames says; nothing where there is none.

    A file that is no JSON, or has values that cannot be, is passed over with a line.
    """
    place = sidecar_path(path)
    if place is None:
        return Sidecar()
    try:
        told = json.loads(place.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        logger.warning("%s: is no JSON file, so what it says of %s is not used", place, Path(path).name)
        return Sidecar()
    return _sidecar(told, frames) if isinstance(told, dict) else Sidecar()


def _sidecar(told: Mapping[str, object], frames: int) -> Sidecar:
    numbers = {name: float(value) for name, value in told.items() if _is_number(value)}
    found = (believed("interval", [numbers.get(name)]) for name in INTERVALS)
    interval, rate = next((one for one in found if one), None), believed("rate", [numbers.get("HeartRate")])
    sizes = numbers.get("PatientSize"), numbers.get("PatientWeight")
    person = person_of(rate_of(interval, rate), told.get("PatientSex"), *sizes)
    known = {name: value for name, value in person.items() if value is not None}
    return Sidecar(_starts(told, frames), beat_of(interval, rate_of(interval, rate)), known)


def _starts(told: Mapping[str, object], frames: int) -> tuple[float, ...]:
    for name, unit in TIMES.items():
        values = told.get(name)
        values = [values] if frames == 1 and _is_number(values) else values
        if not isinstance(values, list) or len(values) != frames or not all(map(_is_number, values)):
            continue
        if all(a < b for a, b in zip(values, values[1:])):
            return tuple(unit * float(value) for value in values)
    return ()


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and abs(value) < 1e9
