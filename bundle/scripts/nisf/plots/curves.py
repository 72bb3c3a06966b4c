"""Curves of a fit and of a training run, drawn without matplotlib's global state (pyplot, rcParams)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from nisf.plots.style import LABELS, class_colour, save_png
from nisf.utils.errors import InputError


def dice_curve(
    path: str | os.PathLike,
    steps: Sequence[float],
    dice: np.ndarray | Mapping[str, np.ndarray],
    best_step: float | None = None,
    loss: Sequence[float] | None = None,
    band: str = "range",
    title: str = "",
    labels: Mapping[int | str, str] = LABELS,
) -> Path:
    """Write Dice against the step of the fit as PNG.

    steps: [S]. dice: [n, S] (or [S]) with one row per subject, or class name -> such an array, which adds a line per
    class. The black line is the mean over subjects and classes; the band is the "range" or "std" of the subjects'
    means over classes. NaN (an empty class) is left out. best_step: step to mark. loss: [S], on a second axis. labels:
    class -> name, for the colours. Returns the path.
    Raises InputError if a row has another length than steps, classes differ in rows, or band is neither word.
    """
    if band not in ("range", "std"):
        raise InputError(f"band is '{band}': choose 'range' or 'std'.")
    steps = np.asarray(steps, dtype=float)
    named = dice if isinstance(dice, Mapping) else {"dice": dice}
    by_class = {name: _rows(values, len(steps), name) for name, values in named.items()}
    if len({len(values) for values in by_class.values()}) != 1:
        raise InputError(
            "The classes differ in their number of subjects: give each class a row per subject, NaN if empty."
        )
    subjects = _nanmean(list(by_class.values()))
    mean = _nanmean(subjects)
    figure = Figure(figsize=(7, 4.6), layout="constrained")
    ax = figure.add_subplot(title=title, xlabel="fit step", ylabel="Dice")
    if len(subjects) > 1:
        known = np.ma.masked_invalid(subjects)
        low, high, words = known.min(axis=0), known.max(axis=0), "range of subjects"
        if band == "std":
            low, high, words = mean - known.std(axis=0), mean + known.std(axis=0), "mean ± standard deviation"
        ax.fill_between(steps, low, high, color="0.85", linewidth=0, label=words)
    if isinstance(dice, Mapping):
        for name, values in by_class.items():
            ax.plot(steps, _nanmean(values), color=_name_colour(name, by_class, labels), linewidth=1.2, label=name)
    ax.plot(steps, mean, color="black", linewidth=2, label="mean", marker="." if len(steps) < 30 else None)
    if best_step is not None:
        value = np.interp(best_step, steps, mean)
        ax.axvline(best_step, color="0.4", linestyle=":", linewidth=1)
        ax.plot([best_step], [value], "o", color="black", label=f"best: step {best_step:g}, Dice {value:.3f}")
    ax.set_ylim(*_dice_limits(*by_class.values()))
    ax.grid(color="0.92")
    handles = ax.get_legend_handles_labels()[0]
    if loss is not None:
        right = ax.twinx()
        right.set_ylabel("reconstruction loss")
        handles += right.plot(
            steps, _rows(loss, len(steps), "loss")[0], "--", color="#b06000", label="reconstruction loss"
        )
    figure.legend(handles=handles, fontsize=8, loc="outside lower center", ncols=4, frameon=False)
    return save_png(figure, path)


def training_curve(
    path: str | os.PathLike,
    epochs: Sequence[float],
    dice_per_class: Mapping[str, Sequence[float]],
    loss: Mapping[str, Sequence[float]],
    loss_epochs: Sequence[float] | None = None,
    title: str = "",
    labels: Mapping[int | str, str] = LABELS,
) -> Path:
    """Write validation Dice (above) and losses (below, logarithmic where positive) against the training epoch as PNG.

    epochs: [E], epochs of the Dice values; may be empty. dice_per_class: class name -> [E]; their mean is drawn too.
    loss: name -> [E], or [F] with loss_epochs [F] where losses were recorded at other epochs than Dice. NaN leaves a
    gap. Returns the path. Raises InputError if a series has another length than its epochs.
    """
    epochs = np.asarray(epochs, dtype=float)
    loss_epochs = epochs if loss_epochs is None else np.asarray(loss_epochs, dtype=float)
    dice = {name: _rows(values, len(epochs), name)[0] for name, values in dice_per_class.items()}
    losses = {name: _rows(values, len(loss_epochs), name)[0] for name, values in loss.items()}
    figure = Figure(figsize=(7, 5.6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    for name, values in dice.items():
        above.plot(epochs, values, ".-", color=_name_colour(name, dice, labels), linewidth=1.2, label=name)
    if len(dice) > 1:
        above.plot(epochs, _nanmean(np.stack(list(dice.values()))), ".-", color="black", linewidth=2, label="mean")
    above.set(ylabel="validation Dice", title=title, ylim=_dice_limits(*dice.values()))
    for i, (name, values) in enumerate(losses.items()):
        below.plot(loss_epochs, values, color=f"C{i}", label=name, marker="." if len(loss_epochs) < 30 else None)
    drawn = [values[np.isfinite(values)] for values in losses.values()]
    if drawn and all((values > 0).all() for values in drawn):
        below.set_yscale("log")
        below.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        below.yaxis.set_major_formatter("{x:g}")
        below.yaxis.set_minor_formatter(NullFormatter())
    below.set(xlabel="epoch", ylabel="loss")
    for ax in (above, below):
        ax.grid(color="0.92")
        if ax.lines:
            ax.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    return save_png(figure, path)


def reliability_curve(
    path: str | os.PathLike,
    curves: Mapping[str, Mapping[str, Mapping[str, Sequence[float]]]],
    errors: Mapping[str, Mapping[str, float]],
) -> Path:
    """Write as PNG how often the likeliest class is right against its stated probability, a panel for each region.

    curves: name -> region -> ``confidence``, ``accuracy`` and ``share`` of the voxels, [bins] each; NaN bins are left
    out, and the size of a dot shows its bin's share. errors: name -> region -> expected calibration error.
    Returns the path.
    """
    regions = list(next(iter(curves.values())))
    figure = Figure(figsize=(4.2 * len(regions), 4.4), layout="constrained")
    for ax, region in zip(np.atleast_1d(figure.subplots(1, len(regions))), regions):
        ax.plot([0, 1], [0, 1], color="0.6", linewidth=1, linestyle=":")
        for i, (name, of_region) in enumerate(curves.items()):
            of_bins = {key: np.asarray(values, dtype=float) for key, values in of_region[region].items()}
            colour, words = f"C{i}", f"{name}: error {errors[name][region]:.4f}"
            ax.plot(of_bins["confidence"], of_bins["accuracy"], color=colour, linewidth=1.2, label=words)
            ax.scatter(of_bins["confidence"], of_bins["accuracy"], 8 + 120 * of_bins["share"], color=colour)
        ax.set(title=region, xlabel="stated probability", ylabel="share right", xlim=(0, 1), ylim=(0, 1.02))
        ax.set_aspect("equal")
        ax.grid(color="0.92")
        ax.legend(fontsize=8, loc="upper left", frameon=False)
    return save_png(figure, path)


def _rows(values: Sequence, length: int, name: str) -> np.ndarray:
    rows = np.atleast_2d(np.asarray(values, dtype=float))
    if rows.ndim != 2 or rows.shape[1] != length:
        raise InputError(
            f"'{name}' has shape {np.shape(values)}, but there are {length} values on the horizontal axis."
        )
    return rows


def _nanmean(values: np.ndarray | list) -> np.ndarray:
    """Mean over the first axis without NaN; NaN, without a warning, where all are NaN."""
    return np.ma.masked_invalid(values).mean(axis=0).filled(np.nan)


def _dice_limits(*values: np.ndarray) -> tuple[float, float]:
    """Axis limits from just below the lowest Dice, or 0, to 1."""
    finite = np.concatenate([np.ravel(v)[np.isfinite(np.ravel(v))] for v in values] or [np.zeros(0)])
    low = np.floor(finite.min() * 10) / 10 if finite.size else 0.0
    return (low if low > 0.3 else 0.0), 1.0


def _name_colour(name: str, names: Mapping[str, object], labels: Mapping[int | str, str]) -> str:
    known = {word: int(index) for index, word in labels.items()}
    return class_colour(known.get(name, list(names).index(name) + 1))
