"""A fitted scan read on any grid and written as NIfTI, frame by frame in bounded memory."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from tqdm import tqdm

from scripts.animations import cine_gif
from scripts.cine import stem_of
from scripts.errors import InputError
from scripts.figures import panels_figure
from scripts.files import whole_file
from scripts.fitted import COMPILE_FROM, FittedScan
from scripts.geometry import spacing_of
from scripts.grids import Grid, moments
from scripts.planes import PLANES, heart_axes, long_axis_plane

OUTPUTS = ("seg", "prob", "recon", "uncertainty", "extrapolated", "png", "gif")
#: Draws from the posterior for a map of uncertainty.
DRAWS = 16
#: Those that are drawn of a plane.
PICTURES = ("png", "gif")
#: Values of the ``extrapolated`` map.
INSIDE, EXTRAPOLATED, NOT_GIVEN = 0, 1, 2


def grid_of(
    fitted: FittedScan,
    like: str | None = None,
    spacing: Sequence[float] | float | None = None,
    plane: str | Sequence[Sequence[float]] | None = None,
    box: str | Sequence[Sequence[float]] | None = None,
    frames: int | None = None,
    times: Sequence[float] | float | None = None,
    size: float = 160.0,
) -> Grid:
    """The grid that a user's words mean.

    Args:
        fitted: the scan.
        like: image whose grid and number of frames are taken.
        spacing: mm, one number or three; of a plane one.
        plane: ``2-chamber``, ``4-chamber`` or three world points (RAS mm).
        box: ``heart``, or two opposite corners (world, RAS mm): the part of the grid that holds it.
        frames: number of frames, spread evenly over the cycle.
        times: fractions of the cycle, in place of ``frames``.
        size: mm along the sides of a plane.

    Raises:
        InputError: the words contradict each other or cannot be met.
    """
    if like is not None and (plane is not None or spacing is not None):
        raise InputError("like and plane or spacing name different grids; give one of them")
    if frames is not None and times is not None:
        raise InputError("frames and times name different moments; give one of them")
    if like is not None:
        grid = Grid.like(like)
    elif plane is not None:
        grid = _plane(fitted, plane, size, spacing).at(fitted.frame.times)
    else:
        grid = Grid.of_scan(fitted.frame, None if spacing is None else _three(spacing))
    if box is not None:
        grid = _boxed(fitted, grid, box)
    if times is not None:
        return grid.at([times] if isinstance(times, (int, float)) else times)
    return grid if frames is None else grid.at(moments(frames))


def _three(spacing: Sequence[float] | float) -> tuple[float, ...]:
    return (float(spacing),) * 3 if isinstance(spacing, (int, float)) else tuple(float(s) for s in spacing)


def _plane(fitted: FittedScan, plane: str | Sequence, size: float, spacing: Sequence[float] | float | None) -> Grid:
    spacing = min(_three(1.5 if spacing is None else spacing))
    if isinstance(plane, str) and plane in PLANES:
        return long_axis_plane(plane, heart_axes(fitted), size, spacing)
    if isinstance(plane, str):
        raise InputError(f"the plane '{plane}' is unknown; use {' or '.join(PLANES)}, or three points [[x,y,z],...]")
    return Grid.through(plane, size, spacing)


def _boxed(fitted: FittedScan, grid: Grid, box: str | Sequence, margin: float = 5.0) -> Grid:
    """The part of a grid that holds the heart (any class, any moment) or what lies between two corners."""
    if not isinstance(box, str):
        corners = np.asarray(box, dtype=float)
        if corners.shape != (2, 3):
            raise InputError(f"box is {box}; give 'heart' or two corners of three numbers")
        every = np.array(np.meshgrid(*corners.T)).reshape(3, -1).T
        return grid.cropped(every, 0.0)
    if box != "heart":
        raise InputError(f"the box '{box}' is unknown; use 'heart' or two corners [[x,y,z],[x,y,z]]")
    look = Grid.of_scan(fitted.frame, (4.0, 4.0, 4.0)).world()
    inside = np.zeros(len(look), dtype=bool)
    for time in moments(min(8, len(fitted.frame.times))):
        inside |= (fitted.read(look, time)[fitted.network.in_channels :].argmax(dim=0) > 0).numpy()
    if not inside.any():
        raise InputError(f"{fitted.subject}: no class was found anywhere, so there is no box about it")
    return grid.cropped(look[inside], margin + 2.0)


def read_frame(fitted: FittedScan, grid: Grid, time: float, limit: float) -> Iterator[tuple[torch.Tensor, np.ndarray]]:
    """Values and the ``extrapolated`` map [n] of one moment, in parts of whole planes of the first axis.

    Values [C + K, n], or with draws [C + K + K + 2, n], the maps of ``FittedScan.uncertainty`` behind. Beyond the stack
    by more than ``limit`` mm nothing is given: intensity 0, all background.
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
        yield values, np.where(away == 0, INSIDE, np.where(known, EXTRAPOLATED, NOT_GIVEN)).astype(np.uint8)


