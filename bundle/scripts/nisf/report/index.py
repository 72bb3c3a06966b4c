"""The pages of a cohort: one table of all scans, the most urgent first, and all measures as one CSV file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import numpy as np
from markupsafe import Markup

from nisf.report.charts import histogram
from nisf.report.compared import compared
from nisf.report.page import corrected_labels, render, rows_of
from nisf.utils.files import write_text
from nisf.utils.text import csv_text

#: Columns of the table, where any scan has them; the others are in the CSV file.
SHOWN = ("LVEDV", "LVESV", "LVSV", "LVEF", "LVM", "RVEDV", "RVESV", "RVEF")

#: Columns of a measure in the CSV file besides its value, after its name and an underscore.
CELLS = ("low", "high", "whole_heart", "by_slices", "indexed")

#: A measure is an outlier above this many robust standard deviations from the median, among at least this many scans
#: (Iglewicz and Hoaglin, How to detect and handle outliers, 1993).
FAR, LEAST = 3.5, 8


@dataclass
class Entry:
    """A scan of the cohort.

    Attributes:
        name: name of its folder.
        measures: measures.json, empty where the report failed.
        error: reason of the failure, one sentence.
        outliers: name of each outlying measure to its robust z score.
    """

    name: str
    measures: Mapping = field(default_factory=dict)
    error: str = ""
    outliers: dict[str, float] = field(default_factory=dict)

    @property
    def values(self) -> dict[str, float]:
        """Name of each known measure to its value."""
        return {one["name"]: float(one["value"]) for one in rows_of(self.measures) if one["value"] is not None}

    @property
    def quality(self) -> Mapping:
        """Quality entry of measures.json."""
        return self.measures.get("quality") or {}

    @property
    def labels(self) -> str:
        """``corrected by hand``, or empty."""
        return "corrected by hand" if corrected_labels(self.measures) else ""

    @property
    def rank(self) -> tuple:
        """Sort key: failed, not trusted, outliers, flagged, not assessed, the rest; by name among equals."""
        trusted, far = self.quality.get("trusted"), max((abs(z) for z in self.outliers.values()), default=0.0)
        kind = 0 if self.error else 1 if trusted is False else 2 if far else 3 if self.quality.get("flags") else 4
        return kind, -far, self.name


def find_outliers(entries: Sequence[Entry]) -> None:
    """Fills each entry's ``outliers``: |value - median| / (1.4826 MAD) above ``FAR``."""
    for name in sorted({name for entry in entries for name in entry.values}):
        having = [entry for entry in entries if name in entry.values]
        values = np.array([entry.values[name] for entry in having])
        scale = 1.4826 * np.median(np.abs(values - np.median(values)))
        if len(values) < LEAST or scale <= 0:
            continue
        for entry, z in zip(having, (values - np.median(values)) / scale):
            if abs(z) > FAR:
                entry.outliers[name] = float(z)


def write_cohort_pages(
    folder: Path, entries: Sequence[Entry], references: Mapping[str, Mapping[str, float]] | None = None
) -> list[Path]:
    """Writes ``index.html`` and ``measures.csv`` of a result folder; returns both paths.

    Args:
        folder: result folder.
        entries: its scans.
        references: name of a scan to its reference values, with which its measures are compared.
    """
    find_outliers(entries)
    ordered = sorted(entries, key=lambda entry: entry.rank)
    names = _columns(entries)
    page = render(
        "index.html",
        title=folder.resolve().name,
        names=names,
        units=_units(entries),
        rows=[_row(entry, names, place) for place, entry in enumerate(ordered)],
        histograms=[(name, _histogram(entries, name)) for name in names if _many(entries, name)],
        counts=_counts(entries),
        compared=compared({entry.name: entry.measures for entry in entries}, references or {}),
        refused=_refused(entries),
    )
    return [write_text(folder / "index.html", page), write_text(folder / "measures.csv", _table(entries))]


