"""The prior is the training latents' mean and shrunk covariance; the initial latent is nearer to the fitted one."""

import numpy as np
import pytest
import torch
from sklearn.covariance import ledoit_wolf

from nisf.fit.points import GridPoints
from nisf.fit.prior import bounds_of, initial_latent, set_initial_latent, set_prior
from nisf.geometry.frame import CoordinateFrame
from nisf.models.nisf import NISF

GRID = (9, 8, 4)
TIMES = (0.0, 0.25, 0.5, 0.75)


def a_network(latent_size=4, dims=4, channels=1, **sizes):
    """Its image depends mildly on the latent over its prior."""
    torch.manual_seed(5)
    sizes = {"hidden_size": 16, "num_layers": 2, "omega0": 3.0, "sigma0": 1.0, "num_probes": 256, **sizes}
    network = NISF(num_classes=3, in_channels=channels, coord_dims=dims, latent_size=latent_size, **sizes)
    with torch.no_grad():
        network.intensity_head.weight.mul_(2)
        network.latent_mean.normal_(std=0.3)
        network.latent_factor.copy_(0.15 * torch.eye(latent_size) + 0.05 * torch.randn(latent_size, latent_size).tril())
    return network


def a_frame(dims=4, grid=GRID, times=TIMES, half_field=8.0, center=(1.0, -0.5)):
    return CoordinateFrame.physical(np.diag([2.0, 1.5, 8.0, 1.0]), grid, times, dims, half_field, center)


# ---- mean and covariance


def some_latents(number=40, size=6):
    """Correlated, of unlike spreads, about a mean that is not zero."""
    generator = torch.Generator().manual_seed(1)
    mixed = torch.randn(number, size, generator=generator) @ torch.randn(size, size, generator=generator)
    return mixed * torch.linspace(0.1, 2, size) + torch.linspace(-1, 3, size)


def covariance_of(network):
    factor = network.latent_factor.double()
    return (factor @ factor.t()).numpy()


@pytest.mark.parametrize("number", [40, 4])
def test_prior_is_the_mean_and_the_shrunk_covariance_of_the_latents(number):
    network, latents = a_network(6), some_latents(number)
    shrinkage = set_prior(network, latents)
    expected, wanted = ledoit_wolf(latents.double().numpy())
    torch.testing.assert_close(network.latent_mean, latents.mean(dim=0))
    np.testing.assert_allclose(covariance_of(network), expected, rtol=1e-4, atol=1e-5 * expected.max())
    assert shrinkage == pytest.approx(wanted) and 0 < shrinkage < 1
    assert int(network.num_subjects) == number


def test_factor_is_lower_triangular():
    network = a_network(6)
    set_prior(network, some_latents())
    assert torch.equal(network.latent_factor, network.latent_factor.tril())
    assert network.latent_factor.diagonal().min() > 0


def identical_latents():
    return some_latents(1, 6).expand(10, -1).clone()


@pytest.mark.parametrize("latents", [some_latents(3), some_latents(2), identical_latents(), torch.zeros(5, 6)])
def test_factor_can_be_inverted_whatever_the_latents(latents):
    """Fewer subjects than dimensions, or all alike as before the first step."""
    network = a_network(6)
    set_prior(network, latents)
    factor = network.latent_factor
    inverse = torch.linalg.solve_triangular(factor, torch.eye(6), upper=False)
    assert torch.isfinite(inverse).all()
    torch.testing.assert_close(factor @ inverse, torch.eye(6), atol=1e-3, rtol=0)


def test_prior_of_identical_latents_is_narrow_and_at_their_place():
    network, latents = a_network(6), identical_latents()
    set_prior(network, latents)
    torch.testing.assert_close(network.latent_mean, latents[0])
    assert np.abs(covariance_of(network)).max() < 1e-9


# ---- initial latent


@torch.no_grad()
def scan_of(network, frame, latent, kept=None):
    logits = network(frame.points(torch.arange(frame.size))[None], latent[None])[0, : network.in_channels]
    return GridPoints(frame, logits.sigmoid().reshape(-1, *frame.shape, len(frame.times)), kept)


def draws(network, number=50):
    z = torch.randn(number, network.latent_size, generator=torch.Generator().manual_seed(7))
    return network.latent_mean + z @ network.latent_factor.t()


