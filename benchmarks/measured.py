"""Measures of scans with their truth: rows for the calibration of intervals and for the benchmark."""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from scipy.ndimage import map_coordinates

from nisf.geometry.affine import world_to_voxel
from nisf.geometry.orientation import permuted_affine, stated_permutation
from nisf.io.datalist import load_split
from nisf.io.latent_file import SavedFit, read_latent
from nisf.io.results import ScanResults
from nisf.measures.cardiac import TITLES, cardiac_values, sizes_of
from nisf.measures.conventions import WHOLE_HEART
from nisf.measures.intervals import Intervals, Widening
from nisf.measures.measure import DRAWS, measure, numbers_of, volumes_by_slices
from nisf.measures.person import Person
from nisf.measures.volumes import slice_volumes
from nisf.measures.wall_thickness import FoundWall, thickness_values
from nisf.phantom.cohort import Subject, make_subject
from nisf.sampling.fitted_scan import MODELS, FittedScan, network_of
from nisf.utils.bundle import run_bundle
from nisf.utils.errors import InputError
from nisf.utils.files import write_text

NAMES = {1: "LV", 2: "MYO", 3: "RV"}
RULES = {
    "phantom": {"given": True},
    "acdc": {"last_digit": {"validation": [2], "test": [0]}},
    "hearts": {"given": True},
}
LAYOUTS = {"phantom": "cohort", "acdc": "acdc", "hearts": "cohort"}
CONFIGS = {"phantom": ["phantom.json"], "acdc": ["acdc.json"], "hearts": []}

#: Intervals of the draws, also for the whole heart.
PLAIN = Intervals({f"{name} {WHOLE_HEART}": Widening() for name in TITLES})


@dataclass
class KnownScan(FittedScan):
    """A scan with known classes: ``known(points, time)`` gives them as [K, N]."""

    known: object = None

    def read(self, points: np.ndarray, time: float = 0.0, compile: bool = False) -> torch.Tensor:
        """As ``FittedScan.read``."""
        classes = torch.from_numpy(np.asarray(self.known(points, time), dtype=np.float32))
        return torch.cat([torch.zeros(1, classes.shape[1]), classes])


class CompiledScan(FittedScan):
    """A scan with a compiled network, worthwhile for many scans. The same numbers to rounding."""

    def logits(self, points: np.ndarray, time: float = 0.0, compile: bool = False) -> torch.Tensor:
        """As ``FittedScan.logits``."""
        return super().logits(points, time, compile=True)


_NETWORKS: dict = {}


def load(path: Path, digest: str) -> FittedScan:
    """A fit with its draws; all fits share one network."""
    fitted = FittedScan.load(path, draws=DRAWS)
    network = _NETWORKS.setdefault(digest, fitted.network)
    return CompiledScan(**{**vars(fitted), "network": network, "chunk": 2048})


def fit_missing(data: str, kind: str, section: str, folder: Path) -> list[dict]:
    """Data list entries of a section; scans without a fit in ``folder`` are fitted first, by ``inference``."""
    entries = load_split(LAYOUTS[kind], data, section, rule=RULES[kind])
    missing = [entry for entry in entries if not ScanResults.of_subject(folder, entry).latent.is_file()]
    if missing:
        with tempfile.TemporaryDirectory() as name:
            missing = [{name: value for name, value in entry.items() if name != "split"} for entry in missing]
            plain = {split: [] for split in ("training", "validation", "test")}
            labels = {"0": "background", **{str(number): text for number, text in NAMES.items()}}
            listing = {"name": "missing", "labels": labels, **plain, section: missing}
            write_text(Path(name) / "cohort.json", json.dumps(listing))
            given = {"layout": "cohort", "split_rule": {"given": True}, "section": section}
            configs = ["inference.json", *CONFIGS[kind]]
            run_bundle("inference", configs, dataset_dir=name, output_dir=str(folder), **given)
    return entries


