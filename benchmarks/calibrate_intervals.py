"""Finds on validation subjects how much posterior draws must be widened for their intervals to contain the truth.

    python benchmarks/calibrate_intervals.py --phantom COHORT [--fits FOLDER]
    python benchmarks/calibrate_intervals.py --acdc ACDC [--fits FOLDER]

Writes ``<weights>_intervals.json`` beside the weights of the fits and prints its content. The phantom's
truth is the heart itself, ACDC's the expert labels added up slice by slice. The fits are made by ``inference`` where
FOLDER does not hold them; their measures are kept there too (``measured.json``).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from measured import cases, rows_of
from options import data_of, of_measures

from nisf.measures.intervals import Intervals, found_widening, save_intervals
from nisf.utils.provenance import provenance


def main() -> None:
    """Measures the validation subjects, finds the widenings, writes them."""
    options = of_measures(__doc__).parse_args()
    kind, data = data_of(options)
    found, pipeline, weights = cases(data, kind, "validation", Path(options.fits) / kind / "validation")
    widenings = {}
    print("| measure | cases | scale | part | bias | held by the draws alone | held by the interval |")
    print("|---" * 7 + "|")
    rows = rows_of(found)
    for name, one in rows.items():
        if np.isfinite(one["truth"]).sum() < 5:
            continue
        widenings[name] = found_widening(one["value"], one["deviation"], one["truth"])
        low, high = Intervals(widenings).ends(name, one["value"], one["deviation"])
        held = [held_share(one["low"], one["high"], one["truth"]), held_share(low, high, one["truth"])]
        w = widenings[name]
        print(f"| {name} | {w.cases} | {w.scale:.2f} | {w.part:.3f} | {w.bias:+.1%} | {held[0]:.0%} | {held[1]:.0%} |")
    about = provenance({"kind": kind, "section": "validation", "subjects": len(found), "scans": names_of(found)})
    print(f"wrote {save_intervals(Intervals(with_curves(widenings), about), weights, pipeline)}")


def names_of(found: list[dict]) -> str:
    """Names of the subjects as text."""
    return " ".join(scan["subject"] for scan in found)


def with_curves(widenings: dict) -> dict:
    """Adds the widening of volume curves: the wider of EDV's and ESV's; that of mass for the myocardium."""
    curves = {"LV": ("LVEDV", "LVESV"), "RV": ("RVEDV", "RVESV"), "MYO": ("LVM",)}
    more = {}
    for name, of in curves.items():
        given = [widenings[one] for one in of if one in widenings]
        if given:
            more[name] = max(
                given, key=lambda w: w.part + 0.03 * w.scale
            )  # 3% is a usual standard deviation of the draws
    return {**widenings, **more}


def held_share(low: np.ndarray, high: np.ndarray, truth: np.ndarray) -> float:
    """Part of the truths within the interval."""
    known = np.isfinite(truth) & np.isfinite(low)
    return float(((low <= truth) & (truth <= high))[known].mean())


if __name__ == "__main__":
    main()
