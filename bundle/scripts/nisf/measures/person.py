"""Height, weight, sex and heart rate of the scanned people, from a CSV file."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nisf.utils.errors import InputError
from nisf.utils.text import table_text


@dataclass(frozen=True)
class Person:
    """Data of a person that a scan does not show; None if unknown.

    Attributes:
        height_cm, weight_kg: height and weight, for the body surface area.
        heart_rate: beats per minute.
        sex: sex, F or M.
    """

    height_cm: float | None = None
    weight_kg: float | None = None
    heart_rate: float | None = None
    sex: str | None = None

    @classmethod
    def of(cls, kept: Mapping[str, object], given: Mapping[str, object]) -> Person:
        """The data in a latent file (by attribute name), overridden by those of ``people_of``."""
        names = {"height": "height_cm", "weight": "weight_kg"}
        return cls(**{**kept, **{names.get(name, name): value for name, value in given.items()}})

    def surface(self) -> float | None:
        """Body surface area in m2 (Mosteller); None if height or weight is unknown.

        Raises:
            InputError: height in cm or weight in kg is impossible.
        """
        if self.height_cm is None or self.weight_kg is None:
            return None
        if not 20 <= self.height_cm <= 260 or not 0.3 <= self.weight_kg <= 500:
            raise InputError(
                f"a height of {self.height_cm} cm and a weight of {self.weight_kg} kg are impossible; give cm and kg"
            )
        return float(np.sqrt(self.height_cm * self.weight_kg / 3600))


#: Numbers of a person, with their minimum and maximum.
LIMITS = {"height": (50.0, 260.0), "weight": (2.0, 400.0), "heart_rate": (20.0, 300.0)}

COLUMNS = ("scan", *LIMITS, "sex")


def people_of(file: str | None) -> dict[str, dict[str, float | str]]:
    """Height (cm), weight (kg), heart rate (beats per minute) and sex (F, M) by scan.

    Args:
        file: CSV file with a column ``scan`` (the name of its result folder) and any of the others; None for none. An
            empty cell means unknown.

    Returns:
        the known values of each scan.

    Raises:
        InputError: the file is missing, has no column ``scan`` or an unknown one, names a scan twice, or contains an
            impossible value.
    """
    if file is None:
        return {}
    if not Path(file).is_file():
        raise InputError(f"{file}: there is no such file; give a CSV file with the columns {', '.join(COLUMNS)}")
    reader = csv.DictReader(io.StringIO(table_text(file), newline=""), restkey="")
    columns = {name for name in reader.fieldnames or [] if name}  # a comma at the end of a line names no column
    rows = list(reader)
    if "scan" not in columns or not columns <= set(COLUMNS):
        raise InputError(
            f"{file}: its columns must be scan and any of {', '.join(COLUMNS[1:])}; correct its first line"
        )
    found: dict[str, dict[str, float | str]] = {}
    for row in rows:
        scan, spare = (row.pop("scan") or "").strip(), row.pop("", None) or []
        if any(cell.strip() for cell in spare):  # a text or a list of texts
            raise InputError(f"{file}: the line of {scan} has more cells than the first line; correct it")
        if scan in found:
            raise InputError(f"{file}: names the scan {scan} twice; remove one line")
        found[scan] = checked(file, scan, row)
    return found


def checked(source: str, scan: str, person: Mapping[str, object]) -> dict[str, float | str]:
    """The values parsed, without unknown ones (None or empty).

    Raises:
        InputError: a value is impossible; the message names ``source`` and ``scan``.
    """
    given = {name: str(value).strip() for name, value in person.items() if value is not None and str(value).strip()}
    return {name: _value(source, scan, name, text) for name, text in given.items()}


def _value(source: str, scan: str, name: str, text: str) -> float | str:
    if name == "sex":
        if text.upper() not in ("F", "M"):
            raise InputError(f"{source}: the sex of {scan} is '{text}'; write F, M or nothing")
        return text.upper()
    low, high = LIMITS[name]
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise InputError(
            f"{source}: the {name} of {scan} is '{text}'; give a number from {low:g} to {high:g}, or nothing"
        )
    return value
