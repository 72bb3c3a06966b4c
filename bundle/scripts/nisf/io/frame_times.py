"""Times of a cine's frames as fractions of the cardiac cycle."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nisf.geometry.grid import even_times
from nisf.utils.errors import InputError

#: Part of an interval between beats from which on a recording is taken for the whole cycle (no two beats are equally
#: long), and below which the interval is not believed: nearly twice the recording, it is that of two beats.
WHOLE, HALF = 0.95, 0.55

#: Part of a frame's duration by which trigger times may be off an even line: scanners round them.
ROUNDED = 0.1

#: Latest trigger time of a still picture in seconds; a later one is no time after a beat.
LATEST = 3.0


def frame_times(
    source: str, count: int, starts: Sequence[float] = (), beat: float = 0.0, stated: float | None = None
) -> tuple[float, ...]:
    """Fractions of the cycle, in [0, 1), at which frames were taken.

    Frames that end clearly before the next beat stay in the first part of the cycle; where the beat is unknown or does
    not agree with them, they fill the cycle, with the spacing that they have.

    Args:
        source: name of the scan, for messages.
        count: number of frames.
        starts: seconds of each frame after the R wave, ascending; without one for each frame, they are unknown.
        beat: seconds from beat to beat by the headers, 0 where unknown.
        stated: seconds from beat to beat as the user says.

    Raises:
        InputError: the user says how long a beat is, but the frames' times are unknown or beyond it.
    """
    if count == 1:
        return (_of_still(starts, stated or beat),)
    if len(starts) != count:
        if stated is None:
            return even_times(count)
        raise InputError(
            f"{source}: does not tell the time between its frames, so --cycle_ms cannot place them; leave it out, or "
            "give a data list with times"
        )
    span = starts[-1] - starts[0]
    recorded = span * count / (count - 1)
    if stated is None:
        return _within(starts, beat) if HALF * beat < recorded < WHOLE * beat else _filling(starts, recorded)
    if span >= stated:
        raise InputError(
            f"{source}: its last frame comes {1000 * span:.0f} ms after the first, beyond --cycle_ms "
            f"{1000 * stated:.0f}; give the time from one beat to the next"
        )
    return _within(starts, stated)


def seconds_of_cycle(cycle_ms: float | None) -> float | None:
    """The setting ``cycle_ms`` in seconds; raises ``InputError`` where it is no number above 0."""
    if cycle_ms is None:
        return None
    if not isinstance(cycle_ms, (int, float)) or not 0 < cycle_ms < float("inf"):
        raise InputError(f"--cycle_ms is {cycle_ms}; give the time from one beat to the next in ms, as 850")
    return cycle_ms / 1000


def check_times(source: str, times: Sequence[float]) -> None:
    """Raises ``InputError`` for a data list's times that do not ascend within one cycle."""
    if not all(a < b for a, b in zip([-1e-9, *times], [*times, 1.0])):
        told = ", ".join(f"{t:g}" for t in times)
        raise InputError(
            f"{source}: its times in the data list, {told}, do not ascend from 0 (the beat) to less than 1 (the next "
            "beat); correct the list"
        )


def _of_still(starts: Sequence[float], beat: float) -> float:
    return starts[0] / beat % 1.0 if beat and starts and 0 <= starts[0] <= LATEST else 0.0


def _within(starts: Sequence[float], beat: float) -> tuple[float, ...]:
    first = 0.0 if 0 <= starts[0] and starts[-1] < beat else starts[0]  # some scanners do not count from the R wave
    return tuple(float(start - first) / beat for start in starts)


def _filling(starts: Sequence[float], recorded: float) -> tuple[float, ...]:
    times, even = (np.asarray(starts) - starts[0]) / recorded, even_times(len(starts))
    return even if np.allclose(times, even, rtol=0, atol=ROUNDED / len(starts)) else tuple(times.tolist())
