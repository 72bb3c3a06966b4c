"""The file that holds a fitted latent."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from nisf.utils.errors import InputError


def read_latent(path: str | Path) -> dict:
    """The content of a ``_latent.pt`` file.

    Raises:
        InputError: it is missing, cut off or no such file.
    """
    if not Path(path).is_file():
        raise InputError(f"{path}: there is no such latent file; nisf segment writes <scan>_latent.pt")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a different type for each way in which a file can be broken
        raise InputError(f"{path}: the latent file is damaged or cut off; segment the scan anew") from error
    if not isinstance(content, Mapping) or not {"latent", "frame", "network", "class_names"} <= set(content):
        raise InputError(f"{path}: is no latent file of this version; segment the scan anew")
    if content["frame"] is None:
        raise InputError(f"{path}: holds no coordinate frame; segment the scan anew")
    return dict(content)
