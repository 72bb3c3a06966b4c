"""Losses of many points, linearised in the variables of a fit: value, gradient and Gauss-Newton matrix."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch.nn import functional as F

from nisf.fit.variables import Variables
from nisf.geometry.pose import moved, slopes
from nisf.models.nisf import NISF

#: Probability by which a point's classes are in doubt, or differ from what is wanted, below which its derivatives are
#: left out: they are smaller than what float32 sums of a few thousand points keep.
SETTLED = 1e-4


@dataclass
class Linearised:
    """Sums over the points of a scan, as functions of the whitened variables v (``Variables``).

    Attributes:
        loss: intensity BCE and weighted cross entropy of the classes, float64 scalar.
        floor: lower bound of the loss (the entropy of the targets), float64 scalar.
        gradient: gradient of the loss, [M].
        matrix: the Gauss-Newton (Fisher) matrix of the loss, [M, M].
        points: number of points whose intensities were compared.
    """

    loss: torch.Tensor
    floor: torch.Tensor
    gradient: torch.Tensor
    matrix: torch.Tensor
    points: int

    def __add__(self, other: Linearised) -> Linearised:
        return Linearised(**{name: value + getattr(other, name) for name, value in vars(self).items()})


@dataclass
class Targets:
    """Target values of N points of a scan.

    Attributes:
        coords: coordinates [D, N], in the frame that the fit started with.
        wanted: target intensities [C, N], or class probabilities [K, N].
        classes: whether ``wanted`` are class probabilities.
        weight: weight of a point's loss.
        projected: ``network.project(coords)``, kept if nothing moves the coordinates.
        slices: number of each point's slice [N], -1 for none; needed if the acquisition is fitted.
    """

    coords: torch.Tensor
    wanted: torch.Tensor
    classes: bool = False
    weight: float = 1.0
    projected: torch.Tensor | None = None
    slices: torch.Tensor | None = None

    def at(self, rows: torch.Tensor) -> Targets:
        """The points ``rows`` [M] of them."""
        projected, slices = (None if one is None else one[rows] for one in (self.projected, self.slices))
        return replace(
            self, coords=self.coords[:, rows], wanted=self.wanted[:, rows], projected=projected, slices=slices
        )


def jacobian(
    network: NISF, points: Targets, variables: Variables, v: torch.Tensor, outputs: torch.Tensor
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Logits of points, and derivatives of weighted sums of them with respect to the whitened variables.

    Args:
        network: frozen network.
        points: N points.
        variables: meaning of v.
        v: whitened variables [M].
        outputs: sums to differentiate, as weights of the logits, [n, C + K].

    Returns:
        logits [C + K, N] and n Jacobians [N, M].
    """
    coords, projected, effects = _placed(network, points, variables, v)
    logits, by_entry = _by_entry(network, projected, variables.latent(v), outputs)
    by_argument = network.first.linear.weight[:, network.place_dims :] @ network.latent_factor
    by_residual = network.residual(network.latent_factor.t()).t()
    found = [a @ by_argument + b @ by_residual for a, b in by_entry]
    if variables.moves:
        of_coords, by_pose = network.first.linear.weight[:, :3], slopes(coords, variables.pose(v))
        by_pose = [((a @ of_coords).unsqueeze(1) @ by_pose)[:, 0] for a, _ in by_entry]  # [N, 6] each
    if variables.has_pose:
        found = [torch.cat([j, one @ network.pose_factor], dim=1) for j, one in zip(found, by_pose)]
    if effects is not None:
        gain, offset = effects[:, :1], effects[:, 1:2]
        images = outputs[:, : network.in_channels].sum(dim=1)  # 1 for an intensity, 0 for a class
        for place, (image, weights) in enumerate(zip(images, outputs)):
            steeper = 1 + image * gain
            own = _by_acquisition(image * (logits @ weights), image, steeper * by_pose[place], points, variables)
            found[place] = torch.cat([steeper * found[place], own], dim=1)
        channels = network.in_channels
        logits = torch.cat([logits[:, :channels] * (1 + gain) + offset, logits[:, channels:]], dim=1)
    return logits.t(), found


