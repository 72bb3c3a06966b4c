"""What a volume curve says by itself: end diastole and end systole, and how fast a ventricle empties and fills."""

from __future__ import annotations

import numpy as np

from nisf.utils.errors import InputError

#: Frames of a scan from which its curve is read between them too, and rates are given.
FRAMES = 8


#: Moments of a curve: about so many, and at most.
MOMENTS = (20, 40)


#: Harmonics of the smooth curve, at most.
HARMONICS = 6


def moments_of(times: tuple[float, ...]) -> np.ndarray:
    """The moments at which a scan's volumes are taken: its own frames, and moments between where they are few.

    Below ``FRAMES`` frames nothing shows what happens between them: the frames alone. Above the most moments every
    second frame (or third, ...) is left out.

    Args:
        times: fractions of the cycle of the scan's frames, ascending.
    """
    own = np.asarray(times, dtype=float)
    if len(own) < FRAMES:
        return own
    if len(own) > MOMENTS[1]:
        return own[:: -(-len(own) // MOMENTS[1])]
    parts = max(1, round(MOMENTS[0] / len(own)))
    following = np.append(own[1:], own[0] + 1)
    return np.sort(np.concatenate([own + (following - own) * part / parts for part in range(parts)]))


def phases_of(times: tuple[float, ...], moments: np.ndarray, curve: np.ndarray) -> dict[str, int | None]:
    """Numbers of the frames of end diastole (the largest volume) and end systole (the smallest).

    A lone frame is taken for end diastole, and ES is None.

    Args:
        times: of the scan's frames.
        moments: [T] of the curve.
        curve: [T], mL.
    """
    if len(times) < 2:
        return {"ED": 0, "ES": None}
    own = at_frames(times, moments, curve)
    return {"ED": int(own.argmax()), "ES": int(own.argmin())}


def at_frames(times: tuple[float, ...], moments: np.ndarray, curves: np.ndarray) -> np.ndarray:
    """Curves [..., T] at the scan's own frames, [..., frames], linear between moments."""
    flat = np.reshape(curves, (-1, len(moments)))
    found = np.stack([np.interp(times, moments, row, period=1.0) for row in flat])
    return found.reshape(*np.shape(curves)[:-1], len(times))


def smooth(moments: np.ndarray, curves: np.ndarray, at: np.ndarray, derivative: int = 0) -> np.ndarray:
    """Periodic curves without their noise: least squares with a few harmonics.

    Args:
        moments: [T], fractions of the cycle.
        curves: [..., T].
        at: [M] fractions at which they are wanted.
        derivative: 1 for the change by fraction of the cycle.

    Returns:
        [..., M].

    Raises:
        InputError: fewer than five moments.
    """
    if len(moments) < 5:
        raise InputError(f"a smooth curve needs five moments or more, not {len(moments)}")
    order = min(HARMONICS, (len(moments) - 1) // 2)
    coefficients = np.linalg.lstsq(_waves(moments, order, 0), np.asarray(curves).T, rcond=None)[0]
    return (_waves(at, order, derivative) @ coefficients).T


def _waves(at: np.ndarray, order: int, derivative: int) -> np.ndarray:
    """Constant, cosines and sines or their derivatives, [M, 1 + 2 order]."""
    speed = 2 * np.pi * np.arange(1, order + 1)
    angle = np.asarray(at)[:, None] * speed
    if derivative:
        return np.hstack([np.zeros((len(angle), 1)), -speed * np.sin(angle), speed * np.cos(angle)])
    return np.hstack([np.ones((len(angle), 1)), np.cos(angle), np.sin(angle)])


def peak_rates(moments: np.ndarray, curves: np.ndarray, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """Peak ejection and peak filling rate of volume curves, both positive, mL/s, [...] each.

    Args:
        moments: [T], fractions of the cycle.
        curves: [..., T], mL.
        seconds: of the cycle.
    """
    change = smooth(moments, curves, np.linspace(0, 1, 200, endpoint=False), derivative=1) / seconds
    return -change.min(axis=-1), change.max(axis=-1)
