"""How much the posterior draws of a fit differ, on a lattice about the heart, for a layer of the living page."""

from __future__ import annotations

import numpy as np

from nisf.geometry.grid import Grid
from nisf.measures.volumes import unsure
from nisf.report.living.packing import packed
from nisf.report.scan_folder import ScanFolder
from nisf.report.views import MARGIN, fewer, labelled_points
from nisf.sampling.fitted_scan import FittedScan

#: Distances in mm of the lattice's points, in plane and along the stack.
SPACING = (3.0, 3.0, 5.0)

#: The most time points; between them the page interpolates.
TIME_POINTS = 10

#: Standard deviation of a probability that is stored as 255, the largest that is possible.
MOST = 0.5


def uncertainty_data(scan: ScanFolder) -> dict | None:
    """The standard deviations for JSON, as ``web/uncertainty.js`` reads them; None without draws or a heart.

    ``packed`` holds uint8 [T, Z, Y, X], 255 for ``most``; ``to_lattice`` [3, 4] turns RAS mm into places on it.
    """
    points = labelled_points(scan)
    if not scan.fitted.draws or not len(points):
        return None
    grid = Grid.of_scan(scan.fitted.frame, SPACING).cropped(points, MARGIN)
    times = fewer(scan.times, TIME_POINTS)
    values = np.stack([deviations(scan.fitted, grid, time) for time in times])
    return {
        "draws": len(scan.fitted.draws),
        "most": MOST,
        "shape": [int(n) for n in grid.shape],
        "times": [float(t) for t in times],
        "to_lattice": np.linalg.inv(grid.affine)[:3].tolist(),
        "packed": packed(np.rint(values.transpose(0, 3, 2, 1) * (255 / MOST)).astype(np.uint8)),
    }


def deviations(fitted: FittedScan, grid: Grid, time: float) -> np.ndarray:
    """Standard deviation over the draws of the likeliest class's probability, [X, Y, Z]; 0 away from all borders, where
    draws are not read."""
    points, found = grid.world().reshape(-1, 3), np.zeros(grid.shape, np.float32)
    near = unsure(fitted.classes(points, time), np.ones(grid.shape, bool))
    if near.any():
        found.reshape(-1)[near] = fitted.uncertainty(points[near], time)[-1]
    return found
