"""Moving pictures of a page: short-axis slices and long-axis planes as sheets of frames, with outlines."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from nibabel.affines import apply_affine

from nisf.geometry.grid import Grid
from nisf.plots import contours
from nisf.report.scan_folder import ScanFolder
from nisf.sampling.coarse_to_fine import CoarseToFine
from nisf.sampling.fitted_scan import FittedScan
from nisf.sampling.planes import PLANES, SEARCH, HeartAxes, heart_axes, long_axis_plane
from nisf.utils.errors import InputError

#: Margin in mm shown about the classes.
MARGIN = 14.0

#: The most slices in a mosaic, and frames in a moving picture from the network.
SLICES, FRAMES = 24, 20

#: In mm: side of a long-axis plane before it is cropped to the heart, its pixel, and that of a reconstructed slice.
SIZE, PIXEL, COARSE = 240.0, 1.5, 2.0

#: Pixels between the first samples of a plane along each side, and the lower bound of probabilities there.
STEP, LEAST = 4, 1e-7

#: JPEG quality, and size of its blocks, to which frames are padded so that neighbours do not blend.
QUALITY, BLOCK = 88, 8


@dataclass
class View:
    """One or more planes of the same size over time.

    Attributes:
        name: name of the view.
        grey: uint8 [tiles, X, Y, T]; x to the right, y down.
        polygons: outlines of each tile and frame, see ``contours.of_labels``.
        labels: label of each tile.
        times: fractions of the cycle, [T].
        spacing: pixel size in mm.
        numbers: slice numbers of the tiles, counted from 0; empty for planes.
        affine: pixel to world (RAS mm) of a plane, [4, 4].
    """

    name: str
    grey: np.ndarray
    polygons: list[list[list]]
    labels: list[str]
    times: tuple[float, ...]
    spacing: tuple[float, float]
    numbers: tuple[int, ...] = ()
    affine: np.ndarray | None = None

    def plain(self, quality: int = QUALITY) -> dict:
        """The view for JSON, with a sheet of frames of a JPEG quality for each tile."""
        head = "data:image/jpeg;base64,"
        return {
            "name": self.name,
            **self.layout(),
            "spacing": [round(s, 4) for s in self.spacing],
            "labels": self.labels,
            "parts": contours.PARTS,
            "sheets": [head + base64.b64encode(one).decode("ascii") for one in self.sheets(quality)],
            "polygons": self.polygons,
        }

    def layout(self) -> dict:
        """Where the frames are in a sheet, and their times, for JSON."""
        width, height = self.grey.shape[1:3]
        return {
            "width": width,
            "height": height,
            "pitch": [width + -width % BLOCK, height + -height % BLOCK],
            "columns": self.columns,
            "times": [round(float(t), 5) for t in self.times],
        }

    @property
    def columns(self) -> int:
        """Frames in a row of a sheet."""
        return int(np.ceil(np.sqrt(self.grey.shape[3])))

    def sheets(self, quality: int = QUALITY) -> list[bytes]:
        """A JPEG for each tile, with all its frames."""
        return [sheet(tile, self.columns, quality) for tile in self.grey]

    def fewer(self, most: int) -> View:
        """The view at no more than some time points; without outlines."""
        kept = [self.times.index(time) for time in fewer(self.times, most)]
        return replace(self, grey=self.grey[..., kept], times=fewer(self.times, most), polygons=[])


def sheet(frames: np.ndarray, columns: int, quality: int = QUALITY) -> bytes:
    """Frames uint8 [X, Y, T], row by row in one JPEG."""
    from PIL import Image

    width, height, count = frames.shape
    filled = np.pad(frames, ((0, -width % BLOCK), (0, -height % BLOCK), (0, -count % columns)), mode="edge")
    x, y, t = filled.shape
    rows = filled.transpose(2, 1, 0).reshape(t // columns, columns, y, x).transpose(0, 2, 1, 3)
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(rows.reshape(t // columns * y, columns * x))).save(
        file, "JPEG", quality=quality
    )
    return file.getvalue()


def slices_view(scan: ScanFolder) -> View:
    """The stack about the heart as a mosaic of slices; the reconstruction where the image is missing."""
    (x0, x1), (y0, y1), (z0, z1) = heart_box(scan)
    chosen = sorted({int(round(z)) for z in np.linspace(z0, z1 - 1, min(z1 - z0, SLICES))})
    if scan.image is not None:
        image, labels = (a[x0:x1, y0:y1][:, :, chosen] for a in (scan.image, scan.labels))
        times, spacing = scan.times, scan.spacing[:2]
        grey = eight_bit(image)
        polygons = _polygons_of_labels(labels, 1 + len(scan.class_names))
    else:
        frame = scan.fitted.frame.crop(((x0, x1), (y0, y1), (0, len(scan.labels[0, 0]))))
        sides = [max(s, COARSE) for s in scan.spacing[:2]]
        grid = Grid.of_scan(frame, (*sides, scan.spacing[2]))
        times = fewer(scan.times, FRAMES // 2)
        grey, probabilities = _read(scan.fitted, grid, chosen, times)
        spacing = tuple(float(s) for s in np.linalg.norm(grid.affine[:3, :2], axis=0))
        polygons = _polygons_of_probabilities(probabilities)
    words = [f"{z + 1}: no slice" if z in scan.saved.missing_slices else f"{z + 1}" for z in chosen]
    return View("short axis", np.moveaxis(grey, 2, 0), polygons, words, times, spacing, tuple(chosen))


def plane_views(scan: ScanFolder, axes: HeartAxes | None) -> list[View]:
    """4-chamber and 2-chamber plane through the heart's axes (``axes_of``), read from the fitted function; none where
    there is no heart."""
    return [] if axes is None else [_plane_view(scan, name, axes) for name in PLANES]


def axes_of(scan: ScanFolder, frame: int = 0) -> HeartAxes | None:
    """The heart's axes at a frame, searched only about the classes; None where there is no heart."""
    if not (scan.labels[..., frame] > 0).any():
        return None
    grid = Grid.of_scan(scan.fitted.frame, (SEARCH, SEARCH, SEARCH)).cropped(labelled_points(scan), 2 * SEARCH)
    try:
        return heart_axes(scan.fitted, scan.times[frame], grid)
    except InputError:
        return None


