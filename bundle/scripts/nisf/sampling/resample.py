"""A fitted scan sampled on any grid and written as NIfTI, frame by frame in bounded memory."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from tqdm import tqdm

from nisf.geometry.grid import Grid, mean_step
from nisf.geometry.orientation import spacing_of
from nisf.io.nifti import stem_of
from nisf.level_sets.label_map import LabelMap, coarse_steps
from nisf.plots.animation import cine_gif
from nisf.plots.panels import panels_figure
from nisf.sampling.fitted_scan import COMPILE_FROM, FittedScan
from nisf.sampling.grid_options import grid_of
from nisf.utils.errors import InputError
from nisf.utils.files import whole_file

OUTPUTS = ("seg", "prob", "recon", "uncertainty", "extrapolated", "png", "gif")

#: Number of posterior draws for an uncertainty map.
DRAWS = 16

#: Outputs that are pictures of a plane.
PICTURES = ("png", "gif")

#: Outputs for which it is enough to evaluate the voxels near the classes' boundaries.
LABELS = {"seg", "extrapolated"}

#: Approximate fraction of the voxels that this takes.
SHARE = 0.15

#: Values of the ``extrapolated`` map.
INSIDE, EXTRAPOLATED, NOT_GIVEN = 0, 1, 2


def read_frame(fitted: FittedScan, grid: Grid, time: float, limit: float) -> Iterator[tuple[torch.Tensor, np.ndarray]]:
    """Values and the ``extrapolated`` map [n] of one time point, in parts of whole planes of the first axis.

    Values [C + K, n], or with draws [C + K + K + 2, n], followed by the maps of ``FittedScan.uncertainty``. Voxels more
    than ``limit`` mm beyond the stack have intensity 0 and are background.
    """
    first = fitted.network.in_channels
    whole = grid.voxels * len(grid.times)
    for points in grid.slabs():
        away = fitted.beyond(points)
        known = away <= limit
        classes = fitted.network.num_classes
        values = torch.zeros(first + classes + (classes + 2) * bool(fitted.draws), len(points))
        values[first] = 1
        values[: first + classes, known] = fitted.read(points[known], time, compile=whole >= COMPILE_FROM)
        if fitted.draws:
            values[first + classes] = 1
            values[first + classes :, known] = fitted.uncertainty(points[known], time)
        yield values, _mark(away, limit)


def _mark(away: np.ndarray, limit: float) -> np.ndarray:
    """The ``extrapolated`` map from distances beyond the stack."""
    return np.where(away == 0, INSIDE, np.where(away <= limit, EXTRAPOLATED, NOT_GIVEN)).astype(np.uint8)


def sample_to_files(
    latent: str,
    output: str,
    model: str | None = None,
    outputs: Sequence[str] = ("seg",),
    limit: float | None = None,
    device: str | torch.device = "cpu",
    exact: bool = False,
    **where: object,
) -> list[Path]:
    """Samples a latent file on a grid and writes NIfTI files into one folder.

    Args:
        latent: ``_latent.pt`` file of a fitted scan.
        output: file of the segmentation (``.nii.gz``); other outputs get their name before the ending.
        model: weight file; by default the one that the latent file names.
        outputs: names from ``OUTPUTS``.
        limit: distance beyond the stack up to which values are given, mm; by default half the slice distance.
        device: device of the network.
        exact: whether to evaluate every voxel even if only labels are wanted, see ``label_map.LabelMap``.
        where: options of ``grid_of``.

    Returns:
        the written files.
    """
    target = Path(output)
    if not target.name.endswith((".nii", ".nii.gz")):
        raise InputError(f"{output}: the result is written as NIfTI; let the name end in .nii.gz")
    unknown = [name for name in outputs if name not in OUTPUTS]
    if unknown:
        raise InputError(f"the output '{unknown[0]}' is unknown; use {', '.join(OUTPUTS)}")
    fitted = FittedScan.load(latent, model, device, draws=DRAWS * ("uncertainty" in outputs))
    grid = grid_of(fitted, **where)
    limit = spacing_of(fitted.frame.affine)[2] / 2 if limit is None else float(limit)
    image, classes = fitted.network.in_channels, fitted.network.num_classes
    channels = {"seg": 1, "extrapolated": 1, "recon": image, "prob": classes, "uncertainty": classes + 2}
    pictures = [name for name in PICTURES if name in outputs]
    _check_pictures(pictures, grid)
    names = [n for n in dict.fromkeys(["seg", *outputs, *["recon"] * bool(pictures)]) if n not in PICTURES]
    duration = fitted.duration * mean_step(grid.times)
    with ExitStack() as stack:
        found = {}
        for name in names:
            dtype = np.uint8 if name in ("seg", "extrapolated") else np.float32
            file = target if name == "seg" else _named(target, name)
            of_file = None if name == "extrapolated" else len(grid.times)  # it is the same at every time point
            found[name] = stack.enter_context(streamed(file, grid, of_file, channels[name], dtype, duration))
        by_boundaries = not exact and set(names) <= LABELS and sum(step > 1 for step in coarse_steps(grid)) > 1
        given, evaluated = (_write_labels if by_boundaries else _write_all)(found, fitted, grid, limit)
        for name in pictures:
            (_draw if name == "png" else _play)(_picture(target, name), found, grid, fitted)
    share = given / given.sum()
    print(
        f"{target}: {' x '.join(map(str, grid.shape))} voxels, {len(grid.times)} frames; {share[EXTRAPOLATED]:.0%} "
        f"extrapolated, {share[NOT_GIVEN]:.0%} more than {limit:.1f} mm beyond the stack and left empty; "
        f"{evaluated:,} of {given.sum():,} points evaluated ({evaluated / given.sum():.0%})"
    )
    written = [target if name == "seg" else _named(target, name) for name in names]
    return written + [_picture(target, name) for name in pictures]


def _write_all(found: dict, fitted: FittedScan, grid: Grid, limit: float) -> tuple[np.ndarray, int]:
    """Writes every voxel into the files' arrays; returns the counts of the ``extrapolated`` values, and how many voxels
    were evaluated."""
    given = np.zeros(3, dtype=int)
    for t, time in enumerate(_shown(grid)):
        start = 0
        for values, beyond in read_frame(fitted, grid, time, limit):
            rows = slice(start, start + len(beyond) // (grid.shape[1] * grid.shape[2]))
            _put(found, fitted, values, beyond, (rows, t), grid)
            given += np.bincount(beyond, minlength=3)
            start = rows.stop
    return given, int(given[INSIDE] + given[EXTRAPOLATED])


def _write_labels(found: dict, fitted: FittedScan, grid: Grid, limit: float) -> tuple[np.ndarray, int]:
    """The same as ``_write_all``, for labels only."""
    beyond = np.concatenate([_mark(fitted.beyond(points), limit) for points in grid.slabs()]).reshape(grid.shape)
    if "extrapolated" in found:
        found["extrapolated"][:, :, :, 0, 0] = beyond
    classes = partial(fitted.classes, compile=grid.voxels * len(grid.times) * SHARE >= COMPILE_FROM)
    evaluated = 0
    for t, time in enumerate(_shown(grid)):
        labelled = LabelMap(classes, grid, time, beyond != NOT_GIVEN)
        found["seg"][:, :, :, t, 0] = labelled.labels
        evaluated += labelled.evaluated
    return np.bincount(beyond.ravel(), minlength=3) * len(grid.times), evaluated


def _shown(grid: Grid) -> Iterable[float]:
    """The time points, with a progress bar in a terminal."""
    return tqdm(grid.times, desc="sampling", unit="frame", disable=None)


def _check_pictures(pictures: Sequence[str], grid: Grid) -> None:
    if pictures and grid.shape[2] != 1:
        raise InputError(f"a picture is drawn of a plane; leave {pictures[0]} out or name a plane")
    if "gif" in pictures and len(grid.times) < 2:
        raise InputError("a gif needs two time points or more; leave gif out or ask for more frames")


def _picture(target: Path, ending: str) -> Path:
    return target.with_name(f"{stem_of(target)}.{ending}")


def _draw(path: Path, found: dict, grid: Grid, fitted: FittedScan) -> None:
    """Draws the plane at up to four time points, the reconstruction without and with outlines."""
    frames = sorted({int(t) for t in np.linspace(0, len(grid.times), min(len(grid.times), 4), endpoint=False)})
    panels = [(f"{grid.times[t]:.2f} of the cycle", found["recon"][:, :, 0, t, 0], None) for t in frames]
    outlined = [("", image, found["seg"][:, :, 0, t, 0]) for t, (_, image, _) in zip(frames, panels)]
    title = f"{fitted.subject}: reconstruction and segmentation"
    panels_figure(path, [panels, outlined], spacing_of(grid.affine)[:2], fitted.class_names, title)


def _play(path: Path, found: dict, grid: Grid, fitted: FittedScan) -> None:
    """Writes an animation of the plane through the cycle."""
    image, label = (found[name][:, :, 0, :, 0] for name in ("recon", "seg"))
    cine_gif(path, image, label, spacing_of(grid.affine)[:2], fitted.duration or 1.0, fitted.class_names)


def _put(found: dict, fitted: FittedScan, values: torch.Tensor, beyond: np.ndarray, place: tuple, grid: Grid) -> None:
    """Writes one part of one time point into the files' arrays [X, Y, Z, T, channels]."""
    rows, t = place
    first = fitted.network.in_channels
    shape = (-1, grid.shape[1], grid.shape[2])
    last = first + fitted.network.num_classes
    parts = {"recon": values[:first], "prob": values[first:last], "uncertainty": values[last:]}
    parts["seg"] = parts["prob"].argmax(dim=0, keepdim=True)
    for name, array in found.items():
        if name == "extrapolated":
            array[rows, :, :, 0, 0] = beyond.reshape(shape)
        else:
            array[rows, :, :, t] = np.moveaxis(parts[name].numpy().reshape(len(parts[name]), *shape), 0, -1)


