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

from nisf.geometry.grid import Grid
from nisf.measures.volumes import region_of
from nisf.sampling.fitted_scan import FittedScan
from nisf.sampling.planes import HeartAxes, heart_axes
from nisf.utils.errors import InputError

_WALLS = ("anterior", "anteroseptal", "inferoseptal", "inferior", "inferolateral", "anterolateral")

#: Names of segments 1 to 16.
SEGMENTS = (
    *(f"basal {wall}" for wall in _WALLS),
    *(f"mid {wall}" for wall in _WALLS),
    *(f"apical {wall}" for wall in ("anterior", "septal", "inferior", "lateral")),
)

#: Numbers of levels along the axis and directions about it, for the fit and for a draw.
FINE, COARSE = (36, 48), (15, 24)

#: Maximum distance of the wall from the axis, step of the search, and tolerance of the surfaces, mm.
REACH, STEP, EXACT = 66.0, 6.0, 0.2

#: Voxel size with which the axis is found, mm.
AXIS_SEARCH = 4.0

#: Ranges of the cavity's length in which the wall is searched (it closes beyond the tip) and measured: not at the edge
#: of the base, where the outflow tract opens the ring, nor at the tip.
SEARCHED, MEASURED = (-0.15, 1.25), (0.04, 0.96)


@dataclass(frozen=True)
class Wall:
    """Inner and outer surface of the wall on rays from the long axis.

    Attributes:
        inner, outer: world points [levels, angles, 3], RAS mm; NaN where a ray meets no such surface.
        level: levels [levels], fractions of the cavity's length from the base; above 1 beyond the tip.
        angle: angles of the rays [angles], degrees from the middle of the septum towards the anterior wall.
    """

    inner: np.ndarray
    outer: np.ndarray
    level: np.ndarray
    angle: np.ndarray

    def thickness(self) -> np.ndarray:
        """Thickness along the local normal, mm, [levels, angles]: the mean distance of either surface to the other."""
        found = np.full(self.inner.shape[:2], np.nan)
        known = np.isfinite(self.inner).all(axis=2) & np.isfinite(self.outer).all(axis=2)
        known &= ((self.level > MEASURED[0]) & (self.level < MEASURED[1]))[:, None]
        if known.any():
            there = _distance(self.inner[known], _dense(self.outer))
            back = _distance(self.outer[known], _dense(self.inner))
            found[known] = (there + back) / 2
        return found

    def segments(self) -> np.ndarray:
        """Mean thickness of segments 1 to 16, mm, [16]; NaN where there is no wall."""
        number, thickness = segment_numbers(self.level, self.angle), self.thickness()
        known = np.isfinite(thickness)
        rows = [thickness[known & (number == segment)] for segment in range(1, 17)]
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


def thickness_values(fitted: FittedScan, time: float) -> np.ndarray:
    """Thickness of segments 1 to 16 at one time point in the fit and its draws, mm, [1 + n, 16].

    Draws are sampled coarsely; their difference to an equally coarse fit is added to the fit's values.

    Raises:
        InputError: the heart has no long axis or no cavity.
    """
    axes = axes_near(fitted, time, region_of(fitted, [time], 1000).points)
    septum = septum_of(fitted, time, wall_of(fitted, time, axes, COARSE))
    own = wall_of(fitted, time, axes, FINE, septum).segments()
    coarse = _coarse(fitted, time, axes, septum)
    return np.stack([own, *(own + _coarse(one, time, axes, septum) - coarse for one in fitted.drawn())])


def _coarse(fitted: FittedScan, time: float, axes: HeartAxes, septum: float) -> np.ndarray:
    return wall_of(fitted, time, axes, COARSE, septum).segments()


def wall_of(
    fitted: FittedScan, time: float, axes: HeartAxes | None = None, sizes: tuple[int, int] = FINE, septum: float = 0.0
) -> Wall:
    """The wall at one time point.

    Args:
        fitted: fitted scan with the classes LV, MYO and RV.
        time: time point, fraction of the cycle.
        axes: axes of the heart at that time point; by default found here.
        sizes: numbers of levels and angles.
        septum: angle from the direction ``axes.to_right`` to the middle of the septum, degrees; see ``septum_of``.

    Raises:
        InputError: the scan has no LV, or its classes are not a heart's.
    """
    axes = heart_axes(fitted, time) if axes is None else axes
    numbers = {name: number for number, name in fitted.class_names.items()}
    bottom, top = _cavity_ends(fitted, time, axes, numbers["LV"])
    level = np.linspace(*SEARCHED, sizes[0])
    angle = (np.arange(sizes[1]) + 0.5) * 360 / sizes[1]
    center = top + level[:, None] * (bottom - top)
    turned = np.deg2rad(angle + septum)
    ray = np.cos(turned)[:, None] * axes.to_right + np.sin(turned)[:, None] * _anterior(fitted, axes)
    start = np.repeat(center, sizes[1], axis=0)
    ray = np.tile(ray, (sizes[0], 1))
    inner, outer = _crossings(fitted, time, start, ray, numbers["LV"], numbers["MYO"])
    shape = (*sizes, 3)
    inner, outer = (start + radius[:, None] * ray for radius in (inner, outer))
    return Wall(inner.reshape(shape), outer.reshape(shape), level, angle)


