"""Labelled hearts turned in plane, their slices in either order, under an affine that is right, lost or unchanged.

Used by ``turns.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy.ndimage import affine_transform

from nisf.geometry.orientation import SHORT_AXIS, permuted_affine, spacing_of
from nisf.transforms.load import LoadCined
from nisf.transforms.spatial import USUAL_AXES

#: Number of classes, background included.
CLASSES = 4


def scanner_affine(spacing: Sequence[float]) -> np.ndarray:
    """The affine that a scanner would write for usual array axes and voxels of ``spacing``, mm."""
    affine = np.eye(4)
    affine[:3, :3] = SHORT_AXIS * np.asarray(spacing)
    return affine


@dataclass
class Heart:
    """A labelled subject.

    Attributes:
        subject: entry of the data list.
        image, label: [X, Y, Z, T], array axes as usual (lateral, inferior, apex), as in the files of ACDC and M&Ms.
        affine: voxel to world, true to the image.
    """

    subject: Mapping
    image: np.ndarray
    label: np.ndarray
    affine: np.ndarray

    @classmethod
    def of(cls, subject: Mapping) -> Heart:
        """The heart as its files have it."""
        if (subject["array_axes"] or USUAL_AXES) != USUAL_AXES:
            raise SystemExit(f"{subject['subject']}: its array axes are {subject['array_axes']}, not {USUAL_AXES}")
        item = LoadCined(("image", "label"))(dict(subject))
        arrays = (item[key].as_tensor()[0].numpy() for key in ("image", "label"))
        return cls(subject, *arrays, scanner_affine(spacing_of(np.asarray(item["image"].affine))))

    def turned(self, degrees: float) -> Heart:
        """The heart turned in plane about the middle of the image, on a square grid that holds any turn of it.

        Intensities by cubic splines, labels by the likeliest of their interpolated classes; world positions stay.
        """
        back = _to_unturned(self.affine, self.image.shape[:2], degrees)
        side = int(np.ceil(np.hypot(*self.image.shape[:2])))
        shape = (side, side, self.image.shape[2])
        image = [affine_transform(one, back, output_shape=shape, order=3) for one in np.moveaxis(self.image, -1, 0)]
        label = [_turned_label(one, back, shape) for one in np.moveaxis(self.label, -1, 0)]
        within = np.stack(image, axis=-1).clip(self.image.min(), self.image.max())
        return Heart(self.subject, within, np.stack(label, axis=-1), self.affine @ back)

    def write(self, folder: Path, is_reversed: bool, affine: str) -> dict:
        """Files in ``folder`` and their entry of a data list; ``affine`` is ``right``, ``lost`` or ``unchanged``."""
        flips = (False, False, is_reversed)
        right = permuted_affine(self.affine, self.image.shape[:3], (0, 1, 2), flips)
        spacing = spacing_of(self.affine)
        stated = {"right": right, "unchanged": scanner_affine(spacing), "lost": np.diag([*spacing, 1.0])}[affine]
        entry = {key: self.subject[key] for key in ("subject", "times", "phases")}
        for name, array in (("image", self.image.astype(np.float32)), ("label", self.label.astype(np.uint8))):
            entry[name] = str(folder / f"{name}.nii")
            nib.save(nib.Nifti1Image(array[:, :, ::-1] if is_reversed else array, stated), entry[name])
        return entry


def _to_unturned(affine: np.ndarray, size: Sequence[int], degrees: float) -> np.ndarray:
    """Matrix [4, 4] from voxels of the turned grid to those of an image of ``size``, middle on middle."""
    side, spacing, angle = int(np.ceil(np.hypot(*size))), np.array(spacing_of(affine))[:2], np.radians(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    back = np.eye(4)
    back[:2, :2] = (turn * spacing[None, :]) / spacing[:, None]
    # the image is a whole number of voxels from the corner, so that without a turn nothing is interpolated
    middle = (np.array(size) - 1) / 2
    back[:2, 3] = middle - back[:2, :2] @ (middle + (side - np.array(size)) // 2)
    return back


def _turned_label(label: np.ndarray, back: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    parts = [
        affine_transform((label == k).astype(np.float32), back, output_shape=shape, order=1) for k in range(CLASSES)
    ]
    return np.argmax(parts, axis=0)  # beyond the image all are zero: background
