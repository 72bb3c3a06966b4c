"""Weights of trainings from different seeds, joined to those of a committee."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

from nisf.models.committee import Committee
from nisf.models.nisf import NISF
from nisf.models.weights import load_weights, save_weights
from nisf.utils.errors import InputError


def join_weights(network: NISF, weights: Sequence[str | Path], path: str | Path) -> Path:
    """The run id ``join``: writes the weights of a committee of trained networks, to be calibrated as one.

    Args:
        network: network of the members' shape.
        weights: their weight files, each a training of its own on the same subjects.
        path: file to write.

    Raises:
        InputError: fewer than two files, one that is missing, damaged or of another network, or of a committee.
    """
    if len(weights) < 2:
        raise InputError(f"weights names {len(weights)} files; two or more trainings are joined")
    members = [load_weights(copy.deepcopy(network), one) for one in weights]
    for one, name in zip(members, weights):
        if isinstance(one, Committee):
            raise InputError(f"{name}: is a committee itself; name the weights of its members")
    return save_weights(Committee(members), path)
