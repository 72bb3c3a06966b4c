"""Ways to find the whole heart's end-systolic volume of phantoms, for ``volume_ways.py``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nisf.measures.volume_curve import SMOOTHED, smooth

#: Number of bootstrap draws.
DRAWS = 4000


def print_phantom(found: list[dict]) -> None:
    """A table of the ways, from the measures of the validation subjects."""
    values, truth = columns_of(found)
    whole = values["whole heart"]
    logs, size = np.log(truth / whole), np.ones(len(whole))
    learned = {
        "mean error taken off, learned": [size],
        "line on the fraction, learned": [size, whole / values["EDV"]],
        "line on the volume, learned": [size, np.log(whole)],
        "line on slices / whole heart, learned": [size, np.log(values["slices"] / whole)],
    }
    ways = {name: one for name, one in values.items() if name != "EDV"}
    ways |= {name: whole * np.exp(left_out(np.column_stack(parts), logs)) for name, parts in learned.items()}
    picks = np.random.default_rng(0).integers(0, len(whole), (DRAWS, len(whole)))
    base = np.abs(whole / truth - 1)
    print(f"\n{len(whole)} validation phantoms, LVESV of the whole heart\n")
    print("| way | error | bias | difference of the error, 95% range |\n|---|---|---|---|")
    for name, one in ways.items():
        error = np.abs(one / truth - 1)
        low, high = np.percentile((error - base)[picks].mean(axis=1), [2.5, 97.5])
        change = "" if name == "whole heart" else f"{low:+.1%} to {high:+.1%}"
        print(f"| {name} | {error.mean():.1%} | {np.mean(one / truth - 1):+.1%} | {change} |")


def columns_of(found: Sequence[dict]) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Values of LVESV by several ways, and EDV, [N] each; the true volumes [N]."""
    rows = []
    for one in found:
        named = {row["name"]: row for row in one["measures"]}
        whole, times = named["LVESV"]["whole_heart"], np.array(one["curves"]["time"])
        curve = np.array(one["curves"]["LV"]["value"])
        around = np.take(curve, curve.argmin() + np.array([-1, 0, 1]), mode="wrap")
        bend = around[0] - 2 * around[1] + around[2]
        lowest = around[1] - (around[2] - around[0]) ** 2 / (8 * bend) if bend > 0 else around[1]
        smoothed = smooth(times, curve, times).min() if len(times) >= SMOOTHED else curve.min()
        rows.append(
            {
                "whole heart": whole,
                "slices": named["LVESV"]["value"],
                "voxels of the likeliest class": named["LVESV"]["by_slices"],
                "mean of whole heart and slices": (whole + named["LVESV"]["value"]) / 2,
                "lowest point of the smooth curve": whole * smoothed / curve.min(),
                "lowest point of a parabola of three frames": whole * lowest / curve.min(),
                "median of three frames": whole * np.median(around) / curve.min(),
                "EDV": named["LVEDV"]["whole_heart"],
            }
        )
    truth = np.array([one["truth"]["values"]["LVESV"] for one in found])
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}, truth


def left_out(parts: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Predictions [N] by least squares from parts [N, P], each without the subject that it is for."""
    found = np.empty(len(wanted))
    for one in range(len(wanted)):
        rest = np.arange(len(wanted)) != one
        found[one] = parts[one] @ np.linalg.lstsq(parts[rest], wanted[rest], rcond=None)[0]
    return found
