"""Cardiac measures from volume curves: volumes, function, mass; whose heart it is.

Myocardium weighs 1.05 g/mL. Body surface area: Mosteller, New England Journal of Medicine 317:1098, 1987.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from scripts.errors import InputError
from scripts.rates import FRAMES, at_frames, peak_rates

#: g/mL.
DENSITY = 1.05
#: Beats a minute outside which a header's frame duration is taken for no such thing.
RATES = (25.0, 220.0)
#: Name to title, unit, and whether it is divided by the body surface area too.
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


@dataclass(frozen=True)
class Person:
    """What a scan does not show. None where it is not known.

    Attributes:
        height_cm, weight_kg: for the body surface area.
        heart_rate: beats a minute; of the scan's cycle unless given.
        sex: F or M.
    """

    height_cm: float | None = None
    weight_kg: float | None = None
    heart_rate: float | None = None
    sex: str | None = None

    def surface(self) -> float | None:
        """Body surface area in m2 by Mosteller; None where height or weight is not known.

        Raises:
            InputError: a number is no height in cm or no weight in kg.
        """
        if self.height_cm is None or self.weight_kg is None:
            return None
        if not 20 <= self.height_cm <= 260 or not 0.3 <= self.weight_kg <= 500:
            raise InputError(
                f"a height of {self.height_cm} cm and a weight of {self.weight_kg} kg are no person's; give cm and kg"
            )
        return float(np.sqrt(self.height_cm * self.weight_kg / 3600))


def cardiac_values(
    volumes: Mapping[str, np.ndarray],
    times: Sequence[float],
    moments: np.ndarray | None,
    phases: Mapping[str, int | None],
    heart_rate: float | None,
) -> dict[str, np.ndarray]:
    """Measures by name, [n] each: of n curves of every class.

    Args:
        volumes: name of a class to [n, T], mL.
        times: of the scan's frames, fractions of the cycle.
        moments: [T] of the curves; None where they are those of the frames.
        phases: frames of ED and ES.
        heart_rate: beats a minute, or None.
    """
    found, ed, es = {}, phases["ED"], phases["ES"]
    own = {n: v if moments is None else at_frames(tuple(times), moments, v) for n, v in volumes.items()}
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
        if moments is not None and len(times) >= FRAMES:
            found["PER"], found["PFR"] = peak_rates(moments, volumes["LV"], 60 / heart_rate)
    return {name: found[name] for name in TITLES if name in found}


def heart_rate_of(duration: float) -> float | None:
    """Beats a minute of a cycle in seconds; None where it is none that a heart has."""
    rate = 60 / duration if duration > 0 else 0.0
    return rate if RATES[0] <= rate <= RATES[1] else None
