"""Ways to count end-systolic volumes and fractions, on validation patients: which are nearer to the experts.

    python benchmarks/volume_ways.py --hearts COHORT [--fits FOLDER]
    python benchmarks/volume_ways.py --phantom COHORT [--fits FOLDER]

Fits as of ``calibrate_intervals.py``, made where FOLDER does not hold them. What another way of counting changes on the
scan's own voxels is added to the value as shipped. What a way learns, it learns without the patient that it is for.
Prints Markdown tables: where the errors are, and for each way the mean absolute error, and the 95% range of its
difference to that of the shipped way (bootstrap of the patients). Volumes are in per cent of the experts' end-diastolic
volume, so that M&Ms' lost pixel size does no harm.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from measured import cases
from options import data_of, of_measures
from phantom_ways import print_phantom
from read_slices import LEVELS, WEIGHTS, Read, read_slices

from nisf.io.datalist import load_split
from nisf.models.slice_net import SliceNet
from nisf.models.weights import load_unet
from nisf.sampling.fitted_scan import MODELS

#: Volumes by name: phase and class in the arrays of ``Read``.
VOLUMES = {"LVEDV": (0, 0), "LVESV": (1, 0), "RVEDV": (0, 2), "RVESV": (1, 2)}

#: Measures of the table, and number of bootstrap draws.
COLUMNS, DRAWS = ("LVESV", "LVEF", "RVESV", "RVEF"), 4000

#: Share of the next slice's area below which a basal slice counts as cut, and up to which it is filled.
CUT, FILLED = 0.3, 0.6

Volumes = dict[str, np.ndarray]


def sums(reads: Sequence[Read], way: str = "blended") -> Volumes:
    """Volumes [N] of a way of reading."""
    return {name: np.array([one.ways[way][at].sum() for one in reads]) for name, at in VOLUMES.items()}


def by_slices(reads: Sequence[Read], change: Callable[[np.ndarray, str, Read], np.ndarray]) -> Volumes:
    """Volumes [N] of the function after a change to the slices [Z] of each volume."""
    found = {}
    for name, at in VOLUMES.items():
        found[name] = np.array([change(one.ways["blended"][at].copy(), name, one).sum() for one in reads])
    return found


def cut_base(fill: float) -> Callable:
    """A change: the first slice, where it is cut, counts as none, or whole if it has more (``fill`` of the next)."""

    def change(slices: np.ndarray, name: str, read: Read) -> np.ndarray:
        seen = np.nonzero(slices > 1)[0]
        if len(seen) > 1:
            share = slices[seen[0]] / slices[seen[0] + 1]
            if share < CUT:
                slices[seen[0]] = 0
            elif share < FILLED and fill:
                slices[seen[0]] = fill * slices[seen[0] + 1]
        return slices

    return change


def shortened(part: float, side: str) -> Callable:
    """A change: at end systole, slices as far up as the first of end diastole count in part, as the base comes down."""

    def change(slices: np.ndarray, name: str, read: Read) -> np.ndarray:
        if name == f"{side}ESV":
            first = np.nonzero(read.ways["blended"][VOLUMES[f"{side}EDV"]] > 1)[0][0]
            slices[: first + 1] *= part
        return slices

    return change


def left_out(shipped: Volumes, truth: Volumes, predicted: Callable[[np.ndarray, np.ndarray, np.ndarray, str], float]):
    """Volumes [N] to which ``predicted(errors, others, one, name)`` of the other patients is added, parts of EDV."""
    found, numbers = {}, np.arange(len(truth["LVEDV"]))
    for name in VOLUMES:
        size = shipped[f"{name[:2]}EDV"]
        errors = (truth[name] - shipped[name]) / size
        found[name] = shipped[name] + size * [predicted(errors, numbers != one, one, name) for one in numbers]
    return found


def joint(reads: Sequence[Read], ways: Sequence[str], shipped: Volumes) -> Callable:
    """For ``left_out``: weighted differences of some ways to the shipped one, by ridge regression."""
    plain, others = sums(reads), [sums(reads, way) for way in ways]

    def predicted(errors: np.ndarray, rest: np.ndarray, one: int, name: str) -> float:
        apart = np.column_stack([way[name] - plain[name] for way in others]) / shipped[f"{name[:2]}EDV"][:, None]
        ridge = 0.05 * np.mean(apart[rest] ** 2) * rest.sum() * np.eye(len(ways))
        weights = np.linalg.solve(apart[rest].T @ apart[rest] + ridge, apart[rest].T @ errors[rest])
        return float(apart[one] @ weights)

    return predicted


def best_level(reads: Sequence[Read], shipped: Volumes) -> Callable:
    """For ``left_out``: the probability from which a voxel counts that is best for the other patients."""
    plain, ways = sums(reads), [sums(reads, f"above {level}") for level in LEVELS] + [sums(reads, "likeliest")]

    def predicted(errors: np.ndarray, rest: np.ndarray, one: int, name: str) -> float:
        apart = np.stack([way[name] - plain[name] for way in ways]) / shipped[f"{name[:2]}EDV"]
        return float(apart[np.abs(errors - apart)[:, rest].mean(axis=1).argmin(), one])

    return predicted


def ways_tried(reads: Sequence[Read], shipped: Volumes, truth: Volumes) -> dict[str, Volumes]:
    """Every way with its volumes; the shipped one first."""
    plain = sums(reads)

    def added(way: Volumes, to: Volumes = plain) -> Volumes:
        return {name: shipped[name] + way[name] - to[name] for name in VOLUMES}

    words = {0.0: "the latent alone", 1.0: "the U-Net alone"}
    median = left_out(shipped, truth, lambda errors, rest, one, name: float(np.median(errors[rest])))
    return {
        "as shipped": shipped,
        "voxels of the likeliest class": added(sums(reads, "likeliest")),
        "level of the probability, learned": left_out(shipped, truth, best_level(reads, shipped)),
        "probabilities sharpened": added(sums(reads, "sharper")),
        **{words.get(w, f"weight {w:g} of the U-Net"): added(sums(reads, f"weight {w}")) for w in WEIGHTS},
        "U-Net's mean of 5 looks": added(sums(reads, "mean of looks"), sums(reads, "one look")),
        f"cut basal slice (< {CUT:.0%} of the next) left out": added(by_slices(reads, cut_base(0))),
        "cut basal slice left out or filled": added(by_slices(reads, cut_base(0.9))),
        **{
            f"{side} at ES in the first slice of ED counts {part:.0%}": added(by_slices(reads, shortened(part, side)))
            for side in ("RV", "LV")
            for part in (0.75, 0.5, 0)
        },
        "median error taken off, learned": median,
        "function, U-Net, latent, voxels: weights learned": left_out(
            shipped, truth, joint(reads, ("weight 1.0", "weight 0.0", "likeliest"), shipped)
        ),
        "the experts' first slice (not to be had)": added(by_slices(reads, experts_base)),
        "the experts' slices between (not to be had)": added(by_slices(reads, experts_middle)),
    }


def experts_base(slices: np.ndarray, name: str, read: Read) -> np.ndarray:
    """A change that nobody can make: slices above the experts' first are left out, and that one is theirs."""
    theirs = read.experts[VOLUMES[name]]
    first = np.nonzero(theirs > 0.5)[0][0]
    slices[: first + 1] = theirs[: first + 1]
    return slices


