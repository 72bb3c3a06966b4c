"""The grid that a user's options describe: another image's, finer voxels, a box, a plane, and its time points."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from nisf.geometry.grid import Grid, even_times
from nisf.io.images import image_grid
from nisf.sampling.fitted_scan import FittedScan
from nisf.sampling.planes import PLANES, heart_axes, long_axis_plane
from nisf.utils.errors import InputError


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
    """The grid that a user's options describe.

    Args:
        fitted: fitted scan.
        like: image whose grid and number of frames are used.
        spacing: voxel size in mm, one number or three; one for a plane.
        plane: ``2-chamber``, ``4-chamber`` or three world points (RAS mm).
        box: part of the grid to keep: ``heart``, or two opposite corners (world, RAS mm).
        frames: number of frames, spread evenly over the cycle.
        times: time points, fractions of the cycle, in place of ``frames``.
        size: length of a plane's sides, mm.

    Raises:
        InputError: the options contradict each other or are invalid.
    """
    if like is not None and (plane is not None or spacing is not None):
        raise InputError("like and plane or spacing name different grids; give one of them")
    if frames is not None and times is not None:
        raise InputError("frames and times name different time points; give one of them")
    if like is not None:
        grid = image_grid(like)
    elif plane is not None:
        grid = _plane(fitted, plane, size, spacing).at(fitted.frame.times)
    else:
        grid = Grid.of_scan(fitted.frame, None if spacing is None else _three(spacing))
    if box is not None:
        grid = _boxed(fitted, grid, box)
    if times is not None:
        return grid.at(numbers_of("times", times))
    return grid if frames is None else grid.at(even_times(frames))


def _three(spacing: Sequence[float] | float) -> tuple[float, ...]:
    found = numbers_of("spacing", spacing)
    return tuple(found * 3 if len(found) == 1 else found)


def numbers_of(name: str, value: object) -> list[float]:
    """One number or several, as a list.

    Raises:
        InputError: it is something else; ``name`` is the option.
    """
    try:
        return [float(one) for one in (value if isinstance(value, (list, tuple)) else [value])]
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} is {value}; give a number or a list of numbers") from error


def _plane(fitted: FittedScan, plane: str | Sequence, size: float, spacing: Sequence[float] | float | None) -> Grid:
    spacing = min(_three(1.5 if spacing is None else spacing))
    if isinstance(plane, str) and plane in PLANES:
        return long_axis_plane(plane, heart_axes(fitted), size, spacing)
    if isinstance(plane, str):
        raise InputError(f"the plane '{plane}' is unknown; use {' or '.join(PLANES)}, or three points [[x,y,z],...]")
    return Grid.through(plane, size, spacing)


def _boxed(fitted: FittedScan, grid: Grid, box: str | Sequence, margin: float = 5.0) -> Grid:
    """The part of a grid that contains the heart (any class, any time) or that is between two corners."""
    if not isinstance(box, str):
        corners = np.asarray(box, dtype=float)
        if corners.shape != (2, 3):
            raise InputError(f"box is {box}; give 'heart' or two corners of three numbers")
        every = np.array(np.meshgrid(*corners.T)).reshape(3, -1).T
        return grid.cropped(every, 0.0)
    if box != "heart":
        raise InputError(f"the box '{box}' is unknown; use 'heart' or two corners [[x,y,z],[x,y,z]]")
    coarse = Grid.of_scan(fitted.frame, (4.0, 4.0, 4.0)).world()
    inside = np.zeros(len(coarse), dtype=bool)
    for time in even_times(min(8, len(fitted.frame.times))):
        inside |= (fitted.read(coarse, time)[fitted.network.in_channels :].argmax(dim=0) > 0).numpy()
    if not inside.any():
        raise InputError(f"{fitted.subject}: no class was found anywhere, so there is no box about it")
    return grid.cropped(coarse[inside], margin + 2.0)


def parsed(value: object) -> object:
    """A list parsed from command-line text, or the value itself."""
    if isinstance(value, str) and value[:1] in "[(":
        try:
            return json.loads(value.replace("(", "[").replace(")", "]"))
        except ValueError as error:
            raise InputError(f"'{value}' is not a list of numbers; write it as [[1,2,3],[4,5,6]]") from error
    return list(value) if isinstance(value, tuple) else value
