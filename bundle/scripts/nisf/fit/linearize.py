"""Losses of many points, linearised in what a fit looks for: value, gradient and Gauss-Newton matrix."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from nisf.fit.variables import Variables
from nisf.geometry.pose import moved, slopes
from nisf.models.nisf import NISF


@dataclass
class Linearised:
    """Sums over the points of each of B scans, as functions of the whitened variables v (``Variables``).

    Attributes:
        loss: intensity BCE and weighted cross entropy of the classes, [B].
        floor: the least that the loss could be (the entropy of the targets), [B].
        squared: squared reconstruction error, [B].
        gradient: of the loss, [B, M].
        matrix: the Gauss-Newton (Fisher) matrix of the loss, [B, M, M].
        points: number of points whose intensities were compared.
    """

    loss: torch.Tensor
    floor: torch.Tensor
    squared: torch.Tensor
    gradient: torch.Tensor
    matrix: torch.Tensor
    points: int

    def __add__(self, other: Linearised) -> Linearised:
        return Linearised(**{name: value + getattr(other, name) for name, value in vars(self).items()})


@dataclass
class Targets:
    """What N points of each of B scans ought to show.

    Attributes:
        coords: [B, D, N], in the frame of the fit's start.
        wanted: intensities [B, C, N], or class probabilities [B, K, N].
        classes: whether ``wanted`` are class probabilities.
        weight: of a point's loss.
        projected: ``network.project(coords)``, kept where nothing moves the coordinates.
        slices: number of each point's slice [B, N], -1 for none; needed where the acquisition is fitted.
    """

    coords: torch.Tensor
    wanted: torch.Tensor
    classes: bool = False
    weight: float = 1.0
    projected: torch.Tensor | None = None
    slices: torch.Tensor | None = None


def jacobian(
    network: NISF, points: Targets, variables: Variables, v: torch.Tensor, outputs: torch.Tensor
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Logits of points and the derivatives of some sums of them by the whitened variables.

    The latent enters a point through the first layer's argument and the residual alone, the pose through the argument.
    Both are leaves with one row a point, so one backward pass of an output's sum gives each point's own derivative, and
    small products carry it on to the variables.

    Args:
        network: frozen.
        points: N of each scan.
        variables: what v means.
        v: [B, M].
        outputs: what to differentiate, as weights of the logits, [n, C + K].

    Returns:
        logits [B, C + K, N] and n Jacobians [B, N, M].
    """
    of_latent, residual = network.modulation(variables.latent(v))
    weight = network.first.linear.weight[:, network.coord_dims :] @ network.latent_factor
    shortcut = network.residual(network.latent_factor.t()).t()
    coords, projected, pose = points.coords, points.projected, variables.pose(v)
    effects = _effects(points, variables, v)
    if variables.moves:
        shifts = 0.0 if effects is None else F.pad(effects[..., 2:], (0, coords.shape[1] - 2)).transpose(1, 2)
        coords = moved(coords + shifts, pose)
        projected = network.project(coords)
    argument = (projected + of_latent.unsqueeze(1)).requires_grad_()
    added = residual.unsqueeze(1).expand(-1, projected.shape[1], -1).contiguous().requires_grad_()
    with torch.enable_grad():
        output = network.heads(network.trunk(network.first.activate(argument) + added))
        totals = (output @ outputs.t()).flatten(0, 1).sum(dim=0)
        parts = [
            torch.autograd.grad(total, (argument, added), retain_graph=place + 1 < len(outputs))
            for place, total in enumerate(totals)
        ]
    found = [a @ weight + b @ shortcut for a, b in parts]
    logits = output.detach()
    if variables.moves:
        # [B, N, 3, 6]: of the coordinates by the pose
        by_pose, entry = slopes(coords, pose), network.first.linear.weight[:, :3]
        by_pose = [((a @ entry).unsqueeze(2) @ by_pose)[:, :, 0] for a, _ in parts]
        if variables.has_pose:
            found = [torch.cat([j, one @ network.pose_factor], dim=-1) for j, one in zip(found, by_pose)]
    if effects is not None:
        gains = outputs[:, : network.in_channels].sum(dim=1)  # 1 for an intensity, 0 for a class
        steeper = [1 + g * effects[..., :1] for g in gains]
        found = [
            torch.cat([j * s, _of_acquisition(g * (logits @ o), g, s * slope, points, variables)], dim=-1)
            for j, s, g, o, slope in zip(found, steeper, gains, outputs, by_pose)
        ]
        image = logits[..., : network.in_channels] * (1 + effects[..., :1]) + effects[..., 1:2]
        logits = torch.cat([image, logits[..., network.in_channels :]], dim=-1)
    return logits.transpose(1, 2), found


