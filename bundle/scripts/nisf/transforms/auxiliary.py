"""Partial input: a mask of valid voxels, other series and loose points of the same subject beside the stack."""

from __future__ import annotations

import csv
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Transform

from nisf.geometry.voxel_size import with_size
from nisf.io.frame_times import seconds_of_cycle
from nisf.io.images import read_image, read_volume
from nisf.transforms.scan import WorldPoints, scan_of, with_scan
from nisf.utils.errors import InputError

#: Maximum number of points kept of a series.
MOST = 200_000

COLUMNS = ("x", "y", "z", "intensity")


def with_partial(subjects: Sequence[Mapping], series: Sequence[str] | str, mask: str | None) -> list[dict]:
    """The subjects, with ``series`` and ``mask`` added to the only one.

    Args:
        subjects: entries of a data list.
        series: images or CSV files of the same subject.
        mask: image on the scan's grid, nonzero where its voxels are valid.

    Raises:
        InputError: there are several subjects, or a file is missing.
    """
    series = [series] if isinstance(series, str) else list(series)
    if not series and mask is None:
        return list(subjects)
    if len(subjects) != 1:
        raise InputError(f"series and mask belong to one scan, but {len(subjects)} were named; name one at a time")
    missing = [path for path in [*series, *[mask] * bool(mask)] if not Path(path).exists()]
    if missing:
        raise InputError(f"{missing[0]}: there is no such file; check the path")
    return [{**subjects[0], "series": [str(path) for path in series], "mask": mask}]


class LoadPartiald(Transform):
    """Reads an item's ``mask`` and ``series`` into the ``Scan`` of its loaded image.

    Voxels outside the mask get the median of the others, so that their values do no harm.

    Args:
        cycle_ms: as in ``LoadCined``.

    Raises:
        InputError: a file cannot be read, the mask has another grid or is empty, a CSV's columns are not x, y, z,
            intensity and, optionally, time, or ``cycle_ms`` does not fit.
    """

    def __init__(self, cycle_ms: float | None = None) -> None:
        self.cycle = seconds_of_cycle(cycle_ms)

    def __call__(self, data: Mapping[Hashable, object]) -> dict[Hashable, object]:
        """The item without these paths."""
        item = dict(data)
        mask, series = item.pop("mask", None), item.pop("series", [])
        image = item["image"] if mask is None else _masked(item["image"], str(mask))
        scan = replace(scan_of(image), series=[read_series(path, self.cycle) for path in series])
        item["image"] = with_scan(image, scan)
        return item


def _masked(image: MetaTensor, path: str) -> MetaTensor:
    array, affine = read_volume(path)
    affine = with_size(affine, scan_of(image).voxel_mm)
    if array.shape[:3] != tuple(image.shape[1:4]) or not np.allclose(affine, np.asarray(image.affine), atol=1e-2):
        raise InputError(f"{path}: the mask's grid is not that of the scan; give a mask for this scan")
    valid = torch.from_numpy((array != 0).all(axis=3))
    if not bool(valid.any()):
        raise InputError(f"{path}: the mask is empty; give one that is nonzero where the scan's voxels are valid")
    plain = image.as_tensor().clone()
    plain[:, ~valid] = plain[:, valid].median()
    return with_scan(MetaTensor(plain, meta=dict(image.meta)), replace(scan_of(image), mask=valid))


def read_series(path: str, cycle: float | None = None) -> WorldPoints:
    """The points of an image or a CSV file, at most ``MOST``; raises as ``LoadPartiald``. ``cycle``: ``read_image``."""
    points, times, values = _of_csv(path) if path.endswith(".csv") else _of_image(path, cycle)
    if not np.all(np.isfinite(values)) or values.max() == values.min():
        raise InputError(f"{path}: its intensities are constant, NaN or infinite; there is nothing to fit")
    if len(values) > MOST:
        kept = np.sort(np.random.default_rng(0).choice(len(values), MOST, replace=False))
        points, times, values = points[kept], times[kept], values[kept]
    low, high = np.percentile(values, [1, 99])
    scaled = np.clip((values - low) / max(high - low, 1e-12), 0, 1)
    return WorldPoints(points, times, torch.from_numpy(scaled[None].astype(np.float32)))


def _of_image(path: str, cycle: float | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    array, grid = read_image(path, cycle)
    points = np.repeat(grid.world(), len(grid.times), axis=0)
    return points, np.tile(grid.times, grid.voxels), array.reshape(-1).astype(float)


def _of_csv(path: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    with open(path, newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or [])]
        if missing:
            raise InputError(
                f"{path}: has no column '{missing[0]}'; give x, y, z (RAS mm), intensity and, optionally, time"
            )
        try:
            rows = [
                [float(row[name]) for name in (*COLUMNS[:3], "intensity")] + [float(row.get("time") or 0)]
                for row in reader
            ]
        except (TypeError, ValueError) as error:
            raise InputError(
                f"{path}: line {reader.line_num} has a value that is not a number ({error}); correct it"
            ) from error
    if not rows:
        raise InputError(f"{path}: has no points")
    table = np.array(rows)
    return table[:, :3], table[:, 4] % 1.0, table[:, 3]