def _row(entry: Entry, names: Sequence[str], place: int) -> dict:
    trusted, dice = entry.quality.get("trusted"), entry.quality.get("predicted_dice")
    state = "failed" if entry.error else {True: "trusted", False: "not trusted", None: "not assessed"}[trusted]
    words = [entry.error] if entry.error else [str(flag.get("text", "")) for flag in entry.quality.get("flags") or []]
    words += [f"labels {entry.labels}"] * bool(entry.labels)
    words += [
        f"{name} is far from the others' ({z:+.1f} robust standard deviations)" for name, z in entry.outliers.items()
    ]
    return {
        "name": entry.name,
        "subject": str(entry.measures.get("subject") or entry.name),
        "link": None if entry.error else f"{quote(entry.name)}/report.html",
        "state": state,
        "dice": dice,
        "sort_keys": {**entry.values, "name": entry.name, "order": place, "dice": dice},
        "values": [(name, entry.values.get(name), name in entry.outliers) for name in names],
        "words": words,
    }


def _counts(entries: Sequence[Entry]) -> list[str]:
    """Number of scans, and of those that need attention."""

    def count(number: int, words: str) -> list[str]:
        return [f"{number} {words}"] if number else []

    trusted = [entry.quality.get("trusted") for entry in entries]
    return [
        f"{len(entries)} scan{'s' * (len(entries) != 1)}",
        *count(sum(bool(entry.error) for entry in entries), "failed"),
        *count(trusted.count(False), "not trusted"),
        *count(sum(bool(entry.outliers) for entry in entries), "with a measure far from the others'"),
        *count(sum(bool(entry.labels) for entry in entries), "with labels corrected by hand"),
        *count(sum(t is None and not e.error for t, e in zip(trusted, entries)), "not assessed"),
    ]


def _refused(entries: Sequence[Entry]) -> list[str]:
    """Reasons for which scans have no value of a measure, with the number of scans."""
    reasons = [one["reason"] for entry in entries for one in entry.measures.get("refused") or []]
    return [f"{reason} ({reasons.count(reason)} of {len(entries)})" for reason in dict.fromkeys(reasons)]


def _columns(entries: Sequence[Entry]) -> list[str]:
    found = list(dict.fromkeys(name for entry in entries for name in entry.values))
    return [name for name in SHOWN if name in found] or found[:8]


def _units(entries: Sequence[Entry]) -> dict[str, str]:
    return {one["name"]: str(one["unit"]) for entry in entries for one in rows_of(entry.measures)}


def _many(entries: Sequence[Entry], name: str) -> bool:
    return sum(name in entry.values for entry in entries) > 2


def _histogram(entries: Sequence[Entry], name: str) -> Markup:
    return Markup(histogram([entry.values[name] for entry in entries if name in entry.values]))


def _table(entries: Sequence[Entry]) -> str:
    """All scans as CSV, sorted by name: value, interval, and ``CELLS`` of each measure."""
    rows = []
    for entry in sorted(entries, key=lambda entry: entry.name):
        measures, phases = entry.measures, entry.measures.get("phases") or {}
        row = {"subject": measures.get("subject") or entry.name, "scan": entry.name}
        row |= {word: phases.get(word) for word in ("ED", "ES")}
        row |= {key: measures.get(key) for key in ("heart_rate", "body_surface_area", "sex", "interval_level")}
        row |= {key: entry.quality.get(key) for key in ("predicted_dice", "trusted")}
        row["flags"] = " ".join(str(flag.get("name", "")) for flag in entry.quality.get("flags") or [])
        row["labels"] = entry.labels
        row["error"] = entry.error
        row = {key: _plain(value) for key, value in row.items()}
        for one in rows_of(measures):
            row[one["name"]] = one["value"]
            row |= {f"{one['name']}_{key}": one[key] for key in CELLS}
        rows.append(row)
    return csv_text(rows)


def _plain(value: object) -> object:
    """Text that no spreadsheet reads as a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@" and value else value
