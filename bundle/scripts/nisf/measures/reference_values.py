"""A user's own reference values of scans, from a CSV file."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

from nisf.measures.cardiac import TITLES
from nisf.utils.errors import InputError
from nisf.utils.text import table_text


def reference_values(file: str | Path) -> dict[str, dict[str, float]]:
    """Reference values by scan and measure.

    Args:
        file: CSV file with a column ``scan`` (the name of its result folder) and columns named as measures, in the
            units of ``measures.json``. Other columns are not read; an empty cell means unknown.

    Raises:
        InputError: the file is missing, has no column ``scan`` or none of a measure, names a scan twice, or holds
            something else than a number.
    """
    if not Path(file).is_file():
        raise InputError(f"{file}: there is no such file; give a CSV file with a column scan and columns as LVEF")
    reader = csv.DictReader(io.StringIO(table_text(file), newline=""))
    names = [name for name in reader.fieldnames or [] if name in TITLES]
    if "scan" not in (reader.fieldnames or []) or not names:
        raise InputError(f"{file}: needs a column scan and one or more of {', '.join(TITLES)}; correct its first line")
    found: dict[str, dict[str, float]] = {}
    for row in reader:
        scan = (row["scan"] or "").strip()
        if scan in found:
            raise InputError(f"{file}: names the scan {scan} twice; remove one line")
        cells = {name: (row[name] or "").strip() for name in names}
        found[scan] = {name: _number(file, scan, name, cell) for name, cell in cells.items() if cell}
    return found


def _number(file: str | Path, scan: str, name: str, cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{file}: the {name} of {scan} is '{cell}'; give a number, or nothing")
    return value
