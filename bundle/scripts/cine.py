"""Reading a subject's scan and labels, and writing results on the grid of the files that they came from."""

from __future__ import annotations

import logging
import os
from collections.abc import Hashable, Mapping
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from nibabel.spatialimages import HeaderDataError

from scripts.errors import InputError

logger = logging.getLogger(__name__)

#: Value of a label voxel in a frame that nobody labelled.
UNLABELLED = -1


def _open(path: str) -> nib.spatialimages.SpatialImage:
    if not Path(path).is_file():
        raise InputError(f"{path}: there is no such file; check the path or the data list")
    try:
        return nib.load(path)
    except (nib.filebasedimages.ImageFileError, HeaderDataError, OSError, EOFError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as an image ({error}); give a NIfTI file (.nii or .nii.gz)") from error


def _array(path: str) -> tuple[np.ndarray, np.ndarray, nib.spatialimages.SpatialImage]:
    """Array [X, Y, Z, T] in float32, affine [4, 4] and the opened file."""
    image = _open(path)
    try:
        array = np.asarray(image.get_fdata(dtype=np.float32, caching="unchanged"))
    except (OSError, EOFError, ValueError) as error:
        raise InputError(f"{path}: the voxel data is damaged or cut off ({error}); copy the file anew") from error
    while array.ndim > 4 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim not in (3, 4):
        raise InputError(f"{path}: has {array.ndim} axes; a 3D volume or a 4D series is needed")
    affine = np.asarray(image.affine, dtype=float)
    if not np.all(np.isfinite(affine)) or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise InputError(f"{path}: its affine has no volume; repair the header (voxel sizes and orientation)")
    return (array if array.ndim == 4 else array[..., None]), affine, image


def _check_intensities(path: str, array: np.ndarray, single_slice: bool) -> None:
    if not np.all(np.isfinite(array)):
        raise InputError(f"{path}: holds NaN or infinite intensities; replace them before fitting")
    if float(array.max()) == float(array.min()):
        raise InputError(f"{path}: every voxel has the value {array.flat[0]:g}; there is nothing to fit")
    if single_slice and min(array.shape[:3]) < 2:
        raise InputError(f"{path}: has a single slice {array.shape[:3]}; a stack of two or more slices is needed")


class LoadCined(MapTransform):
    """Reads a data list's subject into MetaTensors ``image`` [C, X, Y, Z, T] and, where there is one, ``label`` [1, X, Y, Z, T].

    A subject is one 3D or 4D file, or one 3D file a frame (see ``cohorts.py``). The image's meta carries ``affine``,
    ``times`` (fraction of the cardiac cycle), ``frame_duration`` in seconds (read from the header, 0 where unknown),
    ``files`` and ``subject``. Label values are mapped to the inside order; frames without label hold -1.

    Args:
        keys: of ``image`` and ``label``, in this order.
        num_classes: classes that the inside labels may have, background included.
        fourth_axis: what a 4D file's last axis is, ``time`` or ``channel``.

    Raises:
        InputError: the file is missing, damaged, 2D, a single slice, constant, holds NaN or unknown label values, or image
            and label do not share one grid.
    """

    def __init__(self, keys: KeysCollection = ("image", "label"), num_classes: int = 4, fourth_axis: str = "time") -> None:
        super().__init__(keys, allow_missing_keys=True)
        self.image_key, self.label_key = (*self.keys, None)[:2]
        self.num_classes = num_classes
        if fourth_axis not in ("time", "channel"):
            raise InputError(f"fourth_axis is '{fourth_axis}'; it can be 'time' or 'channel'")
        self.fourth_axis = fourth_axis

    def __call__(self, data: Mapping[Hashable, object]) -> dict[Hashable, object]:
        """The item with tensors in place of paths."""
        item = dict(data)
        image, affine, meta = self._image(item)
        item[self.image_key] = MetaTensor(torch.from_numpy(image), affine=torch.from_numpy(affine), meta=dict(meta))
        if self.label_key and item.get(self.label_key) is not None:
            label = self._label(item, image.shape, affine)
            item[self.label_key] = MetaTensor(torch.from_numpy(label), affine=torch.from_numpy(affine), meta=dict(meta))
        elif self.label_key:
            item.pop(self.label_key, None)
        return item

    def _image(self, item: dict) -> tuple[np.ndarray, np.ndarray, dict]:
        paths = item[self.image_key]
        files = [str(p) for p in paths] if isinstance(paths, (list, tuple)) else [str(paths)]
        arrays = []
        for path in files:
            array, affine, opened = _array(path)
            _check_intensities(path, array, single_slice=True)
            if arrays and (array.shape != arrays[0].shape or not np.allclose(affine, first_affine, atol=1e-2)):
                raise InputError(f"{path}: its grid {array.shape[:3]} differs from that of {files[0]}; frames must share one grid")
            first_affine = affine if not arrays else first_affine
            arrays.append(array)
        stacked = arrays[0] if len(arrays) == 1 else np.concatenate(arrays, axis=3)
        zooms = opened.header.get_zooms()
        duration = float(zooms[3]) if len(zooms) > 3 and self.fourth_axis == "time" else 0.0
        image = stacked[None] if self.fourth_axis == "time" else np.moveaxis(stacked, 3, 0)[..., None]
        times = item.get("times") or [i / image.shape[-1] for i in range(image.shape[-1])]
        if len(times) != image.shape[-1]:
            raise InputError(f"{files[0]}: {image.shape[-1]} frames but {len(times)} times in the data list; correct the list")
        meta = {
            "subject": str(item.get("subject", Path(files[0]).name.split(".")[0])),
            "files": files,
            "filename_or_obj": files[0],
            "times": [float(t) for t in times],
            "frame_duration": duration,
        }
        return np.ascontiguousarray(image), first_affine, meta

    def _label(self, item: dict, shape: tuple[int, ...], affine: np.ndarray) -> np.ndarray:
        paths = item[self.label_key]
        label = np.full((1, *shape[1:]), UNLABELLED, dtype=np.int8)
        per_frame = isinstance(paths, (list, tuple))
        for frame, path in enumerate(paths if per_frame else [paths]):
            if path is None:
                continue
            array, label_affine, _ = _array(str(path))
            expected = (*shape[1:4], 1) if per_frame else shape[1:]
            if array.shape != expected or not np.allclose(label_affine, affine, atol=1e-2):
                raise InputError(f"{path}: label grid {array.shape} does not match the image's {expected} or its affine; use the label of this image")
            values = self._mapped(str(path), array, item.get("label_map"))
            frames = [frame] if per_frame else (item.get("labelled_frames") or range(shape[-1]))
            for t in frames:
                label[0, ..., t] = values[..., 0 if per_frame else t]
        return label

    def _mapped(self, path: str, array: np.ndarray, label_map: dict | None) -> np.ndarray:
        mapping = {float(k): int(v) for k, v in (label_map or {c: c for c in range(self.num_classes)}).items()}
        out = np.full(array.shape, UNLABELLED, dtype=np.int8)
        for value in np.unique(array):
            if float(value) not in mapping:
                raise InputError(f"{path}: label value {value:g} is not one of {sorted(mapping)}; state a label_map in the data list")
            out[array == value] = mapping[float(value)]
        return out


def save_nifti(path: str | Path, array: np.ndarray, like: str, frame_duration: float | None = None) -> Path:
    """Writes ``array`` on the grid of the NIfTI file ``like``: its affine, codes, units and frame duration.

    The file appears under its name only when it is whole.

    Args:
        path: file to write, ``.nii.gz``.
        array: [X, Y, Z] or [X, Y, Z, T].
        like: file whose header is taken over.
        frame_duration: seconds; None keeps the header's.

    Raises:
        InputError: the folder cannot be written or the disk is full.
    """
    path = Path(path)
    reference = nib.load(like)
    header = nib.Nifti1Header.from_header(reference.header) if array.ndim == len(reference.shape) else nib.Nifti1Header()
    header.set_data_dtype(array.dtype)
    header.set_slope_inter(1, 0)
    header["cal_min"] = header["cal_max"] = 0
    image = nib.Nifti1Image(array, reference.affine, header)
    if array.ndim != len(reference.shape):
        image.header.set_xyzt_units("mm", "sec")
        image.set_sform(reference.affine, 1)
    if array.ndim == 4 and frame_duration:
        image.header["pixdim"][4] = frame_duration
    temporary = path.with_name(f".{path.name.removesuffix('.nii.gz')}.tmp.nii.gz")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.save(image, temporary)
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise InputError(f"{path}: cannot be written ({error.strerror or error}); free space or choose another output_dir") from error
    return path


def stem_of(path: str | Path) -> str:
    """File name without folder and without .nii, .nii.gz or another single ending."""
    name = Path(path).name
    for ending in (".nii.gz", ".nii"):
        if name.endswith(ending):
            return name[: -len(ending)]
    return Path(name).stem