def experts_middle(slices: np.ndarray, name: str, read: Read) -> np.ndarray:
    """The same for the slices between the experts' first and last."""
    theirs = read.experts[VOLUMES[name]]
    seen = np.nonzero(theirs > 0.5)[0]
    slices[seen[0] + 1 : seen[-1]] = theirs[seen[0] + 1 : seen[-1]]
    return slices


def errors_of(found: Volumes, truth: Volumes) -> dict[str, np.ndarray]:
    """Errors [N] of ``COLUMNS``: volumes in per cent of EDV, fractions in points."""
    errors = {name: 100 * (found[name] - truth[name]) / truth[f"{name[:2]}EDV"] for name in ("LVESV", "RVESV")}
    for side in ("LV", "RV"):
        parts = [100 * (1 - one[f"{side}ESV"] / one[f"{side}EDV"]) for one in (found, truth)]
        errors[f"{side}EF"] = parts[0] - parts[1]
    return errors


def line_of(name: str, found: Volumes, shipped: Volumes, truth: Volumes, sized: np.ndarray, picks: np.ndarray) -> str:
    """A line of the table."""
    cells, errors, base = [], errors_of(found, truth), errors_of(shipped, truth)
    for column in COLUMNS:
        one, other = np.abs(errors[column]), np.abs(base[column])
        low, high = np.percentile((one - other)[picks].mean(axis=1), [2.5, 97.5])
        change = " (0)" if np.allclose(one, other) else f" ({low:+.1f} to {high:+.1f})"
        change = "" if found is shipped else change
        cells.append(f"{one.mean():.1f}{change}")
    cells.insert(0, f"{np.abs(found['LVESV'] - truth['LVESV'])[sized].mean():.1f}")
    return f"| {name} | {' | '.join(cells)} |"


