"""Measures of label files that were corrected by hand: slice sums in place of the fitted function's values."""

from __future__ import annotations

from collections.abc import Mapping

#: What a measure was taken from.
LABELS, FUNCTION = "labels", "function"


def with_origin(found: Mapping, corrected: bool) -> dict:
    """Measures as from ``measure``, each with its ``of``: ``function``, or ``labels`` where these were corrected.

    A measure of corrected labels is its value ``by_slices``. It has no interval: the posterior is that of the function.
    Peak rates, curves and wall thickness stay the function's, which does not know of the correction.
    """
    area = found["body_surface_area"]
    rows = [_row(row, area, corrected and row["by_slices"] is not None) for row in found["measures"]]
    calibrated = any(row["interval"] == "calibrated" for row in rows)
    return {**found, "measures": rows, "interval": "calibrated" if calibrated else "posterior"}


def _row(row: Mapping, area: float | None, of_labels: bool) -> dict:
    if not of_labels:
        return {**row, "of": FUNCTION}
    value = row["by_slices"]
    indexed = value / area if row["indexed"] is not None and area else None
    return {**row, "value": value, "low": None, "high": None, "interval": None, "indexed": indexed, "of": LABELS}
