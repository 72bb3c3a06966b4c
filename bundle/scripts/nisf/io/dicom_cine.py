"""The short-axis cine of a folder of DICOM files, or its only stack, as one array in the world."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nisf.io.dicom_headers import Picture, read_pictures
from nisf.io.dicom_stack import Stack, line_through, only_stack, short_axis
from nisf.utils.errors import InputError

#: From DICOM's world coordinates (left, posterior, superior) to ours (right, anterior, superior).
RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass
class DicomScan:
    """A stack read from DICOM files, a cine or a still.

    Attributes:
        slices: pictures by slice and frame; slices ordered along cross(X, Y) in DICOM's world.
        affine: voxel index to world, RAS mm [4, 4], rounded to float32 as in a NIfTI header.
        starts: seconds of each frame after the R wave by the trigger times, ascending; empty where unknown.
        beat: seconds from beat to beat, 0 where unknown.
        person: ``heart_rate`` (beats a minute), ``sex`` (F or M), ``height_cm``, ``weight_kg``, None where unknown.
        label: readable name of the series that it came from, for the screen alone.
        left: a line, for the screen alone, about each series that is left out.
    """

    slices: list[list[Picture]]
    affine: np.ndarray
    starts: tuple[float, ...]
    beat: float
    person: dict[str, float | str | None]
    label: str
    left: list[str]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """X, Y, Z, T: columns, rows, slices, frames."""
        return (*self.slices[0][0].size, len(self.slices), len(self.slices[0]))

    @property
    def frame_duration(self) -> float:
        """Seconds between frames by the trigger times, 0 without: the frames need not fill a beat of known length."""
        count = len(self.starts)
        return float(self.starts[-1] - self.starts[0]) / (count - 1) if count > 1 else 0.0

    def array(self) -> np.ndarray:
        """Pixel values, rescaled as the headers say, float32 [X, Y, Z, T].

        Raises:
            InputError: the pixels of a file are damaged, cut off or compressed in a way that cannot be undone.
        """
        out = np.empty(self.shape, np.float32)
        opened: tuple[str, np.ndarray] = ("", np.empty(0))
        for z, pictures in enumerate(self.slices):
            for t, picture in enumerate(pictures):
                if opened[0] != picture.path:  # an enhanced file holds many pictures
                    opened = (picture.path, _pixels(picture.path))
                pixels = opened[1][picture.number]
                if pixels.shape != picture.size[::-1]:
                    raise InputError(f"{picture.path}: its pixels do not have the size in its header; export it again")
                out[:, :, z, t] = pixels.T * np.float64(picture.slope) + picture.intercept
        return out


def find_scan(source: str | os.PathLike) -> DicomScan:
    """Finds the short-axis cine in a folder of DICOM files, or in one enhanced file, by the headers alone.

    Raises:
        InputError: there is no DICOM image, pictures of several patients, no short-axis cine, or an incomplete one.
    """
    return _scan(*short_axis(read_pictures(source), str(source)))


def find_stack(source: str | os.PathLike) -> DicomScan:
    """The one stack in a folder of DICOM files or in a file, of any plane, cine or still.

    Raises:
        InputError: there is no DICOM image, pictures of several patients, several stacks, or an incomplete one.
    """
    return _scan(only_stack(read_pictures(source), str(source)))


def _scan(stack: Stack, left: Sequence[str] = ()) -> DicomScan:
    slices = stack.slices
    times = _starts(slices), _beat(slices)
    return DicomScan(slices, affine_of(slices), *times, _person(slices), stack.title, list(left))


def affine_of(slices: Sequence[Sequence[Picture]]) -> np.ndarray:
    """Voxel index (column, row, slice) to RAS mm, [4, 4]; see PS3.3 C.7.6.2.1.1 of the DICOM standard.

    A single slice steps by its thickness, by 1 mm where that is unknown.
    """
    first = slices[0][0]
    origin, step = line_through(np.array([pictures[0].position for pictures in slices]))
    affine = np.eye(4)
    affine[:3, 0] = first.directions[0] * first.spacing[0]
    affine[:3, 1] = first.directions[1] * first.spacing[1]
    affine[:3, 2], affine[:3, 3] = step if len(slices) > 1 else first.normal * (first.thickness or 1.0), origin
    return (RAS @ affine).astype(np.float32).astype(float)


def _starts(slices: Sequence[Sequence[Picture]]) -> tuple[float, ...]:
    """Seconds of each frame after the R wave, the median over the slices whose trigger times ascend."""
    told = [[picture.trigger for picture in pictures] for pictures in slices]
    told = [row for row in told if None not in row and bool(np.all(np.diff(row) > 0))]
    return tuple((np.median(told, axis=0) / 1000).tolist()) if told else ()


def _beat(slices: Sequence[Sequence[Picture]]) -> float:
    """Seconds from beat to beat: the shorter where interval and heart rate differ, which leaves less time unseen."""
    interval, rate = _interval(slices), _rate(slices)
    told = [one for one in (interval, 60_000 / rate if rate else None) if one]
    return min(told) / 1000 if told else 0.0


def _interval(slices: Sequence[Sequence[Picture]]) -> float | None:
    """Milliseconds from beat to beat, by the headers."""
    return _median([p.interval for s in slices for p in s], 200, 3000)


def _rate(slices: Sequence[Sequence[Picture]]) -> float | None:
    """Beats a minute, by the headers."""
    told, interval = _median([p.rate for s in slices for p in s], 20, 300), _interval(slices)
    return told or (60_000 / interval if interval else None)


def _person(slices: Sequence[Sequence[Picture]]) -> dict[str, float | str | None]:
    first = slices[0][0]
    height = _median([first.height], 0.3, 2.6)  # DICOM's is in metres
    return {
        "heart_rate": _rate(slices),
        "sex": first.sex,
        "height_cm": None if height is None else round(100 * height, 1),
        "weight_kg": _median([first.weight], 1, 400),
    }


def _median(values: Sequence[float | None], low: float, high: float) -> float | None:
    """Median of the plausible values (scanners write 0 for what nobody typed in)."""
    good = [v for v in values if v is not None and low <= v <= high]
    return float(np.median(good)) if good else None


def _pixels(path: str) -> np.ndarray:
    """Stored values [pictures, rows, columns] of a file."""
    import pydicom

    try:
        array = np.asarray(pydicom.dcmread(path, force=True).pixel_array)
    except Exception as error:  # pydicom fails in many ways, and has no decoder for some compressions
        raise InputError(
            f"{path}: its pixels cannot be read ({' '.join(str(error).split())[:200]}); "
            "export the series again, uncompressed"
        ) from error
    return array if array.ndim == 3 else array[None]
