"""A fit finds the latent that made a scan, from intensities alone, and leaves the network as it was."""

import numpy as np
import pytest
import torch
from helpers.tiny import CALLERS

from nisf.fit.adam import fit_adam
from nisf.fit.frozen import frozen
from nisf.fit.points import GridPoints
from nisf.fit.posterior import LatentFit
from nisf.geometry.frame import CoordinateFrame
from nisf.models.nisf import NISF
from nisf.utils.errors import InputError

GRID = (8, 7, 3)
TIMES = (0.0, 0.3, 0.6)


def a_frame(dims=4):
    affine = np.diag([2.0, 1.5, 8.0, 1.0])
    return CoordinateFrame.physical(affine, GRID, TIMES, dims, half_field=8.0, center=(1.0, -0.5))


def a_network(seed=1):
    """A small random network with lively outputs."""
    torch.manual_seed(seed)
    network = NISF(num_classes=3, hidden_size=16, latent_size=4, num_layers=2, omega0=3.0, sigma0=1.0)
    with torch.no_grad():
        network.intensity_head.weight.mul_(4)
        network.class_head.weight.mul_(4)
    return network


@torch.no_grad()
def output_of(network, frame, latent):
    """Logits [1 + K, all points]."""
    return network(frame.points(torch.arange(frame.size))[None], latent[None])[0]


@pytest.fixture
def known():
    """A network, a latent, and the noise-free scan that they make."""
    network, frame, latent = a_network(), a_frame(), torch.tensor([0.4, -0.3, 0.3, -0.5])
    image = output_of(network, frame, latent)[:1].sigmoid().reshape(1, *GRID, len(TIMES))
    return network, latent, GridPoints(frame, image)


