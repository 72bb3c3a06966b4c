"""A scan's report as one picture."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nisf.plots import contours
from nisf.plots.style import class_colour, class_handles, plain_text, save_png
from nisf.report.curves import draw_curves
from nisf.report.page import corrected_labels, has_curves, key_measures, number, quality_words
from nisf.report.scan_folder import ScanFolder
from nisf.report.views import View

#: Colours of the quality headline.
INK = {"good": "#1d7a3e", "bad": "#b3261e", "unknown": "#5a6672"}

#: Number of slices in a row.
COLUMNS = 3


def summary_picture(
    path: str | os.PathLike, scan: ScanFolder, measures: Mapping, slices: View, planes: Sequence[View]
) -> Path:
    """Writes a PNG: middle slices with outlines at ED and ES, the long axis, curves, key numbers and quality."""
    phases = {word: scan.times[i] for word, i in (measures.get("phases") or {}).items() if i is not None}
    rows = list(phases.items()) or [("", scan.times[0])]
    tiles = _middle(slices)
    columns = len(tiles) + bool(planes)
    figure = Figure(figsize=(3.0 * columns + 4.6, 3.0 * max(len(rows), 1) + 1.1), layout="constrained")
    heading, body = figure.subfigures(2, 1, height_ratios=(0.9, 3.0 * len(rows)))
    _heading(heading, scan, measures)
    left, right = body.subfigures(1, 2, width_ratios=(3.0 * columns, 4.6))
    axes = left.subplots(len(rows), columns, squeeze=False)
    for row, (word, time) in zip(axes, rows):
        for ax, tile in zip(row, tiles):
            draw_tile(ax, slices, tile, time, f"{word} slice {slices.labels[tile]}".strip())
        if planes:
            draw_tile(row[-1], planes[0], 0, time, f"{word} {planes[0].name}".strip())
    _numbers(right, scan, measures)
    handles = class_handles(scan.class_names)
    left.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False, fontsize=9)
    return save_png(figure, path)


def draw_tile(ax: Axes, view: View, tile: int, time: float, title: str) -> None:
    """One tile of a view at one time point, with its outlines; x to the right and y down, in mm."""
    frame = int(np.argmin([abs(t - time) for t in view.times]))
    grey, (dx, dy) = view.grey[tile, :, :, frame], view.spacing
    width, height = grey.shape
    ax.imshow(
        grey.T,
        cmap="gray",
        vmin=0,
        vmax=255,
        extent=(-0.5 * dx, (width - 0.5) * dx, (height - 0.5) * dy, -0.5 * dy),
        interpolation="bilinear",
    )
    # the wall first, so that both cavities keep closed outlines
    for number_, ring in sorted(view.polygons[tile][frame], key=lambda one: one[0] != 2):
        points = np.array(ring).reshape(-1, 2) / contours.PARTS * (dx, dy)
        ax.plot(*np.concatenate([points, points[:1]]).T, color=class_colour(number_), linewidth=1.3)
    ax.set(xticks=[], yticks=[], facecolor="black", xlim=(0, (width - 1) * dx), ylim=((height - 1) * dy, 0))
    ax.set_title(title, fontsize=9, pad=3)
    for spine in ax.spines.values():
        spine.set_visible(False)


def _middle(slices: View) -> list[int]:
    """Middle tile of each third of those with an outline at any time."""
    there = [i for i, frames in enumerate(slices.polygons) if any(frames)] or list(range(len(slices.grey)))
    return sorted({there[int(len(there) * (i + 0.5) / COLUMNS)] for i in range(COLUMNS)})


def _heading(figure, scan: ScanFolder, measures: Mapping) -> None:
    quality = quality_words(scan, measures)
    title = str(measures.get("subject") or scan.name)
    figure.text(0.01, 0.92, plain_text(title), fontsize=14, weight="bold", va="top")
    words = quality["headline"]
    if quality["dice"] is not None:
        words += f", predicted Dice {quality['dice']:.2f}"
    if corrected_labels(measures):
        words += "; labels corrected by hand"
    figure.text(0.01, 0.5, words, fontsize=11, color=INK[quality["kind"]], weight="bold", va="top")
    flags = "; ".join(str(flag.get("text", "")) for flag in quality["flags"])
    figure.text(0.01, 0.16, plain_text(flags[:180]), fontsize=9, va="top")
    figure.text(0.99, 0.92, "Research use only. Not for diagnosis.", fontsize=9, color="0.35", ha="right", va="top")
    if scan.missing:
        figure.text(0.99, 0.5, "slices: reconstruction, the image cannot be read", fontsize=9, ha="right", va="top")


def _numbers(figure, scan: ScanFolder, measures: Mapping) -> None:
    """Curves above, key numbers below."""
    curves, shown = measures.get("curves") or {}, key_measures(measures)
    if has_curves(curves):
        above, below = figure.subplots(2, 1, height_ratios=(1.1, 1))
        draw_curves(above, curves)
    else:
        below = figure.subplots()
    below.set_axis_off()
    for i, one in enumerate(shown):
        y = 1 - (i + 0.5) / max(len(shown), 6)
        text = f"{number(one['value'])} {one['unit']}"
        if one.get("low") is not None and one.get("high") is not None:
            text += f"  ({number(one['low'], one['value'])} to {number(one['high'], one['value'])})"
        below.text(0.02, y, plain_text(str(one["name"])), fontsize=11, va="center", transform=below.transAxes)
        below.text(0.34, y, plain_text(text), fontsize=11, weight="bold", va="center", transform=below.transAxes)
