"""An analytic beating heart: exact labels at any world point and time, and true volumes.

Geometry, in heart coordinates (u lateral, v inferior, w from the base towards the apex, mm): the left ventricle's
cavity and outer surface are bullets, `radius(angle, depth) = a * f(depth) * (1 + harmonics(angle))`, cut at the base
plane; the right ventricle is a shifted tapered ellipse minus the left ventricle's outer surface. A shear (the tilt of
the base plane) and a bend of the axis come before; both have determinant one, so the volumes stay those of the
straight heart. The cavity's volume, not its radius, follows the activation curve, so the ejection fraction is a
parameter; the outer radius follows from the conserved volume of the wall, which therefore thickens.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
from scipy.spatial.transform import Rotation

from nisf.phantom.body import Body, Tissue

# RAS directions of a typical heart: rows are lateral, inferior, apex.
_APEX = np.array([-0.65, 0.50, -0.57]) / np.linalg.norm([-0.65, 0.50, -0.57])


_INFERIOR = np.array([0.0, 0.0, -1.0]) - _APEX * -_APEX[2]


_INFERIOR /= np.linalg.norm(_INFERIOR)


_LATERAL = np.cross(_APEX, _INFERIOR)


REFERENCE_AXES = np.stack([_LATERAL if _LATERAL[0] < 0 else -_LATERAL, _INFERIOR, _APEX])


NOT_HEART = 255  # what Heart.moving_tissue gives where the body's own tissue shows


_PAPILLARY_ANGLES = np.deg2rad([-40.0, 75.0])


@dataclass
class Heart:
    """One subject's heart and body. Lengths in mm, angles in rad, volumes in mL, times as fractions of the cycle."""

    # pose: world position of the base plane's centre at end diastole; rows are lateral, inferior, apex
    centre: np.ndarray = field(default_factory=lambda: np.zeros(3))
    axes: np.ndarray = field(default_factory=lambda: REFERENCE_AXES.copy())
    tilt: tuple[float, float] = (0.0, 0.0)  # slope of the base plane along u and v
    tilt_systole: float = -0.04  # added to the slope along u: the right side of the base moves more
    bend: tuple[float, float] = (0.0, 0.0)  # sideways shift of the axis 100 mm below the base
    # left ventricle
    lv_volume: float = 150.0  # cavity at end diastole
    lv_ejection_fraction: float = 0.6
    lv_length: float = 88.0  # cavity, base plane to apex, at end diastole
    shortening: float = 14.0  # how far the base plane moves towards the apex
    wall: float = 9.0  # at the base, end diastole
    apex_wall: float = 7.0
    equator: float = 0.12  # depth (fraction of the length) at which the bullet is widest
    roundness: float = 2.2  # exponent of the bullet: 2 is an ellipsoid, more is blunter
    oval: tuple[float, float] = (0.03, 0.0)  # second harmonic of the outline: size, angle
    bump: tuple[float, float] = (0.02, 0.0)  # third harmonic
    inner_shift: tuple[float, float] = (0.5, 0.0)  # cavity centre against the outer surface's
    # right ventricle
    rv_width: float = 30.0  # from the septum to the free wall, at the base, end diastole
    rv_height: float = 1.1  # half height, in outer radii of the left ventricle
    rv_overlap: float = 0.78  # centre of its ellipse, in outer radii of the left ventricle
    rv_length: float = 0.9  # in outer lengths of the left ventricle
    rv_taper: float = 1.8  # exponent of its bullet
    rv_angle: float = 0.0
    rv_width_shortening: float = 0.35
    rv_height_shortening: float = 0.15
    # timing
    end_systole: float = 0.36
    filling: float = 0.22  # duration of the early filling
    plateau: float = 0.1  # activation left in mid diastole, undone by the atria
    atrial_kick: float = 0.85
    # what the labels do not name
    papillary: float = 5.0  # radius of the papillary muscles; they count as blood pool
    trabeculae: tuple[float, int, float] = (0.06, 9, 0.0)  # depth (fraction of the radius), how many, phase
    fat: float = 4.0
    rv_wall: float = 3.0
    atria: float = 1.0
    body: Body = field(default_factory=Body)

    @classmethod
    def random(cls, rng: np.random.Generator, **fixed) -> Heart:
        """Draw one heart; `fixed` fields are set after the draw, so they change nothing else."""
        drawn = {**_random_pose(rng), **_random_left(rng), **_random_right(rng), **_random_rest(rng)}
        if drawn["lv_ejection_fraction"] < 0.45:  # failing hearts are larger and contract less everywhere
            drawn["lv_volume"] *= rng.uniform(1.0, 1.5)
            drawn["shortening"] *= 0.6
            drawn["rv_width_shortening"] *= 0.75
        drawn["lv_length"] *= (drawn["lv_volume"] / 150.0) ** 0.3
        return cls(**{**drawn, **fixed})

    # ---- motion -------------------------------------------------------------------------------------------------

    def activation(self, time: float) -> float:
        """0 at end diastole (time 0), 1 at end systole, periodic; eased between, with a plateau in mid diastole."""
        knots = [0.0, self.end_systole, self.end_systole + self.filling, self.atrial_kick, 1.0]
        values = [0.0, 1.0, self.plateau, 0.9 * self.plateau, 0.0]
        t = float(time) % 1.0
        i = int(np.searchsorted(knots, t, side="right")) - 1
        x = (t - knots[i]) / (knots[i + 1] - knots[i])
        return values[i] + (values[i + 1] - values[i]) * 0.5 * (1 - np.cos(np.pi * x))

    def state(self, time: float) -> SimpleNamespace:
        """The geometry's numbers at one time (python floats: they leave the dtype of the points alone)."""
        s = self.activation(time)
        fill = np.pi * _mean_square(self.equator, self.roundness) / 1000.0
        fill *= 1 + (self.oval[0] ** 2 + self.bump[0] ** 2) / 2  # mean of (1 + harmonics)^2 over the angle
        length0, outer_length0 = self.lv_length, self.lv_length + self.apex_wall
        radius0 = np.sqrt(self.lv_volume / (fill * length0))
        outer0 = radius0 + self.wall
        wall_volume = fill * outer0**2 * outer_length0 - self.lv_volume
        outer_length = outer_length0 - self.shortening * s
        length = outer_length - self.apex_wall * (1 + 0.35 * s)
        volume = self.lv_volume * (1 - self.lv_ejection_fraction * s)
        outer = np.sqrt((volume + wall_volume) / (fill * outer_length))
        width = self.rv_width * (1 - self.rv_width_shortening * s)
        return SimpleNamespace(
            s=s,
            base=float(self.shortening * s),
            tilt=(self.tilt[0] + self.tilt_systole * s, self.tilt[1]),
            volume=volume,
            wall_volume=wall_volume,
            length=float(length),
            radius=float(np.sqrt(volume / (fill * length))),
            outer_length=float(outer_length),
            outer=float(outer),
            rv_length=float(outer_length * self.rv_length),
            rv_radius=(
                float(outer * (1 - self.rv_overlap) + width),
                float(outer0 * self.rv_height * (1 - self.rv_height_shortening * s)),
            ),
        )

    def ejection_fraction(self) -> float:
        """True ejection fraction of the left ventricle, end diastole (time 0) to end systole."""
        return float(self.lv_ejection_fraction)

    def cavity_volumes(self, time: float) -> dict[str, float]:
        """True volumes {"LV", "MYO", "RV"} in mL: the first two exact, the third by quadrature (error < 0.1 %)."""
        state = self.state(time)
        return {"LV": float(state.volume), "MYO": float(state.wall_volume), "RV": self._right_volume(state)}

    def _right_volume(self, st, levels: int = 256, angles: int = 512) -> float:
        """Integrate, along rays from the left ventricle's centre, the ellipse's part beyond its outer surface."""
        depth = ((np.arange(levels) + 0.5) / levels * st.rv_length)[:, None]
        theta = ((np.arange(angles) + 0.5) / angles * 2 * np.pi)[None]
        outer = st.outer * _profile(depth / st.outer_length, self.equator, self.roundness)
        inner = outer * (1 + self._harmonics(np.cos(theta), np.sin(theta), 1.0))
        taper = _profile(depth / st.rv_length, 0.1, self.rv_taper)
        p, q, shift = st.rv_radius[0] * taper, st.rv_radius[1] * taper, self.rv_overlap * outer
        c, s = np.cos(theta - self.rv_angle), np.sin(theta - self.rv_angle)
        square = (c / p) ** 2 + (s / q) ** 2
        half = c * shift / p**2
        root = np.sqrt(np.maximum(half**2 - square * ((shift / p) ** 2 - 1), 0))
        near, far = ((-half + sign * root) / square for sign in (-1, 1))
        near, far = np.maximum(near, inner), np.maximum(far, inner)
        area = 0.5 * (far**2 - near**2).sum(1) * (2 * np.pi / angles)
        return float(area.sum() * st.rv_length / levels / 1000.0)

    # ---- where is what ------------------------------------------------------------------------------------------

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
        inside = np.flatnonzero(self._near(uvw, state))
        zone = self._zones(uvw[:, inside], state)
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
        near = self.reach(points)
        moving = self.moving_tissue(self.to_heart(points[near]), time)
        out[near] = np.where(moving == NOT_HEART, out[near], moving)
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
        zone = self._zones(uvw, state)
        out = np.full(uvw.shape[1], NOT_HEART, np.uint8)
        fat = self.fat + 1.5 * state.s
        rim = zone.outer + fat * (
            0.6 - 0.4 * zone.u / zone.rho
        )  # thin over the lateral wall, where the lung touches it
        fatty = (zone.rho < rim) & (zone.w < state.outer_length + 0.5 * fat) | (zone.rv_gap < self.rv_wall + fat)
        out[zone.below & fatty] = Tissue.HEART_FAT
        out[zone.below & (zone.rv_gap < self.rv_wall)] = Tissue.RV_WALL
        out[zone.in_rv] = Tissue.RV_BLOOD
        out[zone.in_outer] = Tissue.MYOCARDIUM
        cavity = np.flatnonzero(zone.in_cavity)
        out[cavity] = self._cavity_tissue(zone, cavity, state)
        above = np.flatnonzero(~zone.below & (zone.w > -75))
        out[above] = self._above_base(zone.u[above], zone.v[above], zone.w[above], state)
        return out

    def _near(self, uvw, st):
        u, v, w = uvw
        slope = abs(st.tilt[0]) + abs(st.tilt[1])
        radius = max(st.outer, self.rv_overlap * st.outer + max(st.rv_radius)) * 1.1 + np.hypot(*self.bend)
        low, high = st.base - slope * radius, st.base + st.outer_length + slope * radius
        return (u * u + v * v < radius**2) & (w > low) & (w < high)

    def _straight(self, uvw, st):
        """Undo the base plane's tilt and the axis' bend; w is then the depth below the base plane."""
        u, v, w = uvw
        w = w - st.tilt[0] * u - st.tilt[1] * v - st.base
        square = (w * 0.01) ** 2
        return u - self.bend[0] * square, v - self.bend[1] * square, w

    def _harmonics(self, x, y, rho):
        """Second and third harmonic of the outline at offsets x, y of length rho, without any arctangent."""
        c, s = x / rho, y / rho
        c2, s2 = c * c - s * s, 2 * c * s
        c3, s3 = c2 * c - s2 * s, s2 * c + c2 * s
        (a2, p2), (a3, p3) = self.oval, self.bump
        return (
            float(a2 * np.cos(p2)) * c2
            + float(a2 * np.sin(p2)) * s2
            + float(a3 * np.cos(p3)) * c3
            + float(a3 * np.sin(p3)) * s3
        )

    def _zones(self, uvw, st) -> SimpleNamespace:
        """The ventricles at heart coordinates [3, N]; every field is [N]."""
        u, v, w = self._straight(uvw, st)
        below = w >= 0
        rho = np.sqrt(u * u + v * v) + 1e-6
        smooth = st.outer * _profile(w / st.outer_length, self.equator, self.roundness)
        outer = smooth * (1 + self._harmonics(u, v, rho))
        in_outer = below & (rho < outer)
        x, y = u - float(self.inner_shift[0]), v - float(self.inner_shift[1])
        in_cavity = np.zeros(len(w), bool)
        some = np.flatnonzero(in_outer & (w < st.length))
        xs, ys = x[some], y[some]
        r = np.sqrt(xs * xs + ys * ys) + 1e-6
        wall = st.radius * _profile(w[some] / st.length, self.equator, self.roundness)
        in_cavity[some] = r < wall * (1 + self._harmonics(xs, ys, r))
        c, s = float(np.cos(self.rv_angle)), float(np.sin(self.rv_angle))
        along, across = c * u + s * v + self.rv_overlap * smooth, c * v - s * u
        p, q = st.rv_radius
        rv_gap = np.sqrt((along / p) ** 2 + (across / q) ** 2) - _profile(w / st.rv_length, 0.1, self.rv_taper)
        rv_gap[w > st.rv_length] = np.inf
        in_rv = below & (rv_gap < 0) & ~in_outer
        return SimpleNamespace(
            u=u, v=v, w=w, x=x, y=y, rho=rho, below=below, outer=outer, rv_gap=rv_gap * min(p, q),
            in_outer=in_outer, in_cavity=in_cavity, in_rv=in_rv,
        )  # fmt: skip

    def _cavity_tissue(self, zone, where, st) -> np.ndarray:
        """Blood, papillary muscles and trabeculae inside the left ventricle's cavity."""
        x, y, depth = zone.x[where], zone.y[where], zone.w[where] / st.length
        out = np.full(len(where), Tissue.LV_BLOOD, np.uint8)
        size, count, phase = self.trabeculae
        angle = np.arctan2(y, x)
        wall = st.radius * _profile(depth, self.equator, self.roundness)
        rough = size * (0.5 + 0.5 * np.cos(count * angle + 5 * depth + phase)) * (0.4 + depth)
        out[np.hypot(x, y) > wall * (1 - rough)] = Tissue.PAPILLARY
        radius = min(self.papillary * (1 + 0.1 * st.s), 0.3 * st.radius)
        in_depth = (depth > 0.28) & (depth < 0.72)
        for a in _PAPILLARY_ANGLES:
            px, py = 0.62 * st.radius * float(np.cos(a)), 0.62 * st.radius * float(np.sin(a))
            out[in_depth & ((x - px) ** 2 + (y - py) ** 2 < radius**2)] = Tissue.PAPILLARY
        return out

    def _above_base(self, u, v, w, st) -> np.ndarray:
        """Atria and outflow above the base plane: blood in thin walls, fat between."""
        grow = self.atria * (1 + 0.1 * st.s)
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
        out[gap < 2.5 + self.fat] = Tissue.HEART_FAT
        out[gap < 2.5] = Tissue.RV_WALL
        out[gap < 0] = Tissue.ATRIUM_BLOOD
        return out


