"""Ways to make the intervals of measures, each found without the patient that it is for: how often they hold, how wide.

    python benchmarks/interval_ways.py COHORT [--training] [--halves FILE] [--fits FOLDER]

COHORT is the data list of ``pooled_cohort.py``; validation patients, with the fits of ``calibrate_intervals.py``, made
where FOLDER does not hold them. A way is the scale that errors are divided by, what is taken off the values (nothing,
or the mean error or line found on the other patients), the level of the quantile, and with ``--training`` whether
errors on training patients count too. Widths of volumes and mass are those of ACDC: M&Ms has lost its pixel size.

FILE is what ``half_scans.py`` wrote for the same validation patients: the ways are applied to half scans too, to see
how often they hold there and in how many patients the two halves' intervals have more than half of the wider one in
common. Prints Markdown tables; the last is of how much of the width is owed to the patients with the largest errors.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from calibrate_intervals import held_share
from half_scans import NAMES as HALVED
from half_scans import in_common
from measured import cases, rows_of
from options import parser_of

from nisf.measures.cardiac import TITLES
from nisf.measures.conformal import POWER, quantile_of, together
from nisf.measures.conventions import SLICES
from nisf.measures.likeness import FACTORS, unsure, usual_of
from nisf.measures.size import SIZELESS

NAMES = ("LVEDV", "LVESV", "LVSV", "LVEF", "LVM", "RVEDV", "RVESV", "RVSV", "RVEF")

LEVELS = (0.95, 0.92, 0.9)

#: Numbers of a fit that errors may be in proportion to, by their root, besides the U-Net's uncertainty.
FEATURES = ("disagreement", "slice_distance")


@dataclass(frozen=True)
class Cases:
    """What scales of errors are made of, each [N].

    Attributes:
        size: what errors are in proportion to.
        sd: standard deviation of the draws.
        value: measured value.
        factor: how unsure the U-Net is of the scan.
        usual: usual spread of the draws, part of the size.
    """

    size: np.ndarray
    sd: np.ndarray
    value: np.ndarray
    factor: np.ndarray
    usual: float

    @classmethod
    def of(cls, one: dict, factor: np.ndarray, usual: float | None = None) -> Cases:
        """Cases from columns of ``rows_of`` and the factor of each scan."""
        usual = float(np.median(one["deviation"] / one["size"])) if usual is None else usual
        return cls(one["size"], one["deviation"], one["value"], factor, usual)


def _power(one: Cases, power: float) -> np.ndarray:
    return one.size ** (1 - power) * one.sd**power


#: Scale of errors, [N]; constant factors do not matter.
SCALES: dict[str, Callable[[Cases], np.ndarray]] = {
    f"size and draws to the power {POWER}, unsure (the one used)": lambda one: _power(one, POWER) * one.factor,
    f"size and draws to the power {POWER}": lambda one: _power(one, POWER),
    "size and draws to the power 0.3, unsure": lambda one: _power(one, 0.3) * one.factor,
    "size plus draws, unsure": lambda one: (one.size + one.sd / one.usual) * one.factor,
    "size, unsure": lambda one: one.size * one.factor,
    "size": lambda one: one.size,
    "draws, unsure": lambda one: one.sd * one.factor,
    "draws": lambda one: one.sd,
    "constant": lambda one: np.ones(len(one.size)),
    "value": lambda one: np.abs(one.value),
}


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


def left_out(
    one: dict, scale: np.ndarray, level: float, correction: Callable = as_it_is, seen: np.ndarray = np.empty(0)
) -> tuple[np.ndarray, np.ndarray]:
    """Corrected values and half widths [N], each from the other patients and scores ``seen`` on training patients."""
    value, truth, size = one["value"], one["truth"], one["size"]
    centre, half = np.empty(len(value)), np.empty(len(value))
    for number in range(len(value)):
        others = np.arange(len(value)) != number
        corrected = correction(value[others], truth[others], size[others])
        scores = together(np.abs(corrected(value[others], size[others]) - truth[others]) / scale[others], seen)
        centre[number] = corrected(value[number], size[number])
        half[number] = quantile_of(scores, len(scores), level)[0] * scale[number]
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
    these = Cases.of(one, factors_of(numbers, numbers))
    found = {name: of(these) for name, of in SCALES.items()}
    for feature in FEATURES:
        own = np.array([scan[feature] for scan in numbers])
        ratio = np.clip(np.sqrt(own / np.median(own)), *FACTORS)
        found[f"size and draws to the power {POWER}, {feature.replace('_', ' ')}"] = _power(these, POWER) * ratio
    return found


def factors_of(numbers: list[dict], usual: list[dict]) -> np.ndarray:
    """How unsure the U-Net is of each scan, [N], relative to the scans ``usual``."""
    return np.array([unsure(scan, usual_of(usual)) for scan in numbers])


def seen_scores(one: dict, seen: dict, numbers: list[dict], seen_numbers: list[dict], way: str) -> np.ndarray:
    """Scores of a measure on training patients, on a scale of ``SCALES``."""
    usual = Cases.of(one, factors_of(numbers, numbers)).usual
    scale = SCALES[way](Cases.of(seen, factors_of(seen_numbers, numbers), usual))
    return np.abs(seen["value"] - seen["truth"]) / scale


def print_halves(rows: dict, found: list[dict], seen: dict[str, dict[str, np.ndarray]], halves: dict) -> None:
    """A line for each way: how often intervals of half scans hold, their mean width, and how often they agree."""
    numbers = [scan["numbers"] for scan in found]
    names = [scan["subject"] for scan in found if scan["subject"] in halves]
    print(f"\nhalf scans: held, mean width, patients whose two have over half in common; {len(names)} patients\n")
    print(f"| calibrated on | scale of errors | {' | '.join(HALVED)} |\n" + "|---" * (len(HALVED) + 2) + "|")
    for way in SCALES:
        for also in [False, True] if seen else [False]:
            cells = []
            for name in HALVED:
                scores = np.abs(rows[name]["value"] - rows[name]["truth"]) / scales_of(rows[name], numbers)[way]
                scores = together(scores, seen[way][name] if also else np.empty(0))
                quantile = quantile_of(scores, len(scores))[0]
                usual = Cases.of(rows[name], factors_of(numbers, numbers)).usual
                cells.append(half_cell(name, way, quantile, usual, {one: halves[one] for one in names}, found))
            print(f"| {'both' if also else 'validation'} | {way} | {' | '.join(cells)} |")


def half_cell(name: str, way: str, quantile: float, usual: float, halves: dict, found: list[dict]) -> str:
    """Share of half scans held, mean width where the unit is known, and share of patients whose halves agree."""
    truths = {scan["subject"]: scan["truth"]["slices"][name] for scan in found}
    in_unit = dict(zip((scan["subject"] for scan in found), volumes_known(name, found)))
    held, widths, common = [], [], []
    for subject, pair in halves.items():
        ends = []
        for half in pair:
            one = half[SLICES][name]
            columns = {key: np.array([one[key]]) for key in ("value", "deviation", "size")}
            away = quantile * SCALES[way](Cases.of(columns, np.array([half["factor"]]), usual))[0]
            ends.append((max(one["value"] - away, 0.0), one["value"] + away))
            held.append(ends[-1][0] <= truths[subject] <= ends[-1][1])
            widths += [ends[-1][1] - ends[-1][0]] if in_unit[subject] else []
        common.append(in_common(*ends) > 0.5)
    return f"{np.mean(held):.0%}, {np.mean(widths):.1f}, {np.mean(common):.0%}"


def print_outliers(rows: dict, found: list[dict], seen: dict[str, np.ndarray]) -> None:
    """Mean width of all patients' intervals, and what it would be without the patients with the largest scores."""
    head = (
        "measure | patients with the largest scores | mean width | without the first | the first two | the first three"
    )
    print(f"\n| {head} |\n" + "|---" * 6 + "|")
    for name in ("LVESV", "LVEF", "RVESV", "RVEF"):
        one = rows[name]
        scale = next(iter(scales_of(one, [scan["numbers"] for scan in found]).values()))
        scores = np.abs(one["value"] - one["truth"]) / scale
        order = np.argsort(-scores)
        names = ", ".join(found[number]["subject"] for number in order[:3])
        left = [together(scores[order[out:]], seen.get(name, np.empty(0))) for out in range(4)]
        widths = [2 * quantile_of(one, len(one))[0] * scale[volumes_known(name, found)].mean() for one in left]
        print(f"| {name} | {names} | {' | '.join(f'{width:.1f}' for width in widths)} |")


