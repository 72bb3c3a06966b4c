"""The numbers that make a synthetic heart, drawn at random, and how they change over the cycle.

The cavity's volume, not its radius, follows the activation curve, so the ejection fraction is a parameter; the outer
radius follows from the conserved volume of the wall, which therefore thickens.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
from scipy.spatial.transform import Rotation

from nisf.phantom.body import Body

# RAS directions of a typical heart: rows are lateral, inferior, apex.
_APEX = np.array([-0.65, 0.50, -0.57]) / np.linalg.norm([-0.65, 0.50, -0.57])
_INFERIOR = np.array([0.0, 0.0, -1.0]) - _APEX * -_APEX[2]
_INFERIOR /= np.linalg.norm(_INFERIOR)
_LATERAL = np.cross(_APEX, _INFERIOR)
REFERENCE_AXES = np.stack([_LATERAL if _LATERAL[0] < 0 else -_LATERAL, _INFERIOR, _APEX])


@dataclass
class Anatomy:
    """One subject's heart and body. Lengths in mm, angles in rad, volumes in mL, times as fractions of the cycle."""

    # pose: world position of the base plane's centre at end diastole; rows are lateral, inferior, apex
    centre: np.ndarray = field(default_factory=lambda: np.zeros(3))
    axes: np.ndarray = field(default_factory=lambda: REFERENCE_AXES.copy())
    tilt: tuple[float, float] = (0.0, 0.0)  # slope of the base plane along u and v
    tilt_systole: float = -0.04  # added to the slope along u, as the right side of the base moves more
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
    inner_shift: tuple[float, float] = (0.5, 0.0)  # offset of the cavity's centre from that of the outer surface
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
    def random(cls, rng: np.random.Generator, **fixed) -> Anatomy:
        """Draw one heart; `fixed` fields are set after the draw, so they change nothing else."""
        drawn = {**_random_pose(rng), **_random_left(rng), **_random_right(rng), **_random_rest(rng)}
        if drawn["lv_ejection_fraction"] < 0.45:  # failing hearts are larger and contract less everywhere
            drawn["lv_volume"] *= rng.uniform(1.0, 1.5)
            drawn["shortening"] *= 0.6
            drawn["rv_width_shortening"] *= 0.75
        drawn["lv_length"] *= (drawn["lv_volume"] / 150.0) ** 0.3
        return cls(**{**drawn, **fixed})

    def activation(self, time: float) -> float:
        """0 at end diastole (time 0), 1 at end systole, periodic; eased between, with a plateau in mid diastole."""
        knots = [0.0, self.end_systole, self.end_systole + self.filling, self.atrial_kick, 1.0]
        values = [0.0, 1.0, self.plateau, 0.9 * self.plateau, 0.0]
        t = float(time) % 1.0
        i = int(np.searchsorted(knots, t, side="right")) - 1
        x = (t - knots[i]) / (knots[i + 1] - knots[i])
        return values[i] + (values[i + 1] - values[i]) * 0.5 * (1 - np.cos(np.pi * x))

    def state(self, time: float) -> SimpleNamespace:
        """The geometry's numbers at one time (Python floats, which do not change the dtype of the points)."""
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


def profile(depth, equator: float, power: float):
    """Radius of a bullet at a depth (fraction of its length below the base plane), 1 at its widest, 0 past its tip."""
    x = np.abs(depth - equator) * (1 / (1 - equator))
    return np.maximum(1 - x**power, 0) ** (1 / power)


def _mean_square(equator: float, power: float, steps: int = 4096) -> float:
    """Mean of the squared profile along the length: volume = pi * radius^2 * length * this."""
    return float((profile((np.arange(steps) + 0.5) / steps, equator, power) ** 2).mean())


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
