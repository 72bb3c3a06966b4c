"""The surfaces of a scan over the cycle, coarse and packed for a page."""

from __future__ import annotations

import base64
from dataclasses import replace

import numpy as np

from nisf.level_sets.lattice import Box
from nisf.level_sets.surface import enclosed_classes, surfaces_at
from nisf.plots.style import class_colour
from nisf.report.scan_folder import ScanFolder
from nisf.report.views import fewer, labelled_points

#: The most time points, and the most samples along the longest side of the box.
TIME_POINTS, SAMPLES = 10, 32

#: Margin in mm about the classes in which surfaces are searched.
MARGIN = 8.0

#: Integer steps in a millimetre; the samples are millimetres apart.
PARTS = 10

#: Colour and opacity of a heart's surfaces; the epicardium is translucent.
LOOKS = {
    "LV_endocardium": (class_colour(1), 1.0),
    "RV": (class_colour(3), 1.0),
    "LV_epicardium": (class_colour(2), 0.3),
}


def surface_data(scan: ScanFolder) -> dict | None:
    """Meshes of the scan for JSON: vertices in 1/10 mm about the middle, int16, and triangles, uint16, in base64.

    The y axis points to the head and z to a viewer in front of the patient; ``middle`` is their origin, RAS mm. None
    where nothing was found.
    """
    points = labelled_points(scan)
    if len(points) == 0:
        return None
    box = box_about(scan, points)
    spacing = max(box.size) / SAMPLES
    groups = enclosed_classes(scan.fitted.class_names)
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    time_points = []
    for time in fewer(scan.times, TIME_POINTS):
        found = surfaces_at(scan.fitted.classes, time, box, groups, spacing, least_ml=0.1, coarsest=2 * spacing)
        time_points.append({one.name: _packed(one.vertices - middle, one.triangles) for one in found.surfaces})
    return {
        "times": [round(float(t), 5) for t in fewer(scan.times, TIME_POINTS)],
        "parts": PARTS,
        "middle": [float(x) for x in middle],
        "looks": [[name, *LOOKS.get(name, (class_colour(i + 1), 1.0))] for i, name in enumerate(groups)],
        "time_points": time_points,
    }


def box_about(scan: ScanFolder, points: np.ndarray) -> Box:
    """The scan's box, cropped in plane to world points [N, 3] and a margin; its full length along the stack."""
    whole = Box.around(scan.fitted.frame)
    along = (points - whole.corner) @ whole.axes
    low, high = np.zeros(3), np.array(whole.size)
    low[:2] = np.maximum(along.min(axis=0)[:2] - MARGIN, 0)
    high[:2] = np.minimum(along.max(axis=0)[:2] + MARGIN, high[:2])
    return replace(whole, corner=whole.corner + whole.axes @ low, size=tuple(float(s) for s in high - low))


def _packed(vertices: np.ndarray, triangles: np.ndarray) -> list[str]:
    seen = np.stack(
        [-vertices[:, 0], vertices[:, 2], vertices[:, 1]], axis=1
    )  # as seen by someone who faces the patient
    numbers = np.clip(np.rint(seen * PARTS), -32768, 32767).astype("<i2")
    return [base64.b64encode(part.tobytes()).decode("ascii") for part in (numbers, triangles.astype("<u2"))]
