"""What an affine that does not fit its array has probably gone through."""

from __future__ import annotations

import numpy as np

from nisf.geometry.orientation import has_orientation, short_axis_permutation

#: Axis order and flips of an array.
Change = tuple[tuple[int, int, int], tuple[bool, bool, bool]]

#: Signs of the rows of an affine, and what gives them; the commonest first.
EXCHANGED = {
    (-1, -1, 1): "as if LPS had been taken for RAS",
    (-1, 1, 1): "as if left and right had been exchanged",
    (1, -1, 1): "as if front and back had been exchanged",
    (1, 1, -1): "as if head and feet had been exchanged",
}


def likely_change(affine: np.ndarray, order: tuple, flips: tuple) -> tuple[Change, str]:
    """The axis order and flips that a right affine would give, and in words what is wrong with the affine.

    A heart in an image shows how the array lies to a quarter turn in plane. Of the ways in which affines go wrong, the
    one that agrees with it best is taken, if one does.

    Args:
        affine: [4, 4] of an array in the short-axis orientation that it says.
        order, flips: what the heart in the image asks for; the slice axis stays the last.

    Returns:
        order and flips with the array's axes as the right file would have them, as given where no way agrees or the
        affine has lost its orientation; and the words, or none.
    """
    asked = _matrix(order, flips)
    found = []
    for signs, words in EXCHANGED.items() if has_orientation(affine) else ():
        change = short_axis_permutation(np.diag([*signs, 1]) @ affine, 2)
        agreement = np.trace(_matrix(*change)[:2, :2] @ asked[:2, :2].T)
        alike = _mirrors(change) == _mirrors((order, flips)) and change[1][2] == flips[2]
        if alike and agreement >= 0:  # a quarter turn at most
            found.append((agreement, change, words))
    if not found:
        return (order, flips), ""
    return max(found, key=lambda one: one[0])[1:]


def _matrix(order: tuple, flips: tuple) -> np.ndarray:
    """The change as a matrix [3, 3] from old axes to new ones."""
    return np.eye(3)[list(order)] * np.where(flips, -1, 1)[:, None]


def _mirrors(change: Change) -> bool:
    """Whether a change mirrors the picture in plane."""
    return bool(np.linalg.det(_matrix(*change)[:2, :2]) < 0)
