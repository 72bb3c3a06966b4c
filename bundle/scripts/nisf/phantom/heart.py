"""An analytic beating heart: exact labels and tissues at any world point and time, and true volumes."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np

from nisf.phantom.anatomy import Anatomy, profile
from nisf.phantom.body import Tissue
from nisf.phantom.ventricles import near, right_volume, zones

NOT_HEART = 255  # value of Heart.moving_tissue where there is no heart
_PAPILLARY_ANGLES = np.deg2rad([-40.0, 75.0])


@dataclass
class Heart(Anatomy):
    """One subject's heart and body as functions of place and time."""

    def cavity_volumes(self, time: float) -> dict[str, float]:
        """True volumes {"LV", "MYO", "RV"} in mL: the first two exact, the third by quadrature (error < 0.1 %)."""
        state = self.state(time)
        return {"LV": float(state.volume), "MYO": float(state.wall_volume), "RV": right_volume(self, state)}

    def to_heart(self, points: np.ndarray) -> np.ndarray:
        """World points [N, 3] -> rows u, v, w [3, N] in mm, of the points' dtype."""
        return np.ascontiguousarray((points - self.centre.astype(points.dtype)) @ self.axes.T.astype(points.dtype)).T

    def middle(self) -> np.ndarray:
        """World position [3] of the middle of the left ventricle's axis at end diastole."""
        return self.centre + self.axes[2] * (0.5 * self.lv_length)

    def label(self, points: np.ndarray, time: float) -> np.ndarray:
        """Exact label at world points [N, 3] (RAS mm): uint8 [N] of 0 background, 1 LV, 2 MYO, 3 RV."""
        points = np.asarray(points, np.float64)
        uvw, state = self.to_heart(points), self.state(time)
        out = np.zeros(len(points), np.uint8)
        inside = np.flatnonzero(near(self, uvw, state))
        zone = zones(self, uvw[:, inside], state)
        label = np.zeros(len(inside), np.uint8)
        label[zone.in_rv] = 3
        label[zone.in_outer] = 2
        label[zone.in_cavity] = 1
        out[inside] = label
        return out

    def tissue(self, points: np.ndarray, time: float) -> np.ndarray:
        """`Tissue` class at world points [N, 3] (RAS mm): uint8 [N]."""
        points = np.asarray(points)
        out = self.body.tissue(points - self.middle().astype(points.dtype))
        close = self.reach(points)
        moving = self.moving_tissue(self.to_heart(points[close]), time)
        out[close] = np.where(moving == NOT_HEART, out[close], moving)
        return out

    def reach(self, points: np.ndarray) -> np.ndarray:
        """Indices of the world points [N, 3] that the heart, its atria or its fat can cover at any time."""
        u, v, w = self.to_heart(points)
        state = self.state(0.0)
        radius = max(state.outer, self.rv_overlap * state.outer + max(state.rv_radius)) + self.fat + self.rv_wall + 6
        return np.flatnonzero((u * u + v * v < radius**2) & (w > -70) & (w < state.outer_length + self.fat + 12))

    def moving_tissue(self, uvw: np.ndarray, time: float) -> np.ndarray:
        """`Tissue` class of the heart at heart coordinates [3, N], NOT_HEART elsewhere: uint8 [N]."""
        state = self.state(time)
        zone = zones(self, uvw, state)
        out = np.full(uvw.shape[1], NOT_HEART, np.uint8)
        fat = self.fat + 1.5 * state.s
        # thin over the lateral wall, where the lung touches it
        rim = zone.outer + fat * (0.6 - 0.4 * zone.u / zone.rho)
        fatty = (zone.rho < rim) & (zone.w < state.outer_length + 0.5 * fat) | (zone.rv_gap < self.rv_wall + fat)
        out[zone.below & fatty] = Tissue.HEART_FAT
        out[zone.below & (zone.rv_gap < self.rv_wall)] = Tissue.RV_WALL
        out[zone.in_rv] = Tissue.RV_BLOOD
        out[zone.in_outer] = Tissue.MYOCARDIUM
        cavity = np.flatnonzero(zone.in_cavity)
        out[cavity] = _cavity_tissue(self, zone, cavity, state)
        above = np.flatnonzero(~zone.below & (zone.w > -75))
        out[above] = _above_base(self, zone.u[above], zone.v[above], zone.w[above], state)
        return out


def _cavity_tissue(anatomy: Anatomy, zone: SimpleNamespace, where: np.ndarray, st: SimpleNamespace) -> np.ndarray:
    """Blood, papillary muscles and trabeculae inside the left ventricle's cavity."""
    x, y, depth = zone.x[where], zone.y[where], zone.w[where] / st.length
    out = np.full(len(where), Tissue.LV_BLOOD, np.uint8)
    size, count, phase = anatomy.trabeculae
    angle = np.arctan2(y, x)
    wall = st.radius * profile(depth, anatomy.equator, anatomy.roundness)
    rough = size * (0.5 + 0.5 * np.cos(count * angle + 5 * depth + phase)) * (0.4 + depth)
    out[np.hypot(x, y) > wall * (1 - rough)] = Tissue.PAPILLARY
    radius = min(anatomy.papillary * (1 + 0.1 * st.s), 0.3 * st.radius)
    in_depth = (depth > 0.28) & (depth < 0.72)
    for a in _PAPILLARY_ANGLES:
        px, py = 0.62 * st.radius * float(np.cos(a)), 0.62 * st.radius * float(np.sin(a))
        out[in_depth & ((x - px) ** 2 + (y - py) ** 2 < radius**2)] = Tissue.PAPILLARY
    return out


def _above_base(anatomy: Anatomy, u: np.ndarray, v: np.ndarray, w: np.ndarray, st: SimpleNamespace) -> np.ndarray:
    """Atria and outflow above the base plane: blood in thin walls, fat between."""
    grow = anatomy.atria * (1 + 0.1 * st.s)
    outer, width = st.outer, st.rv_radius[0]
    chambers = (  # centre u, v, w; radius u, v, w
        (0.1 * outer, 0.25 * outer, -24.0, 27 * grow, 24 * grow, 30 * grow),  # left atrium
        (-outer - 0.45 * width, 0.3 * outer, -22.0, 24 * grow, 26 * grow, 30 * grow),  # right atrium
        (-0.3 * outer, -0.3 * outer, -20.0, 14.0, 14.0, 60.0),  # aortic root
        (-0.75 * outer, -0.95 * outer, -20.0, 14.0, 14.0, 60.0),  # pulmonary outflow
    )
    gap = np.full(len(u), np.inf, u.dtype)
    for cu, cv, cw, ru, rv, rw in chambers:
        size = float(min(ru, rv))
        cell = np.sqrt(((u - cu) / ru) ** 2 + ((v - cv) / rv) ** 2 + ((w - cw) / rw) ** 2)
        gap = np.minimum(gap, (cell - 1) * size)
    out = np.full(len(u), NOT_HEART, np.uint8)
    out[gap < 2.5 + anatomy.fat] = Tissue.HEART_FAT
    out[gap < 2.5] = Tissue.RV_WALL
    out[gap < 0] = Tissue.ATRIUM_BLOOD
    return out
