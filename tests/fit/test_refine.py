"""Gauss-Newton steps on many latents at once: against a Jacobian by automatic differentiation, and one by one."""

import pytest
import torch
from torch.nn import functional as F

from nisf.fit.refine import FromEntry, refined
from nisf.models.nisf import NISF

WEIGHT, DAMPING = 1e-3, 1e-2


@pytest.fixture(params=[1, 2], ids=["one channel", "two channels"])
def network(request):
    torch.manual_seed(0)
    net = NISF(4, request.param, latent_size=6, hidden_size=8, num_layers=3, closed_cycle=True)
    net.latent_factor.copy_(torch.tril(0.2 * torch.randn(6, 6)) + torch.eye(6))
    net.latent_mean.copy_(0.1 * torch.randn(6))
    return net


def scans(network, number=3, points=40):
    generator = torch.Generator().manual_seed(1)
    coords, seen = (torch.rand(number, n, points, generator=generator) for n in (4, network.in_channels))
    return coords, seen, network.latent_mean + 0.3 * torch.randn(number, 6, generator=generator)


def step(network, coords, seen, latent):
    return refined(network, FromEntry(network), coords, seen, latent, WEIGHT, DAMPING, bf16=False)[0]


def by_autograd(network, coords, seen, latent):
    """The same step of one subject, from the definition."""
    factor, channels = network.latent_factor, network.in_channels

    def logits(z):
        return network(coords[None], (network.latent_mean + factor @ z)[None])[0, :channels].flatten()

    z = torch.linalg.solve(factor, latent - network.latent_mean)
    jacobian, p = torch.func.jacrev(logits)(z), logits(z).sigmoid()
    number = coords.shape[1]
    gradient = jacobian.t() @ (p - seen.flatten()) / number + WEIGHT * z
    matrix = jacobian.t() @ ((p * (1 - p))[:, None] * jacobian) / number
    new = z - torch.linalg.solve(matrix + (WEIGHT + DAMPING) * torch.eye(6), gradient)
    return network.latent_mean + factor @ new


def test_each_subject_gets_the_step_of_its_own_jacobian(network):
    coords, seen, latent = scans(network)
    found = step(network, coords, seen, latent)
    for one in range(3):
        expected = by_autograd(network, coords[one], seen[one], latent[one])
        torch.testing.assert_close(found[one], expected, atol=1e-4, rtol=1e-3)


def test_steps_find_the_latent_that_made_the_intensities(network):
    coords, _, true = scans(network, points=400)
    with torch.no_grad():
        seen = network(coords, true)[:, : network.in_channels].sigmoid()
    latent, losses = network.latent_mean.expand(3, -1), []
    for _ in range(8):
        with torch.no_grad():
            losses.append(float(F.mse_loss(network(coords, latent)[:, : network.in_channels].sigmoid(), seen)))
        latent = step(network, coords, seen, latent)
    assert losses[-1] < 0.02 * losses[0]


def test_no_step_is_longer_than_the_points_can_tell(network):
    coords, seen, latent = scans(network, points=1)
    found, _ = refined(network, FromEntry(network), coords, seen, latent, 1e-9, 1e-9, bf16=False)
    steps = torch.linalg.solve(network.latent_factor, (found - latent).t())
    assert steps.norm(dim=0).max() < 3.001


def test_the_weights_keep_their_gradients(network):
    """A step leaves neither gradients nor a graph, and the weights trainable."""
    found = step(network, *scans(network))
    assert not found.requires_grad
    assert all(p.grad is None and p.requires_grad for p in network.parameters())
