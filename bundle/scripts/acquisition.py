"""What the scanner and the breath-holds did to a stack, beside the heart in it, as variables of a fit.

Gain and offset of the intensities' logits, of the whole stack and of each slice, and a shift of each slice in plane.
"""

from __future__ import annotations

import torch

from scripts.errors import InputError

#: Numbers of a slice: gain and offset (``logit -> (1 + gain) logit + offset``), shift along x and along y (normalised).
EFFECTS = 4
#: Standard deviations that make up the prior: whole gain, whole offset, a slice's gain, offset, shift x, shift y.
NUMBERS = 6


def factor_of(spread: torch.Tensor, slices: int) -> torch.Tensor:
    """From whitened variables to the effects on each slice, [slices + 1, 4, M].

    A variable whose standard deviation is zero is left out. The last row, of points that lie in no slice of the stack,
    is zero.

    Args:
        spread: standard deviations [6], see ``NUMBERS``.
        slices: number of slices.

    Raises:
        InputError: they are not six numbers of zero or more.
    """
    if tuple(spread.shape) != (NUMBERS,) or not bool((spread >= 0).all()):
        raise InputError(f"acquisition of the fit is {spread.tolist()}; {NUMBERS} standard deviations are needed")
    columns = []
    for effect in range(2):
        whole = spread.new_zeros(slices + 1, EFFECTS)
        whole[:slices, effect] = spread[effect]
        columns.append(whole)
    for effect in range(EFFECTS):
        for place in range(slices):
            one = spread.new_zeros(slices + 1, EFFECTS)
            one[place, effect] = spread[2 + effect]
            columns.append(one)
    kept = [column for column in columns if bool((column != 0).any())]
    return torch.stack(kept, dim=-1) if kept else spread.new_zeros(slices + 1, EFFECTS, 0)
