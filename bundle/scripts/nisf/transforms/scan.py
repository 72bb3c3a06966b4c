"""What is known about a scan besides its voxels: one typed object that goes with the image through every transform.

MONAI gives an inferer the image alone, so the ``Scan`` is an entry of the image's meta: ``LoadCined`` puts it there,
each transform after it puts a changed copy in its place, and ``NISFInferer`` returns a prediction whose meta has the
same ``Scan`` with its fit. ``scan_of`` reads it and ``with_scan`` sets it; nothing else knows where it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import nibabel as nib
import numpy as np
import torch
from monai.data import MetaTensor
from torch.utils.data._utils.collate import default_collate_fn_map

from nisf.fit.posterior import LatentFit
from nisf.geometry.frame import CoordinateFrame
from nisf.geometry.grid import mean_step
from nisf.quality.record import Quality

#: Entry of an image's meta.
SCAN = "scan"

#: Half-open voxel ranges along the three axes.
Box = tuple[tuple[int, int], ...]


@dataclass(frozen=True, eq=False)
class UNetProb:
    """U-Net probabilities of some frames.

    Attributes:
        values: class probabilities [K, X, Y, Z, T'] on the image's grid, uint8 (255 for one) or float in [0, 1].
        frames: numbers of the T' frames.
        mirrored: whether the heart in the image is mirrored, and was read in its mirror image along y.
        turns: quarter turns in plane by which it lies turned, in the mirror image if it is mirrored.
    """

    values: torch.Tensor
    frames: list[int]
    mirrored: bool = False
    turns: int = 0


@dataclass(frozen=True, eq=False)
class WorldPoints:
    """Another series of the subject, as points.

    Attributes:
        points: [N, 3], RAS mm.
        times: fractions of the cardiac cycle, [N].
        intensity: [1, N] in [0, 1].
    """

    points: np.ndarray
    times: np.ndarray
    intensity: torch.Tensor


@dataclass(frozen=True, eq=False)
class Scan:
    """What is known about a scan whose image [C, X, Y, Z, T] is a MetaTensor with an affine.

    Attributes:
        times: fraction of the cardiac cycle of each frame.
        subject: name in the data list.
        files: files that the image was read from; several where each frame is a file.
        frame_duration: seconds per frame; 0 if unknown.
        person: what a DICOM header says about patient and heartbeat, see ``io.dicom_cine.DicomScan``.
        size_known: whether the pixel size is known, as the data list says; fractions can be measured without it.
        voxel_mm: voxel size along the file's axes as stated by the user, mm; None where it is the file's own.
        header: NIfTI header of the image's grid, if the file itself is not NIfTI or has another voxel size.
        stack: series of the DICOM files that was asked for; None for the short-axis cine.
        frame: coordinate frame of the image's grid, once it is set.
        kept_slices, kept_frames: slices and frames that a fit may see; None for all of them.
        missing_slices: slices that the files lack; a fit does not see them either.
        held_out: whether the user keeps slices or frames from the fit.
        mask: voxels [X, Y, Z] that a fit may see; None for all of them.
        unet_prob: U-Net probabilities, or None.
        series: other series of the subject.
        seen: the part of the grid that was acquired, for each frame; None for all of it.
        fit, quality: the fit and how good it is; None before.
    """

    times: tuple[float, ...]
    subject: str = ""
    files: tuple[str, ...] = ()
    frame_duration: float = 0.0
    person: Mapping[str, float | str | None] = field(default_factory=dict)
    size_known: bool = True
    voxel_mm: tuple[float, float, float] | None = None
    header: nib.Nifti1Header | None = None
    stack: str | None = None
    frame: CoordinateFrame | None = None
    kept_slices: list[int] | None = None
    kept_frames: list[int] | None = None
    missing_slices: tuple[int, ...] = ()
    held_out: bool = False
    mask: torch.Tensor | None = None
    unet_prob: UNetProb | None = None
    series: Sequence[WorldPoints] = ()
    seen: tuple[Box, ...] | None = None
    fit: LatentFit | None = None
    quality: Quality | None = None
    ndim: ClassVar[int] = 0  # MONAI's decollate_batch asks objects of unknown type for ndim and item()

    def item(self) -> Scan:
        """Itself: one item of a batch."""
        return self

    @property
    def cycle(self) -> float:
        """Seconds of the cycle, of which ``times`` are fractions; 0 if unknown."""
        return self.frame_duration / mean_step(self.times)

    def turned(self, order: Sequence[int], flips: Sequence[bool], slices: int) -> Scan:
        """The Scan, without a coordinate frame yet, after the image's axes were put in ``order`` and then flipped.

        Args:
            order, flips: see ``turned``; the order may only change before slices are held out.
            slices: number of slices.
        """
        mask, unet_prob, kept, missing = self.mask, self.unet_prob, self.kept_slices, self.missing_slices
        if mask is not None:
            mask = turned(mask[None, ..., None], order, flips)[0, ..., 0]
        if unet_prob is not None:
            unet_prob = replace(unet_prob, values=turned(unet_prob.values, order, flips))
        if flips[2]:
            kept = None if kept is None else sorted(slices - 1 - place for place in kept)
            missing = tuple(sorted(slices - 1 - place for place in missing))
        return replace(self, mask=mask, unet_prob=unet_prob, kept_slices=kept, missing_slices=missing)

    def cropped(self, box: Sequence[tuple[int, int]], frame: CoordinateFrame) -> Scan:
        """The Scan after the image was cropped to the voxel ranges ``box``, with the coordinate frame ``frame``."""
        inside = tuple(slice(low, high) for low, high in box)
        mask = self.mask if self.mask is None else self.mask[inside]
        unet_prob = self.unet_prob
        if unet_prob is not None:
            unet_prob = replace(unet_prob, values=unet_prob.values[(slice(None), *inside)])
        seen = self.seen if self.seen is None else tuple(_overlap(one, box) for one in self.seen)
        return replace(self, frame=frame, mask=mask, unet_prob=unet_prob, seen=seen)

    def inputs(self) -> dict[str, bool]:
        """What the fit was given or kept from besides the image, see ``models.pipeline.INPUTS``."""
        return {"series": bool(self.series), "mask": self.mask is not None, "hold_out": self.held_out}

    def at(self, number: int) -> Scan:
        """The Scan of one frame alone, without fit and U-Net probabilities."""
        time = (self.times[number],)
        frame = self.frame if self.frame is None else replace(self.frame, times=time)
        seen = self.seen if self.seen is None else self.seen[number : number + 1]
        return replace(
            self, times=time, frame=frame, kept_frames=None, unet_prob=None, seen=seen, fit=None, quality=None
        )


def _overlap(box: Box, part: Sequence[tuple[int, int]]) -> Box:
    """What two boxes have in common, counted from the start of the second; an empty range where they do not meet."""
    found = []
    for (low, high), (start, end) in zip(box, part):
        low, high = max(low, start) - start, min(high, end) - start
        found.append((low, max(low, high)))
    return tuple(found)


def turned(values: torch.Tensor, order: Sequence[int], flips: Sequence[bool]) -> torch.Tensor:
    """[C, X, Y, Z, T] with the axes X, Y, Z put in ``order`` and then flipped."""
    values = values.permute(0, *(axis + 1 for axis in order), 4)
    flipped = [axis + 1 for axis in range(3) if flips[axis]]
    return values.flip(flipped) if flipped else values  # an empty flip would copy


def scan_of(image: torch.Tensor) -> Scan:
    """The Scan of an image [C, X, Y, Z, T]; without one, a Scan with evenly spaced frames."""
    found = image.meta.get(SCAN) if isinstance(image, MetaTensor) else None
    return Scan(tuple(t / image.shape[-1] for t in range(image.shape[-1]))) if found is None else found


def with_scan(image: torch.Tensor, scan: Scan) -> MetaTensor:
    """The same voxels with another Scan; the given image keeps its own."""
    if not isinstance(image, MetaTensor):
        return MetaTensor(image, meta={SCAN: scan})
    return MetaTensor(image, meta={**image.meta, SCAN: scan}, applied_operations=image.applied_operations)


def _listed(batch: Sequence[Scan], *, collate_fn_map: Mapping | None = None) -> list[Scan]:
    """A batch of Scans is a list; this registers the type with PyTorch's ``default_collate``."""
    return list(batch)


default_collate_fn_map[Scan] = _listed