def _named(target: Path, name: str) -> Path:
    ending = ".nii.gz" if target.name.endswith(".nii.gz") else ".nii"
    return target.with_name(f"{target.name[: -len(ending)]}_{name}{ending}")


@contextmanager
def streamed(
    path: Path, grid: Grid, frames: int | None, channels: int, dtype: type, duration: float
) -> Iterator[np.ndarray]:
    """An array [X, Y, Z, T, channels] on disk that becomes a NIfTI file, completely or not at all, on exit.

    Args:
        path: path of the file.
        grid: grid whose affine it gets.
        frames: number of frames T, or None for a volume without time.
        channels: number of channels, the last axis of the file if there is more than one.
        dtype: data type of the voxels.
        duration: duration of a frame, seconds.
    """
    shape = (*grid.shape, frames or 1, channels)
    with whole_file(path) as part, tempfile.TemporaryDirectory(dir=part.parent) as folder:
        raw = os.path.join(folder, "voxels")
        array = np.memmap(raw, dtype=dtype, mode="w+", shape=shape, order="F")
        yield array
        array.flush()
        last = shape if channels > 1 else shape[:4] if frames else shape[:3]
        image = nib.Nifti1Image(array.reshape(last, order="F"), grid.affine)
        image.header.set_xyzt_units("mm", "sec")
        if len(last) > 3:
            image.header["pixdim"][4] = duration or 1.0
        image.header["descrip"] = b"NISF, research use only"
        nib.save(image, part)
