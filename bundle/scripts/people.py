"""What is known of the people behind the scans: height, weight, sex, heart rate, from a CSV file."""

from __future__ import annotations

import csv
from pathlib import Path

from scripts.errors import InputError

#: Numbers of a person, with the least and the most that can be meant.
NUMBERS = {"height": (50.0, 260.0), "weight": (2.0, 400.0), "heart_rate": (20.0, 300.0)}
COLUMNS = ("scan", *NUMBERS, "sex")


def people_of(file: str | None) -> dict[str, dict[str, float | str | None]]:
    """Height (cm), weight (kg), heart rate (beats a minute) and sex (F, M) by scan.

    Args:
        file: CSV with a column ``scan`` (the name of its result folder or its subject) and any of the others; None for
            none. An empty cell is not known.

    Returns:
        of each scan all four, None where not known.

    Raises:
        InputError: the file is missing, has no column ``scan`` or an unknown one, names a scan twice, or holds a value
            that cannot be.
    """
    if file is None:
        return {}
    if not Path(file).is_file():
        raise InputError(f"{file}: there is no such file; give a CSV file with the columns {', '.join(COLUMNS)}")
    with open(file, newline="", encoding="utf-8-sig") as stream:
        rows = list(csv.DictReader(stream))
    columns = set(rows[0]) if rows else set()
    if "scan" not in columns or not columns <= set(COLUMNS):
        raise InputError(
            f"{file}: its columns must be scan and any of {', '.join(COLUMNS[1:])}; correct its first line"
        )
    found: dict[str, dict] = {}
    for row in rows:
        scan = (row["scan"] or "").strip()
        if scan in found:
            raise InputError(f"{file}: names the scan {scan} twice; remove one line")
        found[scan] = {**{name: _number(file, scan, name, row.get(name)) for name in NUMBERS}, "sex": _sex(file, row)}
    return found


def _number(file: str, scan: str, name: str, text: str | None) -> float | None:
    if not (text or "").strip():
        return None
    low, high = NUMBERS[name]
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise InputError(
            f"{file}: the {name} of {scan} is '{text}'; give a number from {low:g} to {high:g}, or nothing"
        )
    return value


def _sex(file: str, row: dict) -> str | None:
    text = (row.get("sex") or "").strip().upper()
    if text not in ("", "F", "M"):
        raise InputError(f"{file}: the sex of {row['scan']} is '{row['sex']}'; write F, M or nothing")
    return text or None
