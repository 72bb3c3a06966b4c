"""Cardiac measures of a scan: volumes, function, mass and wall thickness, each with a 95% interval.

From a fitted scan (``measure``), or from a result folder of ``nisf segment`` into files (``measure_folder``). Volumes
are those of the continuous function (``volumes.py``); ``by_slices`` are those of the written label files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from nisf.io.images import read_volume
from nisf.io.latent_file import SavedFit, read_latent
from nisf.io.results import ScanResults
from nisf.measures.by_labels import with_origin
from nisf.measures.cardiac import TITLES, cardiac_values
from nisf.measures.intervals import Intervals, load_intervals
from nisf.measures.person import Person
from nisf.measures.tables import write_measures
from nisf.measures.volume_curve import cycle_seconds, phases_of, times_of_curve
from nisf.measures.volumes import Volumes, class_list, slice_volumes, volume_curves
from nisf.measures.wall_thickness import SEGMENTS, thickness_values
from nisf.quality.record import Quality
from nisf.sampling.fitted_scan import FittedScan, network_of, weights_of
from nisf.utils.digest import digest_of_file
from nisf.utils.errors import InputError

#: Number of posterior draws for the intervals.
DRAWS = 16


def measure(
    fitted: FittedScan,
    by_slices: Mapping[str, np.ndarray] | None = None,
    person: Person = Person(),
    intervals: Intervals = Intervals(),
    corrected: bool = False,
) -> dict:
    """All measures of a scan, as in ``measures.json`` (without file names).

    Args:
        fitted: fitted scan, with draws if intervals are wanted.
        by_slices: name of a class to its volumes [frames] by slice summation, mL.
        person: data of the person.
        intervals: intervals of the network's weights.
        corrected: whether ``by_slices`` are of labels corrected by hand; phases and measures are then theirs.

    Raises:
        InputError: no organ is found, or the person's numbers are impossible.
    """
    surface = person.surface()
    times = fitted.frame.times
    volumes = volume_curves(fitted, times_of_curve(times))
    by_slices = dict(by_slices or {})
    rate, seconds = person.heart_rate, cycle_seconds(fitted.duration)
    cardiac = "LV" in volumes.names
    phases = _phases(times, volumes, by_slices if corrected else {}) if cardiac else {}
    if cardiac:
        found = cardiac_values({n: volumes.of(n) for n in volumes.names}, times, volumes.times, phases, rate, seconds)
        slices = cardiac_values({n: v[None] for n, v in by_slices.items()}, times, None, phases, rate)
        titles = TITLES
    else:
        found = {f"{name} volume": volumes.of(name)[:, 0] for name in volumes.names}
        slices = {f"{name} volume": values[:1] for name, values in by_slices.items()}
        titles = {f"{name} volume": (f"{name} volume", "mL", True) for name in volumes.names}
    rows = [_row(name, *titles[name], found[name], slices.get(name), surface, intervals) for name in found]
    whole = {
        "subject": fitted.subject,
        "phases": phases,
        "heart_rate": rate,
        "body_surface_area": surface,
        "sex": person.sex,
        "measures": rows,
        "curves": _curves(volumes, by_slices, seconds, intervals),
        "wall_thickness": _thickness(fitted, times[phases["ED"]], intervals) if cardiac else None,
        "uncalibrated": intervals.uncalibrated or None,
    }
    return with_origin(whole, corrected)


def _phases(times: Sequence[float], volumes: Volumes, corrected: Mapping[str, np.ndarray]) -> dict[str, int | None]:
    """Frames of ED and ES, by corrected labels where there are any."""
    if "LV" in corrected:
        return phases_of(times, np.asarray(times), corrected["LV"])
    return phases_of(times, volumes.times, volumes.values[volumes.names.index("LV")])


def _row(
    name: str,
    title: str,
    unit: str,
    indexable: bool,
    values: np.ndarray,
    by_slices: np.ndarray | None,
    surface: float | None,
    intervals: Intervals,
) -> dict:
    """One entry of ``measures``, from the values of the fit and of its draws [1 + n]."""
    low, high = intervals.of(name, values[0], values[1:])
    indexed = values[0] / surface if indexable and surface else None
    return {
        "name": name,
        "title": title,
        "unit": unit,
        "value": _number(values[0]),
        "low": _number(low),
        "high": _number(high),
        "by_slices": None if by_slices is None else _number(by_slices[0]),
        "indexed": _number(indexed),
        "indexed_unit": f"{unit}/m2" if indexed is not None else None,
        "interval": intervals.kind(name) if len(values) > 2 else None,
    }


def _curves(
    volumes: Volumes, by_slices: Mapping[str, np.ndarray], duration: float | None, intervals: Intervals
) -> dict:
    curves = {"time": volumes.times.tolist(), "seconds": (volumes.times * duration).tolist() if duration else None}
    for place, name in enumerate(volumes.names):
        low, high = intervals.of(name, volumes.values[place], volumes.draws[:, place])
        parts = {"value": volumes.values[place], "low": low, "high": high}
        curves[name] = {key: [_number(v) for v in values] for key, values in parts.items()}
        curves[name]["by_slices"] = [_number(v) for v in by_slices[name]] if name in by_slices else None
    return curves


def _thickness(fitted: FittedScan, time: float, intervals: Intervals) -> dict | None:
    """Entry ``wall_thickness`` of ``measures.json``; None if the heart's axis is not found."""
    try:
        values = thickness_values(fitted, time)
    except InputError:
        return None
    low, high = intervals.of("thickness", values[0], values[1:])
    rows = [
        {"segment": number + 1, "name": name, **{k: _number(v[number]) for k, v in parts.items()}}
        for parts in [{"value": values[0], "low": low, "high": high}]
        for number, name in enumerate(SEGMENTS)
    ]
    return {"unit": "mm", "segments": rows}


