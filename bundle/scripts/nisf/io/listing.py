"""What image files and DICOM folders hold, and what of it is taken for the scan and why."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, field

import numpy as np
from nibabel.affines import voxel_sizes

from nisf.geometry.orientation import plane_in_words, slice_axis_of
from nisf.io.datalist import find_subjects
from nisf.io.dicom_headers import read_examination
from nisf.io.dicom_pixels import PixelReader
from nisf.io.dicom_slices import Stack, stacks_of
from nisf.io.dicom_stack import Choice, faults_of, placed_stack, short_axis
from nisf.io.images import is_dicom_scan, read_scan
from nisf.utils.errors import InputError

logger = logging.getLogger(__name__)


@dataclass
class Listed:
    """One stack of pictures.

    Attributes:
        name: series and description, or the file's name; for the screen alone.
        slices, frames: their numbers.
        size: columns and rows.
        pixel_mm: from column to column and row to row.
        slice_mm: from slice to slice; None where there is one, or where the distances differ.
        plane: its direction in words.
        frame_ms: from frame to frame, None where unknown.
        taken: whether it is what ``nisf segment`` reads.
        reason: why it is taken or not.
        notes: what is unusual about it.
        pictures: its middle slice [rows, columns] in the first frame and a third of the cycle later.
    """

    name: str
    slices: int
    frames: int
    size: tuple[int, int]
    pixel_mm: tuple[float, float]
    slice_mm: float | None
    plane: str
    frame_ms: float | None
    taken: bool
    reason: str
    notes: list[str] = field(default_factory=list)
    pictures: list[np.ndarray] = field(default_factory=list, repr=False)

    def to_dict(self) -> dict[str, object]:
        """As plain types, without the pictures."""
        return {name: value for name, value in asdict(self).items() if name != "pictures"}


@dataclass
class ScanListing:
    """What one path of a scan holds.

    Attributes:
        source: file or folder.
        stacks: what is in it.
        problem: why ``nisf segment`` would refuse it; None where it would not.
        passed: lines about files that were passed over.
    """

    source: str
    stacks: list[Listed]
    problem: str | None = None
    passed: list[str] = field(default_factory=list)


def list_scans(source: str, wanted: str | None = None) -> list[ScanListing]:
    """What each scan in a folder, or a file, holds; ``wanted``: see ``dicom_cine.find_scan``.

    Raises:
        InputError: there is no image.
    """
    found = []
    for subject in find_subjects("images", source, strict=False):
        path = str(subject["image"])
        try:
            found.append(_of_dicom(path, wanted) if is_dicom_scan(path) else _of_image(path))
        except InputError as error:
            found.append(ScanListing(path, [], str(error)))
    return found


def _of_dicom(path: str, wanted: str | None) -> ScanListing:
    examination = read_examination(path)
    problem = None
    try:
        choice = short_axis(examination, wanted)
    except InputError as error:
        problem, stacks = str(error), stacks_of(examination.pictures)
        choice = Choice(stacks, None, [fault or "short-axis cine" for fault in faults_of(stacks)], [])
    listed = []
    for stack, reason in zip(choice.stacks, choice.reasons):
        taken = stack is choice.chosen
        one = _of_stack(stack, taken, reason, choice.notes if taken else [])
        try:
            placed = placed_stack(stack, path, "stack")
            one.notes += placed.notes
        except InputError as error:
            one.notes.append(str(error))
            problem = str(error) if taken else problem
        listed.append(one)
    return ScanListing(path, listed, problem, examination.told())


def _of_stack(stack: Stack, taken: bool, reason: str, notes: list[str]) -> Listed:
    first, steps = stack.first, np.diff(stack.depths)
    even = len(steps) and np.ptp(steps) < 0.01 * np.median(steps) + 0.01
    middle = sorted(stack.slices[len(stack.slices) // 2], key=lambda p: (p.trigger or 0, p.instance or 0))
    triggers = [picture.trigger for picture in middle]
    timed = len(middle) > 1 and None not in triggers and triggers[-1] > triggers[0]
    return Listed(
        stack.title,
        len(stack.slices),
        stack.frames,
        first.size,
        first.spacing,
        round(float(np.median(steps)), 2) if even else None,
        plane_in_words(first.normal * [-1, -1, 1]),
        round((triggers[-1] - triggers[0]) / (len(middle) - 1), 1) if timed else None,
        taken,
        reason,
        list(notes),
        _thumbnails(middle),
    )


def _thumbnails(pictures) -> list[np.ndarray]:
    reader, shown = PixelReader(), [0, len(pictures) // 3] if len(pictures) > 2 else [0]
    try:
        return [reader.read(pictures[k]).astype(np.float32) for k in shown]
    except InputError as error:
        logger.warning("%s", error)
        return []


def _of_image(path: str) -> ScanListing:
    scan = read_scan(path)
    found = slice_axis_of(scan.affine, scan.array.shape[:3])
    across = 2 if found is None else found
    array, size = np.moveaxis(scan.array, across, 2), voxel_sizes(scan.affine)
    in_plane = [axis for axis in range(3) if axis != across]
    columns, rows, slices, frames = array.shape
    middle = array[:, :, slices // 2]
    one = Listed(
        path,
        slices,
        frames,
        (columns, rows),
        tuple(round(float(size[axis]), 3) for axis in in_plane),
        round(float(size[across]), 2) if slices > 1 else None,
        plane_in_words(scan.affine[:3, across]),
        round(1000 * scan.frame_duration, 1) or None,
        slices > 1,
        "the only image of the file" if slices > 1 else "a single slice",
        pictures=[middle[..., k].T for k in ([0, frames // 3] if frames > 2 else [0])],
    )
    return ScanListing(path, [one], None if slices > 1 else f"{path}: has a single slice; give a stack of two or more")
