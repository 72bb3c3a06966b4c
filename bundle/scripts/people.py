"""What is known of the people behind the scans: height, weight, sex, heart rate, from a CSV file."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from scripts.errors import InputError

#: Numbers of a person, with the least and the most that can be meant.
NUMBERS = {"height": (50.0, 260.0), "weight": (2.0, 400.0), "heart_rate": (20.0, 300.0)}
COLUMNS = ("scan", *NUMBERS, "sex")

Person = dict[str, float | str]


def people_of(file: str | None) -> dict[str, Person]:
    """Height (cm), weight (kg), heart rate (beats a minute) and sex (F, M) by scan.

    Args:
        file: CSV with a column ``scan`` (the name of its result folder) and any of the others; None for none. An empty
            cell is not known.

    Returns:
        of each scan what is known.

    Raises:
        InputError: the file is missing, has no column ``scan`` or an unknown one, names a scan twice, or holds a value
            that cannot be.
    """
    if file is None:
        return {}
    if not Path(file).is_file():
        raise InputError(f"{file}: there is no such file; give a CSV file with the columns {', '.join(COLUMNS)}")
    with open(file, newline="", encoding="utf-8-sig") as stream:
        reader = csv.DictReader(stream)
        rows, columns = list(reader), set(reader.fieldnames or [])
    if "scan" not in columns or not columns <= set(COLUMNS):
        raise InputError(
            f"{file}: its columns must be scan and any of {', '.join(COLUMNS[1:])}; correct its first line"
        )
    found: dict[str, Person] = {}
    for row in rows:
        scan = (row.pop("scan") or "").strip()
        if scan in found:
            raise InputError(f"{file}: names the scan {scan} twice; remove one line")
        found[scan] = checked(file, scan, row)
    return found


def checked(source: str, scan: str, person: Mapping[str, object]) -> Person:
    """The numbers as numbers, without what is not known (None or empty).

    Raises:
        InputError: a value cannot be; the message names ``source`` and ``scan``.
    """
    given = {name: str(value).strip() for name, value in person.items() if value is not None and str(value).strip()}
    return {name: _value(source, scan, name, text) for name, text in given.items()}


def _value(source: str, scan: str, name: str, text: str) -> float | str:
    if name == "sex":
        if text.upper() not in ("F", "M"):
            raise InputError(f"{source}: the sex of {scan} is '{text}'; write F, M or nothing")
        return text.upper()
    low, high = NUMBERS[name]
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise InputError(
            f"{source}: the {name} of {scan} is '{text}'; give a number from {low:g} to {high:g}, or nothing"
        )
    return value