def axes_near(fitted: FittedScan, time: float, points: np.ndarray) -> HeartAxes:
    """The heart's axes, searched only in the box around world points [N, 3]."""
    grid = Grid.of_scan(fitted.frame, (AXIS_SEARCH,) * 3)
    return heart_axes(fitted, time, grid.cropped(points, AXIS_SEARCH))


def septum_of(fitted: FittedScan, time: float, wall: Wall) -> float:
    """Degrees from the wall's angle zero to the middle of the septum: where, in the basal and middle third, the RV
    is 3 mm outside the wall; 0 if there is no such place."""
    numbers = {name: number for number, name in fitted.class_names.items()}
    rows = (wall.level > MEASURED[0]) & (wall.level < 2 / 3)
    inner, outer = wall.inner[rows], wall.outer[rows]
    away = outer - inner
    points = outer + 3.0 * away / np.linalg.norm(away, axis=2, keepdims=True)
    known = np.isfinite(points).all(axis=2)
    right = np.zeros(known.shape, bool)
    right[known] = fitted.classes(points[known], time).argmax(axis=0) == numbers["RV"]
    # average the levels' middles between both insertions; a mean over all points would favour the widest levels
    toward = (right * np.exp(1j * np.deg2rad(wall.angle))).sum(axis=1)
    mean = (toward[toward != 0] / np.abs(toward[toward != 0])).sum()
    return float(np.rad2deg(np.angle(mean))) if abs(mean) > 1e-6 else 0.0


def _anterior(fitted: FittedScan, axes: HeartAxes) -> np.ndarray:
    """The direction at right angles to axis and RV that points away from the inferior wall, [3].

    The sign follows the fitted grid, whose y axis points to the inferior wall, as some files have mirrored worlds.
    """
    found = np.cross(axes.axis, axes.to_right)
    return found if found @ fitted.frame.affine[:3, 1] < 0 else -found


def _cavity_ends(fitted: FittedScan, time: float, axes: HeartAxes, lv: int) -> tuple[np.ndarray, np.ndarray]:
    """Points where the axis leaves the cavity, at the tip and at the base."""
    length = np.linalg.norm(axes.base - axes.apex)
    along = np.linspace(0, 1, max(int(length / EXACT / 5), 2))
    points = axes.apex + along[:, None] * (axes.base - axes.apex)
    inside = np.flatnonzero(fitted.classes(points, time).argmax(axis=0) == lv)
    if len(inside) < 2:
        raise InputError(f"{fitted.subject}: the left ventricle has no cavity along its axis; check its segmentation")
    return points[inside[0]], points[inside[-1]]


def _crossings(
    fitted: FittedScan, time: float, start: np.ndarray, ray: np.ndarray, lv: int, myo: int
) -> tuple[np.ndarray, np.ndarray]:
    """Distances [N] from ``start`` [N, 3] along ``ray`` [N, 3] to the wall's inner and outer surface, mm, or NaN."""
    radius = np.arange(0, REACH + STEP, STEP)
    points = start[:, None] + radius[:, None] * ray[:, None]
    classes = fitted.classes(points.reshape(-1, 3), time).argmax(axis=0).reshape(len(start), -1)
    left = np.maximum.accumulate(classes != lv, axis=1)  # the cavity is left for good at the first other class
    gone = np.maximum.accumulate(left & (classes != myo), axis=1)
    place = np.stack([left.argmax(axis=1), gone.argmax(axis=1)])
    low = np.maximum(place - 1, 0) * STEP
    high = low + STEP
    for _ in range(int(np.ceil(np.log2(STEP / EXACT)))):
        middle = (low + high) / 2
        at = start[None] + middle[..., None] * ray[None]
        found = fitted.classes(at.reshape(-1, 3), time).argmax(axis=0).reshape(middle.shape)
        within = np.stack([found[0] == lv, (found[1] == lv) | (found[1] == myo)])
        low, high = np.where(within, middle, low), np.where(within, high, middle)
    inner, outer = (low + high) / 2
    wall = (place[1] > 0) & (outer - inner > EXACT * 2)  # otherwise the cavity touches another class
    return np.where(wall & (place[0] > 0), inner, np.nan), np.where(wall, outer, np.nan)


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
