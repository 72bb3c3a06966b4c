"""Two half scans of one heart: odd and even slices fitted apart, and how well their measures agree.

    python benchmarks/half_scans.py COHORT --section test --json FILE
    python benchmarks/half_scans.py ACDC --layout acdc --section test --json FILE

One half sees slices 0, 2, 4, ..., the other 1, 3, 5, ... of the same scan; both are measured on all its slices, those
hidden from them included: by slices, as ``measures.json`` gives it first, and of the whole heart. Prints for each
measure the coefficient of variation between halves (root mean square over patients of the two values' standard
deviation divided by their mean), and the share of patients whose two intervals have more than half of the wider one in
common, with intervals of the draws alone and with the calibrated ones. These were calibrated on whole scans and on
slices; here they are applied to half scans and to the whole heart as they are.

FILE keeps every patient as soon as it is done; a run that was cut off goes on from there, and new weights or settings
need a new FILE.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from about import about
from measured import RULES, load, weights_here
from options import parser_of, settings_of, with_settings

from nisf import InputError, Segmenter
from nisf.geometry.grid import Grid
from nisf.io.datalist import load_split
from nisf.io.latent_file import SavedFit, read_latent
from nisf.measures.cardiac import cardiac_values, sizes_of
from nisf.measures.conventions import SLICES, WHOLE_HEART
from nisf.measures.intervals import Intervals, load_intervals
from nisf.measures.measure import numbers_of
from nisf.measures.volume_curve import phases_of
from nisf.measures.volumes import volume_curves
from nisf.sampling.fitted_scan import FittedScan
from nisf.utils.files import write_text

#: Measures in the table.
NAMES = ("LVEDV", "LVESV", "LVEF", "LVM", "RVEDV", "RVESV", "RVEF")

#: Kinds of intervals.
DRAWN, CALIBRATED = "draws", "calibrated"


def halves_of(entry: Mapping, settings: Mapping[str, object]) -> list[dict]:
    """Measures of the two halves of a scan, as from ``half_of``."""
    first, depth = half_of(entry, {**settings, "hold_out": "every_2"})
    second, _ = half_of(entry, {**settings, "hold_out": list(range(0, depth, 2))})
    return [first, second]


def half_of(entry: Mapping, settings: Mapping[str, object]) -> tuple[dict, int]:
    """Measures of a fit, convention to measure as from ``one_of``, and ``factor``, by how much the scan's intervals are
    wider; the scan's number of slices."""
    result = Segmenter(**settings)(entry)
    with tempfile.TemporaryDirectory() as folder:
        (latent,) = [file for file in result.save(folder) if file.name.endswith("_latent.pt")]
        saved = read_latent(latent)
        fitted = load(latent, saved.digest)
    measures = measures_of(fitted)
    sizes = sizes_of({name: float(values[0]) for name, values in measures[SLICES].items()})
    intervals = intervals_for(saved)
    found = {
        convention: {name: one_of(name, values[name], sizes[name], intervals) for name in NAMES if name in values}
        for convention, values in measures.items()
    }
    found["factor"] = intervals.unlike.factor * intervals.unsure
    return found, Grid.of_scan(saved.frame).shape[2]


def measures_of(fitted: FittedScan) -> dict[str, dict[str, np.ndarray]]:
    """Convention to measure to its values in the fit and its draws, [1 + n]; ED and ES of the fit's own slices."""
    times = fitted.frame.times
    slices = volume_curves(fitted, times)
    phases = phases_of(times, slices.times, slices.values[slices.names.index("LV")])
    ends = sorted(times[frame] for frame in phases.values())
    found = {SLICES: slices, WHOLE_HEART: volume_curves(fitted, ends, convention=WHOLE_HEART)}
    return {
        convention: cardiac_values({name: one.of(name) for name in one.names}, times, one.times, phases, None)
        for convention, one in found.items()
    }


def intervals_for(saved: SavedFit) -> Intervals:
    """The calibrated intervals of whole scans for a fit that had slices held out."""
    whole = {**saved.pipeline, "hold_out": False}
    return load_intervals(weights_here(saved), whole).for_scan(numbers_of(saved))


