"""The short-axis cine of a folder of DICOM files, or its only stack, as one array in the world."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nisf.io.dicom_frames import trigger_times
from nisf.io.dicom_grid import StackGrid, interpolated
from nisf.io.dicom_headers import read_examination
from nisf.io.dicom_picture import Picture
from nisf.io.dicom_pixels import PixelReader
from nisf.io.dicom_stack import PlacedStack, only_stack, placed_stack, short_axis
from nisf.io.header_facts import beat_of, believed, person_of, rate_of
from nisf.utils.errors import InputError

#: From DICOM's world coordinates (left, posterior, superior) to ours (right, anterior, superior).
RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass
class DicomScan:
    """A stack read from DICOM files, a cine or a still.

    Attributes:
        slices: pictures by slice and frame, from one end of the stack to the other.
        grid: where the voxels are, in DICOM's world.
        starts: seconds of each frame after the R wave by the trigger times, ascending; empty where unknown.
        beat: seconds from beat to beat, 0 where unknown.
        person: ``heart_rate`` (beats a minute), ``sex`` (F or M), ``height_cm``, ``weight_kg``, None where unknown.
        label: readable name of the series that it came from, for the screen alone.
        left: a line, for the screen alone, about each series or group of files that is left out.
        notes: what is unusual about the files, and what was done.
    """

    slices: list[list[Picture]]
    grid: StackGrid
    starts: tuple[float, ...]
    beat: float
    person: dict[str, float | str | None]
    label: str
    left: list[str]
    notes: list[str]

    @property
    def affine(self) -> np.ndarray:
        """Voxel index to world, RAS mm [4, 4], rounded to float32 as in a NIfTI header."""
        return (RAS @ self.grid.affine).astype(np.float32).astype(float)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """X, Y, Z, T: columns, rows, places of slices, frames."""
        return (*self.grid.size, self.grid.places[-1] + 1, len(self.slices[0]))

    @property
    def frame_duration(self) -> float:
        """Seconds between frames by the trigger times, 0 without: the frames need not fill a beat of known length."""
        count = len(self.starts)
        return float(self.starts[-1] - self.starts[0]) / (count - 1) if count > 1 else 0.0

    @property
    def kept_slices(self) -> list[int] | None:
        """Places that have a slice; None where all have."""
        return None if len(self.grid.places) == self.shape[2] else self.grid.places

    def array(self) -> np.ndarray:
        """Pixel values, rescaled as the headers say, float32 [X, Y, Z, T]; 0 in places without a slice.

        Raises:
            InputError: the pixels of a file are damaged, cut off or compressed in a way that cannot be undone.
        """
        out, reader = np.zeros(self.shape, np.float32), PixelReader()
        for place, pictures in zip(self.grid.places, self.slices):
            for t, picture in enumerate(pictures):
                pixels = reader.read(picture) * np.float64(picture.slope) + picture.intercept
                other = self.grid.pixel_map(picture, place)
                out[:, :, place, t] = (pixels if other is None else interpolated(pixels, other, self.grid.size)).T
        return out


def find_scan(source: str | os.PathLike, wanted: str | None = None, strict: bool = False) -> DicomScan:
    """Finds the short-axis cine in a folder of DICOM files, or in one enhanced file, by the headers alone.

    Args:
        source: folder or file.
        wanted: number, UID or description of a series that is taken instead, whatever its plane.
        strict: refuse a stack that is unusual instead of noting what was done about it.

    Raises:
        InputError: there is no DICOM image, pictures of several patients, no short-axis cine, or a broken one; with
            ``strict``, one with ``notes``.
    """
    examination = read_examination(source)
    choice = short_axis(examination, wanted)
    placed = placed_stack(choice.chosen, str(source), "short-axis cine" if wanted is None else f"series {wanted}")
    scan = _scan(placed, choice.chosen.title, [*choice.left, *examination.told()], choice.notes)
    if strict and scan.notes:
        raise InputError(f"{source}: {scan.notes[0]}; mend the files, or leave --strict out")
    return scan


def find_stack(source: str | os.PathLike) -> DicomScan:
    """The one stack in a folder of DICOM files or in a file, of any plane, cine or still.

    Raises:
        InputError: there is no DICOM image, pictures of several patients, several stacks, or a broken one.
    """
    stack = only_stack(read_examination(source))
    return _scan(placed_stack(stack, str(source), "stack"), stack.title)


def _scan(placed: PlacedStack, title: str, left: Sequence[str] = (), notes: Sequence[str] = ()) -> DicomScan:
    pictures = [picture for row in placed.slices for picture in row]
    interval = believed("interval", [picture.interval for picture in pictures])
    rate = believed("rate", [picture.rate for picture in pictures])
    first, times = pictures[0], trigger_times(placed.slices)
    return DicomScan(
        placed.slices,
        placed.grid,
        () if times is None else tuple((times / 1000).tolist()),
        beat_of(interval, rate),
        person_of(rate_of(interval, rate), first.sex, first.height, first.weight),
        title,
        list(left),
        [*notes, *placed.notes],
    )
