"""Conversion of tensors to files, arrays and classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from monai.data import MetaTensor

from nisf.utils.files import whole_file


def likeliest(classes: torch.Tensor) -> torch.Tensor:
    """Index [...] of the largest of [K, ...]."""
    # argmax over the first axis gives the same, several times slower
    return classes.max(dim=0).indices


def save_tensors(content: Mapping[str, object], path: str | Path) -> Path:
    """``torch.save`` that never leaves half a file under the final name.

    Raises:
        InputError: the folder cannot be written or the disk is full.
    """
    path = Path(path)
    with whole_file(path) as temporary:
        torch.save(dict(content), temporary)
    return path


def plain_array(tensor: torch.Tensor | MetaTensor) -> np.ndarray:
    """The values of a tensor, without metadata."""
    return (tensor.as_tensor() if isinstance(tensor, MetaTensor) else tensor).cpu().numpy()


def as_intensity(image: torch.Tensor) -> torch.Tensor:
    """Intensities in [0, 1] as float32, from stored 8-bit values or unchanged."""
    return image.float() / 255 if image.dtype == torch.uint8 else image.float()


def unravelled(number: torch.Tensor, shape: Sequence[int]) -> tuple[torch.Tensor, ...]:
    """Index along each axis of a grid, of flat indices [N] on the CPU.

    By NumPy: ``torch.unravel_index`` first imports SymPy, which takes longer than all that a scan needs of it.
    """
    return tuple(torch.from_numpy(axis) for axis in np.unravel_index(number.numpy(), tuple(shape)))