def print_ways(reads: Sequence[Read], shipped: Volumes, truth: Volumes, sized: np.ndarray) -> None:
    """The table of ways."""
    print(f"\n{len(reads)} validation patients, {sized.sum()} of them with a known pixel size\n")
    print("| way | LVESV (mL) | LVESV (% of EDV) | LVEF | RVESV (% of EDV) | RVEF |\n" + "|---" * 6 + "|")
    picks = np.random.default_rng(0).integers(0, len(reads), (DRAWS, len(reads)))
    for name, found in ways_tried(reads, shipped, truth).items():
        print(line_of(name, found, shipped, truth, sized, picks))


def print_places(reads: Sequence[Read]) -> None:
    """Where the label files' errors are, by place among the experts' slices: mean absolute error and bias, % of EDV."""
    places = ("above their first", "their first", "second", "between", "last two", "below their last", "all")
    print(f"\n| volume | {' | '.join(places)} |\n" + "|---" * (len(places) + 1) + "|")
    for name, at in VOLUMES.items():
        rows = []
        for one in reads:
            theirs, size = one.experts[at], one.experts[VOLUMES[f"{name[:2]}EDV"]].sum()
            apart = 100 * (one.labels[at] - theirs) / size
            seen = np.nonzero(theirs > 0.5)[0]
            ends = [0, seen[0], seen[0] + 1, seen[0] + 2, seen[-1] - 1, seen[-1] + 1, len(apart)]
            ends = np.maximum.accumulate(ends)  # a short ventricle has no slices between
            rows.append([*(apart[low:high].sum() for low, high in zip(ends, ends[1:])), apart.sum()])
        cells = [f"{np.abs(one).mean():.1f} ({one.mean():+.1f})" for one in np.array(rows).T]
        print(f"| {name} | {' | '.join(cells)} |")


def main() -> None:
    """Reads the patients and prints the tables."""
    options = of_measures(__doc__).parse_args()
    kind, data = data_of(options)
    folder = Path(options.fits) / kind / "validation"
    found, _, _ = cases(data, kind, "validation", folder)
    if kind == "phantom":
        return print_phantom(found)
    unet = load_unet(SliceNet(), MODELS / "unet.pt", "cpu").eval()
    entries = {one["subject"]: one for one in load_split("cohort", data, "validation", rule={"given": True})}
    reads = [read_slices(entries[one["subject"]], folder, unet) for one in found]
    rows = [{row["name"]: row["value"] for row in one["measures"]} for one in found]
    shipped = {name: np.array([row[name] for row in rows]) for name in VOLUMES}
    truth = {name: np.array([one["truth"]["slices"][name] for one in found]) for name in VOLUMES}
    print_places(reads)
    print_ways(reads, shipped, truth, np.array([one["subject"].startswith("patient") for one in found]))


if __name__ == "__main__":
    main()