def measured(entry: Mapping, folder: Path, kind: str, subject: Subject | None) -> tuple[dict, SavedFit]:
    """Result of ``measure`` for one scan, with the draws' intervals, and the truth under ``truth``.

    Cached beside the fit, which is returned as well.
    """
    results = ScanResults.of_subject(folder, entry)
    saved, kept = read_latent(results.latent), results.folder / "measured.json"
    if kept.is_file() and "numbers" in (found := json.loads(kept.read_text())):
        return found, saved
    fitted = load(results.latent, saved.digest)
    by_slices = volumes_by_slices(results.label_files(saved.files), NAMES, len(fitted.frame.times))
    person = Person(heart_rate=60 / fitted.duration) if kind == "phantom" else Person()  # its frames fill the cycle
    found = measure(fitted, by_slices, person, PLAIN if kind == "phantom" else Intervals())
    found["truth"] = phantom_truth(subject, fitted, entry) if kind == "phantom" else label_truth(entry, fitted)
    found |= {"numbers": numbers_of(saved), "group": group_of(entry), "heart_rate": person.heart_rate}
    write_text(kept, json.dumps(found))
    return found, saved


def phantom_truth(subject: Subject, fitted: FittedScan, entry: Mapping) -> dict:
    """Exact measures of the whole heart (``values``); ``slices`` from the stack's true labels, at the true phases."""
    times, phases = subject.acquisition.times, subject.phases()
    fine = np.linspace(0, 1, 400, endpoint=False)
    whole = {time: subject.heart.cavity_volumes(time) for time in [*times]}
    curves = {name: np.array([[whole[t][name] for t in times]]) for name in NAMES.values()}
    rate = 60 / fitted.duration
    truth = {name: float(v[0]) for name, v in cardiac_values(curves, times, None, phases, rate).items()}
    change = np.gradient([subject.heart.state(t).volume for t in fine], fine) * rate / 60
    truth |= {"PER": float(-change.min()), "PFR": float(change.max())}
    known = KnownScan(**{**vars(fitted), "draws": ()}, known=lambda p, t: np.eye(4)[subject.heart.label(p, t)].T)
    label = nib.load(entry["label"])
    counted = slice_volumes(np.asarray(label.dataobj), label.affine, NAMES)
    slices = cardiac_values({name: v[None] for name, v in counted.items()}, times, None, phases, rate)
    return {
        "values": truth,
        "slices": {name: float(v[0]) for name, v in slices.items()},
        "phases": phases,
        "thickness": thickness_values(known, FoundWall.of(known, times[phases["ED"]]))[0].tolist(),
    }


def label_truth(entry: Mapping, fitted: FittedScan) -> dict:
    """Measures of expert labels by summing slices; thickness from classes interpolated between slices.

    Nobody knows the whole heart, so ``values`` is empty; thickness needs a stated orientation.
    """
    frames = [nib.load(file) for file in entry["label"]]
    swapped = np.arange(256)
    for value, inside in (entry["label_map"] or {}).items():
        swapped[int(value)] = inside
    labels = [swapped[np.asarray(one.dataobj).astype(int)] for one in frames]
    volumes = [slice_volumes(label[..., None], one.affine, NAMES) for label, one in zip(labels, frames)]
    counted = {name: np.concatenate([v[name] for v in volumes])[None] for name in NAMES.values()}
    phases = {"ED": int(counted["LV"].argmax()), "ES": int(counted["LV"].argmin())}
    values = cardiac_values(counted, fitted.frame.times, None, phases, None)
    found = {"values": {}, "slices": {name: float(v[0]) for name, v in values.items()}, "phases": phases}
    if not entry["array_axes"]:
        return {**found, "thickness": [float("nan")] * 16}
    ed = labels[phases["ED"]]
    order, flips = stated_permutation(entry["array_axes"])
    affine = permuted_affine(frames[0].affine, ed.shape, order, flips)
    ed = np.flip(ed.transpose(order), [axis for axis, flip in enumerate(flips) if flip])
    known = KnownScan(**{**vars(fitted), "draws": ()}, known=lambda p, t: _between(ed, affine, p))
    return {**found, "thickness": thickness_values(known, FoundWall.of(known, 0.0))[0].tolist()}


def weights_here(saved: SavedFit) -> Path:
    """Path of the weights of a fit: this bundle's own if they are the same, for fits may come from another folder."""
    try:
        network_of(saved, MODELS / saved.weights.name)
    except InputError:
        return saved.weights
    return MODELS / saved.weights.name


