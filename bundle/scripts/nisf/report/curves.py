"""Volume curves over the cycle: drawn on axes, and as SVG for a page."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nisf.plots.style import LABELS, class_colour, plain_text

#: Size of a page's chart and the margins about its axes: left, right, top, bottom.
WIDTH, HEIGHT, INSIDE = 480, 330, (44, 12, 26, 44)


def draw_curves(
    ax: Axes, curves: Mapping, marks: Mapping[str, float] | None = None, frame_times: Sequence[float] = ()
) -> None:
    """Draws volumes over the cycle with the bands of their intervals, and dots for the volumes by slices.

    Args:
        ax: empty axes.
        curves: entry of measures.json.
        marks: word to fraction of the cycle, drawn as vertical lines.
        frame_times: fractions of the cycle of the scan's frames, to which ``by_slices`` belongs.
    """
    curves = closed(curves)
    names, seconds = names_of(curves), curves.get("seconds")
    long = 1000 * float(seconds[-1]) if seconds else 100.0
    time = long * np.asarray(curves["time"], dtype=float)
    for i, name in enumerate(names):
        values, colour = curves[name], colour_of(name, i)
        ax.plot(time, values["value"], color=colour, linewidth=2, label=plain_text(name))
        if has_band(values):
            low, high = (np.asarray(values[end], dtype=float) for end in ("low", "high"))
            ax.fill_between(time, low, high, color=colour, alpha=0.22, linewidth=0)
        dots = np.array(list(zip(frame_times, values.get("by_slices") or [])), dtype=float)
        if len(dots):
            ax.plot(long * dots[:, 0], dots[:, 1], "o", color=colour, markerfacecolor="white", ms=4.5, clip_on=False)
    for word, t in (marks or {}).items():
        ax.axvline(long * t, color="#8b96a1", linestyle="--", linewidth=1)
        place = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points", "weight": "bold"}
        ax.annotate(plain_text(word), (long * t, 1), xytext=(4, -10), **place)
    ax.set(xlabel="time, ms" if seconds else "part of the cycle, %", xlim=(0, long))
    ax.set_ylim(bottom=0)
    ax.text(0, 1.03, curves.get("unit", "mL").split()[0], ha="right", transform=ax.transAxes)
    ax.locator_params(nbins=6)
    ax.set_axisbelow(True)
    ax.grid(color="#e6e9ed", axis="y")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.legend(
        loc="lower left",
        bbox_to_anchor=(0.03, 0.98),
        borderaxespad=0.1,
        ncols=len(names),
        frameon=False,
        handlelength=1,
    )


def curves_svg(curves: Mapping, marks: Mapping[str, float], frame_times: Sequence[float]) -> str:
    """``draw_curves`` as SVG text, with a line that the page moves (``.playhead``) from ``data-left`` to the right."""
    left, right, top, bottom = INSIDE
    width, height = WIDTH - left - right, HEIGHT - top - bottom
    figure, out = Figure(figsize=(WIDTH / 72, HEIGHT / 72)), io.StringIO()  # 72 units of the SVG are an inch
    with rc_context({"svg.fonttype": "none", "font.size": 12}):
        ax = figure.add_axes((left / WIDTH, bottom / HEIGHT, width / WIDTH, height / HEIGHT))
        draw_curves(ax, curves, marks, frame_times)
        unsaid = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(out, format="svg", transparent=True, metadata=unsaid)
    drawn = out.getvalue().replace("xlink:href", "href")
    drawn = drawn[drawn.index(">", drawn.index("<svg")) + 1 : drawn.rindex("</svg>")]
    line = f'<line class="playhead" x1="{left}" x2="{left}" y1="{top}" y2="{HEIGHT - bottom}"/>'
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" data-left="{left}" data-width="{width}"'
    return f'<svg class="curves" {size} role="img" aria-label="volume through the cycle">{drawn}{line}</svg>'


def colour_of(name: str, position: int = 0) -> str:
    """Colour of a class by its name, or by its position among others."""
    known = {word: number for number, word in LABELS.items()}
    return class_colour(known.get(name, position + 1))


def names_of(curves: Mapping) -> list[str]:
    """Names of the classes that have a curve."""
    return [name for name, values in curves.items() if isinstance(values, Mapping) and values.get("value")]


def closed(curves: Mapping) -> dict:
    """Curves of measures.json with the first time point repeated at the end of the cycle, where they stop before it."""
    time, seconds = list(curves["time"]), curves.get("seconds")
    if time[-1] >= 1:
        return dict(curves)
    found = {
        "unit": curves.get("unit", "mL"),
        "time": [*time, 1.0],
        "seconds": [*seconds, seconds[-1] / time[-1]] if seconds and time[-1] > 0 else None,
    }
    for name in names_of(curves):
        values = curves[name]
        ends = {end: [*values[end], values[end][0]] for end in ("value", "low", "high") if values.get(end)}
        found[name] = {**values, **ends}
    return found


def has_band(values: Mapping) -> bool:
    """Whether a curve has an interval at every time point."""
    return all(values.get(end) and None not in values[end] for end in ("low", "high"))
