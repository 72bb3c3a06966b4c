"""Entries of ``measures.json``: measures, curves and wall thickness with their intervals and how they were counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nisf.measures.conventions import SLICES, WHOLE_HEART
from nisf.measures.intervals import Intervals
from nisf.measures.volumes import Volumes
from nisf.measures.wall import Wall
from nisf.measures.wall_motion import inward_motion, thickening
from nisf.measures.wall_thickness import SEGMENTS


@dataclass(frozen=True)
class Found:
    """One measure of a scan.

    Attributes:
        values: its value in the fit and in each draw, [1 + n], by ``convention``.
        whole: the same of the whole heart; None where it has none, as a peak rate.
        labels: its value by the label files; None without.
        size: what its error is in proportion to, see ``cardiac.sizes_of``; by default the value.
        convention: how ``values`` are counted.
    """

    values: np.ndarray
    whole: np.ndarray | None = None
    labels: float | None = None
    size: float | None = None
    convention: str = SLICES


def row_of(name: str, title: tuple[str, str, bool], one: Found, surface: float | None, intervals: Intervals) -> dict:
    """One entry of ``measures``; ``title`` as in ``cardiac.TITLES``, ``surface`` the body surface area in m2."""
    text, unit, indexable = title
    value, draws = one.values[0], one.values[1:]
    low, high = intervals.of(name, value, draws, one.size)
    high = np.minimum(high, 100.0) if unit == "%" else high  # no part is more than the whole
    indexed = value / surface if indexable and surface else None
    return {
        "name": name,
        "title": text,
        "unit": unit,
        "value": number_of(value),
        "low": number_of(low),
        "high": number_of(high),
        "convention": one.convention,
        "interval": intervals.kind(name) if len(draws) > 1 else None,
        **_whole_heart(name, one.whole, one.size, intervals),
        "by_slices": number_of(one.labels),
        "indexed": number_of(indexed),
        "indexed_unit": f"{unit}/m2" if indexed is not None else None,
    }


def _whole_heart(name: str, values: np.ndarray | None, size: float | None, intervals: Intervals) -> dict:
    """Value of the whole heart, and its interval where that was calibrated on hearts whose volume is known."""
    if values is None:
        return dict.fromkeys(("whole_heart", "whole_heart_low", "whole_heart_high"))
    full = f"{name} {WHOLE_HEART}"
    known = intervals.kind(full) == "calibrated"
    low, high = intervals.of(full, values[0], values[1:], size) if known else (None, None)
    ends = {"whole_heart_low": number_of(low), "whole_heart_high": number_of(high)}
    return {"whole_heart": number_of(values[0]), **ends}


def curves_of(
    volumes: Volumes,
    labels: Mapping[str, np.ndarray],
    duration: float | None,
    intervals: Intervals,
    part_of: float | None,
) -> dict:
    """Entry ``curves``: volumes by the slices in mL, or in per cent of ``part_of`` where mL are not to be had."""
    unit, factor = ("mL", 1.0) if part_of is None else ("% of the LV at ED", 100 / part_of)
    seconds = (volumes.times * duration).tolist() if duration else None
    curves = {"convention": SLICES, "unit": unit, "time": volumes.times.tolist(), "seconds": seconds}
    for place, name in enumerate(volumes.names):
        value = volumes.values[place]
        low, high = intervals.of(name, value, volumes.draws[:, place], value.max())
        parts = {"value": value, "low": low, "high": high}
        curves[name] = {key: [number_of(v * factor) for v in values] for key, values in parts.items()}
        curves[name]["by_slices"] = [number_of(v * factor) for v in labels[name]] if name in labels else None
    return curves


def thickness_of(values: np.ndarray, intervals: Intervals) -> dict:
    """Entry ``wall_thickness`` from the thickness in the fit and its draws, mm, [1 + n, 16]."""
    low, high = intervals.of("thickness", values[0], values[1:])
    rows = [
        {"segment": number + 1, "name": name, **{k: number_of(v[number]) for k, v in parts.items()}}
        for parts in [{"value": values[0], "low": low, "high": high}]
        for number, name in enumerate(SEGMENTS)
    ]
    return {"unit": "mm", "convention": "surfaces", "segments": rows}


def motion_of(diastole: Wall, systole: Wall) -> dict:
    """Entry ``wall_motion`` from the wall at end diastole and end systole; there are no intervals."""
    columns = {"thickening": thickening(diastole, systole), "motion": inward_motion(diastole, systole)}
    rows = [
        {"segment": number + 1, "name": name, **{key: number_of(values[number]) for key, values in columns.items()}}
        for number, name in enumerate(SEGMENTS)
    ]
    return {"units": {"thickening": "%", "motion": "mm"}, "convention": "surfaces", "segments": rows}


def number_of(value: float | None) -> float | None:
    """A plain number of six digits; None if it is missing or not finite."""
    return None if value is None or not np.isfinite(value) else float(f"{float(value):.6g}")
