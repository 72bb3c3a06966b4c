"""The paper's inference: Adam steps on the latent."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator

import torch
from torch.nn import functional as F

from nisf.fit.frozen import fitting_mode
from nisf.fit.members import for_each_member
from nisf.fit.points import GridPoints
from nisf.fit.posterior import LatentFit
from nisf.models.nisf import NISF
from nisf.utils.errors import InputError, check_counts


def _batches(
    points: GridPoints, points_per_step: int | None, chunk: int, generator: torch.Generator
) -> Iterator[torch.Tensor]:
    """Point numbers of one step, in chunks that bound the memory."""
    if points_per_step is None or points_per_step >= len(points):
        drawn = torch.arange(len(points))
    else:
        drawn = torch.randint(len(points), (points_per_step,), generator=generator)
    yield from drawn.split(chunk)


def _backward(
    network: NISF, latent: torch.Tensor, points: GridPoints, batches: list[torch.Tensor]
) -> Iterator[tuple[torch.Tensor, torch.Tensor, float]]:
    """Adds the gradient of the mean intensity BCE over all batches to ``latent.grad``, a batch at a time.

    Yields:
        point numbers [N], logits [1, C + K, N] and share of the loss of each batch.
    """
    total = sum(len(numbers) for numbers in batches)
    for numbers in batches:
        coords, intensity = (t.unsqueeze(0).to(latent.device) for t in points.take(numbers))
        output = network(coords, latent)
        loss = F.binary_cross_entropy_with_logits(output[:, : network.in_channels], intensity) * (len(numbers) / total)
        loss.backward()
        yield numbers, output.detach(), float(loss.detach())


@for_each_member()
def fit_adam(
    network: NISF,
    points: GridPoints,
    steps: int | None = None,
    lr: float = 1e-2,
    latent_l2: float = 1e-4,
    points_per_step: int | None = 4096,
    chunk: int = 8192,
    seed: int = 0,
    callback: Callable[[int, torch.Tensor, torch.Tensor], None] | None = None,
) -> LatentFit:
    """The paper's inference: Adam on ``BCE(intensity) + latent_l2 * |h|^2``, from the prior's mean, weights frozen.

    Args:
        network: the trained network; its weights are not changed.
        points: the scan.
        steps: number of Adam steps, the paper's early stop; None takes the network's own ``fit_steps``, found on
            validation subjects during training.
        lr: Adam's step size.
        latent_l2: weight of the squared norm of the latent.
        points_per_step: points drawn at each step, from all frames; None takes all of them, as the paper does.
        chunk: points evaluated at once; bounds the memory.
        seed: random seed of the draws.
        callback: called with (step, logits [1, C + K, N], flat grid indices [N]) for each chunk.

    Raises:
        InputError: a count is below 1, or the loss is no longer finite.
    """
    started = time.perf_counter()
    steps = int(network.fit_steps) if steps is None else steps
    check_counts("the fit", steps=steps, points_per_step=points_per_step, chunk=chunk)
    generator = torch.Generator().manual_seed(seed)
    fit = LatentFit(latent=network.latent_mean.detach().clone(), reason=f"all {steps} steps done")
    with fitting_mode(network):
        latent = network.latent_mean.detach().clone().unsqueeze(0).requires_grad_(True)
        optimiser = torch.optim.Adam([latent], lr=lr)
        for step in range(1, steps + 1):
            optimiser.zero_grad()
            batches = list(_batches(points, points_per_step, chunk, generator))
            loss = 0.0
            for numbers, output, part in _backward(network, latent, points, batches):
                loss += part
                if callback is not None:
                    callback(step, output, points.flat(numbers))
            latent.grad.add_(2 * latent_l2 * latent.detach())
            if not math.isfinite(loss) or not bool(torch.isfinite(latent.grad).all()):
                raise InputError(
                    f"the fit's loss is no longer a number at step {step}; use a smaller lr or check the weights"
                )
            optimiser.step()
            fit.points += sum(len(numbers) for numbers in batches)
            fit.history.append({"step": step, "loss": loss, "points": fit.points})
    fit.latent = latent.detach()[0].clone()
    fit.seconds = time.perf_counter() - started
    return fit
