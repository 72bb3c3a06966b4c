"""Reading a subject's scan and labels, and writing results on the grid of the files that they came from."""

from __future__ import annotations

import logging
import zlib
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
from scripts.files import whole_file

logger = logging.getLogger(__name__)

#: Value of a label voxel in a frame that nobody labelled.
UNLABELLED = -1


def _open(path: str) -> nib.spatialimages.SpatialImage:
    if not Path(path).is_file():
        raise InputError(f"{path}: there is no such file; check the path or the data list")
    try:
        image = nib.load(path)
    except PermissionError as error:
        raise InputError(f"{path}: may not be read; change its permissions") from error
    except (nib.filebasedimages.ImageFileError, HeaderDataError, OSError, EOFError, ValueError, zlib.error) as error:
        raise InputError(f"{path}: is empty, cut off or no image; give a whole NIfTI file (.nii or .nii.gz)") from error
    if not isinstance(image, nib.spatialimages.SpatialImage):
        raise InputError(f"{path}: is no volume; give a NIfTI file (.nii or .nii.gz)")
    return image


def _array(path: str) -> tuple[np.ndarray, np.ndarray, nib.spatialimages.SpatialImage]:
    """Array [X, Y, Z, T] in float32, affine [4, 4] and the opened file."""
    image = _open(path)
    if image.get_data_dtype().kind not in "iufb":
        raise InputError(f"{path}: holds colours or complex numbers; give one real number a voxel")
    try:
        array = np.asarray(image.get_fdata(dtype=np.float32, caching="unchanged"))
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise InputError(f"{path}: the voxel data is damaged or cut off; copy the file anew") from error
    while array.ndim > 4 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim not in (3, 4):
        raise InputError(f"{path}: has {array.ndim} axes; give a 3D volume or a 4D series")
    affine = np.asarray(image.affine, dtype=float)
    if not np.all(np.isfinite(affine)) or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise InputError(f"{path}: its affine is degenerate; repair the voxel sizes and orientation in the header")
    return (array if array.ndim == 4 else array[..., None]), affine, image


def read_volume(path: str) -> tuple[np.ndarray, np.ndarray]:
    """Array [X, Y, Z, T] in float32 and affine [4, 4] of a NIfTI file; raises as ``LoadCined``."""
    array, affine, _ = _array(path)
    return array, affine


def _check_same_grid(
    path: str, what: str, shape: tuple, affine: np.ndarray, wanted_shape: tuple, wanted_affine: np.ndarray, image: str
) -> None:
    if shape != wanted_shape:
        raise InputError(
            f"{path}: the {what}'s shape {shape} is not {wanted_shape}, that of {image}; give the {what} of this scan"
        )
    if not np.allclose(affine, wanted_affine, atol=1e-2):
        raise InputError(f"{path}: the {what}'s affine differs from that of {image}; give the {what} of this scan")


def _first(paths: object) -> str:
    """The path, or the first one of a list with Nones."""
    return str(next(p for p in paths if p) if isinstance(paths, (list, tuple)) else paths)


def _check_intensities(path: str, array: np.ndarray) -> None:
    if not np.all(np.isfinite(array)):
        raise InputError(f"{path}: holds NaN or infinite intensities; replace them before fitting")
    if float(array.max()) == float(array.min()):
        raise InputError(f"{path}: every voxel has the value {array.flat[0]:g}; there is nothing to fit")
    if min(array.shape[:3]) < 2:
        raise InputError(f"{path}: has a single slice, shape {array.shape[:3]}; give a stack of two or more")


