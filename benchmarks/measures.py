"""Measures against the truth: of phantom hearts, and of patients with expert labels.

    python benchmarks/measures.py --phantom COHORT [--fits FOLDER] [--json FILE]
    python benchmarks/measures.py --hearts COHORT [--section test] [--fits FOLDER] [--figure PNG] [--json FILE]
    python benchmarks/measures.py --acdc ACDC [--fits FOLDER] [--figure PNG] [--json FILE]

Test subjects unless --section says otherwise. COHORT of ``--hearts`` is the data list of ``pooled_cohort.py``; of M&Ms,
whose pixel size was lost, only fractions count. Experts count by slices; the phantom's own truth is the heart itself
(whole heart) and the slices of its true labels. Prints Markdown tables; the fits are made by ``inference`` where FOLDER
does not hold them. The phantom cohort of docs/results/measures.md is

    python -c "from nisf.phantom.cohort import write_cohort; write_cohort('COHORT', 0, 16, 30, seed=611)"
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from calibrate_intervals import held_share
from matplotlib.figure import Figure
from measured import cases, rows_of
from options import data_of, of_measures

from nisf.measures.agreement import agreement
from nisf.measures.cardiac import TITLES
from nisf.measures.conventions import WHOLE_HEART
from nisf.measures.intervals import LEVEL_TEXT, load_intervals
from nisf.measures.size import SIZELESS
from nisf.plots.style import save_png
from nisf.utils.files import write_text
from nisf.utils.provenance import provenance

#: Errors that are wanted: of experts' slices in the measure's unit, of the phantom's whole heart in per cent.
WANTED = {"LVEDV": 4, "LVESV": 4, "LVEF": 3, "LVM": 7, "RVEDV": 8, "RVEF": 5}
WANTED_WHOLE = {"LVEDV": 4, "LVESV": 4, "LVM": 6}

HEAD = ("measure", "cases", "truth, mean", "error", "wanted", "bias +- limits", "r", "truth in interval", "mean width")


def line_of(name: str, one: dict, wanted: dict, relative: bool = False) -> str:
    """A line of the table: mean absolute error, agreement, coverage and mean width of the interval."""
    found = agreement(one["value"], one["truth"])
    known = np.isfinite(one["truth"])
    error, sign = found.error, ""
    if relative and unit_of(name) not in SIZELESS:
        error, sign = 100 * np.mean(np.abs(one["value"] - one["truth"])[known] / one["truth"][known]), "%"
    width = np.nanmean((one["high"] - one["low"])[known])
    cells = [f"{name} ({unit_of(name)})", found.pairs, f"{one['truth'][known].mean():.1f}", f"{error:.1f}{sign}"]
    cells += [wanted.get(name.split()[0], ""), f"{found.bias:+.1f} +- {found.limits:.1f}", f"{found.r:.3f}"]
    cells += [f"{held_share(one['low'], one['high'], one['truth']):.0%}", f"{width:.1f}"]
    return f"| {' | '.join(map(str, cells))} |"


def unit_of(name: str) -> str:
    """Unit of a measure, ``<measure> whole heart`` or the thickness."""
    return TITLES[name.split()[0]][1] if name.split()[0] in TITLES else "mm"


def table(rows: dict, wanted: dict, relative: bool = False) -> list[str]:
    """A line for each measure with three known truths or more."""
    lines = [f"| {' | '.join(HEAD)} |", "|---" * len(HEAD) + "|"]
    known = [name for name, one in rows.items() if np.isfinite(one["truth"]).sum() > 2]
    return lines + [line_of(name, rows[name], wanted, relative) for name in known]


def fraction_lines(found: list[dict], rows: dict) -> list[str]:
    """Slope and intercept of the ejection fractions on the experts', of all and by disease group.

    A slope below 1 says that ours lie nearer to their mean. Groups have few patients and one kind of heart, so their
    slopes are rough.
    """
    lines = ["| measure | group | patients | slope | intercept | mean absolute error | bias |", "|---" * 7 + "|"]
    for name in ("LVEF", "RVEF"):
        one = rows[name]
        groups = np.array([found[int(number)]["group"] or "unknown" for number in one["subject"]])
        for group in ("all", *sorted(set(groups))):
            inside = (groups == group) | (group == "all")
            line = agreement(one["value"][inside], one["truth"][inside])
            if line is not None:
                cells = f"{line.slope:.2f} | {line.intercept:+.1f} | {line.error:.1f} | {line.bias:+.1f}"
                lines.append(f"| {name} | {group} | {line.pairs} | {cells} |")
    return lines


def parts_of(found: list[dict], rows: dict) -> dict[str, dict]:
    """The rows of each data set, and of both together; volumes where the pixel size is known."""
    sets = np.array(["M&Ms" if not scan["subject"].startswith("patient") else "ACDC" for scan in found])
    parts = {}
    for name in ("all", *sorted(set(sets))):
        inside = {key: (sets[one["subject"].astype(int)] == name) | (name == "all") for key, one in rows.items()}
        parts[name] = {
            key: {column: values[inside[key]] for column, values in one.items()}
            for key, one in rows.items()
            if name == "ACDC" or unit_of(key) in SIZELESS
        }
    return parts


def bland_altman(rows: dict, path: str) -> Path:
    """A panel for each measure: difference against mean, by slices (with bias and limits) and of the whole heart."""
    names = [name for name in ("LVEDV", "LVESV", "LVEF", "LVM", "RVEDV", "RVEF") if name in rows]
    figure = Figure(figsize=(10, 5.6), layout="constrained")
    for ax, name in zip(figure.subplots(2, 3).ravel(), names):
        truth, unit = rows[name]["truth"], TITLES[name][1]
        ways = ((f"{name} {WHOLE_HEART}", "whole heart", "x", "0.55"), (name, "slices", "o", "C0"))
        for key, label, marker, colour in ways:
            mean, apart = (rows[key]["value"] + truth) / 2, rows[key]["value"] - truth
            ax.plot(mean, apart, marker, color=colour, label=label, markersize=5)
        found = agreement(rows[name]["value"], truth)
        for level, style in ((found.bias, "-"), (found.bias - found.limits, "--"), (found.bias + found.limits, "--")):
            ax.axhline(level, color="C0", linestyle=style, linewidth=1)
        ax.axhline(0, color="0.8", linewidth=1, zorder=0)
        ax.set_title(f"{TITLES[name][0]}: {found.bias:+.1f} ± {found.limits:.1f} {unit}", fontsize=9)
        ax.set_xlabel(f"mean of both ({unit})", fontsize=8)
        ax.set_ylabel(f"ours - experts ({unit})", fontsize=8)
        ax.tick_params(labelsize=8)
    figure.axes[0].legend(fontsize=8, frameon=False)
    return save_png(figure, path)


def main() -> None:
    """Measures the subjects and prints."""
    parser = of_measures(__doc__)
    parser.add_argument("--section", default="test")
    parser.add_argument("--figure", metavar="PNG")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    kind, data = data_of(options)
    found, pipeline, weights = cases(data, kind, options.section, Path(options.fits) / kind / options.section)
    intervals = load_intervals(weights, pipeline)
    rows = rows_of(found, intervals)
    same = np.mean([scan["phases"] == scan["truth"]["phases"] for scan in found])
    unlike = sum(intervals.for_scan(scan["numbers"]).unlike.factor > 1 for scan in found)
    print(f"{len(found)} subjects; ED and ES frames as the truth's in {same:.0%}; {unlike} unlike the calibration")
    print(f"{LEVEL_TEXT} intervals: {intervals.uncalibrated or 'calibrated'}")
    if kind == "phantom":
        print("\n".join(table(rows, WANTED_WHOLE, relative=True)))
    else:
        for name, part in parts_of(found, rows).items():
            print(f"\n{name}\n\n" + "\n".join(table(part, WANTED)))
        print("\n" + "\n".join(fraction_lines(found, rows)))
    if options.figure:
        bland_altman(parts_of(found, rows)["ACDC"], options.figure)
    if options.json:
        plain = {name: {key: list(map(float, v)) for key, v in one.items()} for name, one in rows.items()}
        write_text(options.json, json.dumps({"rows": plain, **provenance(vars(options))}, indent=1))


if __name__ == "__main__":
    main()
