"""End diastole, end systole, and ejection and filling rates from a volume curve."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nisf.geometry.grid import mean_step
from nisf.utils.errors import InputError

#: Minimum number of frames for a curve between them and for rates.
FRAMES = 8

#: Approximate and maximum number of time points of a curve.
TIME_POINTS = (20, 40)

#: Maximum number of harmonics of the smooth curve.
HARMONICS = 6


#: Minimum number of time points with which ED and ES are found on the smooth curve, about three for two numbers of it.
SMOOTHED = 20

#: Longest cycle in seconds that is taken for one beat, at 25 beats a minute.
LONGEST = 60 / 25


def cycle_seconds(duration: float) -> float | None:
    """Seconds of a scan's cycle; None where unknown or longer than a beat, as of several beats or a wrong header."""
    return duration if 0 < duration <= LONGEST else None


def times_of_curve(times: tuple[float, ...]) -> np.ndarray:
    """The time points at which a scan's volumes are measured: its frames, and points between them if they are few.

    With fewer than ``FRAMES`` frames, which do not determine the motion between them, the frames only. Above the
    maximum number of time points every second (or third, ...) frame.

    Args:
        times: time points of the scan's frames, fractions of the cycle, ascending.
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

    A single frame counts as end diastole, and ES is None. With enough time points the smooth curve decides, because
    noise moves the extremes.

    Args:
        times: time points of the scan's frames.
        curve_times: time points [T] of the curve.
        curve: volumes [T], mL.
    """
    if len(times) < 2:
        return {"ED": 0, "ES": None}
    seen = np.asarray(curve_times) <= times[-1] + 1e-9  # what is beyond the last frame nobody saw
    if seen.sum() >= SMOOTHED:
        own = smooth(np.asarray(curve_times)[seen], np.asarray(curve)[seen], np.asarray(times, dtype=float))
    else:
        own = at_frames(times, curve_times, curve)
    return {"ED": int(own.argmax()), "ES": int(own.argmin())}


def at_frames(times: tuple[float, ...], curve_times: np.ndarray, curves: np.ndarray) -> np.ndarray:
    """Curves [..., T] at the scan's own frames, [..., frames], linear between time points."""
    flat = np.reshape(curves, (-1, len(curve_times)))
    found = np.stack([np.interp(times, curve_times, row, period=1.0) for row in flat])
    return found.reshape(*np.shape(curves)[:-1], len(times))


def smooth(curve_times: np.ndarray, curves: np.ndarray, at: np.ndarray, derivative: int = 0) -> np.ndarray:
    """Smooth curves: a least-squares fit of a line and a few harmonics.

    The line takes up the step from the last frame to the first in recordings that end before the cycle does.

    Args:
        curve_times: time points [T], fractions of the recording.
        curves: values [..., T].
        at: time points [M] of the result.
        derivative: order, 0 for the curve or 1 for its derivative with respect to the fraction of the
            recording.

    Returns:
        [..., M].

    Raises:
        InputError: fewer than five time points.
    """
    if len(curve_times) < 5:
        raise InputError(f"a smooth curve needs five time points or more, not {len(curve_times)}")
    order = min(HARMONICS, (len(curve_times) - 2) // 2)
    coefficients = np.linalg.lstsq(_waves(curve_times, order, 0), np.asarray(curves).T, rcond=None)[0]
    return (_waves(at, order, derivative) @ coefficients).T


def _waves(at: np.ndarray, order: int, derivative: int) -> np.ndarray:
    """Constant, line, cosines and sines or their derivatives, [M, 2 + 2 order]."""
    speed = 2 * np.pi * np.arange(1, order + 1)
    at = np.asarray(at, dtype=float)[:, None]
    angle, one = at * speed, np.ones_like(at)
    if derivative:
        return np.hstack([0 * one, one, -speed * np.sin(angle), speed * np.cos(angle)])
    return np.hstack([one, at, np.cos(angle), np.sin(angle)])


def peak_rates(
    times: Sequence[float], curve_times: np.ndarray, curves: np.ndarray, seconds: float
) -> tuple[np.ndarray, np.ndarray]:
    """Peak ejection and peak filling rate of volume curves between the first and the last frame, both positive, mL/s,
    [...] each.

    Args:
        times: time points of the scan's frames, fractions of the cycle.
        curve_times: time points [T] of the curves.
        curves: volumes [..., T], mL.
        seconds: duration of the cycle.
    """
    part = len(times) * mean_step(times)  # of the cycle that was recorded
    seen = curve_times <= times[-1] + 1e-9  # what is beyond the last frame nobody saw
    at = np.linspace(times[0], times[-1], 200)
    change = smooth(curve_times[seen] / part, np.asarray(curves)[..., seen], at / part, derivative=1) / (seconds * part)
    return -change.min(axis=-1), change.max(axis=-1)
