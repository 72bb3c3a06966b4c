"""Directions and spacings of an array's axes in the world, and the axis order and flips of a short-axis stack.

World coordinates are RAS millimetres.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations, product

import numpy as np
from nibabel.affines import voxel_sizes
from nibabel.orientations import axcodes2ornt, inv_ornt_aff, io_orientation

#: Mean directions of a heart's axes in RAS. The apex points left, forwards and down; the others follow from it.
APEX = np.array([-0.65, 0.50, -0.57]) / np.linalg.norm([-0.65, 0.50, -0.57])
INFERIOR = np.array([0.0, 0.0, -1.0]) - APEX * np.dot(APEX, [0.0, 0.0, -1.0])
INFERIOR = INFERIOR / np.linalg.norm(INFERIOR)
LATERAL = np.cross(APEX, INFERIOR)

#: The canonical short-axis directions of (x, y, slice): columns are unit vectors in RAS.
SHORT_AXIS = np.stack([LATERAL, INFERIOR, APEX], axis=1)

#: How many times longer, or fewer, voxels across the slices are than those within them where that alone tells.
APART = 2.0

#: Largest field of view of a scanner, mm.
FIELD = 500.0

#: Largest angle in degrees between a short-axis stack's slice axis and the usual direction of the apex.
NEAR = 35.0

#: Words for the direction in which an array axis points, and the column of SHORT_AXIS and sign that they mean.
ANATOMY = {
    "lateral": (0, 1),
    "septal": (0, -1),
    "inferior": (1, 1),
    "anterior": (1, -1),
    "apex": (2, 1),
    "base": (2, -1),
}

#: Codes of the patient's axes, and which of the three they belong to.
CODES = {"L": 0, "R": 0, "P": 1, "A": 1, "I": 2, "S": 2}


def directions(affine: np.ndarray) -> np.ndarray:
    """Unit vectors in RAS of the three array axes, columns of a [3, 3] matrix."""
    matrix = np.asarray(affine, dtype=float)[:3, :3]
    return matrix / np.linalg.norm(matrix, axis=0, keepdims=True)


def spacing_of(affine: np.ndarray) -> tuple[float, float, float]:
    """Voxel size in mm along the three array axes."""
    x, y, z = voxel_sizes(np.asarray(affine, dtype=float))
    return float(x), float(y), float(z)


def slice_axis_of(affine: np.ndarray, shape: Sequence[int] | None = None) -> int | None:
    """The array axis across the slices; None where nothing tells.

    By the first of these that sets one axis apart: a voxel at least ``APART`` times as long as the others; a number of
    voxels, in ``shape``, as much smaller than the others; the axis that lies within ``NEAR`` of the usual direction of
    the apex; a voxel size that differs from two equal ones.
    """
    spacing = np.array(spacing_of(affine))
    for lengths in (spacing, None if shape is None else 1 / np.array(shape[:3], dtype=float)):
        if lengths is not None and np.sort(lengths)[2] >= APART * np.sort(lengths)[1]:
            return int(np.argmax(lengths))
    near = np.abs(APEX @ directions(affine))
    if near.max() > np.cos(np.radians(NEAR)):
        return int(np.argmax(near))
    same = [np.isclose(spacing[(axis + 1) % 3], spacing[(axis + 2) % 3], rtol=0.01) for axis in range(3)]
    return int(np.argmax(same)) if sum(same) == 1 else None


def unlike_axes(affine: np.ndarray, shape: Sequence[int]) -> tuple[int, int] | None:
    """The two array axes whose columns of an affine were exchanged, as where an array was transposed without it.

    They are the axis of the thickest voxels and that of the fewest, if these differ and the stack would be wider than
    any scanner's field, which it is not with the columns exchanged. None otherwise.
    """
    spacing, number = np.array(spacing_of(affine)), np.array(shape[:3], dtype=float)
    thick, few = int(np.argmax(spacing)), int(np.argmin(number))
    alike = spacing[thick] < APART * np.sort(spacing)[1] or np.sort(number)[1] < APART * number[few]
    if thick == few or alike or (spacing * number).max() <= FIELD:
        return None
    spacing[[thick, few]] = spacing[[few, thick]]
    return (thick, few) if (spacing * number).max() <= FIELD else None


def short_axis_permutation(
    affine: np.ndarray, slice_axis: int | None = None
) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
    """Axis order and flips that bring an array nearest to the canonical short-axis orientation.

    The slice axis, found by ``slice_axis_of`` unless it is given, goes last. Among the orders and flips that do not
    mirror the heart, the one whose axes agree best with SHORT_AXIS is taken.

    Returns:
        ``order`` and ``flips``: the canonical axis ``a`` is the array's axis ``order[a]``, reversed if ``flips[a]``.
    """
    found = directions(affine)
    known = slice_axis_of(affine) if slice_axis is None else slice_axis
    slice_axis = 2 if known is None else known
    handedness = np.sign(np.linalg.det(SHORT_AXIS))
    best, choice = -np.inf, ((0, 1, 2), (False, False, False))
    for order in permutations(range(3)):
        if order[2] != slice_axis:
            continue
        for flips in product((False, True), repeat=3):
            signed = found[:, order] * np.where(flips, -1.0, 1.0)
            if np.sign(np.linalg.det(signed)) != handedness:
                continue
            agreement = float(np.sum(signed * SHORT_AXIS))
            if agreement > best + 1e-9:
                best, choice = agreement, (order, flips)
    return choice


def stated_axes(stated: Sequence[str] | str) -> list[str]:
    """Directions of three array axes from words of ``ANATOMY``, or from codes of the patient's axes, as ``LPS``.

    The codes are those of ``nibabel.aff2axcodes``: where each array axis points, L to the patient's left.

    Raises:
        ValueError: something else is stated, or an axis is named twice.
    """
    words = stated.replace(",", " ").split() if isinstance(stated, str) else list(stated)
    if len(words) == 1 and len(words[0]) == 3:
        words = list(words[0].upper())
    axes = [CODES.get(word, ANATOMY.get(word, (word,))[0]) for word in words]
    one_kind = all(word in CODES for word in words) or all(word in ANATOMY for word in words)
    if not one_kind or len(words) != 3 or len(set(axes)) != 3:
        raise ValueError(
            f"must name three directions out of {', '.join(sorted(ANATOMY))}, one per axis, or the axes' codes, "
            f"as LPS, not {stated}"
        )
    return words


def stated_permutation(
    array_axes: Sequence[str] | str, affine: np.ndarray | None = None, slice_axis: int | None = None
) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
    """Axis order and flips for an array whose axes are stated, see ``stated_axes`` and ``short_axis_permutation``.

    Codes of the patient's axes correct the affine, which they need: its world axes are exchanged and reversed so that
    the codes hold. Raises as ``stated_axes``.
    """
    words = stated_axes(array_axes)
    if words[0] in CODES:
        return short_axis_permutation(recoded(affine, words), slice_axis)
    order, flips = [0, 0, 0], [False, False, False]
    for axis, word in enumerate(words):
        target, sign = ANATOMY[word]
        order[target], flips[target] = axis, sign < 0
    return tuple(order), tuple(flips)  # type: ignore[return-value]


def recoded(affine: np.ndarray, codes: Sequence[str]) -> np.ndarray:
    """The affine [4, 4] with world axes exchanged and reversed so that its ``aff2axcodes`` are ``codes``."""
    world, signs = io_orientation(affine).T
    stated, wanted = axcodes2ornt(codes).T
    change = np.eye(4)
    change[:3, :3] = 0
    change[stated.astype(int), world.astype(int)] = signs * wanted
    return change @ np.asarray(affine, dtype=float)


def has_orientation(affine: np.ndarray) -> bool:
    """Whether any array axis is oblique; none is in files that have lost a scan's orientation.

    A short-axis plane is always oblique, so an affine along the world axes says nothing about the heart.
    """
    return bool(np.any(np.abs(directions(affine)).max(axis=0) < 0.999))


def permuted_affine(affine: np.ndarray, shape: tuple[int, ...], order: tuple, flips: tuple) -> np.ndarray:
    """The affine [4, 4] of an array of ``shape`` after its axes are permuted to ``order`` and then flipped."""
    turn = [(new, -1 if flips[new] else 1) for new in np.argsort(order)]  # for each old axis
    return np.asarray(affine, dtype=float) @ inv_ornt_aff(turn, shape)


def plane_in_words(normal: np.ndarray) -> str:
    """The direction of a slice by its normal [3] in RAS: the angle to the usual short axis, and the body's planes."""
    unit = np.asarray(normal, float) / np.linalg.norm(normal)
    tilt = np.degrees(np.arccos(min(1.0, abs(float(unit @ APEX)))))
    names = ("sagittal", "coronal", "transverse")
    nearest = int(np.abs(unit).argmax())
    body = names[nearest] if abs(unit[nearest]) > np.cos(np.radians(20)) else "oblique"
    return f"{body}, {tilt:.0f} degrees from the usual short axis"
