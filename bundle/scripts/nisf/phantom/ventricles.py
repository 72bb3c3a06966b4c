"""Position of the ventricles of a synthetic heart, and volume of the right one.

Geometry, in heart coordinates (u lateral, v inferior, w from the base towards the apex, mm): the left ventricle's
cavity and outer surface are bullets, `radius(angle, depth) = a * f(depth) * (1 + harmonics(angle))`, cut at the base
plane; the right ventricle is a shifted tapered ellipse minus the left ventricle's outer surface. A shear (the tilt of
the base plane) and a bend of the axis are applied first; both have determinant one, so the volumes stay those of the
straight heart.

`st` is `anatomy.state(time)`.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from nisf.phantom.anatomy import Anatomy, profile


def zones(anatomy: Anatomy, uvw: np.ndarray, st: SimpleNamespace) -> SimpleNamespace:
    """The ventricles at heart coordinates [3, N]; every field is [N]."""
    u, v, w = _straight(anatomy, uvw, st)
    below = w >= 0
    rho = np.sqrt(u * u + v * v) + 1e-6
    smooth = st.outer * profile(w / st.outer_length, anatomy.equator, anatomy.roundness)
    outer = smooth * (1 + _harmonics(anatomy, u, v, rho))
    in_outer = below & (rho < outer)
    x, y = u - float(anatomy.inner_shift[0]), v - float(anatomy.inner_shift[1])
    in_cavity = np.zeros(len(w), bool)
    some = np.flatnonzero(in_outer & (w < st.length))
    xs, ys = x[some], y[some]
    r = np.sqrt(xs * xs + ys * ys) + 1e-6
    wall = st.radius * profile(w[some] / st.length, anatomy.equator, anatomy.roundness)
    in_cavity[some] = r < wall * (1 + _harmonics(anatomy, xs, ys, r))
    c, s = float(np.cos(anatomy.rv_angle)), float(np.sin(anatomy.rv_angle))
    along, across = c * u + s * v + anatomy.rv_overlap * smooth, c * v - s * u
    p, q = st.rv_radius
    rv_gap = np.sqrt((along / p) ** 2 + (across / q) ** 2) - profile(w / st.rv_length, 0.1, anatomy.rv_taper)
    rv_gap[w > st.rv_length] = np.inf
    in_rv = below & (rv_gap < 0) & ~in_outer
    return SimpleNamespace(
        u=u, v=v, w=w, x=x, y=y, rho=rho, below=below, outer=outer, rv_gap=rv_gap * min(p, q),
        in_outer=in_outer, in_cavity=in_cavity, in_rv=in_rv,
    )  # fmt: skip


def near(anatomy: Anatomy, uvw: np.ndarray, st: SimpleNamespace) -> np.ndarray:
    """Mask [N] of the heart coordinates [3, N] that the ventricles can cover."""
    u, v, w = uvw
    slope = abs(st.tilt[0]) + abs(st.tilt[1])
    radius = max(st.outer, anatomy.rv_overlap * st.outer + max(st.rv_radius)) * 1.1 + np.hypot(*anatomy.bend)
    low, high = st.base - slope * radius, st.base + st.outer_length + slope * radius
    return (u * u + v * v < radius**2) & (w > low) & (w < high)


def right_volume(anatomy: Anatomy, st: SimpleNamespace, levels: int = 256, angles: int = 512) -> float:
    """Volume of the right ventricle in mL, by quadrature (error < 0.1 %).

    Integrates, along rays from the left ventricle's centre, the part of the ellipse beyond its outer surface.
    """
    depth = ((np.arange(levels) + 0.5) / levels * st.rv_length)[:, None]
    theta = ((np.arange(angles) + 0.5) / angles * 2 * np.pi)[None]
    outer = st.outer * profile(depth / st.outer_length, anatomy.equator, anatomy.roundness)
    inner = outer * (1 + _harmonics(anatomy, np.cos(theta), np.sin(theta), 1.0))
    taper = profile(depth / st.rv_length, 0.1, anatomy.rv_taper)
    p, q, shift = st.rv_radius[0] * taper, st.rv_radius[1] * taper, anatomy.rv_overlap * outer
    c, s = np.cos(theta - anatomy.rv_angle), np.sin(theta - anatomy.rv_angle)
    square = (c / p) ** 2 + (s / q) ** 2
    half = c * shift / p**2
    root = np.sqrt(np.maximum(half**2 - square * ((shift / p) ** 2 - 1), 0))
    first, last = (np.maximum((-half + sign * root) / square, inner) for sign in (-1, 1))
    area = 0.5 * (last**2 - first**2).sum(1) * (2 * np.pi / angles)
    return float(area.sum() * st.rv_length / levels / 1000.0)


def _straight(anatomy: Anatomy, uvw: np.ndarray, st: SimpleNamespace) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Undo the base plane's tilt and the axis' bend; w is then the depth below the base plane."""
    u, v, w = uvw
    w = w - st.tilt[0] * u - st.tilt[1] * v - st.base
    square = (w * 0.01) ** 2
    return u - anatomy.bend[0] * square, v - anatomy.bend[1] * square, w


def _harmonics(anatomy: Anatomy, x: np.ndarray, y: np.ndarray, rho: np.ndarray | float) -> np.ndarray:
    """Second and third harmonic of the outline at offsets x, y of length rho, without any arctangent."""
    c, s = x / rho, y / rho
    c2, s2 = c * c - s * s, 2 * c * s
    c3, s3 = c2 * c - s2 * s, s2 * c + c2 * s
    (a2, p2), (a3, p3) = anatomy.oval, anatomy.bump
    return (
        float(a2 * np.cos(p2)) * c2
        + float(a2 * np.sin(p2)) * s2
        + float(a3 * np.cos(p3)) * c3
        + float(a3 * np.sin(p3)) * s3
    )