def _effects(points: Targets, variables: Variables, v: torch.Tensor) -> torch.Tensor | None:
    """Of the acquisition on each point, [B, N, 4]."""
    if not variables.has_acquisition:
        return None
    return torch.stack([of_scan[slices] for of_scan, slices in zip(variables.effects(v), points.slices)])


def _of_acquisition(
    logits: torch.Tensor, image: torch.Tensor, by_pose: torch.Tensor, points: Targets, variables: Variables
) -> torch.Tensor:
    """Derivatives of an output by the variables of the acquisition, [B, N, m].

    A slice that is shifted one way sees what the organ would show if it were moved the other way.

    Args:
        logits: of an intensity [B, N]; zero for a class.
        image: 1 for an intensity, 0 for a class.
        by_pose: derivatives of what the acquisition leaves of it by the pose [B, N, 6].
    """
    of_effects = torch.stack([logits, image.expand_as(logits), -by_pose[..., 0], -by_pose[..., 1]], dim=-1)
    return (of_effects.unsqueeze(2) @ variables.of_slices[points.slices])[:, :, 0]


@torch.no_grad()
def linearise(network: NISF, points: Targets, variables: Variables, v: torch.Tensor) -> tuple[Linearised, torch.Tensor]:
    """The loss of N points of each of B scans about ``v`` [B, M]: sums over points, and the logits [B, C + K, N]."""
    image = network.in_channels
    every = torch.eye(image + network.num_classes).to(v)
    # a softmax knows its logits up to a constant, so the first class's may be held at zero
    outputs = every[image + 1 :] - every[image] if points.classes else every[:image]
    logits, jacobians = jacobian(network, points, variables, v, outputs)
    found = logits[:, image:] if points.classes else logits[:, :image]
    sums = (_of_classes if points.classes else _of_intensities)(found, points.wanted, jacobians)
    scaled = {name: points.weight * value for name, value in sums.items()}
    squared = torch.zeros_like(sums["loss"]) if points.classes else _sum((found.sigmoid() - points.wanted).square())
    return Linearised(**scaled, squared=squared, points=0 if points.classes else points.wanted.shape[2]), logits


def _of_intensities(
    logits: torch.Tensor, intensity: torch.Tensor, jacobians: list[torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Sums of the BCE; its matrix is ``J^T diag(p (1 - p)) J``."""
    p = logits.sigmoid()
    gradient = sum(torch.einsum("bnm,bn->bm", j, p[:, c] - intensity[:, c]) for c, j in enumerate(jacobians))
    weights = p * (1 - p)
    matrix = sum(j.transpose(1, 2) @ (j * weights[:, c].unsqueeze(-1)) for c, j in enumerate(jacobians))
    loss = _sum(F.binary_cross_entropy_with_logits(logits, intensity, reduction="none"))
    floor = _sum(-torch.xlogy(intensity, intensity) - torch.xlogy(1 - intensity, 1 - intensity))
    return {"loss": loss, "floor": floor, "gradient": gradient, "matrix": matrix}


def _of_classes(logits: torch.Tensor, wanted: torch.Tensor, jacobians: list[torch.Tensor]) -> dict[str, torch.Tensor]:
    """Sums of the cross entropy; its matrix is ``J^T (diag(p) - p p^T) J``. No Jacobian for the first class."""
    p = logits.softmax(dim=1)
    gradient = sum(torch.einsum("bnm,bn->bm", j, p[:, c] - wanted[:, c]) for c, j in enumerate(jacobians, 1))
    mean = sum(j * p[:, c].unsqueeze(-1) for c, j in enumerate(jacobians, 1))
    matrix = sum(j.transpose(1, 2) @ (j * p[:, c].unsqueeze(-1)) for c, j in enumerate(jacobians, 1))
    loss = _sum(-wanted * logits.log_softmax(dim=1))
    floor = _sum(-torch.xlogy(wanted, wanted))
    return {"loss": loss, "floor": floor, "gradient": gradient, "matrix": matrix - mean.transpose(1, 2) @ mean}


def _sum(values: torch.Tensor) -> torch.Tensor:
    return values.flatten(1).double().sum(dim=1)
