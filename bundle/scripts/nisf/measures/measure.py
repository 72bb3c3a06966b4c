"""Cardiac measures of a scan: volumes, function, mass and wall thickness, each with an interval.

From a fitted scan (``measure``), or from a result folder of ``nisf segment`` into files (``measure_folder``). Values
are read from the fitted function in the scan's slices and added up as experts do; beside them stand those of the whole
heart (``conventions``). ``by_slices`` are those of the written label files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from nisf.geometry.orientation import spacing_of
from nisf.io.images import read_volume
from nisf.io.latent_file import SavedFit, read_latent
from nisf.io.results import ScanResults
from nisf.measures.by_labels import with_origin
from nisf.measures.cardiac import TITLES, cardiac_values, sizes_of
from nisf.measures.conventions import TEXTS, WHOLE_HEART
from nisf.measures.intervals import LEVEL, Intervals, load_intervals
from nisf.measures.person import Person
from nisf.measures.recording import RATES, refusals
from nisf.measures.rows import Found, curves_of, motion_of, row_of, thickness_of
from nisf.measures.size import SIZELESS, doubts, no_size
from nisf.measures.tables import write_measures
from nisf.measures.volume_curve import at_frames, cycle_seconds, phases_of, times_of_curve
from nisf.measures.volumes import Volumes, class_list, slice_volumes, volume_curves
from nisf.measures.wall_thickness import FoundWall, thickness_values
from nisf.quality.record import Quality
from nisf.sampling.fitted_scan import FittedScan, network_of, weights_of
from nisf.utils.digest import digest_of_file
from nisf.utils.errors import InputError

#: Number of posterior draws for the intervals.
DRAWS = 16

#: Entries by segment of the left ventricle's wall.
WALL = ("wall_thickness", "wall_motion")


def measure(
    fitted: FittedScan,
    by_slices: Mapping[str, np.ndarray] | None = None,
    person: Person = Person(),
    intervals: Intervals = Intervals(),
    corrected: bool = False,
    size_known: bool = True,
) -> dict:
    """All measures of a scan, as in ``measures.json`` (without file names).

    Args:
        fitted: fitted scan, with draws if intervals are wanted.
        by_slices: name of a class to its volumes [frames] in the label files, mL.
        person: data of the person.
        intervals: intervals of the network's weights.
        corrected: whether ``by_slices`` are of labels corrected by hand; phases and measures are then theirs.
        size_known: whether the pixel size is known; if not, nothing is given in mL, g or mm.

    Raises:
        InputError: no organ is found, or the person's numbers are impossible.
    """
    surface = person.surface()
    times = fitted.frame.times
    volumes = volume_curves(fitted, times_of_curve(times))
    by_slices = dict(by_slices or {})
    rate, seconds = person.heart_rate, cycle_seconds(fitted.duration)
    cardiac = "LV" in volumes.names
    refused = [] if size_known or not cardiac else [no_size("The pixel size of the scan is not known")]
    refused += doubts(spacing_of(fitted.frame.affine)) if cardiac and not refused else []
    unsized = bool(refused)
    if cardiac:
        curve = by_slices["LV"] if corrected and "LV" in by_slices else None
        phases, more = _phases(times, volumes, curve, seconds)
        out = {name for entry in more for name in entry["measures"]}
        rates = not set(RATES) <= out
        in_space = fitted if rates or intervals.of_whole_hearts else replace(fitted, draws=())
        found = _heart(in_space, volumes, by_slices, phases, rate, seconds if rates else None)
        found = {name: one for name, one in found.items() if name not in out}
        refused, titles = refused + more, TITLES
    else:
        phases, found = {}, _organ(volumes, by_slices)
        titles = {name: (name, "mL", True) for name in found}
    named = {name: one for name, one in found.items() if not unsized or titles[name][1] in SIZELESS}
    whole = {
        "subject": fitted.subject,
        "phases": phases,
        "heart_rate": rate,
        "body_surface_area": surface,
        "sex": person.sex,
        "conventions": TEXTS,
        "interval_level": LEVEL,
        "measures": [row_of(name, titles[name], one, surface, intervals) for name, one in named.items()],
        "refused": refused,
        "curves": curves_of(volumes, by_slices, seconds, intervals, volumes.of("LV")[0].max() if unsized else None),
        **(_wall(fitted, phases, intervals) if cardiac and not unsized else dict.fromkeys(WALL)),
        "uncalibrated": intervals.uncalibrated or None,
        "unlike": intervals.unlike.sentence or None,
    }
    return with_origin(whole, corrected)


def _phases(
    times: Sequence[float], volumes: Volumes, corrected: np.ndarray | None, seconds: float | None
) -> tuple[dict[str, int | None], list[dict]]:
    """Frames of ED and ES, and what is refused; by the LV volumes of corrected labels where there are any."""
    curve_times, curve = volumes.times, volumes.values[volumes.names.index("LV")]
    if corrected is not None:
        curve_times, curve = np.asarray(times), corrected
    phases, refused = phases_of(times, curve_times, curve), refusals(at_frames(times, curve_times, curve), seconds)
    if any("LVESV" in entry["measures"] for entry in refused):
        phases["ES"] = None
    return phases, refused


def _heart(
    fitted: FittedScan,
    volumes: Volumes,
    by_slices: Mapping[str, np.ndarray],
    phases: Mapping[str, int | None],
    rate: float | None,
    seconds: float | None,
) -> dict[str, Found]:
    """Measures by name, without peak rates unless ``seconds`` are given.

    The whole heart is read from ``fitted``, with its draws if it has any. Rates are the whole heart's: the slices'
    curve makes a step where the base leaves a slice.
    """
    times = fitted.frame.times
    ends = sorted(times[phases[word]] for word in ("ED", "ES") if phases[word] is not None)
    space = volume_curves(fitted, volumes.times if seconds else ends, convention=WHOLE_HEART)
    curves, whole = ({name: one.of(name) for name in one.names} for one in (volumes, space))
    slices = cardiac_values(curves, times, volumes.times, phases, rate)
    whole = cardiac_values(whole, times, space.times, phases, rate, seconds)
    labels = cardiac_values({n: v[None] for n, v in by_slices.items()}, times, None, phases, rate)
    sizes = sizes_of({name: float(values[0]) for name, values in slices.items()}, rate)
    found = {
        name: Found(values, whole[name], float(labels[name][0]) if name in labels else None, sizes[name])
        for name, values in slices.items()
    }
    return {**found, **{name: Found(whole[name], convention=WHOLE_HEART) for name in RATES if name in whole}}


def _organ(volumes: Volumes, by_slices: Mapping[str, np.ndarray]) -> dict[str, Found]:
    """Volumes of another organ than the heart, in its first frame."""
    labels = {name: float(values[0]) for name, values in by_slices.items()}
    return {f"{n} volume": Found(volumes.of(n)[:, 0], labels=labels.get(n)) for n in volumes.names}


def _wall(fitted: FittedScan, phases: Mapping[str, int | None], intervals: Intervals) -> dict[str, dict | None]:
    """Entries ``WALL`` of ``measures.json``; None where the heart's axis is not found, or end systole is not known."""
    entries, times, es = dict.fromkeys(WALL), fitted.frame.times, phases["ES"]
    try:
        diastole = FoundWall.of(fitted, times[phases["ED"]])
        entries["wall_thickness"] = thickness_of(thickness_values(fitted, diastole), intervals)
        if es is not None:
            entries["wall_motion"] = motion_of(diastole.wall, FoundWall.of(fitted, times[es]).wall)
    except InputError:
        pass
    return entries


