"""What the living page of a scan holds: the function, planes to begin with, the scan's voxels, measures."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nisf.geometry.grid import Grid
from nisf.geometry.orientation import spacing_of
from nisf.measures.volume_curve import cycle_seconds
from nisf.plots.style import class_colour
from nisf.report.curves import closed, names_of
from nisf.report.living.function import function_data
from nisf.report.living.meshes import packed_surface
from nisf.report.living.modules import kernel
from nisf.report.living.size import QUALITY, kept_small, sheets_data
from nisf.report.living.uncertainty import uncertainty_data
from nisf.report.scan_folder import ScanFolder
from nisf.report.views import View, fewer, heart_box, labelled_points
from nisf.sampling.planes import HeartAxes, long_axis_plane

#: Side of a plane at first, mm.
FIELD = 150.0

#: The most time points of a beat that is played.
FRAMES = 20


def diastole_of(measures: Mapping) -> int:
    """Number of the frame of end diastole; the first where it is not known."""
    return (measures.get("phases") or {}).get("ED") or 0


def living_data(
    scan: ScanFolder, measures: Mapping, slices: View, surface: Mapping | None, axes: HeartAxes | None
) -> dict:
    """The page's data for JSON, but for ``bytes`` in it, which go on its shelf (``shelved``).

    Args:
        scan: scan as read from its folder.
        measures: content of measures.json, empty where there is none.
        slices: the scan's slices, ``slices_view``.
        surface: surfaces from ``surface_data``, or None.
        axes: the heart's axes at end diastole, or None.
    """
    diastole = diastole_of(measures)
    phases = {word: scan.times[i] for word, i in (measures.get("phases") or {}).items() if i is not None}
    point, planes = starting_planes(scan, axes)
    curves = measures.get("curves") or {}
    known = closed(curves) if names_of(curves) else None
    data = {
        "kernel": kernel(),
        "function": function_data(scan.fitted),
        "frames": [float(t) for t in sorted({*fewer(scan.times, FRAMES), *phases.values()})],
        "time": float(scan.times[diastole]),
        "seconds": cycle_seconds(scan.fitted.duration),
        "phases": phases,
        "limit": spacing_of(scan.fitted.frame.affine)[2] / 2,
        "planes": planes,
        "point": [float(x) for x in point],
        "names": [scan.fitted.class_names.get(k, "background") for k in range(scan.fitted.network.num_classes)],
        "colours": [class_colour(k) if k else None for k in range(scan.fitted.network.num_classes)],
        "curves": known and {"time": known["time"], **{name: _ends(known[name]) for name in names_of(known)}},
        "scan": None if scan.image is None else _scan(scan, slices, QUALITY),
        "surface": surface and packed_surface(surface),
        "uncertainty": uncertainty_data(scan),
        "latent": f"{scan.name}_latent.pt",
        "off": 0,
    }
    return kept_small(data, scan.fitted, slices)


def starting_planes(scan: ScanFolder, axes: HeartAxes | None) -> tuple[np.ndarray, list[dict]]:
    """The point [3] in which three planes meet at first, and these: a slice of the stack and two across it, of a heart
    the 4-chamber and the 2-chamber plane."""
    affine, shape = scan.fitted.frame.affine, scan.fitted.frame.shape
    right, down, through = (affine[:3, axis] / np.linalg.norm(affine[:3, axis]) for axis in range(3))
    if axes is None:
        point = affine[:3, :3] @ ((np.array(shape) - 1) / 2) + affine[:3, 3]
        across = [("plane 2", right, through), ("free plane", down, through)]
        first = "slice"
    else:
        point = 0.5 * (axes.apex + axes.base)
        grids = [long_axis_plane(name, axes) for name in ("4-chamber", "2-chamber")]
        across = [(name, *_directions(grid)) for name, grid in zip(("4-chamber", "free plane"), grids)]
        first = "short axis"
    planes = [(first, right, down), *across]
    found = labelled_points(scan)
    middle = found.mean(axis=0) if len(found) else point
    return point, [_plain(name, middle, *directions) for name, *directions in planes]


def _directions(grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    return tuple(grid.affine[:3, axis] / np.linalg.norm(grid.affine[:3, axis]) for axis in range(2))


def _plain(name: str, middle: np.ndarray, right: np.ndarray, down: np.ndarray) -> dict:
    """A plane for JSON, its second direction at right angles to the first."""
    down = down - right * np.dot(right, down)
    found = {"middle": middle, "right": right, "down": down / np.linalg.norm(down)}
    return {"name": name, "field": FIELD, **{key: [float(x) for x in value] for key, value in found.items()}}


def _ends(values: Mapping) -> dict:
    return {end: list(values[end]) for end in ("value", "low", "high") if values.get(end)}


def _scan(scan: ScanFolder, slices: View, quality: int) -> dict:
    (x, _), (y, _), _ = heart_box(scan)
    return {"start": [x, y], "numbers": list(slices.numbers), **sheets_data(slices, quality)}
