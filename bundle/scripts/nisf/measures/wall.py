"""Inner and outer surface of the left ventricle's wall on rays from its long axis."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from nisf.geometry.grid import Grid
from nisf.sampling.fitted_scan import FittedScan
from nisf.sampling.planes import HeartAxes, heart_axes
from nisf.utils.errors import InputError

#: Numbers of levels along the axis and directions about it, for the fit and for a draw.
FINE, COARSE = (36, 48), (15, 24)

#: Maximum distance of the wall from the axis, step of the search, and least thickness of a wall, mm.
REACH, STEP, LEAST_WALL = 66.0, 6.0, 0.4

#: Distances from a surface that is nearly known, outwards along a ray, between which it is searched, mm.
BAND = np.array([-4.0, 0.0, 4.0])

#: Number of places read between the two between which a surface is, in a search and near a known surface.
SEARCH_STEPS, NEAR_STEPS = 4, 1

#: Voxel size with which the axis is found, mm.
AXIS_SEARCH = 4.0

#: Ranges of the cavity's length in which the wall is searched (it closes beyond the tip) and measured: not at the edge
#: of the base, where the outflow tract opens the ring, nor at the tip.
SEARCHED, MEASURED = (-0.15, 1.25), (0.04, 0.96)

#: Range of the cavity's length whose surfaces can be the nearest to one that is measured.
BESIDE = (-0.1, 1.1)

#: Lower bound of probabilities, so that their logarithms are finite.
LEAST = 1e-7


@dataclass(frozen=True)
class Rays:
    """Rays at right angles to the cavity's long axis.

    Attributes:
        bottom, top: points [3] where the axis leaves the cavity, at the tip and at the base, RAS mm.
        level: levels [levels], fractions of the cavity's length from the base; above 1 beyond the tip.
        angle: angles of the rays [angles], degrees from the middle of the septum towards the anterior wall.
        ray: unit vectors [angles, 3].
    """

    bottom: np.ndarray
    top: np.ndarray
    level: np.ndarray
    angle: np.ndarray
    ray: np.ndarray

    @property
    def center(self) -> np.ndarray:
        """Points of the axis from which rays start, [levels, 3]."""
        return self.top + self.level[:, None] * (self.bottom - self.top)

    def points(self, radius: np.ndarray) -> np.ndarray:
        """World points at distances [levels, angles, ...] from the axis along each ray, [levels, angles, ..., 3]."""
        more = (1,) * (radius.ndim - 2)
        center = self.center.reshape(len(self.level), 1, *more, 3)
        return center + radius[..., None] * self.ray.reshape(1, len(self.angle), *more, 3)


@dataclass(frozen=True)
class Wall:
    """The wall on rays from the long axis.

    Attributes:
        rays: the rays.
        radius: distances of the inner and the outer surface from the axis, mm, [2, levels, angles]; NaN where a ray
            meets no such surface.
    """

    rays: Rays
    radius: np.ndarray

    @property
    def inner(self) -> np.ndarray:
        """World points of the inner surface, [levels, angles, 3]."""
        return self.rays.points(self.radius[0])

    @property
    def outer(self) -> np.ndarray:
        """World points of the outer surface, [levels, angles, 3]."""
        return self.rays.points(self.radius[1])


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
    rays = rays_of(fitted, time, heart_axes(fitted, time) if axes is None else axes, sizes, septum)
    return Wall(rays, _searched(fitted, time, rays))


def wall_near(drawn: FittedScan, time: float, axes: HeartAxes, wall: Wall, septum: float) -> Wall:
    """The wall of a draw as ``wall_of`` finds it, searched near that of the fit, and along whole rays at levels where
    it is not near everywhere.

    Args:
        drawn: draw of a fit.
        time, axes, septum: as of ``wall_of``, those with which the fit's wall was found.
        wall: the fit's own wall.

    Raises:
        InputError: the draw has no cavity.
    """
    own = wall.rays
    rays = rays_of(drawn, time, axes, (len(own.level), len(own.angle)), septum)
    length = own.bottom - own.top
    level = (rays.center - own.top) @ length / (length @ length)  # where the draw's levels are in the fit's cavity
    near = np.stack([_at_levels(level, own.level, radius) for radius in wall.radius])
    radius = np.maximum(near[..., None] + BAND, 0)
    leads = _leads(drawn, time, rays, radius)
    falls = (leads[..., :-1] > 0) & (leads[..., 1:] <= 0)
    first = np.where(falls.any(axis=-1), falls.argmax(axis=-1) + 1, 0)
    found = _crossing(drawn, time, rays, radius, leads, first, NEAR_STEPS)
    away = (first == 0).any(axis=(0, 2)) & (rays.level > BESIDE[0]) & (rays.level < BESIDE[1])
    if away.any():
        found[:, away] = _searched(drawn, time, replace(rays, level=rays.level[away]))
    return Wall(rays, found)


def rays_of(fitted: FittedScan, time: float, axes: HeartAxes, sizes: tuple[int, int], septum: float) -> Rays:
    """Rays from the axis of the cavity at one time point; arguments as of ``wall_of``."""
    bottom, top = _cavity_ends(fitted, time, axes)
    angle = (np.arange(sizes[1]) + 0.5) * 360 / sizes[1]
    turned = np.deg2rad(angle + septum)[:, None]
    ray = np.cos(turned) * axes.to_right + np.sin(turned) * _anterior(fitted, axes)
    return Rays(bottom, top, np.linspace(*SEARCHED, sizes[0]), angle, ray)


def axes_near(fitted: FittedScan, time: float, points: np.ndarray) -> HeartAxes:
    """The heart's axes, searched only in the box around world points [N, 3]."""
    grid = Grid.of_scan(fitted.frame, (AXIS_SEARCH,) * 3)
    return heart_axes(fitted, time, grid.cropped(points, AXIS_SEARCH))