def written_classes(names: Mapping[int, str], settings: Mapping[str, object]) -> dict[int, str]:
    """The classes in the label files: all, or those named by ``only`` when the files were written."""
    only = {word.lower() for word in re.findall(r"[^\[\]',\s]+", str(settings.get("only") or ""))}
    return {k: name for k, name in names.items() if not only or only & {name.lower(), str(k)}}


def volumes_by_slices(label_files: Sequence[Path], names: Mapping[int, str], frames: int) -> dict:
    """Class to volumes [frames] by slice summation of a scan's label files; empty if any frame is missing."""
    volumes = [slice_volumes(*read_volume(str(path)), names) for path in label_files]
    joined = {name: np.concatenate([one[name] for one in volumes]) for name in names.values()} if volumes else {}
    return joined if all(len(values) == frames for values in joined.values()) else {}


def numbers_of(saved: SavedFit) -> dict[str, float]:
    """Numbers of a fit by which it is compared with those of the calibration, see ``likeness``."""
    quality = Quality.from_dict(saved.quality).numbers
    return {**quality, "slice_distance": float(spacing_of(saved.frame.affine)[2])}


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
    pipeline = {**saved.pipeline, "hold_out": True} if saved.missing_slices else saved.pipeline
    intervals = load_intervals(weights or saved.weights, pipeline).for_scan(numbers_of(saved))
    found = measure(fitted, by_slices, person, intervals, bool(corrected), saved.size_known)
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
