"""Ways to make the intervals of measures, each found without the patient that it is for: how often they hold, how wide.

    python benchmarks/interval_ways.py COHORT [--fits FOLDER]

COHORT is the data list of ``pooled_cohort.py``; validation patients alone, with the fits of ``calibrate_intervals.py``,
made where FOLDER does not hold them. A way is the scale that errors are divided by, what is taken off the values
(nothing, or the mean error or line found on the other patients) and the level of the quantile. Widths of volumes and
mass are those of ACDC, for M&Ms has lost its pixel size. Prints a Markdown table, and one of how much of the width is
owed to the patients with the largest errors.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from calibrate_intervals import held_share
from measured import cases, rows_of
from options import parser_of

from nisf.measures.cardiac import TITLES
from nisf.measures.conformal import quantile_of
from nisf.measures.likeness import FACTORS, unsure, usual_of
from nisf.measures.size import SIZELESS

NAMES = ("LVEDV", "LVESV", "LVSV", "LVEF", "LVM", "RVEDV", "RVESV", "RVSV", "RVEF")

LEVELS = (0.95, 0.92, 0.9)

#: Numbers of a fit that errors may be in proportion to, by their root, besides the U-Net's uncertainty.
FEATURES = ("disagreement", "slice_distance")

#: Scale of errors, [N], from size, standard deviation of the draws, factor of the U-Net's uncertainty and value.
SCALES: dict[str, Callable] = {
    "size and draws, unsure (the one used)": lambda size, sd, factor, value: _both(size, sd) * factor,
    "size and draws": lambda size, sd, factor, value: _both(size, sd),
    "size, unsure": lambda size, sd, factor, value: size * factor,
    "size": lambda size, sd, factor, value: size,
    "draws, unsure": lambda size, sd, factor, value: sd * factor,
    "draws": lambda size, sd, factor, value: sd,
    "constant": lambda size, sd, factor, value: np.ones(len(size)),
    "value": lambda size, sd, factor, value: np.abs(value),
}


def _both(size: np.ndarray, sd: np.ndarray) -> np.ndarray:
    return (size + sd / np.median(sd / size)) / 2


def as_it_is(values: np.ndarray, truths: np.ndarray, sizes: np.ndarray) -> Callable:
    """Values as they are."""
    return lambda value, size: value


def less_mean_error(values: np.ndarray, truths: np.ndarray, sizes: np.ndarray) -> Callable:
    """Values less the mean error, in proportion to the size."""
    part = np.mean((values - truths) / sizes)
    return lambda value, size: value - part * size


def on_line(values: np.ndarray, truths: np.ndarray, sizes: np.ndarray) -> Callable:
    """Values on the line of truths against values."""
    line = np.polyfit(values, truths, 1)
    return lambda value, size: np.polyval(line, value)


CORRECTIONS = {"": as_it_is, ", mean error taken off": less_mean_error, ", line of regression": on_line}


def left_out(one: dict, scale: np.ndarray, level: float, correction: Callable) -> tuple[np.ndarray, np.ndarray]:
    """Corrected values and half widths [N], each from the other patients."""
    value, truth, size = one["value"], one["truth"], one["size"]
    centre, half = np.empty(len(value)), np.empty(len(value))
    for number in range(len(value)):
        others = np.arange(len(value)) != number
        corrected = correction(value[others], truth[others], size[others])
        scores = np.abs(corrected(value[others], size[others]) - truth[others]) / scale[others]
        centre[number] = corrected(value[number], size[number])
        half[number] = quantile_of(scores, others.sum(), level)[0] * scale[number]
    return centre, half


def cell_of(one: dict, known: np.ndarray, centre: np.ndarray, half: np.ndarray) -> str:
    """Share held, and mean width and mean absolute error of those whose truth is known in its unit."""
    held, error = held_share(centre - half, centre + half, one["truth"]), np.abs(centre - one["truth"])[known].mean()
    return f"{held:.0%}, {2 * half[known].mean():.1f}, {error:.1f}"


def own_ends(one: dict, scale: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Middles and half widths [N] of intervals whose two ends have quantiles of their own, from the other patients."""
    scores, ends = (one["truth"] - one["value"]) / scale, []
    for number in range(len(scale)):
        others = np.sort(np.delete(scores, number))
        wanted = (len(others) + 1) * np.array([0.5 - level / 2, 0.5 + level / 2])
        ends.append(np.interp(wanted, np.arange(1, len(others) + 1), others))
    low, high = np.array(ends).T * scale
    return one["value"] + (low + high) / 2, (high - low) / 2


