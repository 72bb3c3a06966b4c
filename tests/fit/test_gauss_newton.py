"""A Gauss-Newton fit ends at the most probable latent, says how sure it is, and leaves everything else as it was."""

from functools import partial

import pytest
import torch
from helpers.known_scans import (
    ALL,
    WHOLE,
    a_network,
    clean_scans,
    draws,
    exact,
    floor_of,
    grey_scan,
    noisy_scans,
    objective_of,
    whitened,
)

import nisf.fit.search
from nisf.fit.gauss_newton import fit_gauss_newton
from nisf.fit.points import GridPoints
from nisf.utils.errors import InputError

# ---- the latent found


@pytest.mark.parametrize("guess", [True, False])
@pytest.mark.parametrize("channels", [1, 2])
def test_noise_free_scans_give_their_latents_back(channels, guess):
    network = a_network(channels, guess=guess)
    latents = draws(network, 5)
    scans = clean_scans(network, latents)
    for latent, scan in zip(latents, scans):
        fit = fit_gauss_newton(network, scan, prior_weight=1e-8, final_points=ALL, start_points=100)
        torch.testing.assert_close(fit.latent, latent, atol=2e-3, rtol=0)
        assert abs(fit.history[-1]["loss"] - floor_of(scan)) < 1e-5


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("start_points", [50, ALL])
def test_result_is_the_most_probable_latent_given_all_points(channels, start_points):
    """The gradient of mean BCE + prior_weight / 2 * Mahalanobis distance squared is zero there."""
    network, weight = a_network(channels), 1e-2
    scan = grey_scan(network, draws(network, 1)[0])
    fit = fit_gauss_newton(
        network, scan, prior_weight=weight, final_points=ALL, start_points=start_points, iterations=25, tolerance=0.0
    )
    copy = exact(network)
    gradient = torch.autograd.functional.jacobian(partial(objective_of, copy, scan, weight), whitened(copy, fit.latent))
    start = torch.autograd.functional.jacobian(partial(objective_of, copy, scan, weight), torch.zeros(4).double())
    assert start.norm() > 1e-2
    assert gradient.norm() < 3e-3 * start.norm()


def test_result_does_not_depend_on_the_first_guess():
    prepared, plain, apart = a_network(), a_network(guess=False), 0
    for latent in draws(plain, 4):
        scan = grey_scan(plain, latent)
        fits = [fit_gauss_newton(n, scan, prior_weight=1e-3, iterations=15, **WHOLE) for n in (prepared, plain)]
        apart += abs(fits[0].history[0]["loss"] - fits[1].history[0]["loss"]) > 1e-5
        torch.testing.assert_close(fits[0].latent, fits[1].latent, atol=1e-3, rtol=0)
    assert apart >= 2  # the others' guess was no better than the mean


@pytest.mark.parametrize("guess", [True, False])
def test_a_huge_prior_weight_keeps_the_mean(guess):
    network = a_network(guess=guess)
    (scan,) = noisy_scans(network, draws(network, 1))
    fit = fit_gauss_newton(network, scan, prior_weight=1e6)
    torch.testing.assert_close(fit.latent, network.latent_mean, atol=1e-4, rtol=0)


def test_points_asked_for_bound_the_points_used():
    """Fits of few points of a noisy scan scatter about that of all."""
    network = a_network()
    (scan,) = noisy_scans(network, draws(network, 1))
    every = fit_gauss_newton(network, scan, prior_weight=1e-3, iterations=15, **WHOLE).latent
    few = fit_gauss_newton(network, scan, prior_weight=1e-3, final_points=60, iterations=15, tolerance=0.0).latent
    assert (few - every).abs().max() > 0.01


# ---- the course of a fit