def _plane_view(scan: ScanFolder, name: str, axes: HeartAxes) -> View:
    grid = long_axis_plane(name, axes, SIZE, PIXEL).cropped(labelled_points(scan), MARGIN)
    times = fewer(scan.times, FRAMES)
    grey, probabilities = _read(scan.fitted, grid, [0], times)
    polygons, size = _polygons_of_probabilities(probabilities), (PIXEL, PIXEL)
    return View(name, np.moveaxis(grey, 2, 0), polygons, [name], times, size, affine=grid.affine)


def _read(fitted: FittedScan, grid: Grid, slices: Sequence[int], times: Sequence[float]) -> tuple:
    """Grey values uint8 [X, Y, Z', T] and class probabilities [K, X, Y, Z', T]; black background beyond the stack."""
    shape = (*grid.shape[:2], len(slices))
    points = grid.world().reshape(*grid.shape, 3)[:, :, list(slices)].reshape(-1, 3)
    first, classes = fitted.network.in_channels, fitted.network.num_classes

    def evaluate(voxels: np.ndarray, time: float) -> np.ndarray:
        found = fitted.read(points[np.ravel_multi_index(voxels.T, shape)], time).numpy()
        return np.concatenate([found[:first], np.log(np.maximum(found[first:], LEAST))])

    limit = np.linalg.norm(fitted.frame.affine[:3, 2]) / 2
    known = fitted.beyond(points) <= limit
    values = np.zeros((1 + classes, len(points), len(times)), dtype=np.float32)
    values[1] = 1
    for t, time in enumerate(times):
        read = CoarseToFine(shape, (STEP, STEP, 1), lambda v: evaluate(v, time), first, classes).values
        read = read.reshape(first + classes, -1)[:, known]
        values[0, known, t], values[1:, known, t] = read[0], np.exp(read[first:])
    values = values.reshape(1 + classes, *shape, len(times))
    return np.clip(values[0] * 255, 0, 255).astype(np.uint8), values[1:]


def heart_box(scan: ScanFolder) -> tuple[tuple[int, int], ...]:
    """Half-open voxel ranges about all classes at all frames, in plane with a margin.

    All slices of a heart are shown, and those with a class of another anatomy; everything where there is no class.
    """
    found = (scan.labels > 0).any(axis=3)
    if not found.any():
        return tuple((0, n) for n in found.shape)
    ranges = []
    for axis in range(3):
        there = np.flatnonzero(found.any(axis=tuple(a for a in range(3) if a != axis)))
        away = int(np.ceil(MARGIN / scan.spacing[axis])) if axis < 2 else 1
        ranges.append((max(int(there[0]) - away, 0), min(int(there[-1]) + away + 1, found.shape[axis])))
    if found.shape[2] <= SLICES:
        ranges[2] = (0, found.shape[2])
    return tuple(ranges)


def labelled_points(scan: ScanFolder) -> np.ndarray:
    """World points [N, 3] of the voxels that hold a class at any frame."""
    voxels = np.argwhere((scan.labels > 0).any(axis=3))
    return apply_affine(scan.fitted.frame.affine, voxels)


def eight_bit(image: np.ndarray) -> np.ndarray:
    """Grey values from the 1st to the 99.5th percentile as 0 to 255."""
    low, high = np.percentile(image[:, :, :, :: max(1, image.shape[3] // 4)], (1, 99.5))
    return np.clip((image - low) / max(high - low, 1e-9) * 255, 0, 255).astype(np.uint8)


def fewer(times: Sequence[float], most: int) -> tuple[float, ...]:
    """At most ``most`` of the times, evenly chosen from the first on."""
    count = min(len(times), most)
    return tuple(times[int(i * len(times) / count)] for i in range(count))


def _polygons_of_labels(labels: np.ndarray, classes: int) -> list:
    tiles, frames = range(labels.shape[2]), range(labels.shape[3])
    return [[contours.of_labels(labels[:, :, z, t], classes) for t in frames] for z in tiles]


def _polygons_of_probabilities(values: np.ndarray) -> list:
    tiles, frames = range(values.shape[3]), range(values.shape[4])
    return [[contours.of_probabilities(values[:, :, :, z, t]) for t in frames] for z in tiles]