def scales_of(one: dict, numbers: list[dict]) -> dict[str, np.ndarray]:
    """Every scale of a measure's errors by name, [N]: ``SCALES``, and size and draws by the root of ``FEATURES``."""
    factor = np.array([unsure(scan, usual_of(numbers)) for scan in numbers])
    found = {name: of(one["size"], one["deviation"], factor, one["value"]) for name, of in SCALES.items()}
    for feature in FEATURES:
        own = np.array([scan[feature] for scan in numbers])
        ratio = np.clip(np.sqrt(own / np.median(own)), *FACTORS)
        found[f"size and draws, {feature.replace('_', ' ')}"] = _both(one["size"], one["deviation"]) * ratio
    return found


def print_outliers(rows: dict, numbers: list[dict], found: list[dict]) -> None:
    """Mean width of all patients' intervals, and what it would be without the patients with the largest scores."""
    head = (
        "measure | patients with the largest scores | mean width | without the first | the first two | the first three"
    )
    print(f"\n| {head} |\n" + "|---" * 6 + "|")
    for name in ("LVESV", "LVEF", "RVESV", "RVEF"):
        one = rows[name]
        scale = next(iter(scales_of(one, numbers).values()))
        scores = np.abs(one["value"] - one["truth"]) / scale
        order = np.argsort(-scores)
        names = ", ".join(found[number]["subject"] for number in order[:3])
        known = volumes_known(name, found)
        widths = [2 * quantile_of(scores[order[out:]], len(order) - out)[0] * scale[known].mean() for out in range(4)]
        print(f"| {name} | {names} | {' | '.join(f'{width:.1f}' for width in widths)} |")


def volumes_known(name: str, found: list[dict]) -> np.ndarray:
    """Mask [N] of the patients of whom a measure is known in its unit: of M&Ms, only fractions."""
    return np.array([TITLES[name][1] in SIZELESS or scan["subject"].startswith("patient") for scan in found])


def main() -> None:
    """Prints the tables."""
    parser = parser_of(__doc__)
    parser.add_argument("cohort", help="data list that pooled_cohort.py wrote")
    parser.add_argument("--fits", default="output/measures")
    options = parser.parse_args()
    found, _, _ = cases(options.cohort, "hearts", "validation", Path(options.fits) / "hearts" / "validation")
    rows, numbers = rows_of(found), [scan["numbers"] for scan in found]
    print(f"\nheld, mean width, mean absolute error; {len(found)} patients\n")
    print(f"| level | scale of errors | {' | '.join(NAMES)} |\n" + "|---" * (len(NAMES) + 2) + "|")
    scales = {name: scales_of(rows[name], numbers) for name in NAMES}
    first, known = next(iter(SCALES)), {name: volumes_known(name, found) for name in NAMES}
    for level in LEVELS:
        for scale, words in [
            *((one, "") for one in scales[NAMES[0]]),
            *((first, word) for word in CORRECTIONS if word),
        ]:
            cells = [
                cell_of(rows[n], known[n], *left_out(rows[n], scales[n][scale], level, CORRECTIONS[words]))
                for n in NAMES
            ]
            print(f"| {level:.0%} | {scale}{words} | {' | '.join(cells)} |")
        cells = [cell_of(rows[n], known[n], *own_ends(rows[n], scales[n][first], level)) for n in NAMES]
        print(f"| {level:.0%} | {first}, each end on its own | {' | '.join(cells)} |")
    print_outliers(rows, numbers, found)


if __name__ == "__main__":
    main()
