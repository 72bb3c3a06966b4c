"""What a volume curve says by itself: end diastole and end systole, and how fast a ventricle empties and fills."""

from __future__ import annotations

import numpy as np

from nisf.utils.errors import InputError

#: Frames of a scan from which its curve is read between them too, and rates are given.
FRAMES = 8


#: Time points of a curve: about so many, and at most.
TIME_POINTS = (20, 40)


#: Harmonics of the smooth curve, at most.
HARMONICS = 6


def times_of_curve(times: tuple[float, ...]) -> np.ndarray:
    """The time points at which a scan's volumes are taken: its own frames, and time points between where they are few.

    Below ``FRAMES`` frames nothing shows what happens between them: the frames alone. Above the most time points every
    second frame (or third, ...) is left out.

    Args:
        times: fractions of the cycle of the scan's frames, ascending.
    """
    own = np.asarray(times, dtype=float)
    if len(own) < FRAMES:
        return own
    if len(own) > TIME_POINTS[1]:
        return own[:: -(-len(own) // TIME_POINTS[1])]
    parts = max(1, round(TIME_POINTS[0] / len(own)))
    following = np.append(own[1:], own[0] + 1)
    return np.sort(np.concatenate([own + (following - own) * part / parts for part in range(parts)]))


def phases_of(times: tuple[float, ...], curve_times: np.ndarray, curve: np.ndarray) -> dict[str, int | None]:
    """Numbers of the frames of end diastole (the largest volume) and end systole (the smallest).

    A lone frame is taken for end diastole, and ES is None.

    Args:
        times: of the scan's frames.
        curve_times: [T] of the curve.
        curve: [T], mL.
    """
    if len(times) < 2:
        return {"ED": 0, "ES": None}
    own = at_frames(times, curve_times, curve)
    return {"ED": int(own.argmax()), "ES": int(own.argmin())}


def at_frames(times: tuple[float, ...], curve_times: np.ndarray, curves: np.ndarray) -> np.ndarray:
    """Curves [..., T] at the scan's own frames, [..., frames], linear between time points."""
    flat = np.reshape(curves, (-1, len(curve_times)))
    found = np.stack([np.interp(times, curve_times, row, period=1.0) for row in flat])
    return found.reshape(*np.shape(curves)[:-1], len(times))


def smooth(curve_times: np.ndarray, curves: np.ndarray, at: np.ndarray, derivative: int = 0) -> np.ndarray:
    """Periodic curves without their noise: least squares with a few harmonics.

    Args:
        curve_times: [T], fractions of the cycle.
        curves: [..., T].
        at: [M] fractions at which they are wanted.
        derivative: 1 for the change by fraction of the cycle.

    Returns:
        [..., M].

    Raises:
        InputError: fewer than five time points.
    """
    if len(curve_times) < 5:
        raise InputError(f"a smooth curve needs five time points or more, not {len(curve_times)}")
    order = min(HARMONICS, (len(curve_times) - 1) // 2)
    coefficients = np.linalg.lstsq(_waves(curve_times, order, 0), np.asarray(curves).T, rcond=None)[0]
    return (_waves(at, order, derivative) @ coefficients).T


def _waves(at: np.ndarray, order: int, derivative: int) -> np.ndarray:
    """Constant, cosines and sines or their derivatives, [M, 1 + 2 order]."""
    speed = 2 * np.pi * np.arange(1, order + 1)
    angle = np.asarray(at)[:, None] * speed
    if derivative:
        return np.hstack([np.zeros((len(angle), 1)), -speed * np.sin(angle), speed * np.cos(angle)])
    return np.hstack([np.ones((len(angle), 1)), np.cos(angle), np.sin(angle)])


def peak_rates(curve_times: np.ndarray, curves: np.ndarray, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """Peak ejection and peak filling rate of volume curves, both positive, mL/s, [...] each.

    Args:
        curve_times: [T], fractions of the cycle.
        curves: [..., T], mL.
        seconds: of the cycle.
    """
    change = smooth(curve_times, curves, np.linspace(0, 1, 200, endpoint=False), derivative=1) / seconds
    return -change.min(axis=-1), change.max(axis=-1)
