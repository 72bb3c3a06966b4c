"""Weights of trainings from different seeds, joined to those of a committee, or of a U-Net that is several."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

from nisf.models.committee import Committee
from nisf.models.nisf import NISF
from nisf.models.slice_net import SliceNet
from nisf.models.weights import load_unet, load_weights, save_weights
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
    _check_number(weights)
    members = [load_weights(copy.deepcopy(network), one) for one in weights]
    for one, name in zip(members, weights):
        if isinstance(one, Committee):
            raise _is_joined(name)
    return save_weights(Committee(members), path)


def join_unets(network: SliceNet, weights: Sequence[str | Path], path: str | Path) -> Path:
    """The run id ``join_unets``: writes the weights of several trained U-Nets whose mean is used as one.

    Args:
        network: U-Net of the members' pixel size.
        weights: their weight files, each a training of its own on the same subjects.
        path: file to write, in half precision.

    Raises:
        InputError: fewer than two files, one that is missing, damaged, joined already, or of another size than the
            first.
    """
    _check_number(weights)
    members = [load_unet(copy.deepcopy(network), one, "cpu") for one in weights]
    first = members[0]
    for one, name in zip(members, weights):
        if one.members > 1:
            raise _is_joined(name)
        if (one.features, float(one.pixel), int(one.patch)) != (first.features, float(first.pixel), int(first.patch)):
            raise InputError(f"{name}: has other channels, pixel size or patches than {weights[0]}; join U-Nets alike")
    sizes = first.num_classes, first.in_channels, float(first.pixel), first.features, int(first.patch), first.window
    joined = SliceNet(*sizes, members=len(members))
    for own, one in zip(joined.unet.members, members):
        own.load_state_dict(one.unet.state_dict())
    return save_weights(joined.half(), path)


def _check_number(weights: Sequence[str | Path]) -> None:
    if len(weights) < 2:
        raise InputError(f"weights names {len(weights)} files; two or more trainings are joined")


def _is_joined(name: str | Path) -> InputError:
    return InputError(f"{name}: is a committee itself; name the weights of its members")
