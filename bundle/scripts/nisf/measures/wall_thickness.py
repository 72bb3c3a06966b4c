"""Thickness of the left ventricle's wall in the 16 segments of the American Heart Association.

Segments: Cerqueira et al., Standardized myocardial segmentation and nomenclature for tomographic imaging of the heart,
Circulation 105:539-542, 2002. The cavity's long axis from base to apex is divided into thirds, with six segments of
60 degrees in the basal and the middle third and four of 90 degrees in the apical third. The angle counts from the
middle of the septum, where the right ventricle touches the wall.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from nisf.measures.volumes import region_of
from nisf.measures.wall import COARSE, FINE, MEASURED, Rays, Wall, axes_near, septum_of, wall_near, wall_of
from nisf.sampling.fitted_scan import FittedScan
from nisf.sampling.planes import HeartAxes

_WALLS = ("anterior", "anteroseptal", "inferoseptal", "inferior", "inferolateral", "anterolateral")

#: Names of segments 1 to 16.
SEGMENTS = (
    *(f"basal {wall}" for wall in _WALLS),
    *(f"mid {wall}" for wall in _WALLS),
    *(f"apical {wall}" for wall in ("anterior", "septal", "inferior", "lateral")),
)


def thickness(wall: Wall) -> np.ndarray:
    """Thickness along the local normal, mm, [levels, angles]: the mean distance of either surface to the other."""
    inner, outer, level = wall.inner, wall.outer, wall.rays.level
    found = np.full(inner.shape[:2], np.nan)
    known = np.isfinite(wall.radius).all(axis=0)
    known &= ((level > MEASURED[0]) & (level < MEASURED[1]))[:, None]
    if known.any():
        found[known] = (_distance(inner[known], _dense(outer)) + _distance(outer[known], _dense(inner))) / 2
    return found


def of_segments(rays: Rays, values: np.ndarray) -> np.ndarray:
    """Means of values [levels, angles] over segments 1 to 16, [16]; NaN where none is known."""
    number, known = segment_numbers(rays.level, rays.angle), np.isfinite(values)
    rows = [values[known & (number == segment)] for segment in range(1, 17)]
    return np.array([row.mean() if len(row) else np.nan for row in rows])


def segment_numbers(level: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Segment 1 to 16 of each place, [levels, angles].

    Args:
        level: fractions of the cavity's length from the base, [levels].
        angle: degrees from the middle of the septum towards the anterior wall, [angles].
    """
    sextant = np.array([2, 1, 6, 5, 4, 3])[(angle % 360 // 60).astype(int)]
    quarter = np.array([14, 13, 16, 15])[((angle + 45) % 360 // 90).astype(int)]
    third = np.clip(level * 3, 0, 2).astype(int)[:, None]
    return np.where(third == 2, quarter, sextant + 6 * third)


@dataclass(frozen=True)
class FoundWall:
    """The wall at one time point and where it was found.

    Attributes:
        wall: the wall.
        time: time point, fraction of the cycle.
        axes: the heart's axes.
        septum: angle to the middle of the septum, see ``septum_of``.
    """

    wall: Wall
    time: float
    axes: HeartAxes
    septum: float

    @classmethod
    def of(cls, fitted: FittedScan, time: float) -> FoundWall:
        """Finds the wall of a fitted scan.

        Raises:
            InputError: the heart has no long axis or no cavity.
        """
        axes = axes_near(fitted, time, region_of(fitted, [time], 1000).points)
        septum = septum_of(fitted, time, wall_of(fitted, time, axes, COARSE))
        return cls(wall_of(fitted, time, axes, FINE, septum), time, axes, septum)


def thickness_values(fitted: FittedScan, found: FoundWall) -> np.ndarray:
    """Thickness of segments 1 to 16 in the fit and its draws, mm, [1 + n, 16].

    Draws are sampled coarsely; their difference to an equally coarse fit is added to the fit's values.

    Args:
        fitted: fitted scan.
        found: its wall.

    Raises:
        InputError: a draw has no cavity.
    """
    own, where = _segments(found.wall), (found.time, found.axes)
    if not fitted.draws:
        return own[None]
    coarse = wall_of(fitted, *where, COARSE, found.septum)
    draws = [_segments(wall_near(one, *where, coarse, found.septum)) for one in fitted.drawn()]
    return np.stack([own, *(own + one - _segments(coarse) for one in draws)])


def _segments(wall: Wall) -> np.ndarray:
    return of_segments(wall.rays, thickness(wall))


def _dense(surface: np.ndarray, times: int = 6) -> np.ndarray:
    """Points [N, 3] of a surface [levels, angles, 3], ``times`` as dense along both."""
    rows = np.linspace(0, len(surface) - 1, (len(surface) - 1) * times + 1)
    low = np.minimum(rows.astype(int), len(surface) - 2)
    part = (rows - low)[:, None, None]
    taller = surface[low] * (1 - part) + surface[low + 1] * part
    share = (np.arange(times) / times)[:, None]
    wider = taller[:, :, None] * (1 - share) + np.roll(taller, -1, axis=1)[:, :, None] * share
    points = wider.reshape(-1, 3)
    return points[np.isfinite(points).all(axis=1)]


def _distance(points: np.ndarray, surface: np.ndarray) -> np.ndarray:
    """Distance from points [N, 3] to the nearest point of a surface, mm, [N]."""
    return cKDTree(surface).query(points)[0] if len(surface) else np.full(len(points), np.nan)