def volumes_known(name: str, found: list[dict]) -> np.ndarray:
    """Mask [N] of the patients of whom a measure is known in its unit: of M&Ms, only fractions."""
    return np.array([TITLES[name][1] in SIZELESS or scan["subject"].startswith("patient") for scan in found])


def main() -> None:
    """Prints the tables."""
    parser = parser_of(__doc__)
    parser.add_argument("cohort", help="data list that pooled_cohort.py wrote")
    parser.add_argument("--training", action="store_true", help="training patients' errors too")
    parser.add_argument("--halves", metavar="FILE", help="of half_scans.py, of the same validation patients")
    parser.add_argument("--fits", default="output/measures")
    options = parser.parse_args()
    folder = Path(options.fits) / "hearts"
    found, _, _ = cases(options.cohort, "hearts", "validation", folder / "validation")
    rows, numbers = rows_of(found), [scan["numbers"] for scan in found]
    seen: dict[str, dict[str, np.ndarray]] = {}
    if options.training:
        learned, _, _ = cases(options.cohort, "hearts", "training", folder / "training")
        of, their = rows_of(learned), [scan["numbers"] for scan in learned]
        seen = {way: {name: seen_scores(rows[name], of[name], numbers, their, way) for name in NAMES} for way in SCALES}
    print(f"\nheld, mean width, mean absolute error; {len(found)} patients\n")
    print(f"| level | scale of errors | {' | '.join(NAMES)} |\n" + "|---" * (len(NAMES) + 2) + "|")
    scales = {name: scales_of(rows[name], numbers) for name in NAMES}
    first, known = next(iter(SCALES)), {name: volumes_known(name, found) for name in NAMES}

    def line(level: float, words: str, of: Callable[[str], tuple[np.ndarray, np.ndarray]]) -> None:
        cells = [cell_of(rows[name], known[name], *of(name)) for name in NAMES]
        print(f"| {level:.0%} | {words} | {' | '.join(cells)} |")

    for level in LEVELS:
        for way in scales[NAMES[0]]:
            line(level, way, lambda name: left_out(rows[name], scales[name][way], level))
        for way, of_way in seen.items():
            words = f"{way}, training patients too"
            line(level, words, lambda name: left_out(rows[name], scales[name][way], level, seen=of_way[name]))
        for words in filter(None, CORRECTIONS):
            one = CORRECTIONS[words]
            line(level, first + words, lambda name: left_out(rows[name], scales[name][first], level, one))
        line(level, f"{first}, each end on its own", lambda name: own_ends(rows[name], scales[name][first], level))
    if options.halves:
        print_halves(rows, found, seen, json.loads(Path(options.halves).read_text())["patients"])
    print_outliers(rows, found, seen.get(first, {}))


if __name__ == "__main__":
    main()
