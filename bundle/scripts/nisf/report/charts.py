"""Charts of a page as SVG text: volume curves with their bands, the bull's eye of the wall, small histograms."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
from matplotlib import colormaps

from nisf.plots.style import LABELS, class_colour

#: Size of the curves' chart and its margins: left, right, top, bottom.
WIDTH, HEIGHT, INSIDE = 480, 330, (44, 12, 26, 40)


#: mm of the wall that have the palest and the darkest colour, the same in every report.
WALL = (4.0, 16.0)


#: Inner and outer radius of the bull's eye's rings, and the direction in degrees of their segments' middles.
RINGS = (
    (104, 148, (90, 150, 210, 270, 330, 30)),
    (62, 104, (90, 150, 210, 270, 330, 30)),
    (20, 62, (90, 180, 270, 0)),
)


def colour_of(name: str, position: int = 0) -> str:
    """Colour of a class by its name, or by its place among others."""
    known = {word: number for number, word in LABELS.items()}
    return class_colour(known.get(name, position + 1))


def curves_chart(curves: Mapping, marks: Mapping[str, float], frame_times: Sequence[float]) -> str:
    """Volumes through the cycle with their 95% bands, dots by slices, and a line that the page moves (``.playhead``).

    Args:
        curves: of measures.json.
        marks: word to fraction of the cycle, drawn as vertical lines.
        frame_times: fractions of the cycle of the scan's own frames, at which ``by_slices`` stand.
    """
    curves = closed(curves)
    names = names_of(curves)
    time = np.asarray(curves["time"], dtype=float)
    long = float(curves["seconds"][-1]) * 1000 if curves.get("seconds") else 100.0
    highest = max(max(_known(curves[name].get("high")) or _known(curves[name]["value"])) for name in names)
    ticks = _ticks(highest)
    left, right, top, bottom = INSIDE

    def x(t: float) -> float:
        return left + t * (WIDTH - left - right)

    def y(v: float) -> float:
        return HEIGHT - bottom - v / ticks[-1] * (HEIGHT - top - bottom)

    parts = [_axis_lines(ticks, x, y, long, bool(curves.get("seconds")))]
    for word, t in marks.items():
        parts.append(f'<line class="mark" x1="{x(t):.1f}" x2="{x(t):.1f}" y1="{top}" y2="{HEIGHT - bottom}"/>')
        parts.append(f'<text class="word" x="{x(t) + 4:.1f}" y="{top + 10}">{escape(word)}</text>')
    parts += [_curve(curves[name], name, i, time, frame_times, x, y) for i, name in enumerate(names)]
    parts.append(f'<line class="playhead" x1="{left}" x2="{left}" y1="{top}" y2="{HEIGHT - bottom}"/>')
    parts += _legend(names)
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" data-left="{left}" data-width="{WIDTH - left - right}"'
    return f'<svg class="curves" {size} role="img" aria-label="volume through the cycle">{"".join(parts)}</svg>'


def names_of(curves: Mapping) -> list[str]:
    """Names of the classes that have a curve."""
    return [name for name, values in curves.items() if isinstance(values, Mapping) and values.get("value")]


def closed(curves: Mapping) -> dict:
    """Curves of measures.json with the first moment again at the end of the cycle, where they stop before it."""
    time, seconds = list(curves["time"]), curves.get("seconds")
    if time[-1] >= 1:
        return dict(curves)
    found = {"time": [*time, 1.0], "seconds": [*seconds, seconds[-1] / time[-1]] if seconds and time[-1] > 0 else None}
    for name in names_of(curves):
        values = curves[name]
        ends = {end: [*values[end], values[end][0]] for end in ("value", "low", "high") if values.get(end)}
        found[name] = {**values, **ends}
    return found


def _axis_lines(ticks: Sequence[float], x, y, long: float, seconds: bool) -> str:
    parts = []
    for value in ticks:
        parts.append(f'<line class="rule" x1="{x(0)}" x2="{x(1)}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>')
        parts.append(f'<text class="tick" x="{x(0) - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:g}</text>')
    for at in (at for at in _ticks(long) if at <= 1.001 * long):
        place = f'x="{x(at / long):.1f}" y="{y(0) + 17:.1f}"'
        parts.append(f'<text class="tick" {place} text-anchor="middle">{at:g}</text>')
    words = "time, ms" if seconds else "part of the cycle, %"
    parts.append(f'<text class="tick" x="{x(0.5)}" y="{y(0) + 34:.1f}" text-anchor="middle">{words}</text>')
    parts.append('<text class="tick" x="6" y="14">mL</text>')
    return "".join(parts)


def _curve(values: Mapping, name: str, place: int, time: np.ndarray, frame_times: Sequence[float], x, y) -> str:
    colour = colour_of(name, place)
    parts = []
    if has_band(values):
        edge = [(t, v) for t, v in zip(time, values["high"])] + [(t, v) for t, v in zip(time, values["low"])][::-1]
        points = " ".join(f"{x(t):.1f},{y(v):.1f}" for t, v in edge)
        parts.append(f'<polygon points="{points}" fill="{colour}" opacity="0.22"/>')
    points = " ".join(f"{x(t):.1f},{y(v):.1f}" for t, v in zip(time, values["value"]))
    parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
    for t, v in zip(frame_times, values.get("by_slices") or []):
        if v is not None:
            parts.append(f'<circle cx="{x(t):.1f}" cy="{y(v):.1f}" r="2.2" fill="#fff" stroke="{colour}"/>')
    return "".join(parts)


def has_band(values: Mapping) -> bool:
    """Whether a curve has an interval at every moment."""
    return all(values.get(end) and None not in values[end] for end in ("low", "high"))


def _legend(names: Sequence[str]) -> list[str]:
    parts, place = [], 70
    for i, name in enumerate(names):
        parts.append(f'<rect x="{place}" y="7" width="12" height="4" fill="{colour_of(name, i)}"/>')
        parts.append(f'<text class="tick" x="{place + 17}" y="14">{escape(name)}</text>')
        place += 35 + 8 * len(name)
    return parts


def _known(values: Sequence | None) -> list[float]:
    """The numbers of a list that may be missing or hold None."""
    return [v for v in values or [] if v is not None]


def _ticks(highest: float) -> list[float]:
    """From 0 to just above the highest value, in four to eight round steps."""
    rough = max(highest, 1e-6) / 5
    power = 10 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough)
    return [step * i for i in range(math.ceil(highest / step * 1.001) + 1)]


def bulls_eye(segments: Sequence[Mapping], unit: str = "mm") -> str:
    """The 16 segments of the wall (Cerqueira et al., Circulation 2002, doi:10.1161/hc0402.102975): base outside.

    Args:
        segments: of measures.json, each with ``segment`` 1 to 16, ``name``, ``value`` and perhaps ``low``, ``high``.
    """
    by_number = {int(one["segment"]): one for one in segments}
    parts, number = [], 1
    for inner, outer, middles in RINGS:
        for middle in middles:
            if number in by_number:
                parts.append(_segment(by_number[number], inner, outer, middle, 360 / len(middles), unit))
            number += 1
    words = (("anterior", 160, 10, "middle"), ("inferior", 160, 318, "middle"))
    parts += [f'<text class="tick" x="{x}" y="{y}" text-anchor="{to}">{w}</text>' for w, x, y, to in words]
    for word, x, turn in (("septal", 7, -90), ("lateral", 313, 90)):
        parts.append(
            f'<text class="tick" text-anchor="middle" transform="translate({x} 160) rotate({turn})">{word}</text>'
        )
    return f'<svg class="eye" viewBox="-4 -4 328 328" role="img" aria-label="wall thickness">{"".join(parts)}</svg>'


def _segment(one: Mapping, inner: float, outer: float, middle: float, width: float, unit: str) -> str:
    a, b = math.radians(middle - width / 2), math.radians(middle + width / 2)

    def at(radius: float, angle: float) -> str:
        return f"{160 + radius * math.cos(angle):.1f} {160 - radius * math.sin(angle):.1f}"

    path = f"M{at(outer, a)}A{outer} {outer} 0 0 0 {at(outer, b)}L{at(inner, b)}A{inner} {inner} 0 0 1 {at(inner, a)}Z"
    value = one.get("value")
    fill, ink = ("#e8eaee", "#555") if value is None else wall_colour(float(value))
    said = "not known" if value is None else f"{value:.1f} {unit}"
    if value is not None and one.get("low") is not None and one.get("high") is not None:
        said += f" (95% interval {one['low']:.1f} to {one['high']:.1f})"
    title = escape(f"{one['segment']} {one.get('name', '')}: {said}")
    x, y = at((inner + outer) / 2, math.radians(middle)).split()
    text = "–" if value is None else f"{value:.1f}"
    return (
        f'<g><title>{title}</title><path d="{path}" fill="{fill}" stroke="#fff" stroke-width="2"/>'
        f'<text x="{x}" y="{float(y) + 5:.1f}" text-anchor="middle" fill="{ink}">{text}</text></g>'
    )


def wall_colour(value: float) -> tuple[str, str]:
    """Fill and ink of a thickness in mm."""
    share = min(max((value - WALL[0]) / (WALL[1] - WALL[0]), 0.0), 1.0)
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
