"""The network is the paper's formula in every size; its start weights pass a signal and its files keep the prior."""

import numpy as np
import pytest
import torch

from nisf.models.nisf import NISF, GaborLayer, LatentTable
from nisf.utils.errors import InputError

SIZES = {
    "paper's form": {},
    "latent smaller than hidden": {"latent_size": 3},
    "latent larger than hidden": {"latent_size": 12},
    "static volume": {"coord_dims": 3, "num_classes": 3},
    "closed cycle": {"closed_cycle": True},
    "several channels": {"in_channels": 3},
    "one layer": {"num_layers": 1},
    "other factors": {"omega0": 7.0, "sigma0": 3.0},
}


def small(**changes):
    torch.manual_seed(1)
    sizes = {"latent_size": 6, "hidden_size": 6, "num_layers": 3, **changes}
    return NISF(**sizes).double()


def array(tensor):
    return tensor.detach().numpy()


def gabor(layer, x, omega0, sigma0):
    """The wavelet of one input vector, with a matrix and a bias for the frequency and another pair for the envelope."""
    out = layer.linear.weight.shape[0] // 2
    w1, w2 = array(layer.linear.weight)[:out], array(layer.linear.weight)[out:]
    b1, b2 = array(layer.linear.bias)[:out], array(layer.linear.bias)[out:]
    return np.cos(omega0 * (w1 @ x + b1)) * np.exp(-((sigma0 * (w2 @ x + b2)) ** 2))


def plain_forward(network, coordinate, latent, omega0=10.0, sigma0=10.0):
    """Logits of one point: [coordinate, latent] in, the latent as the first residual, then a residual a layer."""
    same_size = len(latent) == network.intensity_head.in_features
    residual = latent if same_size else array(network.residual.weight) @ latent
    if network.closed_cycle:
        angle = 2 * np.pi * coordinate[3]
        coordinate = np.array([*coordinate[:3], np.cos(angle), np.sin(angle)])
    x = gabor(network.first, np.concatenate([coordinate, latent]), omega0, sigma0) + residual
    for layer in network.layers:
        x = gabor(layer, x, omega0, sigma0) + x
    heads = (network.intensity_head, network.class_head)
    return np.concatenate([array(head.weight) @ x + array(head.bias) for head in heads])


def test_gabor_layer_is_the_formula_with_two_matrices():
    torch.manual_seed(0)
    layer = GaborLayer(5, 7, omega0=4.0, sigma0=2.0).double()
    x = torch.rand(3, 11, 5, dtype=torch.float64)
    expected = [[gabor(layer, point, 4.0, 2.0) for point in row] for row in array(x)]
    assert layer(x).shape == (3, 11, 7)
    np.testing.assert_allclose(array(layer(x)), expected, atol=1e-12)


def test_closed_cycle_ends_where_it_begins():
    network = small(closed_cycle=True)
    start = torch.rand(1, 4, 5, dtype=torch.float64)
    end = start + torch.tensor([0, 0, 0, 1.0], dtype=torch.float64)[:, None]
    torch.testing.assert_close(network(start), network(end))
    assert not torch.allclose(network(start), network((start + end) / 2))


def test_closed_cycle_needs_a_time():
    with pytest.raises(InputError, match="coord_dims is 3"):
        small(closed_cycle=True, coord_dims=3)


@pytest.mark.parametrize("changes", SIZES.values(), ids=SIZES.keys())
def test_forward_is_the_papers_network_point_by_point(changes):
    network = small(**changes)
    coords = torch.rand(2, network.coord_dims, 5, dtype=torch.float64) * 2 - 1
    latent = torch.randn(2, network.latent_size, dtype=torch.float64)
    factors = {key: changes[key] for key in ("omega0", "sigma0") if key in changes}
    expected = [
        np.stack([plain_forward(network, point, array(h), **factors) for point in array(c).T], axis=1)
        for c, h in zip(coords, latent)
    ]
    output = network(coords, latent)
    assert output.shape == (2, network.in_channels + network.num_classes, 5)
    np.testing.assert_allclose(array(output), expected, atol=1e-6)


def test_without_a_latent_the_mean_of_the_prior_is_taken():
    network = small()
    coords = torch.rand(2, 4, 5, dtype=torch.float64)
    before = network(coords)
    network.latent_mean.copy_(torch.randn(6))
    assert torch.equal(network(coords), network(coords, network.latent_mean.expand(2, -1)))
    assert not torch.allclose(network(coords), before)


def test_a_subject_of_a_batch_depends_on_its_own_latent_alone():
    network = small()
    coords, latent = torch.rand(2, 4, 5, dtype=torch.float64), torch.randn(2, 6, dtype=torch.float64)
    changed = torch.stack([latent[0], latent[1] + 1])
    together, apart = network(coords, latent), network(coords, changed)
    torch.testing.assert_close(together[:1], network(coords[:1], latent[:1]))
    assert torch.equal(together[0], apart[0])
    assert not torch.allclose(together[1], apart[1])


@pytest.mark.parametrize("sizes", [{}, {"latent_size": 32, "hidden_size": 64, "coord_dims": 3}])
def test_start_weights_pass_a_signal_through_every_layer(sizes):
    torch.manual_seed(0)
    network = NISF(**sizes)
    shares = []
    for layer in (network.first, *network.layers):
        # of the wavelets' values; `first` is not called as a module, so the activations are watched where they are made
        layer.activate = lambda projected, plain=layer.activate: watch(plain(projected), shares)
    network(torch.rand(1, network.coord_dims, 500) * 2 - 1)
    assert len(shares) == 8
    assert shares[0] > 0.2
    assert min(shares[1:]) > 0.35  # with PyTorch's own start weights it would be about 0.2


def watch(activation, shares):
    shares.append(float((activation.abs() > 0.1).float().mean()))
    return activation


def test_saved_weights_keep_the_prior_and_the_early_stop(tmp_path):
    network = small()
    network.latent_mean.copy_(torch.randn(6))
    network.latent_factor.copy_(torch.rand(6, 6))
    network.temperature.fill_(1.5)
    network.fit_steps.fill_(672)
    torch.save(network.state_dict(), tmp_path / "model.pt")
    torch.manual_seed(9)
    other = NISF(latent_size=6, hidden_size=6, num_layers=3).double()
    other.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True))
    for name in ("latent_mean", "latent_factor", "temperature"):
        assert torch.equal(getattr(other, name), getattr(network, name))
    assert int(other.fit_steps) == 672
    coords = torch.rand(1, 4, 5, dtype=torch.float64)
    assert torch.equal(other(coords), network(coords))


def test_latent_table_starts_as_the_paper_says():
    torch.manual_seed(0)
    table = LatentTable(50, 128, std=1e-4)
    assert table(torch.tensor([3, 7])).shape == (2, 128)
    assert float(table.weight.detach().std()) == pytest.approx(1e-4, rel=0.05)
    assert table.weight.requires_grad
