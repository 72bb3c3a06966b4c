"""Finds on validation subjects how wide intervals must be to contain the truth, by conformal prediction.

    python benchmarks/calibrate_intervals.py --hearts COHORT [--training] [--halves FILE] [--fits FOLDER]
    python benchmarks/calibrate_intervals.py --phantom COHORT [--fits FOLDER]
    python benchmarks/calibrate_intervals.py --acdc ACDC [--fits FOLDER]

COHORT of ``--hearts`` is the data list of ``pooled_cohort.py``, ACDC and M&Ms together; their truth is the expert
labels added up slice by slice. Errors count in proportion to the heart's size, so that M&Ms' lost pixel size, which
multiplies measure and truth alike, does no harm. The truth of phantoms is that of their true labels, and for the
whole heart the heart itself.

With ``--training`` the errors on the patients that the weights were trained on count too, made as large as those on
validation patients (``nisf.measures.conformal``): many more of them, so that no single patient decides.

FILE is what ``half_scans.py`` wrote for the same validation patients. If the intervals of their half scans hold as
often as they should, a scan whose slices are up to twice as far apart as any of the calibration's is not unlike them:
its draws spread more, and that is enough.

Writes ``<weights>_intervals.json`` beside the weights of the fits and prints what it found: how many truths the draws
alone hold, how many an interval made without the subject itself holds, and its mean width. The fits are made by
``inference`` where FOLDER does not hold them; their measures are kept there too (``measured.json``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from measured import cases, rows_of
from options import data_of, of_measures

from nisf.measures.conformal import LEAST, calibrated
from nisf.measures.conventions import SLICES
from nisf.measures.intervals import LEVEL, Intervals, Widening, save_intervals
from nisf.measures.likeness import limits_of, unsure, usual_of
from nisf.utils.provenance import provenance


def main() -> None:
    """Measures the subjects, finds the widenings, writes them."""
    parser = of_measures(__doc__)
    parser.add_argument("--training", action="store_true", help="training subjects' errors count too")
    parser.add_argument("--halves", metavar="FILE", help="of half_scans.py, of the same validation patients")
    options = parser.parse_args()
    kind, data = data_of(options)
    unseen, pipeline, weights = cases(data, kind, "validation", Path(options.fits) / kind / "validation")
    seen = cases(data, kind, "training", Path(options.fits) / kind / "training")[0] if options.training else []
    found = [*unseen, *seen]
    widenings = {}
    limits, usual = limits_of([scan["numbers"] for scan in found]), usual_of([scan["numbers"] for scan in unseen])
    factors = np.array([unsure(scan["numbers"], usual) for scan in found])
    print("| measure | cases | part | usual spread | bias | held by the draws | held without itself | mean width |")
    print("|---" * 8 + "|")
    for name, one in rows_of(found).items():
        whose = one["subject"].astype(int)
        trained, known = whose >= len(unseen), np.isfinite(one["truth"]) & np.isfinite(one["deviation"])
        if len(np.unique(whose[known & ~trained])) < LEAST:
            continue
        columns = (one[key] for key in ("value", "deviation", "size", "truth"))
        widenings[name], away = calibrated(*columns, factors[whose], whose, trained)
        w = widenings[name]
        ends = (one["low"], one["high"]), (one["value"] - away, one["value"] + away)
        held = [held_share(low[~trained], high[~trained], one["truth"][~trained]) for low, high in ends]
        cells = f"{w.cases} | {w.part:.1%} | {w.usual:.1%} | {w.bias:+.1%}"
        print(f"| {name} | {cells} | {held[0]:.0%} | {held[1]:.0%} | {np.nanmean(2 * away):.1f} |")
    if options.halves:
        held = held_in_halves(json.loads(Path(options.halves).read_text())["patients"], widenings, unseen)
        print(f"intervals of half scans hold {held:.0%} or more of every measure")
        limits["slice_distance"] *= 2 if held >= LEVEL else 1
    sections = "validation and training" if seen else "validation"
    about = provenance({"kind": kind, "section": sections, "subjects": len(found), "scans": names_of(found)})
    intervals = Intervals(with_curves(widenings), limits, usual, about)
    print(f"wrote {save_intervals(intervals, weights, pipeline)}")


def held_in_halves(
    halves: Mapping[str, Sequence[Mapping]], widenings: Mapping[str, Widening], found: Sequence[Mapping]
) -> float:
    """The least share, among measures, of half scans whose interval holds the truth of the whole scan."""
    truths = {scan["subject"]: scan["truth"]["slices"] for scan in found}
    held: dict[str, list[bool]] = {}
    for subject, pair in halves.items():
        for half in pair:
            for name, one in half[SLICES].items():
                away = half["factor"] * widenings[name].half(one["deviation"], one["size"])
                held.setdefault(name, []).append(abs(one["value"] - truths[subject][name]) <= away)
    return min(float(np.mean(one)) for one in held.values())


def names_of(found: list[dict]) -> str:
    """Names of the subjects as text."""
    return " ".join(scan["subject"] for scan in found)


def with_curves(widenings: dict[str, Widening]) -> dict[str, Widening]:
    """Adds the widening of volume curves: the wider of EDV's and ESV's; that of mass for the myocardium."""
    curves = {"LV": ("LVEDV", "LVESV"), "RV": ("RVEDV", "RVESV"), "MYO": ("LVM",)}
    more = {}
    for name, of in curves.items():
        given = [widenings[one] for one in of if one in widenings]
        if given:  # 1% is a usual standard deviation of the draws
            more[name] = max(given, key=lambda w: w.half(0.01, 1.0))
    return {**widenings, **more}


def held_share(low: np.ndarray, high: np.ndarray, truth: np.ndarray) -> float:
    """Part of the truths within the interval."""
    known = np.isfinite(truth) & np.isfinite(low)
    return float(((low <= truth) & (truth <= high))[known].mean())


if __name__ == "__main__":
    main()