def state_of(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def same_state(before, network):
    return all(torch.equal(before[name], value) for name, value in network.state_dict().items())


# ---- what a fit finds


def test_fit_recovers_the_scan_and_its_classes(known):
    network, latent, points = known
    p = points.image
    floor = float(-(p * p.log() + (1 - p) * (1 - p).log()).mean())  # the loss of a perfect reconstruction
    fit = fit_adam(network, points, steps=120, lr=0.05, latent_l2=0.0, points_per_step=256)
    losses = [entry["loss"] for entry in fit.history]
    every = fit_adam(network_at(network, fit.latent), points, steps=1, points_per_step=None).history[0]["loss"]
    assert losses[0] - floor > 0.1
    assert every - floor < 1e-5
    classes = [output_of(network, points.frame, h)[1:].argmax(dim=0) for h in (fit.latent, latent, 0 * latent)]
    assert (classes[0] == classes[1]).float().mean() > 0.99
    assert (classes[2] == classes[1]).float().mean() < 0.8  # the prior's mean alone would not do


def network_at(network, latent):
    """A copy whose prior's mean is ``latent``."""
    copy = NISF(num_classes=3, hidden_size=16, latent_size=4, num_layers=2, omega0=3.0, sigma0=1.0)
    copy.load_state_dict({**network.state_dict(), "latent_mean": latent})
    return copy


def test_result_says_what_was_done(known):
    network, _, points = known
    fit = fit_adam(network, points, steps=3, points_per_step=100)
    assert isinstance(fit, LatentFit)
    assert fit.latent.shape == (4,) and not fit.latent.requires_grad
    assert [(entry["step"], entry["points"]) for entry in fit.history] == [(1, 100), (2, 200), (3, 300)]
    assert fit.points == 300 and fit.seconds > 0 and "3 steps" in fit.reason


def test_fit_starts_from_the_mean_of_the_prior_and_is_drawn_to_zero_by_the_penalty(known):
    network, _, points = known
    mean = torch.tensor([1.0, -2.0, 0.5, -0.25])
    network = network_at(network, mean)
    # Adam's first step is lr in the direction of each gradient's sign; under a huge penalty that is the latent's own
    fit = fit_adam(network, points, steps=1, lr=0.1, latent_l2=1e4)
    torch.testing.assert_close(fit.latent, mean - 0.1 * mean.sign(), rtol=1e-4, atol=1e-4)


def test_steps_are_adams_on_the_papers_loss(known):
    """BCE of all intensities and the squared norm of the latent, written out here."""
    network, _, points = known
    network = network_at(network, torch.tensor([0.3, 0.1, -0.2, 0.4]))
    fit = fit_adam(network, points, steps=6, lr=0.1, latent_l2=0.05, points_per_step=None)
    coords, intensity = points.take(torch.arange(len(points)))
    latent, losses = network.latent_mean.clone()[None].requires_grad_(True), []
    adam = torch.optim.Adam([latent], lr=0.1)
    for _ in range(6):
        p = network(coords[None], latent)[0, :1].sigmoid()
        loss = -(intensity * p.log() + (1 - intensity) * (1 - p).log()).mean()
        adam.zero_grad()
        (loss + 0.05 * latent.square().sum()).backward()
        adam.step()
        losses.append(float(loss.detach()))
    torch.testing.assert_close(fit.latent, latent[0].detach(), rtol=1e-4, atol=1e-5)
    assert [entry["loss"] for entry in fit.history] == pytest.approx(losses, rel=1e-5)


def test_same_seed_same_latent_another_seed_another(known):
    network, _, points = known
    latents = []
    for seed in (5, 5, 6):
        torch.manual_seed(len(latents))  # the caller's own random state plays no part
        latents.append(fit_adam(network, points, steps=5, points_per_step=50, seed=seed).latent)
    assert torch.equal(latents[0], latents[1])
    assert not torch.equal(latents[0], latents[2])


def test_a_fit_leaves_the_callers_random_state_alone(known):
    network, _, points = known
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    fit_adam(network, points, steps=2, points_per_step=50)
    assert torch.equal(torch.rand(2), expected)


def test_classes_play_no_part(known):
    network, _, points = known
    before = fit_adam(network, points, steps=5, points_per_step=50).latent
    with torch.no_grad():
        network.class_head.weight.normal_()
    assert torch.equal(fit_adam(network, points, steps=5, points_per_step=50).latent, before)


@pytest.mark.parametrize("points_per_step", [None, 200])
def test_chunks_bound_the_memory_and_change_nothing(known, points_per_step):
    network, _, points = known
    fits = [
        fit_adam(network, points, steps=4, lr=0.05, points_per_step=points_per_step, chunk=chunk)
        for chunk in (10**6, 37)
    ]
    torch.testing.assert_close(fits[0].latent, fits[1].latent, rtol=1e-4, atol=1e-5)
    assert [h["loss"] for h in fits[0].history] == pytest.approx([h["loss"] for h in fits[1].history], rel=1e-5)
    assert fits[0].points == fits[1].points == 4 * (points_per_step or len(points))


def test_held_out_slices_play_no_part(known):
    network, _, points = known
    changed = points.image.clone()
    changed[:, :, :, 1] = 1 - changed[:, :, :, 1]
    fits = [
        fit_adam(network, GridPoints(points.frame, image, [0, 2]), steps=5, points_per_step=None).latent
        for image in (points.image, changed)
    ]
    assert torch.equal(fits[0], fits[1])


def test_callback_sees_every_point_of_every_step(known):
    network, _, points = known
    seen = []
    points = GridPoints(points.frame, points.image, [1])
    fit_adam(
        network,
        points,
        steps=2,
        points_per_step=None,
        chunk=50,
        callback=lambda step, output, indices: seen.append((step, output, indices)),
    )
    for step in (1, 2):
        indices = torch.cat([i for s, _, i in seen if s == step])
        assert torch.equal(indices, points.flat(torch.arange(len(points))))
    _, output, indices = seen[0]  # of the first step, at the mean of the prior
    torch.testing.assert_close(output[0], output_of(network, points.frame, network.latent_mean)[:, indices])


# ---- the network stays as it was


@pytest.mark.parametrize("training", [True, False])
def test_network_is_bit_identical_afterwards(known, training):
    network, _, points = known
    network.train(training)
    network.intensity_head.bias.requires_grad_(False)
    before = state_of(network)
    flags = [p.requires_grad for p in network.parameters()]
    fit_adam(network, points, steps=3, points_per_step=50)
    assert same_state(before, network)
    assert [p.requires_grad for p in network.parameters()] == flags
    assert network.training is training
    assert all(p.grad is None for p in network.parameters())


def test_network_is_as_it_was_also_when_a_fit_breaks_off(known):
    network, _, points = known
    network.train()
    before = state_of(network)

    def stop(step, output, indices):
        assert not network.training and not any(p.requires_grad for p in network.parameters())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_adam(network, points, steps=3, callback=stop)
    assert same_state(before, network)
    assert network.training and all(p.requires_grad for p in network.parameters())


def test_frozen_network_gives_gradients_to_the_latent_alone():
    network, latent = a_network(), torch.zeros(1, 4, requires_grad=True)
    with frozen(network):
        network(torch.rand(1, 4, 10), latent).sum().backward()
    assert latent.grad.abs().max() > 0
    assert all(p.grad is None for p in network.parameters())


def test_broken_weights_give_one_clear_sentence(known):
    network, _, points = known
    with torch.no_grad():
        network.first.linear.weight[0, 0] = float("nan")
    with pytest.raises(InputError, match="step 1; use a smaller lr or check the weights"):
        fit_adam(network, points, steps=3)
    assert all(p.requires_grad for p in network.parameters())


@pytest.mark.parametrize("context", CALLERS)
def test_a_fit_works_wherever_it_is_called_from(known, context):
    network, _, points = known
    expected = fit_adam(network, points, steps=3, points_per_step=50).latent
    with CALLERS[context]():
        image = points.image + 0  # made in there, as by a loader
        fit = fit_adam(network, GridPoints(points.frame, image), steps=3, points_per_step=50)
    assert torch.equal(fit.latent, expected)
