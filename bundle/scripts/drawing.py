"""What every picture shares: the colours of the classes, and writing the file."""

from __future__ import annotations

import os
from pathlib import Path

from matplotlib.figure import Figure

LABELS = {1: "LV", 2: "MYO", 3: "RV"}
# As cardiac papers draw them, lightened until they can be told apart on black as well as on white.
COLOURS = {1: "#ff3b30", 2: "#2fd04f", 3: "#3d8bff"}
FURTHER_COLOURS = ("#ffb000", "#d65bff", "#00d5d5", "#ff7ab8", "#b0b000")
DPI = 120  # dots per inch of every picture


def class_colour(index: int) -> str:
    """Colour of class `index` (1, 2, ...): LV red, MYO green, RV blue, then a fixed cycle."""
    return COLOURS.get(index) or FURTHER_COLOURS[(index - len(COLOURS) - 1) % len(FURTHER_COLOURS)]


def save_png(figure: Figure, path: str | os.PathLike) -> Path:
    """Write under a temporary name, then rename: a reader sees the old picture or the new one, never half of one."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        figure.savefig(temporary, format="png", dpi=DPI, facecolor="white")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
