"""Cases of unusual folders of scans: what is wrong in each, what has to come out, and whether it does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from helpers.phantom_dicom import stored
from helpers.tiny import TINY
from nibabel.affines import apply_affine

from nisf.io.dicom_cine import DicomScan, find_scan
from nisf.phantom.cohort import Subject, make_subject
from nisf.utils.errors import InputError

FRAMES, SLICES = 6, 4

#: Plane of the stacks that are no usual short axis.
TILTED = np.diag([-6.0, -6.0, 8.0, 1.0])


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
        result: what came out, in words.
        near: largest difference of a voxel as a part of the range; 0 where voxels come out as they are.
        options: of ``read_scan``.
        tilted: whether the stack is in the plane ``TILTED``.
    """

    name: str
    make: Callable[[Subject, Path], Path]
    notes: str | None = None
    refused: str | None = None
    frames: tuple[int, ...] | None = None
    missing: tuple[int, ...] = ()
    result: str = "read"
    near: float = 0.0
    options: Mapping[str, object] = field(default_factory=dict)
    tilted: bool = False


def the_subject() -> Subject:
    """The heart of all folders."""
    return make_subject(5, **{**TINY, "frames": FRAMES, "slices": SLICES})


@dataclass
class Outcome:
    """What came out of a case: the line that the user sees, the result in words, and whether it is as it must be."""

    seen: str
    result: str
    right: bool


def outcome_of(case: Case, subject: Subject, folder: Path) -> Outcome:
    """Reads a case, written to an empty folder, and compares it with the heart that it was made of."""
    source, options = case.make(subject, folder), case.options
    try:
        scan = find_scan(source, options.get("stack"), options.get("strict", False))
        array = scan.array()
    except InputError as error:
        seen = str(error).replace(str(folder), "FOLDER")
        return Outcome(seen, "refused", bool(case.refused) and case.refused in seen)
    seen = "; ".join(scan.notes)
    told = case.notes in seen if case.notes else not scan.notes
    fault = _fault(case, subject, TILTED if case.tilted else subject.acquisition.affine, scan, array)
    return Outcome(seen, fault or ", ".join(_read(case)), told and not fault and not case.refused)


def _read(case: Case) -> list[str]:
    lost = [t + 1 for t in range(FRAMES) if case.frames and t not in case.frames]
    words = [("frame", lost), ("slice", [z + 1 for z in case.missing])]
    without = [f"without {what} {', '.join(map(str, numbers))}" for what, numbers in words if numbers]
    return [case.result, *without]


def _fault(case: Case, subject: Subject, affine: np.ndarray, scan: DicomScan, array: np.ndarray) -> str:
    """How a scan differs from what it must be; empty where it does not."""
    right = stored(subject).astype(np.float32)[..., case.frames or slice(None)]
    turn = np.rint(np.linalg.inv(affine) @ scan.affine)  # its voxel to that of the right array
    if not np.allclose(affine @ turn, scan.affine, atol=1e-3) or array.shape[3] != right.shape[3]:
        return "other voxels"
    places = scan.kept_slices or list(range(scan.shape[2]))
    at = apply_affine(turn, np.stack(np.meshgrid(*map(np.arange, scan.shape[:3]), indexing="ij"), -1)[:, :, places])
    if set(np.unique(at[..., 2])) != set(range(SLICES)) - set(case.missing):
        return "other slices"
    off = np.abs(array[:, :, places] - right[tuple(np.moveaxis(at.astype(int), -1, 0))]).max() / np.ptp(right)
    return "" if off <= max(case.near, 1e-5) else f"intensities off by {off:.2f} of their range"
