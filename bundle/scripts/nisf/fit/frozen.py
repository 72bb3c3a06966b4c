"""A network whose weights are frozen while a latent is fitted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from nisf.models.nisf import NISF


@contextmanager
def frozen(network: torch.nn.Module) -> Iterator[torch.nn.Module]:
    """The network without weight gradients and in evaluation mode; restored on exit."""
    training, states = network.training, [(p, p.requires_grad) for p in network.parameters()]
    network.eval()
    for parameter, _ in states:
        parameter.requires_grad_(False)
    try:
        yield network
    finally:
        for parameter, state in states:
            parameter.requires_grad_(state)
        network.train(training)


@contextmanager
def fitting_mode(network: NISF) -> Iterator[None]:
    """Gradients in full precision for a fit, even if the caller runs under no_grad, inference_mode or autocast."""
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.autocast(network.latent_mean.device.type, enabled=False),
        frozen(network),
    ):
        yield
