"""Cardiac measures from volume curves: volumes, function and mass.

Myocardium weighs 1.05 g/mL. Body surface area: Mosteller, New England Journal of Medicine 317:1098, 1987.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from nisf.measures.volume_curve import at_frames, peak_rates

#: Density of myocardium, g/mL.
DENSITY = 1.05

#: Name to title, unit, and whether it is also divided by the body surface area.
TITLES = {
    "LVEDV": ("LV end-diastolic volume", "mL", True),
    "LVESV": ("LV end-systolic volume", "mL", True),
    "LVSV": ("LV stroke volume", "mL", True),
    "LVEF": ("LV ejection fraction", "%", False),
    "LVM": ("LV myocardial mass", "g", True),
    "RVEDV": ("RV end-diastolic volume", "mL", True),
    "RVESV": ("RV end-systolic volume", "mL", True),
    "RVSV": ("RV stroke volume", "mL", True),
    "RVEF": ("RV ejection fraction", "%", False),
    "CO": ("cardiac output", "L/min", True),
    "PER": ("LV peak ejection rate", "mL/s", False),
    "PFR": ("LV peak filling rate", "mL/s", False),
}


def cardiac_values(
    volumes: Mapping[str, np.ndarray],
    times: Sequence[float],
    curve_times: np.ndarray | None,
    phases: Mapping[str, int | None],
    heart_rate: float | None,
    seconds: float | None = None,
) -> dict[str, np.ndarray]:
    """Measures by name, [n] each, from n curves of every class.

    Args:
        volumes: name of a class to its volumes [n, T], mL.
        times: time points of the scan's frames, fractions of the cycle.
        curve_times: time points [T] of the curves; None for those of the frames.
        phases: frames of ED and ES.
        heart_rate: beats per minute, for the cardiac output; None leaves it out.
        seconds: duration of the cycle, for the peak rates; None leaves them out.
    """
    found, ed, es = {}, phases["ED"], phases["ES"]
    own = {n: v if curve_times is None else at_frames(tuple(times), curve_times, v) for n, v in volumes.items()}
    for name in ("LV", "RV"):
        if name in own:
            found[f"{name}EDV"] = own[name][:, ed]
        if name in own and es is not None:
            end = own[name][:, es]
            stroke = found[f"{name}EDV"] - end
            fraction = 100 * stroke / np.maximum(found[f"{name}EDV"], 1e-6)
            found |= {f"{name}ESV": end, f"{name}SV": stroke, f"{name}EF": fraction}
    if "MYO" in own:
        found["LVM"] = DENSITY * own["MYO"][:, ed]
    if heart_rate and "LVSV" in found:
        found["CO"] = found["LVSV"] * heart_rate / 1000
    if seconds and "LV" in own and curve_times is not None:
        found["PER"], found["PFR"] = peak_rates(times, curve_times, volumes["LV"], seconds)
    return {name: found[name] for name in TITLES if name in found}


def sizes_of(values: Mapping[str, float], heart_rate: float | None = None) -> dict[str, float]:
    """Size to which the error of each measure is in proportion, in its unit; see ``intervals``.

    A slice more or less at the base changes end-systolic and stroke volume by a part of the whole ventricle, however
    little they are. An ejection fraction is wrong by points.

    Args:
        values: measures by name, as from ``cardiac_values``.
        heart_rate: beats per minute, for the cardiac output.
    """
    found = {name: abs(value) for name, value in values.items()}
    for side in ("LV", "RV"):
        if f"{side}EDV" in values:
            found |= {f"{side}{name}": values[f"{side}EDV"] for name in ("ESV", "SV") if f"{side}{name}" in values}
        if f"{side}EF" in values:
            found[f"{side}EF"] = 100.0
    if "CO" in values and "LVEDV" in values and heart_rate:
        found["CO"] = values["LVEDV"] * heart_rate / 1000
    return found