def _profile(depth, equator: float, power: float):
    """Radius of a bullet at a depth (fraction of its length below the base plane), 1 at its widest, 0 past its tip."""
    x = np.abs(depth - equator) * (1 / (1 - equator))
    return np.maximum(1 - x**power, 0) ** (1 / power)


def _mean_square(equator: float, power: float, steps: int = 4096) -> float:
    """Mean of the squared profile along the length: volume = pi * radius^2 * length * this."""
    return float((_profile((np.arange(steps) + 0.5) / steps, equator, power) ** 2).mean())


def _clipped(rng, mean, std, low, high) -> float:
    return float(np.clip(rng.normal(mean, std), low, high))


def turned(axes: np.ndarray, rng: np.random.Generator, tilt: float, spin: float) -> np.ndarray:
    """Axes (rows) turned by normal angles: `tilt` rad about the first two, `spin` about the third, cut at 2.5 std."""
    angles = np.clip(rng.standard_normal(3), -2.5, 2.5) * [tilt, tilt, spin]
    return axes @ Rotation.from_rotvec(angles @ axes).as_matrix().T


def _random_pose(rng) -> dict:
    return {
        "centre": rng.normal(0, 15, 3),
        "axes": turned(REFERENCE_AXES, rng, np.deg2rad(4), np.deg2rad(4)),
        "tilt": tuple(np.clip(rng.normal(0, 0.08, 2), -0.2, 0.2)),
        "tilt_systole": rng.uniform(-0.08, 0.0),
        "bend": tuple(np.clip(rng.normal(0, 4, 2), -8, 8)),
    }