def sample_to_files(
    latent: str,
    output: str,
    model: str | None = None,
    outputs: Sequence[str] = ("seg",),
    limit: float | None = None,
    device: str | torch.device = "cpu",
    **where: object,
) -> list[Path]:
    """Reads a latent file on a grid and writes NIfTI files beside each other.

    Args:
        latent: ``_latent.pt`` of a fitted scan.
        output: file of the segmentation (``.nii.gz``); other outputs get their name before the ending.
        model: weights; those that the latent names unless given.
        outputs: of ``OUTPUTS``.
        limit: mm beyond the stack up to which values are given; half the slice distance unless given.
        device: of the network.
        where: of ``grid_of``.

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
    duration = fitted.duration / len(grid.times)
    with ExitStack() as stack:
        found = {}
        for name in names:
            dtype = np.uint8 if name in ("seg", "extrapolated") else np.float32
            file = target if name == "seg" else _named(target, name)
            of_file = None if name == "extrapolated" else len(grid.times)  # the same at every moment
            found[name] = stack.enter_context(streamed(file, grid, of_file, channels[name], dtype, duration))
        given = np.zeros(3, dtype=int)
        for t, time in enumerate(tqdm(grid.times, desc="sampling", unit="frame", disable=None)):
            start = 0
            for values, beyond in read_frame(fitted, grid, time, limit):
                rows = slice(start, start + len(beyond) // (grid.shape[1] * grid.shape[2]))
                _put(found, fitted, values, beyond, (rows, t), grid)
                given += np.bincount(beyond, minlength=3)
                start = rows.stop
        for name in pictures:
            (_draw if name == "png" else _play)(_picture(target, name), found, grid, fitted)
    share = given / given.sum()
    print(
        f"{target}: {' x '.join(map(str, grid.shape))} voxels, {len(grid.times)} frames; {share[EXTRAPOLATED]:.0%} "
        f"extrapolated, {share[NOT_GIVEN]:.0%} more than {limit:.1f} mm beyond the stack and left empty"
    )
    written = [target if name == "seg" else _named(target, name) for name in names]
    return written + [_picture(target, name) for name in pictures]


def _check_pictures(pictures: Sequence[str], grid: Grid) -> None:
    if pictures and grid.shape[2] != 1:
        raise InputError(f"a picture is drawn of a plane; leave {pictures[0]} out or name a plane")
    if "gif" in pictures and len(grid.times) < 2:
        raise InputError("a gif needs two moments or more; leave gif out or ask for more frames")


def _picture(target: Path, ending: str) -> Path:
    return target.with_name(f"{stem_of(target)}.{ending}")


def _draw(path: Path, found: dict, grid: Grid, fitted: FittedScan) -> None:
    """The plane at up to four moments, reconstruction alone and with outlines."""
    frames = sorted({int(t) for t in np.linspace(0, len(grid.times), min(len(grid.times), 4), endpoint=False)})
    panels = [(f"{grid.times[t]:.2f} of the cycle", found["recon"][:, :, 0, t, 0], None) for t in frames]
    outlined = [("", image, found["seg"][:, :, 0, t, 0]) for t, (_, image, _) in zip(frames, panels)]
    title = f"{fitted.subject}: reconstruction and segmentation"
    panels_figure(path, [panels, outlined], spacing_of(grid.affine)[:2], fitted.class_names, title)


def _play(path: Path, found: dict, grid: Grid, fitted: FittedScan) -> None:
    """The plane through the cycle."""
    image, label = (found[name][:, :, 0, :, 0] for name in ("recon", "seg"))
    cine_gif(path, image, label, spacing_of(grid.affine)[:2], fitted.duration or 1.0, fitted.class_names)


def _put(found: dict, fitted: FittedScan, values: torch.Tensor, beyond: np.ndarray, place: tuple, grid: Grid) -> None:
    """One part of one moment into the files' arrays [X, Y, Z, T, channels]."""
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
    """An array [X, Y, Z, T, channels] on disk that becomes a NIfTI file, whole or not at all, on leaving.

    Args:
        path: of the file.
        grid: whose affine it gets.
        frames: T, or None for a volume without time.
        channels: a last axis of the file where there is more than one.
        dtype: of the voxels.
        duration: seconds of a frame.
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


def parsed(value: object) -> object:
    """A list that came as text from a command line, or the value itself."""
    if isinstance(value, str) and value[:1] in "[(":
        try:
            return json.loads(value.replace("(", "[").replace(")", "]"))
        except ValueError as error:
            raise InputError(f"'{value}' is no list of numbers; write it as [[1,2,3],[4,5,6]]") from error
    return list(value) if isinstance(value, tuple) else value
