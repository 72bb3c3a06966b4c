"""Measures against the truth: of phantom hearts, and of ACDC patients with expert labels.

    python benchmarks/measures.py --phantom COHORT [--fits FOLDER] [--json FILE]
    python benchmarks/measures.py --acdc ACDC [--fits FOLDER] [--figure PNG] [--json FILE]

Test subjects. The phantom's baseline is slice summation of the true labels on the same stacks, at the true frames.
Prints Markdown tables; the fits are made by ``inference`` where FOLDER does not hold them. The cohort of
docs/results/measures.md is

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

from nisf.measures.cardiac import TITLES
from nisf.measures.intervals import load_intervals
from nisf.plots.style import save_png
from nisf.utils.files import write_text
from nisf.utils.provenance import provenance

#: Measures whose errors are given in their unit and not as a part of the truth.
POINTS = ("LVEF", "RVEF")
WANTED = {"LVEDV": "4%", "LVESV": "4%", "LVEF": "3.0", "LVM": "6%"}


def phantom_table(rows: dict) -> list[str]:
    """Mean absolute errors of function, own slices and the true labels' slices; coverage of the intervals."""
    heads = ["measure", "error", "wanted", "of own slices", "of true labels' slices", "bias"]
    lines = [f"| {' | '.join(heads)} | truth in 95% interval | by draws |", "|---" * 8 + "|"]
    for name, one in rows.items():
        first, *others = (told(name, one, way) for way in ("value", "own_slices", "true_slices"))
        cells = [first, WANTED.get(name, ""), *others, told(name, one, "value", signed=True)]
        held = [held_share(low, high, one["truth"]) for low, high in ends(one)]
        title = f"{name} ({TITLES[name][1]})" if name in TITLES else "wall thickness (16 segments, mm)"
        cells += [f"{share:.0%}" for share in held]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    inside, known = np.zeros(2), 0
    for name, one in rows.items():
        if name in TITLES:
            shares = np.array([held_share(low, high, one["truth"]) for low, high in ends(one)])
            inside, known = inside + shares * len(one["truth"]), known + len(one["truth"])
    lines.append(
        f"| all but the thickness ({known} cases) | | | | | | {inside[0] / known:.0%} | {inside[1] / known:.0%} |"
    )
    return lines


def ends(one: dict) -> list[tuple[np.ndarray, np.ndarray]]:
    """Ends of the interval, and of that of the draws."""
    away = 1.96 * one["deviation"]
    return [(one["low"], one["high"]), (one["value"] - away, one["value"] + away)]


def told(name: str, one: dict, way: str, signed: bool = False) -> str:
    """Mean (absolute) error, of fractions in points, of thickness in mm, of others as part of the truth."""
    known = np.isfinite(one[way]) & np.isfinite(one["truth"])
    if not known.any():
        return ""
    error = (one[way] - one["truth"])[known]
    error = error if name in POINTS or name == "thickness" else error / one["truth"][known] * 100
    error = error.mean() if signed else np.abs(error).mean()
    sign = "+" if signed else ""
    return (
        f"{error:{sign}.1f}"
        if name in POINTS
        else f"{error:{sign}.2f}" if name == "thickness" else f"{error:{sign}.1f}%"
    )


def agreement(first: np.ndarray, second: np.ndarray) -> tuple[float, float, float]:
    """Bias, half width of the 95% limits of agreement (Bland and Altman, Lancet 1986), Pearson's r."""
    apart = first - second
    return float(apart.mean()), float(1.96 * apart.std(ddof=1)), float(np.corrcoef(first, second)[0, 1])


def acdc_table(rows: dict) -> list[str]:
    """Agreement with the experts' slice summation, by function and by slices."""
    lines = [
        "| measure | experts, mean | function: bias +- limits | r | slices: bias +- limits | r | experts in interval |"
    ]
    lines.append("|---" * 7 + "|")
    for name in [name for name in TITLES if name in rows and np.isfinite(rows[name]["truth"]).all()]:
        one = rows[name]
        parts = [agreement(one[way], one["truth"]) for way in ("value", "own_slices")]
        cells = " | ".join(f"{bias:+.1f} +- {limits:.1f} | {r:.3f}" for bias, limits, r in parts)
        held = held_share(one["low"], one["high"], one["truth"])
        lines.append(f"| {name} ({TITLES[name][1]}) | {one['truth'].mean():.1f} | {cells} | {held:.0%} |")
    return lines


def bland_altman(rows: dict, path: str) -> Path:
    """A panel for each measure: difference against mean, function and slices, bias and limits of the function."""
    names = [name for name in ("LVEDV", "LVESV", "LVEF", "LVM", "RVEDV", "RVEF") if name in rows]
    figure = Figure(figsize=(10, 5.6), layout="constrained")
    for ax, name in zip(figure.subplots(2, 3).ravel(), names):
        one, unit = rows[name], TITLES[name][1]
        for way, label, marker, colour in (("own_slices", "by slices", "x", "0.55"), ("value", "function", "o", "C0")):
            mean, apart = (one[way] + one["truth"]) / 2, one[way] - one["truth"]
            ax.plot(mean, apart, marker, color=colour, label=label, markersize=5)
        bias, limits, _ = agreement(one["value"], one["truth"])
        for level, style in ((bias, "-"), (bias - limits, "--"), (bias + limits, "--")):
            ax.axhline(level, color="C0", linestyle=style, linewidth=1)
        ax.axhline(0, color="0.8", linewidth=1, zorder=0)
        ax.set_title(f"{TITLES[name][0]}: {bias:+.1f} ± {limits:.1f} {unit}", fontsize=9)
        ax.set_xlabel(f"mean of both ({unit})", fontsize=8)
        ax.set_ylabel(f"ours - experts ({unit})", fontsize=8)
        ax.tick_params(labelsize=8)
    figure.axes[0].legend(fontsize=8, frameon=False)
    return save_png(figure, path)


def main() -> None:
    """Measures the test subjects and prints."""
    parser = of_measures(__doc__)
    parser.add_argument("--figure", metavar="PNG")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    kind, data = data_of(options)
    found, pipeline, weights = cases(data, kind, "test", Path(options.fits) / kind / "test")
    rows = rows_of(found, load_intervals(weights, pipeline))
    same = np.mean([scan["phases"] == scan["truth"]["phases"] for scan in found])
    print(f"{len(found)} subjects; ED and ES frames as the truth's in {same:.0%}")
    print("\n".join(phantom_table(rows) if kind == "phantom" else acdc_table(rows)))
    if options.figure:
        bland_altman(rows, options.figure)
    if options.json:
        plain = {name: {key: list(map(float, v)) for key, v in one.items()} for name, one in rows.items()}
        write_text(options.json, json.dumps({"rows": plain, **provenance(vars(options))}, indent=1))


if __name__ == "__main__":
    main()
