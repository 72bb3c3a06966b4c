"""Latent inference: a subject's latent fitted to its intensities with the network frozen."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch.nn import functional as F

from scripts.acquisition import NUMBERS as ACQUISITION
from scripts.blending import Correction
from scripts.errors import InputError
from scripts.gauss_newton import GaussNewtonSearch
from scripts.geometry import CoordinateFrame
from scripts.networks import NISF
from scripts.points import GridPoints
from scripts.pose import NUMBERS, Pose


@dataclass
class LatentFit:
    """What a fit found.

    Attributes:
        latent: [L].
        history: one entry a step: ``step`` (1-based), ``loss`` (intensity BCE), ``points`` seen so far.
        points: point evaluations in all.
        seconds: wall-clock time; of a batch, its share.
        reason: why it stopped.
        covariance: posterior covariance float64, where the method gives one: [L, L], or [L + 6, L + 6] of latent and
            pose where both were fitted.
        pose: change [6] of the pose that the fit started with; zeros where none was fitted.
        effects: of the acquisition on each slice [slices, 4] (``acquisition.EFFECTS``), or None.
        quality: numbers by which a failed fit shows, once it has been sampled; see ``quality.assess``.
        verdict: what they come to, see ``trust.Judge``.
        correction: what class evidence adds to the latent's classes, once both have been sampled.
    """

    latent: torch.Tensor
    history: list[dict] = field(default_factory=list)
    points: int = 0
    seconds: float = 0.0
    reason: str = ""
    covariance: torch.Tensor | None = None
    pose: torch.Tensor = field(default_factory=lambda: torch.zeros(NUMBERS))
    effects: torch.Tensor | None = None
    quality: dict[str, float] = field(default_factory=dict)
    verdict: dict = field(default_factory=dict)
    correction: Correction | None = None

    def start(self, frame: CoordinateFrame) -> CoordinateFrame:
        """The scan's coordinate frame with its slices where the fit found them, in the pose that the fit began with."""
        return frame if self.effects is None else frame.shifted(self.effects[:, 2:])

    def frame(self, frame: CoordinateFrame) -> CoordinateFrame:
        """The scan's coordinate frame as the fit found it."""
        return self.start(frame).moved(Pose.of(self.pose))

    def sample(self, count: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
        """Draws of latents [count, L] and poses [count, 6] from the posterior.

        Raises:
            InputError: the fit has no covariance.
        """
        if self.covariance is None:
            raise InputError("this fit has no posterior to draw from; fit with fit_gauss_newton")
        values, vectors = torch.linalg.eigh(self.covariance.cpu().double())
        generator = torch.Generator().manual_seed(seed)
        unit = torch.randn(count, len(values), dtype=torch.double, generator=generator)
        draws = (unit * values.clamp_min(0).sqrt()) @ vectors.t()
        size = len(self.latent)
        poses = self.pose.to(self.latent) + torch.zeros(count, NUMBERS).to(self.latent)
        poses[:, : draws.shape[1] - size] += draws[:, size:].to(poses)
        return self.latent + draws[:, :size].to(self.latent), poses


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
        points_per_step: points drawn anew for each step, from all frames; None takes all of them, as the paper does.
        chunk: points evaluated at once; bounds the memory.
        seed: of the draws.
        callback: called with (step, logits [1, C + K, N], flat grid indices [N]) of each chunk, for whoever wants to
            watch.

    Raises:
        InputError: a count is below 1; the loss stops being finite.
    """
    started = time.perf_counter()
    steps = int(network.fit_steps) if steps is None else steps
    _check_counts(steps=steps, points_per_step=points_per_step, chunk=chunk)
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


def _check_counts(**counts: int | None) -> None:
    for name, value in counts.items():
        if value is not None and value < 1:
            raise InputError(f"{name} of the fit is {value}; it must be 1 or more")


def fit_gauss_newton(network: NISF, points: GridPoints, **options: object) -> LatentFit:
    """The latent of one scan and its posterior; see ``fit_gauss_newton_batch``."""
    return fit_gauss_newton_batch(network, [points], **options)[0]


def fit_gauss_newton_batch(
    network: NISF,
    scans: Sequence[GridPoints],
    prior_weight: float = 1e-4,
    final_points: int = 8192,
    start_points: int = 2048,
    iterations: int = 30,
    tolerance: float = 3e-3,
    growth: float = 0.2,
    damping: float = 1e-4,
    chunk: int = 4096,
    seed: int = 0,
    pose: bool = True,
    evidence_weight: float = 0.1,
    acquisition: Sequence[float] = (0.0,) * ACQUISITION,
    callback: Callable[[int, torch.Tensor], None] | None = None,
) -> list[LatentFit]:
    """Maximum a posteriori latents by damped Gauss-Newton (Levenberg-Marquardt) on the intensities, weights frozen.

    Minimises ``mean BCE(intensity) + prior_weight / 2 * |z|^2`` with ``latent = mean + factor z``, |z| the Mahalanobis
    distance from the prior over training latents. ``1 / prior_weight`` is the number of independent observations that
    the scan is worth. The posterior covariance is the inverse of that objective's Gauss-Newton matrix.

    Each step solves ``(G + (prior_weight + damping) I) dz = -gradient``, with G the Fisher matrix of the BCE, and is
    kept if the loss of the points in use falls; the damping follows the gain ratio (Nielsen 1999). G takes no account
    of the residuals' curvature and mostly overstates the loss's; the last step's outcome tells by how much, and the
    next is lengthened to match, at most twofold. The points are a few at first and double as the steps get small.

    Args:
        network: the trained network with its prior; its weights are not changed.
        scans: one or more, fitted side by side on equal numbers of points.
        prior_weight: weight of the prior against the mean BCE of a point.
        final_points: points of a scan in the end, spread evenly over it.
        start_points: points at first.
        iterations: the most steps.
        tolerance: with all points, done when a step lowers the loss by less than this part of what is left of it
            (beyond that of a perfect reconstruction).
        growth: the same part below which the points are doubled.
        damping: at first.
        chunk: points of a scan evaluated at once; bounds the memory.
        seed: of the points.
        pose: fit the pose together with the latent, where the network has a prior over it.
        evidence_weight: weight of the cross entropy of the class evidence against the intensities' BCE, where all the
            scans have evidence.
        acquisition: standard deviations of what the scanner and the breath-holds may have done, fitted together with
            the latent: gain and offset of the intensities' logits of the whole stack, then of each slice, and shifts
            of each slice along x and y (normalised). All zero: not fitted.
        callback: called with (step, latents [B, L]) after each step.

    Raises:
        InputError: a count is below 1, prior_weight is not above 0, or the loss is no number at the start.
    """
    started = time.perf_counter()
    _check_counts(final_points=final_points, start_points=start_points, iterations=iterations, chunk=chunk)
    if not prior_weight > 0:
        raise InputError(f"prior_weight of the fit is {prior_weight}; it must be above 0")
    with fitting_mode(network), torch.no_grad():
        search = GaussNewtonSearch(
            network,
            scans,
            prior_weight,
            final_points,
            start_points,
            chunk,
            damping,
            seed,
            pose,
            evidence_weight,
            torch.as_tensor(acquisition, dtype=torch.float32),
        )
        for step in range(1, iterations + 1):
            search.step()
            if callback is not None:
                callback(step, search.latents())
            if search.update_state(tolerance, growth):
                break
        found = zip(
            search.latents(),
            search.history,
            search.reasons,
            search.covariances().cpu(),
            search.poses().cpu(),
            search.effects().cpu(),
        )
    seconds = (time.perf_counter() - started) / len(scans)
    return [
        LatentFit(
            latent,
            history,
            search.points,
            seconds,
            reason or f"all {iterations} iterations done",
            covariance,
            pose,
            effects=effects,
        )
        for latent, history, reason, covariance, pose, effects in found
    ]
