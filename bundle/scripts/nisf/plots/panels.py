"""Pictures of a fit and of an evaluation, drawn without matplotlib's global state (pyplot, rcParams)."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from nisf.plots.style import LABELS, class_colour, class_handles, save_png
from nisf.utils.errors import InputError

#: Inches: the longer side of one image panel, and the gap between panels.
PANEL, GAP = 1.8, 0.04


def contour_panel(
    ax: Axes,
    image: np.ndarray,
    label: np.ndarray | None = None,
    spacing: Sequence[float] = (1.0, 1.0),
    title: str = "",
    window: tuple[float, float] | None = None,
) -> None:
    """Draw one slice in grey with the outline of every class in its colour.

    image: [X, Y]; x runs to the right and y down, in millimetres from the centre of voxel (0, 0).
    label: integer [X, Y] or None. spacing: (dx, dy) in mm, which sets the aspect.
    window: intensities shown as black and as white; None: the 1st and 99.5th percentile of `image`.
    Raises InputError if image or label is not 2D, or their shapes differ.
    """
    image = np.asarray(image)
    if image.ndim != 2:
        raise InputError(f"A panel shows one slice [X, Y], but the image has shape {image.shape}: choose a slice.")
    (nx, ny), (dx, dy) = image.shape, (float(s) for s in spacing)
    low, high = window or _window(image)
    extent = (-0.5 * dx, (nx - 0.5) * dx, (ny - 0.5) * dy, -0.5 * dy)
    ax.imshow(image.T, cmap="gray", vmin=low, vmax=high, extent=extent, origin="upper", interpolation="nearest")
    if label is not None:
        _outlines(ax, _same_shape(label, image, "label"), dx, dy)
    ax.set(xlim=extent[:2], ylim=extent[2:], aspect="equal", xticks=[], yticks=[], facecolor="black")
    for spine in ax.spines.values():
        spine.set_visible(False)
    if title:
        ax.set_title(title, fontsize=9, pad=3)


def fit_figure(
    path: str | os.PathLike,
    image: np.ndarray,
    reconstruction: np.ndarray | None,
    prediction: np.ndarray,
    truth: np.ndarray | None = None,
    phases: Mapping[str, int] | None = None,
    spacing: Sequence[float] = (1.0, 1.0, 1.0),
    slices: Sequence[int] | None = None,
    title: str = "",
    scores: str = "",
    labels: Mapping[int | str, str] = LABELS,
) -> Path:
    """Write the result of a fit as PNG: rows are phases and slices; columns image, reconstruction, prediction, truth.

    image, reconstruction, prediction, truth: [X, Y, Z, T], or [X, Y, Z] for a static scan, all on one grid; no column
    for what is None. A truth frame without a class above 0 is marked as not labelled. phases: name -> frame, such as
    {"ED": 0, "ES": 5}; None or empty: frame 0 alone. spacing: (dx, dy, dz) in mm. slices: indices into Z; None: five
    evenly spaced among those with a prediction or truth. labels: class -> name. title, scores: text above.
    Cropped to the labels and a margin where the image is much larger. Returns the path.
    Raises InputError for shapes that differ, frames or slices that do not exist.
    """
    image = _volume(image)
    prediction = np.maximum(_same_shape(_volume(prediction), image, "prediction"), 0)
    truth = None if truth is None else np.maximum(_same_shape(_volume(truth), image, "truth"), 0)
    frames = dict(phases) if phases else {"": 0}
    _check_range("phases", frames.values(), image.shape[3])
    shown = prediction if truth is None else np.maximum(prediction, truth)
    shown = shown[..., list(frames.values())]
    slices = _evenly(shown, 5) if slices is None else list(slices)
    _check_range("slices", slices, image.shape[2])

    columns: list[tuple[str, np.ndarray, np.ndarray | None]] = [("image", image, None)]
    if reconstruction is not None:
        columns.append(("reconstruction", _same_shape(_volume(reconstruction), image, "reconstruction"), None))
    columns.append(("prediction", image, prediction))
    if truth is not None:
        columns.append(("truth", image, truth))

    view = _view(shown.any(axis=(2, 3)), spacing)
    window = _window(image[..., list(frames.values())][..., slices, :])
    rows = [(name, frame, z) for name, frame in frames.items() for z in slices]
    figure, axes = _grid(len(rows), len(columns), view, title, scores, labels, left=0.85)
    for row, (name, frame, z) in enumerate(rows):
        for (heading, grey, classes), ax in zip(columns, axes[row]):
            label = None if classes is None else classes[:, :, z, frame]
            contour_panel(ax, grey[:, :, z, frame], label, spacing[:2], heading if row == 0 else "", window)
            _zoom(ax, view)
            if classes is truth and truth is not None and not truth[..., frame].any():
                _say_not_labelled(ax)
        words = "\n".join(filter(None, [name, f"slice {z + 1}", f"of {image.shape[2]}"]))
        axes[row][0].set_ylabel(words, rotation=0, ha="right", va="center", fontsize=9, labelpad=6)
        if row and z == slices[0]:
            _rule_between(figure, axes[row - 1][0], axes[row][0])
    return save_png(figure, path)


def _say_not_labelled(ax) -> None:
    box = {"facecolor": "black", "linewidth": 0, "pad": 2}
    ax.text(0.5, 0.04, "not labelled", color="white", ha="center", fontsize=8, transform=ax.transAxes, bbox=box)


def _rule_between(figure: Figure, above, below) -> None:
    """A thin line at the left between the rows of two axes."""
    top, bottom = above.get_position(), below.get_position()
    y = (top.y0 + bottom.y1) / 2
    figure.add_artist(Line2D([0, bottom.x0], [y, y], color="0.5", linewidth=0.8))


def cases_figure(
    path: str | os.PathLike, cases: Sequence[Mapping], labels: Mapping[int | str, str] = LABELS, title: str = ""
) -> Path:
    """Write chosen cases of an evaluation (best, median, worst) as PNG, a row per case, all at one scale.

    cases: dicts {"title": text with subject and Dice, "image", "prediction", "truth": [X, Y, Z], "spacing": (dx, dy,
    dz) in mm}. Each row shows prediction and truth on a basal, a middle and an apical slice: the middles of the thirds
    of the slices that the truth labels (base first, as in canonical arrays). labels: class -> name. Returns the path.
    Raises InputError if there is no case, or shapes differ.
    """
    if not cases:
        raise InputError("There is no case to draw: evaluate at least one labelled scan.")
    prepared = [_prepare_case(case) for case in cases]
    # The same scale for all, so that sizes of hearts can be compared.
    width = max(view[1] - view[0] for *_, view in prepared)
    height = max(view[3] - view[2] for *_, view in prepared)
    figure, axes = _grid(len(cases), 6, (0, width, 0, height), title, "", labels, left=0.1, row_title=0.42)
    for row, (case, (image, prediction, truth, view)) in enumerate(zip(cases, prepared)):
        centre_x, centre_y = (view[0] + view[1]) / 2, (view[2] + view[3]) / 2
        view = (centre_x - width / 2, centre_x + width / 2, centre_y - height / 2, centre_y + height / 2)
        slices = _thirds(truth if truth.any() else prediction)
        window = _window(image[:, :, slices])
        for i, (where, z) in enumerate(zip(("basal", "mid", "apical"), slices)):
            for j, (what, label) in enumerate((("prediction", prediction), ("truth", truth))):
                ax = axes[row][2 * i + j]
                heading = f"{where} ({z + 1}/{image.shape[2]}), {what}"
                contour_panel(ax, image[:, :, z], label[:, :, z], case["spacing"][:2], "", window)
                ax.set_title(heading, fontsize=7.5, pad=2)
                _zoom(ax, view)
        top = axes[row][0].get_position()
        figure.text(top.x0, top.y1 + 0.2 / figure.get_figheight(), case["title"], fontsize=10, weight="bold")
    return save_png(figure, path)


def panels_figure(
    path: str | os.PathLike,
    rows: Sequence[Sequence[tuple[str, np.ndarray, np.ndarray | None]]],
    spacing: Sequence[float],
    labels: Mapping[int | str, str] = LABELS,
    title: str = "",
) -> Path:
    """Write rows of panels of the same plane as PNG; returns the path.

    rows: panels (title, image [X, Y], label [X, Y] or None) of equal shape; intensities in [0, 1]. spacing: (dx, dy)
    in mm. labels: class -> name.
    Raises InputError if shapes differ.
    """
    shape = np.shape(rows[0][0][1])
    view = (0, shape[0] * spacing[0], 0, shape[1] * spacing[1])
    figure, axes = _grid(len(rows), max(map(len, rows)), view, title, "", labels, left=0.1, row_title=0.22)
    for row, of_row in zip(rows, axes):
        for ax in of_row[len(row) :]:
            ax.set_axis_off()
        for (heading, image, label), ax in zip(row, of_row):
            contour_panel(ax, image, label, spacing, "", (0.0, 1.0))
            ax.set_title(heading, fontsize=7.5, pad=2)
    return save_png(figure, path)


def _outlines(ax: Axes, label: np.ndarray, dx: float, dy: float) -> None:
    # A ring of background around the array closes outlines at its edge.
    padded = np.pad(label, 1)
    x, y = (np.arange(n) - 1 for n in padded.shape)
    # Neighbours share a border: MYO first, so that both blood pools keep closed outlines and MYO shows its outer one.
    for index in sorted({int(i) for i in np.unique(label) if i > 0}, key=lambda i: (i != 2, i)):
        mask = (padded == index).T.astype(float)
        ax.contour(x * dx, y * dy, mask, [0.5], colors=class_colour(index), linewidths=1.3)


def _grid(
    rows: int,
    columns: int,
    view: tuple[float, ...],
    title: str,
    scores: str,
    labels: Mapping[int | str, str],
    left: float,
    row_title: float = 0.0,
) -> tuple[Figure, np.ndarray]:
    """Axes with the aspect of `view`, text above, legend below. left, row_title: inches beside and above a row."""
    width, height = view[1] - view[0], view[3] - view[2]
    panel_x, panel_y = PANEL * width / max(width, height), PANEL * height / max(width, height)
    total_x = left + columns * (panel_x + GAP) + 0.1
    head = [(line, 11, "bold") for line in _wrap(title, total_x * 9)]
    head += [(line, 9, None) for line in _wrap(scores, total_x * 13)]
    top, bottom = (row_title or 0.2) + 0.1 + 0.2 * len(head), 0.35
    total_y = top + rows * panel_y + (rows - 1) * (GAP + row_title) + bottom
    figure = Figure(figsize=(total_x, total_y))
    axes = figure.subplots(
        rows,
        columns,
        squeeze=False,
        gridspec_kw={
            "left": left / total_x,
            "right": 1 - (GAP + 0.1) / total_x,
            "top": 1 - top / total_y,
            "bottom": bottom / total_y,
            "wspace": GAP / panel_x,
            "hspace": (GAP + row_title) / panel_y,
        },
    )
    for i, (line, size, weight) in enumerate(head):
        figure.text(0.1 / total_x, 1 - (0.22 + 0.2 * i) / total_y, line, fontsize=size, weight=weight)
    handles = class_handles(labels)
    figure.legend(handles=handles, loc="lower center", ncols=max(len(handles), 1), frameon=False, fontsize=9)
    return figure, axes


def _wrap(text: str, characters: float) -> list[str]:
    return [part for line in text.splitlines() for part in textwrap.wrap(line, int(characters))]


def _view(mask: np.ndarray, spacing: Sequence[float], whole: float = 0.6) -> tuple[float, float, float, float]:
    """(left, right, top, bottom) in mm around a mask [X, Y] with a margin; all of it if that is `whole` of its area."""
    full = (-0.5, mask.shape[0] - 0.5, -0.5, mask.shape[1] - 0.5)
    if mask.any():
        (x0, x1), (y0, y1) = ((i.min() - 0.5, i.max() + 0.5) for i in np.nonzero(mask))
        margin = 0.2 * max((x1 - x0) * spacing[0], (y1 - y0) * spacing[1])
        mx, my = margin / spacing[0], margin / spacing[1]
        box = (max(x0 - mx, full[0]), min(x1 + mx, full[1]), max(y0 - my, full[2]), min(y1 + my, full[3]))
        if (box[1] - box[0]) * (box[3] - box[2]) < whole * mask.size:
            full = box
    return full[0] * spacing[0], full[1] * spacing[0], full[2] * spacing[1], full[3] * spacing[1]


def _zoom(ax: Axes, view: tuple[float, float, float, float]) -> None:
    ax.set(xlim=(view[0], view[1]), ylim=(view[3], view[2]))


def _window(image: np.ndarray) -> tuple[float, float]:
    finite = np.asarray(image, dtype=np.float32)
    finite = finite[np.isfinite(finite)]
    low, high = np.percentile(finite, (1, 99.5)) if finite.size else (0.0, 1.0)
    return float(low), float(high if high > low else low + 1)


def _prepare_case(case: Mapping) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[float, ...]]:
    image = np.asarray(case["image"])
    if image.ndim != 3:
        raise InputError(f"The image of '{case['title']}' has shape {image.shape}: give one frame [X, Y, Z].")
    prediction, truth = (np.maximum(_same_shape(case[key], image, key), 0) for key in ("prediction", "truth"))
    return image, prediction, truth, _view(np.maximum(prediction, truth).any(axis=2), case["spacing"])


def _volume(array: np.ndarray) -> np.ndarray:
    array = np.asarray(array)
    if array.ndim not in (3, 4):
        raise InputError(f"A figure of a scan needs [X, Y, Z] or [X, Y, Z, T], but the array has shape {array.shape}.")
    return array if array.ndim == 4 else array[..., None]


def _same_shape(array: np.ndarray, image: np.ndarray, name: str) -> np.ndarray:
    array = np.asarray(array)
    if array.shape != image.shape:
        raise InputError(f"The {name} has shape {array.shape}, the image {image.shape}: bring it to the image's grid.")
    return array


def _check_range(name: str, indices: Sequence[int], size: int) -> None:
    wrong = [i for i in indices if not 0 <= i < size]
    if wrong:
        raise InputError(f"{name} names {wrong[0]}, but the image has indices 0 to {size - 1} there.")


def _labelled(label: np.ndarray) -> np.ndarray:
    """Indices along Z (axis 2) that hold a label; all of them where none does."""
    indices = np.nonzero(label.any(axis=tuple(i for i in range(label.ndim) if i != 2)))[0]
    return indices if len(indices) else np.arange(label.shape[2])


def _evenly(label: np.ndarray, count: int) -> list[int]:
    indices = _labelled(label)
    return sorted({int(round(z)) for z in np.linspace(indices[0], indices[-1], count)})


def _thirds(label: np.ndarray) -> list[int]:
    indices = _labelled(label)
    return [int(indices[int(len(indices) * fraction)]) for fraction in (1 / 6, 1 / 2, 5 / 6)]