def septum_of(fitted: FittedScan, time: float, wall: Wall) -> float:
    """Degrees from the wall's angle zero to the middle of the septum: where, in the basal and middle third, the RV
    is 3 mm outside the wall; 0 if there is no such place."""
    numbers = {name: number for number, name in fitted.class_names.items()}
    rows = (wall.rays.level > MEASURED[0]) & (wall.rays.level < 2 / 3)
    points = wall.rays.points(wall.radius[1] + 3.0)[rows]
    known = np.isfinite(wall.radius[:, rows]).all(axis=0)
    right = np.zeros(known.shape, bool)
    right[known] = fitted.classes(points[known], time).argmax(axis=0) == numbers["RV"]
    # average the levels' middles between both insertions; a mean over all points would favour the widest levels
    toward = (right * np.exp(1j * np.deg2rad(wall.rays.angle))).sum(axis=1)
    mean = (toward[toward != 0] / np.abs(toward[toward != 0])).sum()
    return float(np.rad2deg(np.angle(mean))) if abs(mean) > 1e-6 else 0.0


def _anterior(fitted: FittedScan, axes: HeartAxes) -> np.ndarray:
    """The direction at right angles to axis and RV that points away from the inferior wall, [3].

    The sign follows the fitted grid, whose y axis points to the inferior wall, as some files have mirrored worlds.
    """
    found = np.cross(axes.axis, axes.to_right)
    return found if found @ fitted.frame.affine[:3, 1] < 0 else -found


def _cavity_ends(fitted: FittedScan, time: float, axes: HeartAxes) -> tuple[np.ndarray, np.ndarray]:
    """Points where the axis leaves the cavity, at the tip and at the base."""
    cavity = next(number for number, name in fitted.class_names.items() if name == "LV")
    length = np.linalg.norm(axes.base - axes.apex)
    along = np.linspace(0, 1, max(int(length), 2))
    points = axes.apex + along[:, None] * (axes.base - axes.apex)
    inside = np.flatnonzero(fitted.classes(points, time).argmax(axis=0) == cavity)
    if len(inside) < 2:
        raise InputError(f"{fitted.subject}: the left ventricle has no cavity along its axis; check its segmentation")
    return points[inside[0]], points[inside[-1]]


def _within(fitted: FittedScan) -> tuple[list[int], list[int]]:
    """Classes within the inner and within the outer surface."""
    numbers = {name: number for number, name in fitted.class_names.items()}
    return [numbers["LV"]], [numbers["LV"], numbers["MYO"]]