def test_loss_is_flat_once_the_fit_is_there():
    network = a_network(contrast=4.0, guess=False)
    for latent in draws(network, 3):
        scan = grey_scan(network, latent)
        fit = fit_gauss_newton(network, scan, prior_weight=1e-3, iterations=60, **WHOLE)
        losses = [entry["loss"] for entry in fit.history]
        at_mean = float(objective_of(exact(network), scan, 0.0, torch.zeros(4).double()))
        assert at_mean - losses[-1] > 1e-3
        assert max(losses[20:]) - min(losses[20:]) < 1e-5


@pytest.mark.parametrize("seed", [2, 3, 7])
def test_a_step_that_would_raise_the_objective_is_not_kept(seed):
    """On a network of strong contrast, far from the mean and all but undamped, so that first steps go too far."""
    network = a_network(contrast=6.0, guess=False, seed=seed)
    network.latent_factor.mul_(4)
    (scan,), weight, path = noisy_scans(network, draws(network, 1, seed=3)), 1e-4, [network.latent_mean]
    fit = fit_gauss_newton(
        network,
        scan,
        prior_weight=weight,
        damping=1e-9,
        callback=lambda step, latent, pose: path.append(latent),
        **WHOLE,
    )
    copy = exact(network)
    with torch.no_grad():
        values = [float(objective_of(copy, scan, weight, whitened(copy, latent))) for latent in path]
    assert len(path) == len(fit.history) + 1 and torch.equal(path[-1], fit.latent)
    refused = [n for n in range(len(path) - 1) if torch.equal(path[n], path[n + 1])]
    assert values[-1] < 0.99 * values[refused[0]]  # not for want of a better latent
    assert all(after <= before + 1e-7 for before, after in zip(values, values[1:]))


def test_fit_stops_when_it_has_converged_and_says_so():
    network = a_network()
    (scan,) = noisy_scans(network, draws(network, 1))
    fit = fit_gauss_newton(network, scan, final_points=ALL, iterations=50, tolerance=3e-3)
    assert fit.reason.startswith("converged") and "0.003" in fit.reason
    assert len(fit.history) < 50 and [entry["step"] for entry in fit.history] == list(range(1, len(fit.history) + 1))
    cut = fit_gauss_newton(network, scan, final_points=ALL, iterations=2, tolerance=0.0)
    assert cut.reason == "all 2 iterations done" and len(cut.history) == 2


@pytest.mark.parametrize("start_points, chunk", [(50, 4096), (101, 41), (ALL, 100)])
def test_points_are_the_point_evaluations(monkeypatch, start_points, chunk):
    network, counted = a_network(), []
    plain = nisf.fit.search.linearise

    def counting(network, points, variables, v):
        counted.append(points.coords.shape[1])
        return plain(network, points, variables, v)

    monkeypatch.setattr(nisf.fit.search, "linearise", counting)
    (scan,) = noisy_scans(network, draws(network, 1))
    fit = fit_gauss_newton(network, scan, final_points=301, start_points=start_points, chunk=chunk)
    seen = [entry["points"] for entry in fit.history]
    assert max(counted) <= chunk
    assert fit.points == sum(counted) and fit.seconds > 0
    assert seen == sorted(seen) and 0 < seen[0] and seen[-1] <= fit.points


class Watched(GridPoints):
    """Keeps the numbers of the points that are read."""

    def take(self, number):
        self.taken = [*getattr(self, "taken", []), *number.tolist()]
        return super().take(number)


@pytest.mark.parametrize("kept", [None, [0, 2]])
@pytest.mark.parametrize("start_points, chunk", [(50, 4096), (100, 37), (ALL, 100)])
def test_a_fit_of_more_points_than_the_scan_has_uses_each_once(kept, start_points, chunk):
    network = a_network()
    (scan,) = noisy_scans(network, draws(network, 1))
    watched = Watched(scan.frame, scan.image, kept)
    fit_gauss_newton(network, watched, final_points=ALL, start_points=start_points, chunk=chunk, tolerance=1e-5)
    assert sorted(watched.taken) == list(range(len(watched)))


