"""What every picture shares: the colours of the classes, and writing the file."""

from __future__ import annotations

import os
from pathlib import Path

from matplotlib.figure import Figure

from nisf.utils.files import whole_file

LABELS = {1: "LV", 2: "MYO", 3: "RV"}


# As cardiac papers draw them, lightened until they can be told apart on black as well as on white.
COLOURS = {1: "#ff3b30", 2: "#2fd04f", 3: "#3d8bff"}


FURTHER_COLOURS = ("#ffb000", "#d65bff", "#00d5d5", "#ff7ab8", "#b0b000")


DPI = 120  # dots per inch of every picture


def class_colour(index: int) -> str:
    """Colour of class `index` (1, 2, ...): LV red, MYO green, RV blue, then a fixed cycle."""
    return COLOURS.get(index) or FURTHER_COLOURS[(index - len(COLOURS) - 1) % len(FURTHER_COLOURS)]


def plain_text(text: str) -> str:
    """Text of a file with what matplotlib would take for mathematics made harmless."""
    return text.replace("$", r"\$")


def save_png(figure: Figure, path: str | os.PathLike) -> Path:
    """Writes a picture in one move; returns the path. Raises as `files.whole_file`."""
    path = Path(path)
    with whole_file(path) as part:
        figure.savefig(part, format="png", dpi=DPI, facecolor="white")
    return path
