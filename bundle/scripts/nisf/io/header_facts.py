"""Heartbeat and person by the values of a header, DICOM's or a converter's, as far as they can be believed."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

#: Elements with the ms from beat to beat, the most particular first; scanners write 0 for what they did not measure.
INTERVALS = ("RRIntervalTimeNominal", "NominalInterval", "CardiacRRIntervalSpecified")

#: Believable ms from beat to beat, beats a minute, heights in m and weights in kg.
BELIEVABLE = {"interval": (200, 3000), "rate": (20, 300), "height": (0.3, 2.6), "weight": (1, 400)}


def believed(what: str, values: Iterable[float | None]) -> float | None:
    """Median of the believable values of a kind of ``BELIEVABLE``; None without one."""
    low, high = BELIEVABLE[what]
    good = [value for value in values if value is not None and low <= value <= high]
    return float(np.median(good)) if good else None


def beat_of(interval: float | None, rate: float | None) -> float:
    """Seconds from beat to beat: the shorter where interval and rate differ, which leaves less unseen; 0 unknown."""
    told = [one for one in (interval, 60_000 / rate if rate else None) if one]
    return min(told) / 1000 if told else 0.0


def rate_of(interval: float | None, rate: float | None) -> float | None:
    """Beats a minute, by the interval in ms where the rate is unknown."""
    return rate or (60_000 / interval if interval else None)


def person_of(
    rate: float | None, sex: object, height: float | None, weight: float | None
) -> dict[str, float | str | None]:
    """``heart_rate`` (beats a minute), ``sex`` (F or M), ``height_cm``, ``weight_kg``, None where unknown.

    Args:
        rate: beats a minute.
        sex, height, weight: as DICOM has them, height in m.
    """
    height = believed("height", [height])
    return {
        "heart_rate": rate,
        "sex": sex if sex in ("F", "M") else None,
        "height_cm": None if height is None else round(100 * height, 1),
        "weight_kg": believed("weight", [weight]),
    }