def _placed(
    network: NISF, points: Targets, variables: Variables, v: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """Moved coordinates [D, N], their part of the first product [N, 2 H], and effects of the acquisition [N, 4]."""
    effects = variables.effects(v)[points.slices] if variables.has_acquisition else None
    if not variables.moves:
        return points.coords, points.projected, effects
    shifts = 0.0 if effects is None else F.pad(effects[:, 2:], (0, len(points.coords) - 2)).t()
    coords = moved(points.coords + shifts, variables.pose(v))
    return coords, network.project(coords), effects


@torch.no_grad()
def _by_entry(
    network: NISF, projected: torch.Tensor, latent: torch.Tensor, outputs: torch.Tensor
) -> tuple[torch.Tensor, list[tuple[torch.Tensor, torch.Tensor]]]:
    """Logits and their derivatives with respect to the network's inputs at each point.

    The latent acts on a point only through the first layer's argument and the residual, the pose only through the
    argument, so derivatives of every point with respect to these two are enough. They are passed back through the
    layers by hand: all outputs share the slopes of the wavelets, which autograd would work out again for each.

    Args:
        network: frozen network.
        projected: coordinates' part of the argument [N, 2 H].
        latent: latent [L].
        outputs: weights of the logits [n, C + K].

    Returns:
        logits [N, C + K], and for each output the derivatives with respect to argument [N, 2 H] and residual [N, H].
    """
    of_latent, residual = network.modulation(latent)
    x, first = network.first.activate_with_slopes(projected + of_latent)
    x, slopes = x + residual, []
    for layer in network.layers:
        added, of_layer = layer.activate_with_slopes(layer.linear(x))
        x = x + added
        slopes.append(of_layer)
    weights = outputs @ torch.cat([network.intensity_head.weight, network.class_head.weight])
    found = []
    for weight in weights:
        by_x = weight.expand(len(x), -1)
        for layer, of_layer in zip(reversed(network.layers), reversed(slopes)):
            by_x = by_x + torch.cat([by_x, by_x], dim=1).mul_(of_layer) @ layer.linear.weight
        found.append((torch.cat([by_x, by_x], dim=1).mul_(first), by_x))
    return network.heads(x), found


def _by_acquisition(
    logits: torch.Tensor, image: torch.Tensor, by_pose: torch.Tensor, points: Targets, variables: Variables
) -> torch.Tensor:
    """Derivatives of an output with respect to the variables of the acquisition, [N, m].

    Shifting a slice one way is the same as moving the organ the other way.

    Args:
        logits: logits of an intensity [N]; zero for a class.
        image: 1 for an intensity, 0 for a class.
        by_pose: derivatives of the output, after gain and offset, with respect to the pose [N, 6].
        points: points with their slices.
        variables: meaning of v.
    """
    of_effects = torch.stack([logits, image.expand_as(logits), -by_pose[:, 0], -by_pose[:, 1]], dim=1)
    return (of_effects.unsqueeze(1) @ variables.of_slices[points.slices])[:, 0]


@torch.no_grad()
def linearise(network: NISF, points: Targets, variables: Variables, v: torch.Tensor) -> Linearised:
    """The loss of N points about ``v`` [M], summed over them."""
    image = network.in_channels
    every = torch.eye(image + network.num_classes).to(v)
    if points.classes:
        # a softmax ignores a constant added to all logits, so that of the first class may be held at zero
        sums = _of_classes(network, points, variables, v, every[image + 1 :] - every[image])
    else:
        logits, jacobians = jacobian(network, points, variables, v, every[:image])
        sums = _of_intensities(logits[:image], points.wanted, jacobians)
    scaled = {name: points.weight * value for name, value in sums.items()}
    return Linearised(**scaled, points=0 if points.classes else points.wanted.shape[1])


def _of_intensities(
    logits: torch.Tensor, intensity: torch.Tensor, jacobians: list[torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Sums of the BCE; its matrix is ``J^T diag(p (1 - p)) J``."""
    p = logits.sigmoid()
    gradient = sum(j.t() @ (one - seen) for j, one, seen in zip(jacobians, p, intensity))
    matrix = sum(j.t() @ (j * weight[:, None]) for j, weight in zip(jacobians, p * (1 - p)))
    loss = F.binary_cross_entropy_with_logits(logits, intensity, reduction="none").double().sum()
    floor = (-torch.xlogy(intensity, intensity) - torch.xlogy(1 - intensity, 1 - intensity)).double().sum()
    return {"loss": loss, "floor": floor, "gradient": gradient, "matrix": matrix}


def _of_classes(
    network: NISF, points: Targets, variables: Variables, v: torch.Tensor, outputs: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Sums of the cross entropy; its matrix is ``J^T (diag(p) - p p^T) J``. No Jacobian for the first class.

    Most points lie far from any boundary: sure of their class, and rightly so. They add to the loss, but their
    derivatives vanish and are not worked out.
    """
    logits, wanted = _class_logits(network, points, variables, v), points.wanted
    p = logits.softmax(dim=0)
    doubt = torch.maximum(1 - p.amax(dim=0), (p - wanted).abs().amax(dim=0))
    rows = (doubt > SETTLED).nonzero()[:, 0]
    _, jacobians = jacobian(network, points.at(rows), variables, v, outputs)
    kept, said = p[1:, rows], wanted[1:, rows]
    gradient = sum(j.t() @ (one - other) for j, one, other in zip(jacobians, kept, said))
    scaled = [j * one[:, None] for j, one in zip(jacobians, kept)]
    mean = sum(scaled)
    matrix = sum(j.t() @ one for j, one in zip(jacobians, scaled)) - mean.t() @ mean
    loss = (-wanted * logits.log_softmax(dim=0)).double().sum()
    return {"loss": loss, "floor": -torch.xlogy(wanted, wanted).double().sum(), "gradient": gradient, "matrix": matrix}


def _class_logits(network: NISF, points: Targets, variables: Variables, v: torch.Tensor) -> torch.Tensor:
    """Class logits [K, N], without derivatives."""
    projected = _placed(network, points, variables, v)[1]
    of_latent, residual = network.modulation(variables.latent(v))
    x = network.trunk(network.first.activate(projected + of_latent) + residual)
    return network.class_head(x).t()
