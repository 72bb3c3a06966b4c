"""A network whose weights stand still while a latent is fitted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from nisf.models.nisf import NISF


@contextmanager
def frozen(network: torch.nn.Module) -> Iterator[torch.nn.Module]:
    """The network without weight gradients and in evaluation mode; as it was on leaving."""
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
    """Callers may run under no_grad, inference_mode or autocast; a fit needs gradients and their digits."""
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.autocast(network.latent_mean.device.type, enabled=False),
        frozen(network),
    ):
        yield
