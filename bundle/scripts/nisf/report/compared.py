"""A cohort's measures against a user's reference values: Bland-Altman plots and a table for the page of all scans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
from markupsafe import Markup

from nisf.measures.agreement import Agreement, agreement
from nisf.measures.cardiac import TITLES
from nisf.report.page import number, rows_of

#: Width and height of a plot, and the margins about its axes: left, right, top, bottom.
SIZE, INSIDE = (320, 210), (46, 10, 12, 36)


def compared(measures: Mapping[str, Mapping], references: Mapping[str, Mapping[str, float]]) -> list[dict]:
    """Every measure with three pairs or more.

    Each has ``name``, ``unit``, ``agreement``, ``bias`` as text, the share ``held`` by intervals, and ``plot``.

    Args:
        measures: name of a scan to its measures.json.
        references: name of a scan to its reference values, see ``measures.reference_values``.
    """
    found = []
    for name in TITLES:
        pairs = [
            (scan, row, references[scan][name])
            for scan, one in measures.items()
            for row in rows_of(one)
            if row["name"] == name and row["value"] is not None and name in references.get(scan, {})
        ]
        agreed = agreement([row["value"] for _, row, _ in pairs], [known for *_, known in pairs])
        if agreed is None:
            continue
        ranges = [(row["low"], row["high"], known) for _, row, known in pairs if row["low"] is not None]
        held = float(np.mean([low <= known <= high for low, high, known in ranges])) if ranges else None
        points = [(scan, (row["value"] + known) / 2, row["value"] - known) for scan, row, known in pairs]
        unit = TITLES[name][1]
        plot = Markup(bland_altman(points, agreed, unit))
        bias = signed(agreed.bias, agreed)
        found.append({"name": name, "unit": unit, "agreement": agreed, "bias": bias, "held": held, "plot": plot})
    return found


def bland_altman(points: Sequence[tuple[str, float, float]], agreed: Agreement, unit: str) -> str:
    """SVG of differences against means with bias and limits; each point has its scan, mean and difference as a title.

    Args:
        points: scan, mean of value and reference, value - reference.
        agreed: their agreement.
        unit: unit of the measure.
    """
    (width, height), (left, right, top, bottom) = SIZE, INSIDE
    means, apart = (np.array([point[k] for point in points]) for k in (1, 2))
    lines = [agreed.bias - agreed.limits, agreed.bias, agreed.bias + agreed.limits]
    low, high = min(apart.min(), lines[0], 0), max(apart.max(), lines[2], 0)
    pad_y, pad_x = 0.08 * max(high - low, 1e-6), 0.06 * max(np.ptp(means), 1e-6)
    ends_x, ends_y = (means.min() - pad_x, means.max() + pad_x), (low - pad_y, high + pad_y)

    def x(value: float) -> float:
        return left + (value - ends_x[0]) / (ends_x[1] - ends_x[0]) * (width - left - right)

    def y(value: float) -> float:
        return top + (ends_y[1] - value) / (ends_y[1] - ends_y[0]) * (height - top - bottom)

    parts = [f'<line class="zero" x1="{left}" x2="{width - right}" y1="{y(0):.1f}" y2="{y(0):.1f}"/>']
    for kind, level in zip(("limit", "bias", "limit"), lines):
        parts.append(f'<line class="{kind}" x1="{left}" x2="{width - right}" y1="{y(level):.1f}" y2="{y(level):.1f}"/>')
        parts.append(
            f'<text class="tick" x="{left - 5}" y="{y(level) + 4:.1f}" text-anchor="end">{signed(level, agreed)}</text>'
        )
    for scan, mean, difference in points:
        title = escape(f"{scan}: mean {number(mean)} {unit}, difference {signed(difference, agreed)} {unit}")
        parts.append(f'<circle cx="{x(mean):.1f}" cy="{y(difference):.1f}" r="4"><title>{title}</title></circle>')
    for value, anchor in ((means.min(), "start"), (means.max(), "end")):
        at = left if anchor == "start" else width - right
        parts.append(f'<text class="tick" x="{at}" y="{height - 18}" text-anchor="{anchor}">{number(value)}</text>')
    middle = (left + width - right) / 2
    parts.append(f'<text class="tick" x="{middle}" y="{height - 4}" text-anchor="middle">mean of both, {unit}</text>')
    return f'<svg class="agreement" viewBox="0 0 {width} {height}" role="img">{"".join(parts)}</svg>'


def signed(value: float, agreed: Agreement) -> str:
    """A difference as text with its sign; decimals by the width of the limits."""
    digits = 1 if agreed.limits < 20 else 0
    return f"{round(value, digits) + 0.0:+.{digits}f}"  # no minus before a zero
