"""A fit leaves the network as it was, from wherever it is called."""

import pytest
import torch
from helpers.known_scans import a_network, draws, noisy_scans
from helpers.tiny import CALLERS

from nisf.fit.gauss_newton import fit_gauss_newton
from nisf.fit.points import GridPoints


@pytest.mark.parametrize("training", [True, False])
def test_network_is_bit_identical_afterwards(training):
    network = a_network()
    (scan,) = noisy_scans(network, draws(network, 1))
    network.train(training)
    network.intensity_head.bias.requires_grad_(False)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    flags = [p.requires_grad for p in network.parameters()]
    fit = fit_gauss_newton(network, scan, iterations=4)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert [p.requires_grad for p in network.parameters()] == flags
    assert network.training is training
    assert all(p.grad is None for p in network.parameters())
    assert not fit.latent.requires_grad and not fit.covariance.requires_grad


def test_network_is_as_it_was_also_when_a_fit_breaks_off():
    network = a_network()
    (scan,) = noisy_scans(network, draws(network, 1))
    network.train()
    before = {name: value.clone() for name, value in network.state_dict().items()}

    def stop(step, latent, pose):
        assert not network.training and not any(p.requires_grad for p in network.parameters())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_gauss_newton(network, scan, callback=stop)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert network.training and all(p.requires_grad for p in network.parameters())


@pytest.mark.parametrize("context", CALLERS)
def test_a_fit_works_wherever_it_is_called_from(context):
    network = a_network()
    (scan,) = noisy_scans(network, draws(network, 1))
    expected = fit_gauss_newton(network, scan, final_points=200, iterations=5)
    with CALLERS[context]():
        image = scan.image + 0  # made in there, as by a loader
        fit = fit_gauss_newton(network, GridPoints(scan.frame, image), final_points=200, iterations=5)
        drawn = fit.sample(3)
    assert torch.equal(fit.latent, expected.latent) and fit.latent.dtype == torch.float32
    assert torch.equal(fit.covariance, expected.covariance)
    assert torch.equal(drawn[0], expected.sample(3)[0])