def _read(fitted: FittedScan, time: float, rays: Rays, radius: np.ndarray) -> np.ndarray:
    """Class probabilities [K, levels, angles, ...] at distances from the axis [levels, angles, ...], mm."""
    return fitted.classes(rays.points(radius).reshape(-1, 3), time).reshape(-1, *radius.shape)


def _leads(fitted: FittedScan, time: float, rays: Rays, radius: np.ndarray) -> np.ndarray:
    """``_lead`` of the classes within each surface at distances from the axis, [2, levels, angles, ...]."""
    read = np.moveaxis(_read(fitted, time, rays, np.moveaxis(radius, 0, -1)), -1, 1)
    return np.stack([_lead(read[:, place], own) for place, own in enumerate(_within(fitted))])


def _lead(classes: np.ndarray, within: list[int]) -> np.ndarray:
    """Log of the largest probability of the classes ``within`` over that of the others, [...], from [K, ...]. Nearly
    linear in the distance from the surface, where it is zero."""
    logs = np.log(np.maximum(classes, LEAST))
    return logs[within].max(axis=0) - np.delete(logs, within, axis=0).max(axis=0)


def _searched(fitted: FittedScan, time: float, rays: Rays) -> np.ndarray:
    """Distances of both surfaces from the axis, mm, [2, levels, angles], searched along the whole of each ray."""
    numbers = {name: number for number, name in fitted.class_names.items()}
    places = np.arange(0, REACH + STEP, STEP)
    radius = np.broadcast_to(places, (len(rays.level), len(rays.angle), len(places)))
    read = _read(fitted, time, rays, radius)
    classes = read.argmax(axis=0)
    left = np.maximum.accumulate(classes != numbers["LV"], axis=2)  # the cavity ends at the first other class
    gone = np.maximum.accumulate(left & (classes != numbers["MYO"]), axis=2)
    first = np.stack([left.argmax(axis=2), gone.argmax(axis=2)])
    leads = np.stack([_lead(read, own) for own in _within(fitted)])
    return _crossing(fitted, time, rays, np.stack([radius, radius]), leads, first, SEARCH_STEPS)


def _crossing(
    fitted: FittedScan, time: float, rays: Rays, radius: np.ndarray, leads: np.ndarray, first: np.ndarray, steps: int
) -> np.ndarray:
    """Where the surfaces are between two of some places, mm, [2, levels, angles]; NaN where there is none.

    Args:
        fitted, time, rays: where they are searched.
        radius: distances of the places from the axis, [2, levels, angles, P].
        leads: ``_leads`` there.
        first: index of the first place beyond the surface, [2, levels, angles]; 0 where there is none.
        steps: number of places between the two at which the function is read.
    """
    low, below, high, above = (
        np.take_along_axis(values, np.maximum(first - 1 + step, step)[..., None], axis=-1)[..., 0]
        for step in (0, 1)
        for values in (radius, leads)
    )
    for _ in range(steps):
        middle = _zero(low, below, high, above)
        found = _leads(fitted, time, rays, middle)
        inside = found > 0
        low, below = np.where(inside, middle, low), np.where(inside, found, below)
        high, above = np.where(inside, high, middle), np.where(inside, above, found)
    inner, outer = _zero(low, below, high, above)
    wall = (first[1] > 0) & (
        (first[0] == 0) | (outer - inner > LEAST_WALL)
    )  # otherwise the cavity touches another class
    return np.stack([np.where(wall & (first[0] > 0), inner, np.nan), np.where(wall, outer, np.nan)])


def _zero(low: np.ndarray, below: np.ndarray, high: np.ndarray, above: np.ndarray) -> np.ndarray:
    """Where a line through values ``below`` > 0 at ``low`` and ``above`` <= 0 at ``high`` is zero; else the middle."""
    part = np.divide(below, below - above, out=np.full_like(below, 0.5), where=(below > 0) & (above <= 0))
    return low + (high - low) * part


def _at_levels(level: np.ndarray, known: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Radii [levels, angles] of ``known`` levels at other ones, linear between them; ``REACH`` at an angle without."""
    found = np.full((len(level), radius.shape[1]), REACH)
    for angle, column in enumerate(radius.T):
        there = np.isfinite(column)
        if there.any():
            found[:, angle] = np.interp(level, known[there], column[there])
    return found