def one_of(name: str, values: np.ndarray, size: float, intervals: Intervals) -> dict:
    """A value with its size, deviation and interval of the draws, and the calibrated one if any, from [1 + n]."""
    value, deviation = float(values[0]), float(values[1:].std(ddof=1))
    kinds = {DRAWN: Intervals(), **({CALIBRATED: intervals} if intervals.widening(name) else {})}
    return {
        **{"value": value, "deviation": deviation, "size": size},
        **{kind: list(map(float, k.ends(name, value, deviation, size))) for kind, k in kinds.items()},
    }


def variation(pairs: Sequence[tuple[float, float]]) -> float:
    """Coefficient of variation of pairs of values: root mean square of standard deviation by mean."""
    pairs = np.asarray(pairs)
    return float(np.sqrt(np.mean((pairs.std(axis=1, ddof=1) / pairs.mean(axis=1)) ** 2)))


def in_common(one: Sequence[float], other: Sequence[float]) -> float:
    """Part of the wider of two intervals that both contain."""
    common = min(one[1], other[1]) - max(one[0], other[0])
    return max(common, 0.0) / max(one[1] - one[0], other[1] - other[0], 1e-9)


def line_of(name: str, convention: str, patients: Sequence[list[dict]]) -> str | None:
    """A line of the table; None if no patient has the measure in both halves."""
    pairs = [[half[convention].get(name) for half in halves] for halves in patients]
    pairs = [pair for pair in pairs if None not in pair]
    if not pairs:
        return None
    values = [(one["value"], other["value"]) for one, other in pairs]
    cells = [name, convention, len(pairs), f"{variation(values):.1%}", f"{np.mean(np.subtract(*zip(*values))):+.1f}"]
    for kind in (DRAWN, CALIBRATED):
        common = [in_common(one[kind], other[kind]) for one, other in pairs if kind in one]
        cells.append(f"{np.mean(np.array(common) > 0.5):.0%}" if common else "none")
    return f"| {' | '.join(map(str, cells))} |"


def print_table(patients: Sequence[list[dict]]) -> None:
    """A line for each measure and convention."""
    head = "measure | convention | patients | variation | first - second half | share of patients with overlap of draws"
    print(f"| {head} | of calibrated |\n" + "|---" * 7 + "|")
    lines = (line_of(name, convention, patients) for name in NAMES for convention in (SLICES, WHOLE_HEART))
    print("\n".join(line for line in lines if line))


def kept_in(path: Path, run: Mapping) -> dict[str, list[dict]]:
    """Patients that a file has already; it must be of the same weights and settings."""
    if not path.is_file():
        return {}
    found = json.loads(path.read_text(encoding="utf-8"))
    for name in ("weights", "unet_weights", "set"):
        if found[name] != run[name]:
            raise InputError(f"{path}: {name} is {found[name]} there and {run[name]} now; name another file")
    return found["patients"]


def options_of() -> argparse.Namespace:
    """The command line."""
    parser = parser_of(__doc__)
    parser.add_argument("data", help="data list, or folder of the layout")
    parser.add_argument("--layout", default="cohort")
    parser.add_argument("--section", default="validation")
    parser.add_argument("--subjects", nargs="*", metavar="NAME", help="only these")
    parser.add_argument("--json", metavar="FILE", required=True)
    return with_settings(parser).parse_args()


def main() -> None:
    """Fits and measures the halves that FILE does not have yet, and prints the table."""
    options = options_of()
    settings, path = settings_of(options), Path(options.json)
    entries = load_split(options.layout, options.data, options.section, rule=RULES.get(options.layout))
    run = {**about(options, Segmenter(**settings)), "set": options.set}
    patients = kept_in(path, run)
    wanted = [one for one in entries if not options.subjects or one["subject"] in options.subjects]
    for entry in [one for one in wanted if one["subject"] not in patients]:
        try:
            patients[entry["subject"]] = halves_of(entry, settings)
        except InputError as error:
            print(f"{entry['subject']}: {error}", flush=True)
            continue
        write_text(path, json.dumps({"patients": patients, **run}, indent=1))
        print(f"{entry['subject']}: done, {len(patients)} of {len(wanted)}", flush=True)
    print_table([patients[one["subject"]] for one in wanted if one["subject"] in patients])


if __name__ == "__main__":
    main()