@pytest.mark.parametrize("chunk", [37, 100])
def test_chunks_change_nothing(chunk):
    network = a_network(channels=2)
    (scan,) = noisy_scans(network, draws(network, 1))
    options = {"prior_weight": 1e-3, "final_points": 400, "start_points": 400, "iterations": 8, "tolerance": 0.0}
    whole, parts = (fit_gauss_newton(network, scan, chunk=size, **options) for size in (ALL, chunk))
    torch.testing.assert_close(parts.latent, whole.latent, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(parts.covariance, whole.covariance, atol=1e-7, rtol=1e-4)
    assert parts.points == whole.points


# ---- what plays no part


def test_held_out_slices_play_no_part():
    network = a_network()
    (scan,) = noisy_scans(network, draws(network, 1))
    changed = scan.image.clone()
    changed[:, :, :, 1] = 1 - changed[:, :, :, 1]
    options = {"final_points": 200, "start_points": 50}
    one, other = (
        fit_gauss_newton(network, GridPoints(scan.frame, i, [0, 2]), **options) for i in (scan.image, changed)
    )
    assert torch.equal(one.latent, other.latent) and torch.equal(one.covariance, other.covariance)
    seen = fit_gauss_newton(network, GridPoints(scan.frame, changed), **options)
    assert not torch.allclose(seen.latent, one.latent, atol=1e-2)


def test_classes_play_no_part():
    network = a_network()
    (scan,) = noisy_scans(network, draws(network, 1))
    before = fit_gauss_newton(network, scan)
    with torch.no_grad():
        network.class_head.weight.normal_()
    after = fit_gauss_newton(network, scan)
    assert torch.equal(after.latent, before.latent) and torch.equal(after.covariance, before.covariance)


def test_same_seed_same_latent_another_seed_another():
    network, fits = a_network(), []
    (scan,) = noisy_scans(network, draws(network, 1))
    for seed in (5, 5, 6):
        torch.manual_seed(len(fits))  # the caller's own random state plays no part
        fits.append(fit_gauss_newton(network, scan, final_points=100, seed=seed))
    assert torch.equal(fits[0].latent, fits[1].latent) and torch.equal(fits[0].covariance, fits[1].covariance)
    assert not torch.equal(fits[0].latent, fits[2].latent)


@pytest.mark.parametrize("final_points", [100, ALL])
def test_a_fit_leaves_the_callers_random_state_alone(final_points):
    network = a_network()
    (scan,) = noisy_scans(network, draws(network, 1))
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    fit_gauss_newton(network, scan, final_points=final_points, iterations=3)
    assert torch.equal(torch.rand(2), expected)


# ---- bad input


@pytest.mark.parametrize("name", ["first.linear", "intensity_head"])
def test_broken_weights_give_one_clear_sentence(name):
    network = a_network()
    (scan,) = noisy_scans(network, draws(network, 1))
    with torch.no_grad():
        network.get_submodule(name).weight[0, 0] = float("nan")
    with pytest.raises(InputError, match="loss is not a number at the start; check the weights"):
        fit_gauss_newton(network, scan)
    assert all(p.requires_grad for p in network.parameters())


@pytest.mark.parametrize("option", ["final_points", "start_points", "iterations", "chunk"])
@pytest.mark.parametrize("value", [0, -1])
def test_counts_below_one_are_refused(option, value):
    network = a_network(guess=False)
    (scan,) = noisy_scans(network, draws(network, 1))
    with pytest.raises(InputError, match=f"{option} of the fit is {value}"):
        fit_gauss_newton(network, scan, **{option: value})


@pytest.mark.parametrize("value", [0.0, -1e-3, float("nan")])
def test_a_prior_weight_not_above_zero_is_refused(value):
    network = a_network(guess=False)
    (scan,) = noisy_scans(network, draws(network, 1))
    with pytest.raises(InputError, match="prior_weight"):
        fit_gauss_newton(network, scan, prior_weight=value)
