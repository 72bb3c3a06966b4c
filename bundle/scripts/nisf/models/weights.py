"""Weight files, and a digest with which a result names the weights that made it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch

from nisf.models.committee import Committee, members_of, shaped_as
from nisf.models.nisf import NISF
from nisf.models.slice_net import SliceNet
from nisf.utils.errors import InputError
from nisf.utils.tensors import save_tensors


class OtherTime(InputError):
    """Weights of a network that takes time in another form."""


def read_weights(path: str | Path) -> Mapping[str, torch.Tensor]:
    """The tensors of a weight file or checkpoint.

    Raises:
        InputError: the file is missing or damaged.
    """
    if not Path(path).is_file():
        raise InputError(f"{path}: there is no such model file; train one or name another with --model")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many types for broken files
        raise InputError(
            f"{path}: the model file is damaged or cut off ({type(error).__name__}); copy or train it again"
        ) from error
    return state.get("network", state) if isinstance(state, Mapping) else {}


def load_weights(network: torch.nn.Module, path: str | Path) -> torch.nn.Module:
    """The network with the weights of ``path``: itself, or one of as many members as the weights are of.

    Raises:
        InputError: the file is missing, damaged, or from another network; ``OtherTime`` where that takes time in
            another form.
    """
    state = read_weights(path)
    network = shaped_as(network, state) if isinstance(network, (NISF, Committee)) else network
    return _with(network, state, path)


def started(network: torch.nn.Module, path: str | Path | None) -> torch.nn.Module:
    """The network with the weights of ``path``, from which a training goes on; as it is without one.

    Raises:
        InputError: as ``load_weights``.
    """
    return network if path is None else load_weights(network, path)


def _with(network: torch.nn.Module, state: Mapping[str, torch.Tensor], path: str | Path) -> torch.nn.Module:
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        if sentence := _of_time(network, state):
            raise OtherTime(f"{path}: {sentence}") from error
        reason = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise InputError(
            f"{path}: the weights are of another network ({reason}); use the config that they were trained with"
        ) from error
    return network


def _of_time(network: torch.nn.Module, state: Mapping[str, torch.Tensor]) -> str | None:
    """The sentence for weights that take time in another form than the network; None if that is not what is wrong."""
    if not isinstance(network, (NISF, Committee)):
        return None
    network, within = members_of(network)[0], "members.0." if isinstance(network, Committee) else ""
    names = [f"{within}{name}" for name in ("first.linear.weight", "guess_coords", "latent_mean")]
    if any(name not in state for name in names):
        return None
    inputs, coords, latent = (state[name].shape[axis] for name, axis in zip(names, (1, 0, 0)))
    closed = inputs > coords + latent
    if coords != network.coord_dims or closed == network.closed_cycle:
        return None
    if closed:
        return "the weights are for a time that closes with the cycle; set closed_cycle to true in a file for --config"
    return (
        "the weights are for time as a plain number; set closed_cycle to false in a file for --config, or name newer "
        "weights"
    )


def digest_of(network: torch.nn.Module) -> str:
    """A short digest of a network's weights, the same for the same numbers."""
    found = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        found.update(name.encode())
        found.update(value.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()[:16]


def save_weights(network: torch.nn.Module, path: str | Path) -> Path:
    """Writes the network's state, buffers included, completely or not at all."""
    return save_tensors({name: value.detach().cpu().clone() for name, value in network.state_dict().items()}, path)


def load_unet(network: SliceNet, path: str | Path | None, device: torch.device | str) -> SliceNet | None:
    """The U-Net with the weights of ``path`` and as many channels as they have; None where no path is given."""
    if path is None:
        return None
    state = read_weights(path)
    return _with(network.shaped_as(state), state, path).to(device).eval()
