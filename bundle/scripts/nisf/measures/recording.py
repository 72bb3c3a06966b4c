"""Which measures a recording does not determine: too few frames, or an end before the cycle's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nisf.measures.volume_curve import FRAMES

#: Step from the last frame to the first, relative to the largest between frames, above which the cycle is not closed.
OPEN = 1.5

#: Part of the stroke that has to be filled again for the fastest filling to have been seen.
FILLED = 0.5

#: Measures of end systole, of ejection and of filling.
SYSTOLE = ("LVESV", "LVSV", "LVEF", "RVESV", "RVSV", "RVEF", "CO", "wall motion")
EJECTION, FILLING = ("PER",), ("PFR",)
RATES = (*EJECTION, *FILLING)


def refusals(curve: Sequence[float], seconds: float | None) -> list[dict]:
    """Measures that are not given, each entry with their ``measures`` and the ``reason``, a sentence.

    One frame has no systole; two were chosen as ED and ES by whoever made them.

    Args:
        curve: LV volumes at the scan's frames.
        seconds: duration of the cycle; None if unknown.
    """
    curve, count = np.asarray(curve, dtype=float), len(curve)
    if count < 2:
        return [_entry((*SYSTOLE, *RATES), "The scan has one frame, taken for end diastole.")]
    if count == 2:
        return [_entry(RATES, "Two frames, taken for end diastole and end systole, have no peak rates.")]
    if count < FRAMES:
        reason = f"{count} frames are too few to find end systole among them; {FRAMES} or more are needed."
        return [_entry((*SYSTOLE, *RATES), f"{reason} End diastole is the frame with the largest volume.")]
    if not closed(curve) and curve.argmin() == count - 1:
        reason = "The recording ends while the heart still contracts, so end systole was not seen."
        return [_entry((*SYSTOLE, *RATES), reason)]
    if seconds is None:
        return [_entry(RATES, "How long the frames took is not known, so there are no peak rates.")]
    low, high = curve.min(), curve.max()
    if not closed(curve) and curve[-1] < low + FILLED * (high - low):
        return [_entry(FILLING, "The recording ends before the ventricle has filled by half: no peak filling rate.")]
    return []


def closed(curve: np.ndarray) -> bool:
    """Whether the last frame is followed by the first, as in a recording of a whole cycle."""
    return bool(abs(curve[0] - curve[-1]) <= OPEN * np.abs(np.diff(curve)).max())


def _entry(measures: Sequence[str], reason: str) -> dict:
    return {"measures": list(measures), "reason": reason}
