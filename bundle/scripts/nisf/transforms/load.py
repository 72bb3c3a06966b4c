"""Reading a subject's scan and labels."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform

from nisf.geometry.voxel_size import stated_size, with_size
from nisf.io.frame_times import check_times, frame_times, seconds_of_cycle
from nisf.io.images import read_scan
from nisf.io.nifti import new_header
from nisf.transforms.scan import Scan, with_scan
from nisf.utils.errors import InputError

#: Value of a label voxel in a frame that nobody labelled.
UNLABELLED = -1


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

    A subject is one 3D or 4D file, one 3D file per frame, or a folder of DICOM files (see ``io.datalist``,
    ``io.images``). The image has a ``Scan``: times, frame duration (read from the header), files, subject and
    what a DICOM header says about the person. Label values are mapped to the inside order; unlabelled frames hold -1.

    Args:
        keys: keys of ``image`` and ``label``, in this order.
        num_classes: number of classes of the inside labels, background included.
        fourth_axis: what a 4D file's last axis is, ``time`` or ``channel``.
        cycle_ms: ms from beat to beat, for scans whose data list gives no times; None: as their files say.
        voxel_mm: voxel size along the array's axes, mm, as ``[1.4, 1.4, 10]`` or ``1.4,1.4,10``, of scans whose files
            have lost it and whose data list gives none; image, labels and results then have it. None: by each affine.

    Raises:
        InputError: a file is missing, damaged, 2D, a single slice, constant, or has NaN or unknown label values; image
            and label have different grids; the data list's times, labelled frames or label map do not match; or
            ``cycle_ms`` is no number above 0, or does not fit the frames (``io.frame_times``); or ``voxel_mm`` is no
            size of voxels.
    """

    def __init__(
        self,
        keys: KeysCollection = ("image", "label"),
        num_classes: int = 4,
        fourth_axis: str = "time",
        cycle_ms: float | None = None,
        voxel_mm: Sequence[float] | str | None = None,
    ) -> None:
        super().__init__(keys, allow_missing_keys=True)
        self.image_key, self.label_key = (*self.keys, None)[:2]
        self.num_classes = num_classes
        if fourth_axis not in ("time", "channel"):
            raise InputError(f"fourth_axis is '{fourth_axis}'; it can be 'time' or 'channel'")
        self.fourth_axis = fourth_axis
        self.cycle, self.size = seconds_of_cycle(cycle_ms), stated_size(voxel_mm)

    def __call__(self, data: Mapping[Hashable, object]) -> dict[Hashable, object]:
        """The item with tensors in place of paths."""
        item = dict(data)
        array, affine, scan = self._image(item)
        meta = {"filename_or_obj": scan.files[0]}  # MONAI's key
        image = MetaTensor(torch.from_numpy(array), affine=torch.from_numpy(affine), meta=dict(meta))
        item[self.image_key] = with_scan(image, scan)
        if self.label_key and item.get(self.label_key) is not None:
            label = self._label(data, array.shape, affine)
            item[self.label_key] = MetaTensor(torch.from_numpy(label), affine=torch.from_numpy(affine), meta=meta)
        elif self.label_key:
            item.pop(self.label_key, None)
        return item

    def _image(self, item: dict) -> tuple[np.ndarray, np.ndarray, Scan]:
        paths = item[self.image_key]
        files = [str(p) for p in paths] if isinstance(paths, (list, tuple)) else [str(paths)]
        stored = read_scan(files[0], item.get("stack"), bool(item.get("strict")), self.fourth_axis == "time")
        first, affine, starts = stored.array, stored.affine, stored.starts
        arrays = [first]
        for path in files[1:]:
            other = read_scan(path)
            starts += other.starts
            _check_same_grid(path, "frame", other.array.shape, other.affine, first.shape, affine, files[0])
            arrays.append(other.array)
        for path, array in zip(files, arrays):
            _check_intensities(path, array)
        stacked = first if len(arrays) == 1 else np.concatenate(arrays, axis=3)
        if len(files) > 1 and not all(a < b for a, b in zip(starts, starts[1:])):
            starts = ()
        step = (starts[-1] - starts[0]) / (len(starts) - 1) if len(starts) == len(files) > 1 else stored.frame_duration
        duration = step if self.fourth_axis == "time" else 0.0
        image = stacked[None] if self.fourth_axis == "time" else np.moveaxis(stacked, 3, 0)[..., None]
        count = image.shape[-1]
        times = item.get("times") or frame_times(files[0], count, starts, stored.beat, self.cycle)
        if len(times) != count:
            raise InputError(
                f"{files[0]}: has {count} frames, but the data list has {len(times)} times; correct the list"
            )
        check_times(files[0], times)
        size, header = self._size(item), stored.header
        if size is not None:
            affine = with_size(affine, size)
            header = new_header(first.shape if len(files) == 1 else first.shape[:3], affine, duration)
        scan = Scan(
            times=tuple(float(t) for t in times),
            subject=str(item.get("subject", Path(files[0]).name.split(".")[0])),
            files=tuple(files),
            frame_duration=duration,
            person=stored.person,
            size_known=size is not None or item.get("pixel_size_known") is not False,
            voxel_mm=size,
            header=header,
            stack=item.get("stack"),
            kept_slices=stored.kept_slices,
            missing_slices=tuple(sorted(set(range(image.shape[3])) - set(stored.kept_slices or range(image.shape[3])))),
        )
        return np.ascontiguousarray(image), affine, scan

    def _size(self, item: Mapping) -> tuple[float, float, float] | None:
        """The voxel size stated for an item, by its data list or for all."""
        return stated_size(item.get("voxel_mm")) or self.size

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
            found = read_scan(str(path))
            expected = (*shape[1:4], 1) if per_frame else shape[1:]
            own = with_size(found.affine, self._size(item))
            _check_same_grid(str(path), "label", found.array.shape, own, expected, affine, _first(item[self.image_key]))
            values = self._mapped(str(path), found.array, item.get("label_map"))
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
                    f"{path}: holds the label value {value:g}, not one of {known}; state a label_map in the data list"
                )
            out[array == value] = mapping[float(value)]
        return out
