"""A plane through the cycle as a moving picture."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.animation import FuncAnimation, PillowWriter
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from nisf.plots.panels import contour_panel
from nisf.plots.style import DPI, LABELS, class_handles
from nisf.utils.errors import InputError
from nisf.utils.files import whole_file

#: Longer side in inches.
SIZE = 4.0


def cine_gif(
    path: str | os.PathLike,
    image: np.ndarray,
    label: np.ndarray,
    spacing: Sequence[float],
    seconds: float = 1.0,
    labels: Mapping[int | str, str] = LABELS,
) -> Path:
    """Write an endless GIF of a plane over the cycle: the picture alone beside the one with outlines.

    image: [X, Y, T] in [0, 1]. label: integer [X, Y, T]. spacing: (dx, dy) in mm. seconds: duration of the cycle.
    labels: class -> name. Returns the path.
    Raises InputError if the shapes differ or there is only one frame.
    """
    image, label = np.asarray(image), np.asarray(label)
    if image.ndim != 3 or image.shape != label.shape or image.shape[2] < 2:
        raise InputError(
            f"A cine needs image and label of the same shape [X, Y, T] with two frames or more, not {image.shape} and "
            f"{label.shape}; sample several time points."
        )
    width, height = image.shape[0] * spacing[0], image.shape[1] * spacing[1]
    scale = SIZE / max(width, height)
    figure = Figure(figsize=(2 * width * scale, height * scale + 0.3), facecolor="black")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 2, gridspec_kw={"left": 0, "right": 1, "top": 1, "wspace": 0.01})
    figure.subplots_adjust(bottom=0.3 / figure.get_figheight())
    handles = class_handles(labels)
    figure.legend(
        handles=handles, loc="lower center", ncols=len(handles), frameon=False, labelcolor="white", fontsize=9
    )

    def draw(frame: int) -> None:
        for ax, outline in zip(axes, (None, label[..., frame])):
            ax.clear()
            contour_panel(ax, image[..., frame], outline, spacing, "", (0.0, 1.0))

    movie = FuncAnimation(figure, draw, frames=image.shape[2], init_func=lambda: None)
    path = Path(path)
    with whole_file(path) as part:
        movie.save(part, PillowWriter(fps=max(1, round(image.shape[2] / seconds))), dpi=DPI)
    return path
