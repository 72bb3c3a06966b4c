"""Shared parts of all pictures: class colours, legend, writing the file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from nisf.utils.files import whole_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

LABELS = {1: "LV", 2: "MYO", 3: "RV"}

# The usual colours of cardiac papers, lightened to be distinct on black as well as on white.
COLOURS = {1: "#ff3b30", 2: "#2fd04f", 3: "#3d8bff"}

FURTHER_COLOURS = ("#ffb000", "#d65bff", "#00d5d5", "#ff7ab8", "#b0b000")

DPI = 120  # dots per inch of every picture


def class_colour(index: int) -> str:
    """Colour of class `index` (1, 2, ...): LV red, MYO green, RV blue, then a fixed cycle."""
    return COLOURS.get(index) or FURTHER_COLOURS[(index - len(COLOURS) - 1) % len(FURTHER_COLOURS)]


def class_handles(labels: Mapping[int | str, str]) -> list[Line2D]:
    """Legend entries of the classes in ``labels`` (class -> name), without the background."""
    from matplotlib.lines import Line2D  # slow to import, and the colours are used without it

    classes = {int(index): name for index, name in labels.items() if int(index) > 0}
    return [Line2D([], [], color=class_colour(index), linewidth=2, label=name) for index, name in classes.items()]


def plain_text(text: str) -> str:
    """Text from a file, escaped so that matplotlib does not read it as mathematics."""
    return text.replace("$", r"\$")


def save_png(figure: Figure, path: str | os.PathLike) -> Path:
    """Writes a picture in one move; returns the path. Raises as `files.whole_file`."""
    path = Path(path)
    with whole_file(path) as part:
        figure.savefig(part, format="png", dpi=DPI, facecolor="white")
    return path