class LoadCined(MapTransform):
    """Reads a data list's subject into MetaTensors: ``image`` [C, X, Y, Z, T] and, if any, ``label`` [1, X, Y, Z, T].

    A subject is one 3D or 4D file, or one 3D file a frame (see ``cohorts.py``). The image's meta carries ``affine``,
    ``times`` (fraction of the cardiac cycle), ``frame_duration`` in seconds (read from the header, 0 where unknown),
    ``files`` and ``subject``. Label values are mapped to the inside order; frames without label hold -1.

    Args:
        keys: of ``image`` and ``label``, in this order.
        num_classes: classes that the inside labels may have, background included.
        fourth_axis: what a 4D file's last axis is, ``time`` or ``channel``.

    Raises:
        InputError: a file is missing, damaged, 2D, a single slice, constant, holds NaN or unknown label values; image
            and label do not share one grid; or the data list's times, labelled frames or label map do not fit.
    """

    def __init__(
        self, keys: KeysCollection = ("image", "label"), num_classes: int = 4, fourth_axis: str = "time"
    ) -> None:
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
            label = self._label(data, image.shape, affine)
            item[self.label_key] = MetaTensor(torch.from_numpy(label), affine=torch.from_numpy(affine), meta=dict(meta))
        elif self.label_key:
            item.pop(self.label_key, None)
        return item

    def _image(self, item: dict) -> tuple[np.ndarray, np.ndarray, dict]:
        paths = item[self.image_key]
        files = [str(p) for p in paths] if isinstance(paths, (list, tuple)) else [str(paths)]
        first, affine, opened = _array(files[0])
        arrays = [first]
        for path in files[1:]:
            array, other_affine, _ = _array(path)
            _check_same_grid(path, "frame", array.shape, other_affine, first.shape, affine, files[0])
            arrays.append(array)
        for path, array in zip(files, arrays):
            _check_intensities(path, array)
        stacked = first if len(arrays) == 1 else np.concatenate(arrays, axis=3)
        duration = seconds_per_frame(opened) if self.fourth_axis == "time" else 0.0
        image = stacked[None] if self.fourth_axis == "time" else np.moveaxis(stacked, 3, 0)[..., None]
        times = item.get("times") or [i / image.shape[-1] for i in range(image.shape[-1])]
        if len(times) != image.shape[-1]:
            raise InputError(
                f"{files[0]}: has {image.shape[-1]} frames, but the data list {len(times)} times; correct the list"
            )
        meta = {
            "subject": str(item.get("subject", Path(files[0]).name.split(".")[0])),
            "files": files,
            "filename_or_obj": files[0],
            "times": [float(t) for t in times],
            "frame_duration": duration,
        }
        return np.ascontiguousarray(image), affine, meta

    def _label(self, item: Mapping, shape: tuple[int, ...], affine: np.ndarray) -> np.ndarray:
        paths = item[self.label_key]
        label = np.full((1, *shape[1:]), UNLABELLED, dtype=np.int8)
        per_frame = isinstance(paths, (list, tuple))
        labelled = item.get("labelled_frames")
        labelled = range(shape[-1]) if labelled is None else labelled
        beyond = len(paths) > shape[-1] if per_frame else any(not 0 <= t < shape[-1] for t in labelled)
        if beyond:
            raise InputError(
                f"{_first(paths)}: the data list names labels beyond the scan's {shape[-1]} frames; correct the list"
            )
        for frame, path in enumerate(paths if per_frame else [paths]):
            if path is None:
                continue
            array, label_affine, _ = _array(str(path))
            expected = (*shape[1:4], 1) if per_frame else shape[1:]
            _check_same_grid(
                str(path), "label", array.shape, label_affine, expected, affine, _first(item[self.image_key])
            )
            values = self._mapped(str(path), array, item.get("label_map"))
            for t in [frame] if per_frame else labelled:
                label[0, ..., t] = values[..., 0 if per_frame else t]
        return label

    def _mapped(self, path: str, array: np.ndarray, label_map: dict | None) -> np.ndarray:
        mapping = {float(k): int(v) for k, v in (label_map or {c: c for c in range(self.num_classes)}).items()}
        if not set(mapping.values()) <= set(range(self.num_classes)):
            raise InputError(
                f"{path}: its label_map names classes beyond the {self.num_classes}; correct the data list"
            )
        out = np.full(array.shape, UNLABELLED, dtype=np.int8)
        for value in np.unique(array):
            if float(value) not in mapping:
                known = ", ".join(f"{k:g}" for k in sorted(mapping))
                raise InputError(
                    f"{path}: holds the label value {value:g}, none of {known}; state a label_map in the data list"
                )
            out[array == value] = mapping[float(value)]
        return out


#: Seconds in the time units of NIfTI; where a file names none, seconds are meant.
SECONDS = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6}


def seconds_per_frame(image: nib.spatialimages.SpatialImage) -> float:
    """Seconds from one frame to the next by the header of a 4D file; 0 for a 3D one."""
    zooms = image.header.get_zooms()
    return float(zooms[3]) * _time_unit(image.header) if len(zooms) > 3 else 0.0


def _time_unit(header: nib.spatialimages.SpatialHeader) -> float:
    return SECONDS.get(header.get_xyzt_units()[1], 1.0) if hasattr(header, "get_xyzt_units") else 1.0


def save_nifti(path: str | Path, array: np.ndarray, like: str, frame_duration: float | None = None) -> Path:
    """Writes ``array`` on the grid of the NIfTI file ``like``: its affine, codes, units and frame duration.

    The file appears under its name only when it is whole.

    Args:
        path: file to write, ``.nii.gz``.
        array: [X, Y, Z], [X, Y, Z, T] or [X, Y, Z, T, K]; axes of one at the end of ``like``'s shape are added.
        like: file whose header is taken over.
        frame_duration: seconds; None or 0 keeps the header's.

    Raises:
        InputError: the folder cannot be written or the disk is full.
    """
    path, reference = Path(path), _open(str(like))
    if array.size == np.prod(reference.shape) and array.shape == reference.shape[: array.ndim]:
        array = array.reshape(reference.shape)
    header = nib.Nifti1Header.from_header(reference.header)
    header.set_data_dtype(array.dtype)
    header.set_data_shape(array.shape)
    header.set_slope_inter(1, 0)
    header["cal_min"] = header["cal_max"] = 0
    header["pixdim"][1 + len(reference.shape) : 1 + array.ndim] = 1
    if len(reference.shape) > 3 and array.ndim > 3 and frame_duration:
        header["pixdim"][4] = frame_duration / _time_unit(header)
    with whole_file(path) as temporary:
        nib.save(nib.Nifti1Image(array, reference.affine, header), temporary)
    return path


def stem_of(path: str | Path) -> str:
    """File name without folder and without .nii, .nii.gz or another single ending."""
    name = Path(path).name
    for ending in (".nii.gz", ".nii"):
        if name.endswith(ending):
            return name[: -len(ending)]
    return Path(name).stem
