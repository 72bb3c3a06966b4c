"""The grid on which a stack is read: even in plane and across, whatever its slices are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from nisf.io.dicom_picture import Picture
from nisf.io.dicom_slices import UNEVEN, Stack, same_form
from nisf.utils.errors import InputError

#: Largest deviation, as a part of the slice distance, with which no other distance is tried.
EVEN = 0.1

#: As ``UNEVEN``, where places between the slices have none.
UNEVEN_APART = 0.15

#: Pixels by which a slice may be off the grid in plane before it is interpolated.
OFF = 0.5


@dataclass(frozen=True, eq=False)
class StackGrid:
    """Where a stack's voxels are.

    Attributes:
        size: columns and rows.
        places: number along the slice axis of each slice, from 0 on, with gaps where slices are missing.
        affine: voxel index (column, row, slice) to LPS mm [4, 4].
        notes: what is unusual about the slices.
    """

    size: tuple[int, int]
    places: list[int]
    affine: np.ndarray
    notes: list[str]

    def pixel_map(self, picture: Picture, place: int) -> np.ndarray | None:
        """Column and row of the grid to those of a picture in slice ``place``, [2, 3]; None where they are the same."""
        start = self.affine[:3, 3] + place * self.affine[:3, 2] - picture.position
        to_pixels = picture.directions / np.array(picture.spacing)[:, None]
        found = to_pixels @ np.column_stack([self.affine[:3, :2], start])
        corners = np.array([[0, 0, 1], [self.size[0] - 1, self.size[1] - 1, 1]]).T
        same = np.abs(found @ corners - corners[:2]).max() < OFF
        return None if same and picture.size == self.size else found


def grid_of(stack: Stack, source: str, what: str) -> StackGrid:
    """The grid of a stack; ``what`` it is, for messages.

    Raises:
        InputError: the slices are at no even distances.
    """
    first = [pictures[0] for pictures in stack.slices]
    places, step = _numbered(stack.depths, f"{source}: the {what} ({stack.label})")
    plane = max(first, key=lambda picture: sum(same_form(picture, other) for other in first))
    alike = [(place, picture) for place, picture in zip(places, first) if same_form(plane, picture)]
    origin, across = _line(*zip(*alike), step * first[0].normal)
    affine = np.eye(4)
    affine[:3, :2] = (plane.directions * np.array(plane.spacing)[:, None]).T
    affine[:3, 2], affine[:3, 3] = across, origin
    if len(first) == 1:
        affine[:3, 2] *= plane.thickness or 1.0
    grid = StackGrid(plane.size, places, affine, [])
    turned = [k for k, (place, p) in enumerate(zip(places, first), 1) if grid.pixel_map(p, place) is not None]
    return StackGrid(plane.size, places, affine, [*_missing(places, stack, step), *_other_planes(turned, len(first))])


def _numbered(depths: np.ndarray, named: str) -> tuple[list[int], float]:
    """Numbers of slices on an even axis, ascending from 0, and the mm between its places.

    Their usual distance, or half of it where some slices are missing or lie between.

    Raises:
        InputError: neither fits.
    """
    if len(depths) == 1:
        return [0], 1.0
    steps = np.diff(depths)
    usual = np.sort(steps)[(len(steps) - 1) // 2]
    found = []
    for step in (usual, usual / 2):
        numbers = np.rint((depths - depths[0]) / step).astype(int)
        fitted, start = np.polyfit(numbers, depths, 1)
        off = np.abs(start + fitted * numbers - depths).max() / fitted
        allowed = UNEVEN if numbers[-1] < len(depths) else UNEVEN_APART
        if np.all(np.diff(numbers) > 0) and off < allowed and numbers[-1] < 2 * len(depths):
            found.append((off > EVEN, len(found), numbers.tolist(), float(fitted)))
    if found:
        return min(found)[2:]
    told = ", ".join(f"{one:.1f}" for one in steps)
    raise InputError(f"{named} is no even stack: its slices are {told} mm apart; export all its slices")


def _line(places: Sequence[int], pictures: Sequence[Picture], step: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First point [3] and step [3] of the line of most pictures' positions; of the step given where there is one."""
    numbers, positions = np.array(places, float), np.array([picture.position for picture in pictures])
    if len(numbers) == 1:
        return positions[0] - numbers[0] * step, step
    one, two = np.triu_indices(len(numbers), 1)
    across = np.median((positions[two] - positions[one]) / (numbers[two] - numbers[one])[:, None], axis=0)
    starts = positions - numbers[:, None] * across
    origin = np.median(starts, axis=0)
    near = np.linalg.norm(starts - origin, axis=1) < OFF * min(pictures[0].spacing)
    if near.sum() > 1:  # medians are robust, means are exact
        design = np.column_stack([np.ones(near.sum()), numbers[near]])
        origin, across = np.linalg.lstsq(design, positions[near], rcond=None)[0]
    return origin, across


def _missing(places: Sequence[int], stack: Stack, step: float) -> list[str]:
    count = places[-1] + 1 - len(places)
    if not count:
        return []
    told = ", ".join(f"{one:.1f}" for one in np.diff(stack.depths))
    return [
        f"{len(places)} slices, {told} mm apart: on a grid of {step:.1f} mm {count} place{'s' * (count > 1)} between "
        "them have none, and the segmentation there is computed from the others"
    ]


def _other_planes(turned: Sequence[int], count: int) -> list[str]:
    if not turned:
        return []
    return [
        f"slice{'s' * (len(turned) > 1)} {', '.join(map(str, turned))} of {count} "
        f"{'have' if len(turned) > 1 else 'has'} another turn, pixel size or field in plane: read onto the grid of the "
        "others"
    ]


def interpolated(pixels: np.ndarray, pixel_map: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Pixels [rows, columns] on another grid of the plane: linear, 0 beyond them, float32; see ``StackGrid``."""
    columns, rows = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    at = np.einsum("ij,jyx->iyx", pixel_map, np.stack([columns, rows, np.ones_like(rows)]))
    whole = np.rint(at)
    at = np.where(np.abs(at - whole) < 1e-3, whole, at)  # a quarter turn moves pixels and changes none
    return ndimage.map_coordinates(pixels.astype(np.float32), at[::-1], order=1, mode="constant")
