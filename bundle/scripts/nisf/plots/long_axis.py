"""A long-axis plane read from a fit to short-axis slices, drawn over the long-axis image, which the fit did not use."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from nibabel.affines import apply_affine

from nisf.plots.panels import contour_panel
from nisf.plots.style import LABELS, class_handles, save_png

#: Margin in mm shown about the heart.
MARGIN = 25.0


def long_axis_figure(
    path: str | os.PathLike,
    stack: tuple[np.ndarray, np.ndarray],
    plane: tuple[np.ndarray, np.ndarray],
    label: np.ndarray,
    frames: Mapping[str, int],
    title: str = "",
    labels: Mapping[int, str] = LABELS,
) -> Path:
    """Writes a PNG: the short-axis slices above, the long-axis image with and without the predicted outlines below.

    Dashed lines in the long-axis image show where the mid-planes of the slices cut it.

    Args:
        path: file to write.
        stack: short-axis slices of one frame [X, Y, Z] and their affine [4, 4] (RAS mm).
        plane: long-axis image [U, V, T] and its affine.
        label: predicted classes on the grid of the plane [U, V, T].
        frames: name of a time point to the frame of the plane that shows it.
        title: title of the picture.
        labels: class number to name, for the legend.
    """
    slices, stack_affine = stack
    image, affine = plane
    box = _box(label, _spacing(affine))
    depth = _depths(image.shape[:2], affine, stack_affine)
    figure = Figure(figsize=(9.0, 5.0), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(1.0, 1.65))
    above.suptitle(title or "In: the short-axis slices", fontsize=10)
    spacing = _spacing(stack_affine)
    for ax, z in zip(np.atleast_1d(above.subplots(1, slices.shape[2])), range(slices.shape[2])):
        contour_panel(ax, slices[:, :, z], spacing=spacing[:2])
    below.suptitle(
        "Out: the plane of the 4-chamber image, which the fit was never shown (dashed: the slices)", fontsize=10
    )
    axes = below.subplots(1, 2 * len(frames), squeeze=False)[0]
    for number, (name, frame) in enumerate(frames.items()):
        for ax, classes in zip(axes[2 * number :], (None, label[box][..., frame])):
            words = f"{name}: image" if classes is None else f"{name}: predicted outlines"
            contour_panel(ax, image[box][..., frame], classes, _spacing(affine)[:2], words)
        _draw_slices(axes[2 * number], depth[box], _spacing(affine), slices.shape[2])
    handles = class_handles(labels)
    below.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False, fontsize=9)
    return save_png(figure, path)


def _spacing(affine: np.ndarray) -> np.ndarray:
    return np.linalg.norm(affine[:3, :3], axis=0)


def _box(label: np.ndarray, spacing: Sequence[float]) -> tuple[slice, slice]:
    """The part of a plane that holds all classes of all frames, with a margin."""
    found = np.argwhere((label > 0).any(axis=-1))
    if not len(found):
        return slice(None), slice(None)
    margin = np.ceil(MARGIN / np.asarray(spacing[:2])).astype(int)
    low, high = np.maximum(found.min(axis=0) - margin, 0), found.max(axis=0) + margin + 1
    return slice(low[0], high[0]), slice(low[1], high[1])


def _depths(shape: tuple[int, int], affine: np.ndarray, stack_affine: np.ndarray) -> np.ndarray:
    """Fractional slice number of each pixel of a plane [U, V]."""
    index = np.stack(np.meshgrid(*map(np.arange, shape), [0], indexing="ij"), axis=-1)
    return apply_affine(np.linalg.inv(stack_affine) @ affine, index)[:, :, 0, 2]


def _draw_slices(ax: Axes, depth: np.ndarray, spacing: Sequence[float], count: int) -> None:
    x, y = (np.arange(n) * s for n, s in zip(depth.shape, spacing))
    ax.contour(x, y, depth.T, levels=np.arange(count), colors="#ffd34d", linewidths=0.8, linestyles="dashed")
