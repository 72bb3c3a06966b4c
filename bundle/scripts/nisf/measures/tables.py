"""Measures as files: JSON with everything, CSV with one row per measure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from nisf.measures.by_labels import FUNCTION
from nisf.utils.files import write_text
from nisf.utils.text import csv_text

COLUMNS = (
    *("name", "title", "unit", "value", "low", "high", "convention", "interval"),
    *("whole_heart", "whole_heart_low", "whole_heart_high", "by_slices", "indexed", "indexed_unit", "of"),
)


def write_measures(found: Mapping, folder: str | Path) -> tuple[Path, Path]:
    """Writes ``measures.json`` and ``measures.csv`` of one scan into its folder; returns their paths.

    Args:
        found: result of ``measure.measure_folder``.
        folder: folder of the scan.
    """
    folder = Path(folder)
    rows = [*found["measures"], *thickness_rows(found), *motion_rows(found)]
    first = write_text(folder / "measures.json", json.dumps(found, indent=1, allow_nan=False) + "\n")
    return first, write_text(folder / "measures.csv", csv_text(rows, COLUMNS))


def thickness_rows(found: Mapping) -> list[dict]:
    """The segments' thickness as rows like those of ``measures``, named WT1 to WT16."""
    wall = found.get("wall_thickness")
    return [
        {
            **row,
            "name": f"WT{row['segment']}",
            "title": f"wall thickness, {row['name']}",
            "unit": wall["unit"],
            "convention": wall["convention"],
            "of": FUNCTION,
        }
        for row in (wall["segments"] if wall else [])
    ]


def motion_rows(found: Mapping) -> list[dict]:
    """The segments' thickening and inward motion as such rows, named WTK1 to WTK16 and WM1 to WM16."""
    wall = found.get("wall_motion")
    return [
        {
            "name": f"{short}{row['segment']}",
            "title": f"{title}, {row['name']}",
            "unit": wall["units"][key],
            "value": row[key],
            "convention": wall["convention"],
            "of": FUNCTION,
        }
        for short, key, title in (("WTK", "thickening", "wall thickening"), ("WM", "motion", "inward wall motion"))
        for row in (wall["segments"] if wall else [])
    ]
