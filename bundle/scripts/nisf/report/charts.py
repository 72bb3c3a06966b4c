"""Charts of a page as SVG text: bull's eye of the wall, small histograms.

Not drawn by matplotlib, because each segment and each bar has a title, shown on hover.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
from matplotlib import colormaps

#: Values of the palest and the darkest colour, the same in every report: thickness of the wall in mm, thickening in per
#: cent, motion in mm.
THICKNESS, THICKENING, MOTION = (4.0, 16.0), (0.0, 100.0), (0.0, 12.0)

#: Inner and outer radius of the bull's eye's rings, and the direction in degrees of their segments' middles.
RINGS = (
    (104, 148, (90, 150, 210, 270, 330, 30)),
    (62, 104, (90, 150, 210, 270, 330, 30)),
    (20, 62, (90, 180, 270, 0)),
)


def bulls_eye(
    segments: Sequence[Mapping],
    unit: str = "mm",
    key: str = "value",
    limits: tuple[float, float] = THICKNESS,
    label: str = "wall thickness",
) -> str:
    """The 16 segments of the wall (Cerqueira et al., Circulation 2002, doi:10.1161/hc0402.102975): base outside.

    Args:
        segments: entries of measures.json, each with ``segment`` 1 to 16, ``name``, ``key``, maybe ``low``, ``high``.
        unit: unit of the values.
        key: key of the value in an entry.
        limits: values of the palest and the darkest colour.
        label: what is shown, for who cannot see it.
    """
    by_number = {int(one["segment"]): one for one in segments}
    parts, number = [], 1
    for inner, outer, middles in RINGS:
        for middle in middles:
            if number in by_number:
                one = by_number[number]
                value = None if one.get(key) is None else float(one[key])
                colours = ("#e8eaee", "#555") if value is None else wall_colour(value, limits)
                place = (inner, outer, middle, 360 / len(middles))
                parts.append(_segment(place, _said(one, value, unit), _short(value, unit), colours))
            number += 1
    words = (("anterior", 160, 10, "middle"), ("inferior", 160, 318, "middle"))
    parts += [f'<text class="tick" x="{x}" y="{y}" text-anchor="{to}">{w}</text>' for w, x, y, to in words]
    for word, x, turn in (("septal", 7, -90), ("lateral", 313, 90)):
        parts.append(
            f'<text class="tick" text-anchor="middle" transform="translate({x} 160) rotate({turn})">{word}</text>'
        )
    return f'<svg class="eye" viewBox="-4 -4 328 328" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def _said(one: Mapping, value: float | None, unit: str) -> str:
    """The words shown when a segment is touched."""
    said = "not known" if value is None else f"{_short(value, unit)} {unit}"
    if value is not None and one.get("low") is not None and one.get("high") is not None:
        said += f" (95% interval {one['low']:.1f} to {one['high']:.1f})"
    return f"{one['segment']} {one.get('name', '')}: {said}"


def _short(value: float | None, unit: str) -> str:
    """A value as it is written in its segment."""
    return "–" if value is None else f"{value:.{0 if unit == '%' else 1}f}"


def _segment(place: tuple[float, float, float, float], said: str, text: str, colours: tuple[str, str]) -> str:
    """One segment: ``place`` is its inner and outer radius, the direction of its middle, and its width in degrees."""
    inner, outer, middle, width = place
    a, b = math.radians(middle - width / 2), math.radians(middle + width / 2)

    def at(radius: float, angle: float) -> str:
        return f"{160 + radius * math.cos(angle):.1f} {160 - radius * math.sin(angle):.1f}"

    path = f"M{at(outer, a)}A{outer} {outer} 0 0 0 {at(outer, b)}L{at(inner, b)}A{inner} {inner} 0 0 1 {at(inner, a)}Z"
    x, y = at((inner + outer) / 2, math.radians(middle)).split()
    fill, ink = colours
    return (
        f'<g fill="{ink}"><title>{escape(said)}</title><path d="{path}" fill="{fill}" stroke="#fff" stroke-width="2"/>'
        f'<text x="{x}" y="{float(y) + 5:.1f}" text-anchor="middle">{text}</text></g>'
    )


def wall_colour(value: float, limits: tuple[float, float] = THICKNESS) -> tuple[str, str]:
    """Fill and ink of a value of the wall, see ``bulls_eye``."""
    share = min(max((value - limits[0]) / (limits[1] - limits[0]), 0.0), 1.0)
    red, green, blue, _ = colormaps["YlGnBu"](0.08 + 0.87 * share)
    light = 0.3 * red + 0.59 * green + 0.11 * blue
    return f"#{int(red * 255):02x}{int(green * 255):02x}{int(blue * 255):02x}", "#14202b" if light > 0.55 else "#fff"


def histogram(values: Sequence[float], marked: float | None = None, bins: int = 12) -> str:
    """A small histogram; the bar that holds ``marked`` stands out."""
    counts, edges = np.histogram(values, bins=min(bins, max(4, len(set(values)))))
    width, parts = 160 / len(counts), []
    for i, count in enumerate(counts):
        height = 44 * count / max(counts.max(), 1)
        held = marked is not None and edges[i] <= marked <= edges[i + 1]
        title = f"{edges[i]:.4g} to {edges[i + 1]:.4g}: {count}"
        parts.append(
            f'<rect class="{"held" if held else "bar"}" x="{i * width + 1:.1f}" y="{46 - height:.1f}" '
            f'width="{width - 2:.1f}" height="{height:.1f}"><title>{title}</title></rect>'
        )
    ends = f'<text x="0" y="60">{edges[0]:.3g}</text><text x="160" y="60" text-anchor="end">{edges[-1]:.3g}</text>'
    return f'<svg class="histogram" viewBox="0 0 160 64" role="img">{"".join(parts)}{ends}</svg>'
