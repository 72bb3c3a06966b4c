"""A sheet of small pictures of everything that a folder holds."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nisf.plots.style import plain_text, save_png

#: Pictures side by side, and the largest number of rows.
ACROSS, ROWS = 4, 20

#: Inches of a picture's side, and of the text below it.
SIDE, TEXT = 2.4, 0.75


def contact_sheet(tiles: Sequence[tuple[str, bool, Sequence[np.ndarray]]], path: str | os.PathLike) -> Path:
    """Writes a PNG with a tile for each stack: its pictures side by side, its text, and a frame if it is taken.

    Args:
        tiles: text, whether it is taken, and one or two pictures [rows, columns], for each stack.
        path: file to write.
    """
    from matplotlib.figure import Figure

    shown = tiles[: ACROSS * ROWS]
    across = min(ACROSS, max(1, len(shown)))
    down = -(-len(shown) // across)
    figure = Figure(figsize=(across * SIDE, down * (SIDE + TEXT)), layout="constrained")
    axes = np.atleast_1d(figure.subplots(down, across, squeeze=False)).ravel()
    for ax, (text, taken, pictures) in zip(axes, shown):
        if pictures:
            ax.imshow(_joined(pictures), cmap="gray", vmin=0, vmax=1)
        ax.set_xlabel(plain_text(text), fontsize=7, wrap=True, color="#0b6b2e" if taken else "#444444")
        ax.set_xticks([])
        ax.set_yticks([])
        for side in ax.spines.values():
            side.set(color="#18a24b" if taken else "#cccccc", linewidth=3 if taken else 1)
    for ax in axes[len(shown) :]:
        ax.set_axis_off()
    return save_png(figure, path)


def _joined(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures side by side, each from its own 1st to 99th percentile."""
    scaled = []
    for picture in pictures:
        low, high = np.percentile(picture, [1, 99])
        scaled.append(np.clip((picture - low) / max(high - low, 1e-9), 0, 1))
    return np.concatenate(scaled, axis=1)
