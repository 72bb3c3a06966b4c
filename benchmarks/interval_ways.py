"""Ways to make the intervals of measures, each found without the patient that it is for: how often they hold, how wide.

    python benchmarks/interval_ways.py COHORT [--fits FOLDER]

COHORT is the data list of ``pooled_cohort.py``; validation patients alone, with the fits of ``calibrate_intervals.py``,
made where FOLDER does not hold them. A way is the scale that errors are divided by, what is taken off the values
(nothing, or the mean error or line found on the other patients) and the level of the quantile. Widths of volumes and
mass are those of ACDC, for M&Ms has lost its pixel size. Prints a Markdown table.
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
from nisf.measures.likeness import unsure, usual_of
from nisf.measures.size import SIZELESS

NAMES = ("LVEDV", "LVESV", "LVSV", "LVEF", "LVM", "RVEDV", "RVESV", "RVSV", "RVEF")

LEVELS = (0.95, 0.92, 0.9)

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


def cell_of(name: str, one: dict, acdc: np.ndarray, centre: np.ndarray, half: np.ndarray) -> str:
    """Share held, mean width and mean absolute error."""
    known = acdc if TITLES[name][1] not in SIZELESS else np.ones(len(acdc), bool)
    held, error = held_share(centre - half, centre + half, one["truth"]), np.abs(centre - one["truth"])[known].mean()
    return f"{held:.0%}, {2 * half[known].mean():.1f}, {error:.1f}"


def main() -> None:
    """Prints the table."""
    parser = parser_of(__doc__)
    parser.add_argument("cohort", help="data list that pooled_cohort.py wrote")
    parser.add_argument("--fits", default="output/measures")
    options = parser.parse_args()
    found, _, _ = cases(options.cohort, "hearts", "validation", Path(options.fits) / "hearts" / "validation")
    rows, numbers = rows_of(found), [scan["numbers"] for scan in found]
    factor = np.array([unsure(one, usual_of(numbers)) for one in numbers])
    acdc = np.array([scan["subject"].startswith("patient") for scan in found])
    print(f"\nheld, mean width, mean absolute error; {len(found)} patients\n")
    print(f"| level | scale of errors | {' | '.join(NAMES)} |\n" + "|---" * (len(NAMES) + 2) + "|")
    first = next(iter(SCALES))
    for level in LEVELS:
        for scale, words in [*((one, "") for one in SCALES), *((first, word) for word in CORRECTIONS if word)]:
            cells = []
            for name in NAMES:
                one = rows[name]
                errors_by = SCALES[scale](one["size"], one["deviation"], factor, one["value"])
                cells.append(cell_of(name, one, acdc, *left_out(one, errors_by, level, CORRECTIONS[words])))
            print(f"| {level:.0%} | {scale}{words} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
