"""The posterior of a fit says how sure it is, and draws from it follow their seed."""

import pytest
import torch
from helpers.known_scans import ALL, WHOLE, a_network, draws, exact, logits_of, noisy_scans, whitened

from nisf.fit.gauss_newton import fit_gauss_newton
from nisf.fit.posterior import LatentFit
from nisf.utils.errors import InputError


@pytest.mark.parametrize("channels", [1, 2])
def test_covariance_is_the_inverse_of_the_objectives_gauss_newton_matrix(channels):
    network, weight = a_network(channels), 1e-3
    (scan,) = noisy_scans(network, draws(network, 1))
    fit = fit_gauss_newton(network, scan, prior_weight=weight, start_points=100, final_points=ALL)
    copy = exact(network)
    z = whitened(copy, fit.latent)
    steps = 1e-5 * torch.eye(4, dtype=torch.float64)
    slope = torch.stack([logits_of(copy, scan, z + s) - logits_of(copy, scan, z - s) for s in steps], dim=-1) / 2e-5
    slope = slope.flatten(0, 1)
    p = logits_of(copy, scan, z).sigmoid().flatten()
    mean_matrix = slope.t() @ (slope * (p * (1 - p))[:, None]) / len(slope)
    # 1 / prior_weight observations, each as informative as the mean point, and the prior's own precision of one
    of_z = torch.linalg.inv(mean_matrix / weight + torch.eye(4))
    expected = copy.latent_factor @ of_z @ copy.latent_factor.t()
    assert fit.covariance.dtype == torch.float64
    torch.testing.assert_close(fit.covariance, expected, rtol=1e-4, atol=1e-4 * float(expected.max()))
    assert torch.equal(fit.covariance, fit.covariance.t())


@pytest.mark.parametrize("channels", [1, 2])
def test_posterior_says_how_far_refits_of_noisy_scans_are_from_the_truth(channels):
    """Latents drawn from the prior, one observation an intensity: errors are as wide as the posterior."""
    network, number = a_network(channels), 120
    latents = draws(network, number, seed=4)
    scans = noisy_scans(network, latents, seed=4)
    options = {**WHOLE, "prior_weight": 1 / (channels * len(scans[0])), "iterations": 8}
    fits = [fit_gauss_newton(network, scan, **options) for scan in scans]
    errors = torch.stack([fit.latent for fit in fits]).double() - latents
    covariances = torch.stack([fit.covariance for fit in fits])
    stated = covariances.diagonal(dim1=1, dim2=2).mean(dim=0).sqrt()
    prior = (network.latent_factor.double() @ network.latent_factor.double().t()).diagonal().sqrt()
    assert (stated < 0.85 * prior).all()  # the scans say something
    ratio = errors.square().mean(dim=0).sqrt() / stated
    assert ((ratio > 0.8) & (ratio < 1.2)).all()
    distances = torch.einsum("br,brs,bs->b", errors, torch.linalg.inv(covariances), errors)
    assert 0.8**2 < distances.mean() / 4 < 1.2**2  # chi squared with 4 degrees of freedom


def test_a_scan_that_says_nothing_leaves_the_prior():
    network = a_network()
    (scan,) = noisy_scans(network, draws(network, 1))
    fit = fit_gauss_newton(network, scan, prior_weight=1e6)
    factor = network.latent_factor.double()
    torch.testing.assert_close(fit.covariance, factor @ factor.t(), rtol=1e-4, atol=1e-7)


def a_posterior():
    root = torch.tensor([[0.5, 0.0, 0.0], [0.3, 0.2, 0.0], [-0.4, 0.1, 0.01]], dtype=torch.float64)
    return LatentFit(latent=torch.tensor([1.0, -2.0, 0.5]), covariance=root @ root.t())


def test_draws_have_the_posteriors_mean_and_covariance():
    fit, number = a_posterior(), 40000
    sampled = fit.sample(number)[0].double()
    assert sampled.shape == (number, 3) and fit.sample(2)[0].dtype == fit.latent.dtype
    std = fit.covariance.diagonal().sqrt()
    # five standard errors of a mean and of a covariance
    assert ((sampled.mean(dim=0) - fit.latent).abs() < 5 * std / number**0.5).all()
    assert ((sampled.t().cov() - fit.covariance).abs() < 5 * 2**0.5 * torch.outer(std, std) / number**0.5).all()


def test_draws_follow_their_seed_and_leave_the_callers_random_state_alone():
    fit = a_posterior()
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    first, again, other = (fit.sample(5, seed=seed)[0] for seed in (1, 1, 2))
    assert torch.equal(torch.rand(2), expected)
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_a_fit_without_covariance_has_nothing_to_draw_from():
    with pytest.raises(InputError, match="fit_gauss_newton"):
        LatentFit(latent=torch.zeros(3)).sample(2)
