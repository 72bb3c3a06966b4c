"""Gradients through a fit, against fits made again with changed weights."""

import pytest
import torch

from nisf.fit.implicit import ThroughFit
from nisf.fit.refine import FromEntry, refined
from nisf.models.nisf import NISF

WEIGHT, STEPS = 1e-2, 150


@pytest.fixture
def problem(monkeypatch):
    """A network in double precision, intensities that it can make, and places where classes are asked for."""
    monkeypatch.setattr("nisf.fit.implicit.STEP", 1e-3)
    torch.manual_seed(0)
    net = NISF(4, 1, latent_size=6, hidden_size=8, num_layers=3, closed_cycle=True).double()
    net.latent_factor.copy_(torch.tril(0.2 * torch.randn(6, 6)) + torch.eye(6))
    coords, asked = torch.rand(3, 4, 60).double(), torch.rand(3, 4, 20).double()
    with torch.no_grad():
        seen = net(coords, net.latent_mean + 0.3 * torch.randn(3, 6).double())[:, :1].sigmoid()
    return net, coords, seen, asked


def fitted(net, coords, seen):
    latent = net.latent_mean.expand(3, -1)
    for damping in [0.1] * STEPS + [0.0]:
        latent, matrix = refined(net, FromEntry(net), coords, seen, latent, WEIGHT, damping, bf16=False)
    return latent, matrix


def classes(net, asked, latent):
    return net(asked, latent)[:, 1:].square().mean()


def test_gradients_are_those_of_fits_made_again(problem):
    net, coords, seen, asked = problem
    latent, matrix = fitted(net, coords, seen)
    through = ThroughFit.apply(latent, matrix, net, net, coords, seen, False, *net.parameters())
    assert torch.equal(through, latent)
    classes(net, asked, through).backward()
    direction = {name: torch.randn_like(value) for name, value in net.named_parameters()}
    found = sum(float((direction[name] * value.grad).sum()) for name, value in net.named_parameters())
    fixed = torch.autograd.grad(classes(net, asked, latent), list(net.parameters()), allow_unused=True)
    alone = sum(float((d * g).sum()) for d, g in zip(direction.values(), fixed) if g is not None)
    ends = []
    for sign in (1, -1):
        with torch.no_grad():
            for name, value in net.named_parameters():
                value += sign * 1e-5 * direction[name]
            again, _ = fitted(net, coords, seen)
            ends.append(float(classes(net, asked, again)))
            for name, value in net.named_parameters():
                value -= sign * 1e-5 * direction[name]
    true = (ends[0] - ends[1]) / 2e-5
    # Gauss-Newton's matrix leaves out what the residuals add to the curvature
    assert abs(found - true) < 0.1 * abs(alone - true)


def test_what_the_intensities_do_not_need_gets_no_gradient(problem):
    net, coords, seen, asked = problem
    latent, matrix = fitted(net, coords, seen)
    through = ThroughFit.apply(latent, matrix, net, net, coords, seen, False, *net.parameters())
    through.sum().backward()
    assert net.class_head.weight.grad is None or not net.class_head.weight.grad.any()
    assert net.intensity_head.weight.grad.any() and net.first.linear.weight.grad.any()