def _number(value: float | None) -> float | None:
    """A plain number of six digits; None if it is missing or not finite."""
    return None if value is None or not np.isfinite(value) else float(f"{float(value):.6g}")


def written_classes(names: Mapping[int, str], settings: Mapping[str, object]) -> dict[int, str]:
    """The classes in the label files: all, or those named by ``only`` when the files were written."""
    only = {word.lower() for word in re.findall(r"[^\[\]',\s]+", str(settings.get("only") or ""))}
    return {k: name for k, name in names.items() if not only or only & {name.lower(), str(k)}}


def volumes_by_slices(label_files: Sequence[Path], names: Mapping[int, str], frames: int) -> dict:
    """Class to volumes [frames] by slice summation of a scan's label files; empty if any frame is missing."""
    volumes = [slice_volumes(*read_volume(str(path)), names) for path in label_files]
    joined = {name: np.concatenate([one[name] for one in volumes]) for name in names.values()} if volumes else {}
    return joined if all(len(values) == frames for values in joined.values()) else {}


def measure_folder(
    folder: str | Path,
    person: Person | None = None,
    model: str | Path | None = None,
    device: str = "cpu",
    draws: int = DRAWS,
    seed: int = 0,
) -> dict:
    """Measures one scan folder of ``nisf segment`` and writes ``measures.json`` and ``measures.csv`` there.

    Args:
        folder: folder OUT/<scan>, with ``<scan>_latent.pt`` and the label files.
        person: data of the person; by default what the latent file contains under ``person``.
        model: weight file; by default the one that the latent file names.
        device: device on which the network runs.
        draws: number of posterior draws; 0 for no intervals.
        seed: random seed of the draws.

    Returns:
        the content of ``measures.json``.

    Raises:
        InputError: there is no latent file or more than one, it is damaged, or no organ is found.
    """
    results = ScanResults.of_folder(folder)
    saved = read_latent(results.latent)
    fitted = FittedScan.of(saved, network_of(saved, model, device))
    return measure_results(results, saved, fitted, person, weights_of(saved, model), draws, seed)


def measure_results(
    results: ScanResults,
    saved: SavedFit,
    fitted: FittedScan,
    person: Person | None = None,
    weights: Path | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> dict:
    """``measure_folder`` for a scan whose latent file and network are already loaded.

    Args:
        results: files of the scan.
        saved: content of its latent file.
        fitted: fitted scan.
        person: data of the person; by default ``saved.person``.
        weights: weight file, with its intervals beside it.
        draws, seed: number and random seed of the draws, as in ``measure_folder``.

    Returns:
        the content of ``measures.json``.

    Raises:
        InputError: no organ is found, a label file is damaged, or the folder cannot be written.
    """
    draws = draws if saved.fit.covariance is not None else 0  # Adam's fits have no posterior
    fitted = replace(fitted, draws=saved.draws(draws, seed))
    names = {number: name for number, name in zip(range(1, fitted.network.num_classes), class_list(fitted))}
    written = written_classes(names, saved.settings)
    labels, corrected = results.label_files(saved.files), results.corrected_labels(saved)
    digests = {file.name: digest_of_file(file) for file in labels}  # before they are read: they may be edited meanwhile
    by_slices = volumes_by_slices(labels, written, len(fitted.frame.times))
    if corrected and not by_slices:
        raise InputError(
            f"{corrected[0]}: was changed and does not have the scan's frames any more; repair or delete it"
        )
    person = Person(**saved.person) if person is None else person
    intervals = load_intervals(weights or saved.weights, saved.pipeline)
    found = measure(fitted, by_slices, person, intervals, bool(corrected))
    whole = {
        "subject": found.pop("subject"),
        "scan": results.name,
        **found,
        "labels": {"corrected": [file.name for file in corrected], "digests": digests},
        "quality": Quality.of_saved(saved.quality, saved.pipeline).record(),
        "versions": dict(saved.versions),
        "settings": {**saved.settings, "measure_draws": draws, "measure_seed": seed},
    }
    whole = json.loads(json.dumps(whole), parse_constant=lambda _: None)  # plain, and no NaN
    write_measures(whole, results.folder)
    return whole
