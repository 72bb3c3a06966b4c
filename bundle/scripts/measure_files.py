"""Measures as files: JSON with everything, CSV with a row a measure, CSV of many scans with a row a scan."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from scripts.files import write_text

COLUMNS = ("name", "title", "unit", "value", "low", "high", "by_slices", "indexed", "indexed_unit", "interval")


def write_measures(found: Mapping, folder: str | Path) -> tuple[Path, Path]:
    """Writes ``measures.json`` and ``measures.csv`` of one scan into its folder; returns their paths.

    Args:
        found: what ``measures.measure_folder`` gives.
        folder: of the scan.
    """
    folder = Path(folder)
    rows = [*found["measures"], *thickness_rows(found)]
    first = write_text(folder / "measures.json", json.dumps(found, indent=1, allow_nan=False) + "\n")
    return first, write_text(folder / "measures.csv", _table(COLUMNS, rows))


def thickness_rows(found: Mapping) -> list[dict]:
    """The segments' thickness as rows like those of ``measures``; named WT1 to WT16."""
    wall = found.get("wall_thickness")
    return [
        {**row, "name": f"WT{row['segment']}", "title": f"wall thickness, {row['name']}", "unit": wall["unit"]}
        for row in (wall["segments"] if wall else [])
    ]


def write_table(scans: Sequence[Mapping], path: str | Path) -> Path:
    """Writes one CSV of many scans, a row each; returns its path.

    Columns: subject, scan, ED and ES frame, then each measure with its unit, its interval's ends and its indexed value.
    """
    rows, columns = [], ["subject", "scan", "ED_frame", "ES_frame"]
    for scan in scans:
        row = {"subject": scan["subject"], "scan": scan["scan"]}
        row |= {f"{phase}_frame": frame for phase, frame in scan["phases"].items()}
        for one in [*scan["measures"], *thickness_rows(scan)]:
            name = f"{one['name']} ({one['unit']})"
            row |= {name: one["value"], f"{name} low": one["low"], f"{name} high": one["high"]}
            if one.get("indexed") is not None:
                row[f"{one['name']} ({one['indexed_unit']})"] = one["indexed"]
        columns += [name for name in row if name not in columns]
        rows.append(row)
    return write_text(path, _table(columns, rows))


def _table(columns: Sequence[str], rows: Sequence[Mapping]) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