@pytest.mark.parametrize("kept, part", [(None, 0.5), ([0, 2], 0.75)])
@pytest.mark.parametrize("changes", [{}, {"channels": 2}, {"dims": 3}], ids=str)
def test_first_guess_is_nearer_to_the_latent_than_the_mean_is(changes, kept, part):
    network = a_network(**changes)
    frame = a_frame(network.coord_dims)
    set_initial_latent(network, *bounds_of([frame], network.coord_dims), draws=600)
    latents = draws(network)
    guesses = torch.stack([initial_latent(network, scan_of(network, frame, h, kept)) for h in latents])
    whiten = torch.linalg.inv(network.latent_factor).t()
    before = ((network.latent_mean - latents) @ whiten).square().sum(dim=1)
    after = ((guesses - latents) @ whiten).square().sum(dim=1)
    assert after.mean() < part * before.mean()
    assert (after < before).float().mean() > 0.7


def test_first_guess_is_the_best_linear_estimate():
    """A regression of the latents on the scans' intensities at the probes, over draws of its own, does no better."""
    network, frame = a_network(num_probes=24), a_frame()
    network.latent_factor[1:, 0] = 0.3  # the entries of a latent go together
    set_initial_latent(network, *bounds_of([frame], 4), draws=3000, noise=1e-3)
    latents = draws(network, 3000)
    with torch.no_grad():
        logits = network(network.guess_coords.expand(3000, -1, -1), latents)
    seen = logits[:, 0].sigmoid() + 1e-3**0.5 * torch.randn(3000, 24, generator=torch.Generator().manual_seed(8))
    ours = network.latent_mean + (seen - network.guess_mean[0]) @ network.guess_gain.t()
    with_one = torch.cat([seen, torch.ones(3000, 1)], dim=1)
    best = with_one @ torch.linalg.lstsq(with_one, latents).solution
    assert (ours - latents).square().mean() < 1.05 * (best - latents).square().mean()


def test_without_preparation_the_guess_is_the_mean_of_the_prior():
    network, frame = a_network(), a_frame()
    scan = scan_of(network, frame, draws(network, 1)[0])
    assert torch.equal(initial_latent(network, scan), network.latent_mean)


def test_held_out_slices_play_no_part_in_the_guess():
    network, frame = a_network(), a_frame()
    set_initial_latent(network, *bounds_of([frame], 4), draws=100)
    scan = scan_of(network, frame, draws(network, 1)[0], [0, 2])
    changed = scan.image.clone()
    changed[:, :, :, [1, 3]] = 1 - changed[:, :, :, [1, 3]]
    assert torch.equal(initial_latent(network, scan), initial_latent(network, GridPoints(frame, changed, [0, 2])))
    assert not torch.equal(initial_latent(network, scan), initial_latent(network, GridPoints(frame, changed)))


def test_probes_lie_in_the_box_and_follow_the_seed():
    low, high = torch.tensor([-0.5, -1.0, 0.0, 0.0]), torch.tensor([0.5, 0.25, 2.0, 1.0])
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    networks = [a_network() for _ in range(3)]
    torch.manual_seed(3)
    for network, seed in zip(networks, (5, 5, 6)):
        set_initial_latent(network, low, high, draws=50, seed=seed)
    assert torch.equal(torch.rand(2), expected)  # the caller's own random state
    for name in ("guess_coords", "guess_mean", "guess_gain"):
        first, again, other = (getattr(network, name) for network in networks)
        assert torch.equal(first, again) and not torch.equal(first, other)
    coords = networks[0].guess_coords
    assert (coords >= low[:, None]).all() and (coords <= high[:, None]).all()
    # evenly over the box
    torch.testing.assert_close(coords.mean(dim=1), (low + high) / 2, atol=0.03, rtol=0)


# ---- the box of the probes


@pytest.mark.parametrize("dims", [3, 4])
def test_bounds_are_the_outermost_voxel_centres_of_all_frames_and_the_whole_cycle(dims):
    frames = [
        a_frame(dims),
        a_frame(dims, (5, 12, 2), (0.0, 0.5), center=(-2.0, 0.5)),
        a_frame(dims, (4, 4, 9), (0.0,), half_field=6.0, center=(0.0, 3.0)),
    ]
    low, high = bounds_of(frames, dims)
    assert low.shape == high.shape == (dims,)
    coords = torch.cat([frame.points(torch.arange(frame.size)) for frame in frames], dim=1)
    torch.testing.assert_close(low[:3], coords[:3].min(dim=1).values)
    torch.testing.assert_close(high[:3], coords[:3].max(dim=1).values)
    assert low[3:].tolist() == [0.0] * (dims - 3) and high[3:].tolist() == [1.0] * (dims - 3)
