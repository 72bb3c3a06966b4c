"""Latent inference: a subject's latent fitted to its intensities with the network frozen."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch.nn import functional as F

from scripts.errors import InputError
from scripts.geometry import CoordinateFrame
from scripts.networks import NISF
from scripts.transforms import as_intensity


@dataclass
class GridPoints:
    """The voxels of a scan as points, made on demand so that a long cine is never held as coordinates.

    Attributes:
        frame: the scan's coordinate frame, of the same grid as ``image``.
        image: [C, X, Y, Z, T], uint8 or float in [0, 1].
        kept_slices: slices that may be seen; None is all of them.
    """

    frame: CoordinateFrame
    image: torch.Tensor
    kept_slices: list[int] | None = None

    def __post_init__(self) -> None:
        grid = (*self.frame.shape, len(self.frame.times))
        if tuple(self.image.shape[1:]) != grid:
            found = tuple(self.image.shape[1:])
            raise InputError(f"the image's grid {found} is not that of its coordinate frame {grid}")
        self._seen = None if self.kept_slices is None else torch.tensor(self.kept_slices)

    def __len__(self) -> int:
        x, y, z, t = self.image.shape[1:]
        return x * y * (z if self._seen is None else len(self._seen)) * t

    def flat(self, number: torch.Tensor) -> torch.Tensor:
        """Flat grid index of the points ``number`` [N] in 0..len - 1."""
        if self._seen is None:
            return number
        n_z, n_t = self.image.shape[3], self.image.shape[4]
        t, rest = number % n_t, number // n_t
        kept = len(self._seen)
        return ((rest // kept) * n_z + self._seen[rest % kept]) * n_t + t

    def take(self, number: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Coordinates [D, N] and intensities [C, N] of the points ``number``."""
        indices = self.flat(number)
        where = torch.unravel_index(indices, self.image.shape[1:])
        return self.frame.points(indices), as_intensity(self.image[(slice(None), *where)])


@dataclass
class LatentFit:
    """What a fit found.

    Attributes:
        latent: [L].
        history: one entry a step: ``step`` (1-based), ``loss`` (intensity BCE), ``points`` seen so far.
        points: point evaluations in all.
        seconds: wall-clock time.
        reason: why it stopped.
        covariance: posterior covariance [L, L], where the method gives one.
    """

    latent: torch.Tensor
    history: list[dict] = field(default_factory=list)
    points: int = 0
    seconds: float = 0.0
    reason: str = ""
    covariance: torch.Tensor | None = None


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
        of each batch its point numbers [N], logits [1, C + K, N] and share of the loss.
    """
    total = sum(len(numbers) for numbers in batches)
    for numbers in batches:
        coords, intensity = (t.unsqueeze(0).to(latent.device) for t in points.take(numbers))
        output = network(coords, latent)
        loss = F.binary_cross_entropy_with_logits(output[:, : network.in_channels], intensity) * (len(numbers) / total)
        loss.backward()
        yield numbers, output.detach(), float(loss.detach())


def fit_adam(
    network: NISF,
    points: GridPoints,
    steps: int = 200,
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
        steps: number of Adam steps, the paper's early stop.
        lr: Adam's step size.
        latent_l2: weight of the squared norm of the latent.
        points_per_step: points drawn anew for each step, from all frames; None takes all of them, as the paper does.
        chunk: points evaluated at once; bounds the memory.
        seed: of the draws.
        callback: called with (step, logits [1, C + K, N], flat grid indices [N]) of each chunk, for whoever wants to
            watch.

    Raises:
        InputError: the loss stops being finite.
    """
    started = time.perf_counter()
    device = network.latent_mean.device
    generator = torch.Generator().manual_seed(seed)
    fit = LatentFit(latent=network.latent_mean.detach().clone(), reason=f"all {steps} steps done")
    # callers may run under no_grad, inference_mode or autocast; a fit needs gradients and their digits
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.autocast(device.type, enabled=False),
        frozen(network),
    ):
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