def group_of(entry: Mapping) -> str:
    """Disease group of a patient: of ACDC's ``Info.cfg`` or M&Ms' ``patients.csv``; empty if unknown."""
    folder = Path(entry["image"][0] if isinstance(entry["image"], list) else entry["image"]).parent
    if (about := folder / "Info.cfg").is_file():
        words = dict(line.split(":", 1) for line in about.read_text().splitlines() if ":" in line)
        return words.get("Group", "").strip()
    if (table := folder.parent / "patients.csv").is_file():
        with open(table, encoding="utf-8") as file:
            return {row["code"]: row["pathology"] for row in csv.DictReader(file)}.get(entry["subject"], "")
    return ""


def _between(label: np.ndarray, affine: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Classes [4, N] at world points, linear between voxels, background outside."""
    voxels = world_to_voxel(affine, points).T
    parts = [map_coordinates((label == k).astype(np.float32), voxels, order=1, cval=float(k == 0)) for k in range(4)]
    return np.stack(parts)


def cases(data: str, kind: str, section: str, folder: Path) -> tuple[list[dict], Mapping, Path]:
    """Every scan of a section as from ``measured``; pipeline of the fits and path of the weights."""
    entries, subjects = fit_missing(data, kind, section, folder), {}
    if kind == "phantom":
        listing = json.loads((Path(data) / "cohort.json").read_text())
        made = listing["made_with"]
        number = ["training", "validation", "test"].index(section)
        for index, entry in enumerate(listing[section]):
            subjects[entry["subject"]] = make_subject([made["seed"], number, index], **made["options"])
    found = []
    for entry in entries:
        if not ScanResults.of_subject(folder, entry).latent.is_file():
            print(f"{entry['subject']}: was refused, so it has no measures", flush=True)
            continue
        one, saved = measured(entry, folder, kind, subjects.get(entry["subject"]))
        found.append({**one, "subject": entry["subject"]})
        print(f"measured {len(found)} of {len(entries)}: {entry['subject']}", flush=True)
    return found, saved.pipeline, weights_here(saved)


def rows_of(found: list[dict], intervals: Intervals = Intervals()) -> dict[str, dict[str, np.ndarray]]:
    """Measure to columns ``value``, ``deviation`` (of the draws), ``size``, ``truth``, ``labels`` (our own),
    ``subject`` (its number), ``low``, ``high``; each [subjects], for ``thickness`` [subjects x 16].

    The truth of a measure is the true labels' slices added up, that of ``<measure> whole heart`` the heart itself.
    """
    rows: dict[str, list[dict]] = {}
    for number, scan in enumerate(found):
        truth, sizes = scan["truth"], sizes_of(_values(scan), scan["heart_rate"])
        for one in scan["measures"]:
            name, about = one["name"], {"subject": number, "size": sizes[one["name"]]}
            row = {
                "value": one["value"],
                "deviation": _deviation(one["value"], one["high"]),
                "labels": one["by_slices"],
            }
            known = truth["slices"].get(name, truth["values"].get(name))
            rows.setdefault(name, []).append({**row, **about, "truth": known})
            if (value := one["whole_heart"]) is not None:
                row = {"value": value, "deviation": _deviation(value, one["whole_heart_high"]), "labels": None}
                known = truth["values"].get(name)
                rows.setdefault(f"{name} {WHOLE_HEART}", []).append({**row, **about, "truth": known})
        for one, true in zip((scan["wall_thickness"] or {"segments": []})["segments"], truth["thickness"]):
            row = {"value": one["value"], "deviation": _deviation(one["value"], one["high"]), "truth": true}
            row |= {"subject": number, "size": one["value"], "labels": None}
            rows.setdefault("thickness", []).append(row)
    columns = {name: {k: np.array([r[k] for r in of], dtype=float) for k in of[0]} for name, of in rows.items()}
    for name, one in columns.items():
        ends = [
            intervals.for_scan(found[int(number)]["numbers"]).ends(name, value, deviation, size)
            for number, value, deviation, size in zip(*(one[k] for k in ("subject", "value", "deviation", "size")))
        ]
        one["low"], one["high"] = np.array(ends).T
    return columns


def _values(scan: Mapping) -> dict[str, float]:
    return {one["name"]: one["value"] for one in scan["measures"]}


def _deviation(value: float | None, high: float | None) -> float:
    """Standard deviation of the draws, from the posterior's interval, whose upper end is never clipped."""
    return float("nan") if value is None or high is None else (high - value) / Widening().scale
