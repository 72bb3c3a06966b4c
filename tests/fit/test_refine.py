"""Gauss-Newton steps on many latents at once: against a Jacobian by automatic differentiation, and one by one."""

import pytest
import torch
from torch.nn import functional as F

from nisf.fit.refine import EntrySlopes, FitPoints, refined
from nisf.fit.targets import UNET_SHARE
from nisf.models.nisf import NISF

WEIGHT, DAMPING, UNET_WEIGHT = 1e-3, 1e-2, 0.3


@pytest.fixture(params=[1, 2], ids=["one channel", "two channels"])
def network(request):
    torch.manual_seed(0)
    net = NISF(4, request.param, latent_size=6, hidden_size=8, num_layers=3, closed_cycle=True)
    net.latent_factor.copy_(torch.tril(0.2 * torch.randn(6, 6)) + torch.eye(6))
    net.latent_mean.copy_(0.1 * torch.randn(6))
    return net


def scans(network, number=3, points=40, unet=True):
    generator = torch.Generator().manual_seed(1)
    coords, seen = (torch.rand(number, n, points, generator=generator) for n in (4, network.in_channels))
    latent = network.latent_mean + 0.3 * torch.randn(number, 6, generator=generator)
    classes = torch.randn(number, 4, points // UNET_SHARE, generator=generator).softmax(dim=1) if unet else None
    return FitPoints(coords, seen, classes, UNET_WEIGHT), latent


def step(network, points, latent):
    return refined(network, EntrySlopes(network), points, latent, WEIGHT, DAMPING, bf16=False)[0]


def by_autograd(network, points, one, latent):
    """The same step of one subject, from the definition."""
    factor, channels, number = network.latent_factor, network.in_channels, points.coords.shape[2]

    def outputs(z):
        return network(points.coords[[one]], (network.latent_mean + factor @ z)[None])[0]

    def intensity(z):
        return outputs(z)[:channels].flatten()

    def classes(z):
        return outputs(z)[channels:, ::UNET_SHARE]

    z = torch.linalg.solve(factor, latent - network.latent_mean)
    jacobian, p = torch.func.jacrev(intensity)(z), intensity(z).sigmoid()
    gradient = jacobian.t() @ (p - points.intensity[one].flatten()) / number + WEIGHT * z
    matrix = jacobian.t() @ ((p * (1 - p))[:, None] * jacobian) / number
    if points.unet_prob is not None:
        jacobian, p = torch.func.jacrev(classes)(z), classes(z).softmax(dim=0)
        share = UNET_WEIGHT / p.shape[1]
        gradient = gradient + share * torch.einsum("kn,knl->l", p - points.unet_prob[one], jacobian)
        fisher = torch.einsum("kn,km->nkm", p, torch.eye(4)) - torch.einsum("kn,mn->nkm", p, p)
        matrix = matrix + share * torch.einsum("knl,nkm,mnj->lj", jacobian, fisher, jacobian)
    new = z - torch.linalg.solve(matrix + (WEIGHT + DAMPING) * torch.eye(6), gradient)
    return network.latent_mean + factor @ new


@pytest.mark.parametrize("unet", [False, True])
def test_each_subject_gets_the_step_of_its_own_jacobian(network, unet):
    points, latent = scans(network, unet=unet)
    found = step(network, points, latent)
    for one in range(3):
        expected = by_autograd(network, points, one, latent[one])
        torch.testing.assert_close(found[one], expected, atol=1e-4, rtol=1e-3)


def test_steps_find_the_latent_that_made_the_intensities(network):
    points, true = scans(network, points=400)
    with torch.no_grad():
        made = network(points.coords, true)
        classes = made[:, network.in_channels :, ::UNET_SHARE].softmax(dim=1)
        points = FitPoints(points.coords, made[:, : network.in_channels].sigmoid(), classes, UNET_WEIGHT)
    latent, losses = network.latent_mean.expand(3, -1), []
    for _ in range(8):
        with torch.no_grad():
            shown = network(points.coords, latent)[:, : network.in_channels].sigmoid()
            losses.append(float(F.mse_loss(shown, points.intensity)))
        latent = step(network, points, latent)
    assert losses[-1] < 0.02 * losses[0]


def test_no_step_is_longer_than_the_points_can_tell(network):
    points, latent = scans(network, points=1, unet=False)
    found, _ = refined(network, EntrySlopes(network), points, latent, 1e-9, 1e-9, bf16=False)
    steps = torch.linalg.solve(network.latent_factor, (found - latent).t())
    assert steps.norm(dim=0).max() < 3.001


def test_the_weights_keep_their_gradients(network):
    """A step leaves neither gradients nor a graph, and the weights trainable."""
    found = step(network, *scans(network))
    assert not found.requires_grad
    assert all(p.grad is None and p.requires_grad for p in network.parameters())