def _random_left(rng) -> dict:
    return {
        "lv_volume": float(np.clip(rng.lognormal(np.log(140), 0.22), 80, 240)),
        "lv_ejection_fraction": _clipped(rng, 0.56, 0.12, 0.25, 0.75),
        "lv_length": _clipped(rng, 88, 6, 72, 104),
        "shortening": rng.uniform(8, 18),
        "wall": _clipped(rng, 9, 2, 6, 15),
        "apex_wall": rng.uniform(5, 9),
        "equator": rng.uniform(0.05, 0.2),
        "roundness": rng.uniform(2.0, 2.6),
        "oval": (rng.uniform(0, 0.07), rng.uniform(0, 2 * np.pi)),
        "bump": (rng.uniform(0, 0.03), rng.uniform(0, 2 * np.pi)),
        "inner_shift": tuple(np.clip(rng.normal(0.4, 0.7, 2), -1.5, 1.5)),
    }


def _random_right(rng) -> dict:
    return {
        "rv_width": _clipped(rng, 30, 5, 19, 44),
        "rv_height": rng.uniform(0.95, 1.25),
        "rv_overlap": rng.uniform(0.68, 0.9),
        "rv_length": rng.uniform(0.8, 0.96),
        "rv_taper": rng.uniform(1.5, 2.2),
        "rv_angle": rng.normal(0, 0.15),
        "rv_width_shortening": rng.uniform(0.2, 0.45),
        "rv_height_shortening": rng.uniform(0.08, 0.22),
    }


def _random_rest(rng) -> dict:
    return {
        "end_systole": rng.uniform(0.3, 0.42),
        "filling": rng.uniform(0.18, 0.26),
        "plateau": rng.uniform(0.04, 0.2),
        "atrial_kick": rng.uniform(0.76, 0.88),
        "papillary": rng.uniform(3, 6),
        "trabeculae": (rng.uniform(0.0, 0.12), int(rng.integers(6, 12)), rng.uniform(0, 2 * np.pi)),
        "fat": rng.uniform(1.5, 8),
        "rv_wall": rng.uniform(2, 4),
        "atria": rng.uniform(0.85, 1.15),
        "body": Body.random(rng),
    }
