"""A scan's result folder, read: the fitted function, the segmentation and the image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nisf.geometry.orientation import spacing_of
from nisf.io.images import read_volume
from nisf.io.latent_file import SavedFit
from nisf.io.results import SEGMENTATION, ScanResults
from nisf.sampling.fitted_scan import FittedScan
from nisf.transforms.load import LoadCined
from nisf.utils.errors import InputError


@dataclass
class ScanFolder:
    """A segmented scan on the fitted grid: x towards the lateral, y towards the inferior wall, slices from the base.

    Attributes:
        folder: folder of its results.
        name: name of the scan, with which its files begin.
        saved: content of its latent file.
        fitted: scan as a function.
        labels: uint8 [X, Y, Z, T].
        image: float32 [X, Y, Z, T], or None where the file can no longer be read.
        missing: reason why the image is None, one sentence.
    """

    folder: Path
    name: str
    saved: SavedFit
    fitted: FittedScan
    labels: np.ndarray
    image: np.ndarray | None = None
    missing: str = ""

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel size in mm."""
        return spacing_of(self.fitted.frame.affine)

    @property
    def times(self) -> tuple[float, ...]:
        """Fraction of the cycle of each frame."""
        return tuple(self.fitted.frame.times)

    @property
    def class_names(self) -> dict[int, str]:
        """Class number to name, without the background."""
        return {number: name for number, name in self.fitted.class_names.items() if number}


def read_scan(results: ScanResults, saved: SavedFit, fitted: FittedScan) -> ScanFolder:
    """Reads a scan's labels and image.

    Args:
        results: files of the scan.
        saved: content of its latent file.
        fitted: the same as a function.

    Raises:
        InputError: the segmentation is missing, damaged or does not belong to the latent.
    """
    scan = ScanFolder(results.folder, results.name, saved, fitted, _labels(results, saved, fitted))
    try:
        scan.image = _image(saved, fitted)
    except InputError as error:
        scan.missing = _without_folders(str(error), saved)
    return scan


def _labels(results: ScanResults, saved: SavedFit, fitted: FittedScan) -> np.ndarray:
    files = results.label_files(saved.files)
    if not files or len(files) < len(saved.files):
        files = sorted(results.folder.glob(f"*{SEGMENTATION}"))
    if not files:
        raise InputError(f"{results.folder}: holds no segmentation (*{SEGMENTATION}); segment the scan again")
    volumes = [read_volume(str(file)) for file in files]
    array = np.concatenate([volume for volume, _ in volumes], axis=3)
    return on_fitted_grid(array, volumes[0][1], fitted, str(files[0])).astype(np.uint8)


def _image(saved: SavedFit, fitted: FittedScan) -> np.ndarray:
    """The first channel [X, Y, Z, T] of the scan that was fitted."""
    paths = list(saved.image_files)
    if not paths:
        raise InputError("the latent file does not say where the scan is")
    axis = "time" if fitted.network.in_channels == 1 else "channel"
    load = LoadCined("image", fourth_axis=axis, voxel_mm=saved.voxel_mm)
    image = load({"image": paths if len(paths) > 1 else paths[0], "stack": saved.stack})["image"]
    return on_fitted_grid(image[0].numpy(), np.asarray(image.affine), fitted, Path(paths[0]).name)


def _without_folders(words: str, saved: SavedFit) -> str:
    """A message with file names in place of paths, which are private."""
    for path in saved.image_files:
        words = words.replace(path, Path(path).name)
    return words


def on_fitted_grid(array: np.ndarray, affine: np.ndarray, fitted: FittedScan, name: str) -> np.ndarray:
    """An array [X, Y, Z, T] of the scan's file, its axes permuted, flipped and cropped to the fitted grid.

    Raises:
        InputError: the grids do not belong to the same scan.
    """
    frame = fitted.frame
    step = np.linalg.inv(affine) @ frame.affine  # fitted voxel to voxel of the file
    turn, start = np.rint(step[:3, :3]).astype(int), np.rint(step[:3, 3]).astype(int)
    whole = np.allclose(step[:3, :3], turn, atol=0.02) and (np.abs(turn).sum(axis=0) == 1).all()
    last = start + turn @ (np.array(frame.shape) - 1)
    inside = (np.minimum(start, last) >= 0).all() and (np.maximum(start, last) < array.shape[:3]).all()
    if not whole or not inside or array.shape[3] != len(frame.times):
        raise InputError(f"{name}: does not have the grid or the frames of the latent file; segment the scan again")
    ranges = [slice(min(a, b), max(a, b) + 1) for a, b in zip(start, last)]
    order = [int(np.flatnonzero(turn[:, axis])[0]) for axis in range(3)]
    cut = array[tuple(ranges)].transpose(*order, 3)
    back = [axis for axis in range(3) if turn[order[axis], axis] < 0]
    return np.flip(cut, back)
