"""The linearised intensity loss is what differentiating the whole network by the latent gives."""

import pytest
import torch

from scripts.linearisation import jacobian, linearise
from scripts.networks import NISF

SIZES = {
    "latent of the hidden size": {},
    "latent smaller than hidden": {"latent_size": 3},
    "latent larger than hidden": {"latent_size": 9},
    "two channels": {"in_channels": 2},
    "two channels, another latent size": {"in_channels": 2, "latent_size": 4},
    "static volume": {"coord_dims": 3},
    "one layer": {"num_layers": 1},
}
SCANS, POINTS = 2, 30


class Case:
    """Two scans with points, intensities and latents of their own, and a factor that mixes the latent's entries."""

    def __init__(self, rank=None, **sizes):
        torch.manual_seed(2)
        sizes = {"latent_size": 6, "hidden_size": 6, "num_layers": 3, "omega0": 4.0, "sigma0": 2.0, **sizes}
        self.network = NISF(num_classes=3, **sizes).double()
        with torch.no_grad():
            self.network.intensity_head.weight.mul_(4)
        length = self.network.latent_size
        self.coords = torch.rand(SCANS, self.network.coord_dims, POINTS, dtype=torch.float64) * 2 - 1
        self.intensity = torch.rand(SCANS, self.network.in_channels, POINTS, dtype=torch.float64)
        self.intensity[:, :, 0], self.intensity[:, :, 1] = 0.0, 1.0  # their entropy is zero
        self.latent = torch.randn(SCANS, length, dtype=torch.float64)
        self.factor = torch.randn(length, rank or length, dtype=torch.float64) / 2
        self.projected = self.network.project(self.coords).detach()

    def linearise(self, points=slice(None)):
        parts = (self.projected[:, points], self.intensity[:, :, points])
        return linearise(self.network, *parts, self.latent, self.factor)

    def channels(self, scan, z):
        """Intensity logits [C, N] of a scan with the whitened latent moved by ``z`` [R]."""
        latent = self.latent[scan] + self.factor @ z
        return self.network(self.coords[scan][None], latent[None])[0, : self.network.in_channels]

    def loss(self, scan, z):
        p, y = self.channels(scan, z).sigmoid(), self.intensity[scan]
        return -(y * p.log() + (1 - y) * (1 - p).log()).sum()

    @property
    def zero(self):
        return torch.zeros(self.factor.shape[1], dtype=torch.float64)

    def full_jacobian(self, scan):
        """[C, N, R]."""
        return torch.autograd.functional.jacobian(lambda z: self.channels(scan, z), self.zero)


def assert_close(found, expected):
    """To 1e-5 of the largest entry."""
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()


@pytest.fixture(params=SIZES.values(), ids=SIZES.keys())
def case(request):
    return Case(**request.param)


def test_jacobian_is_that_of_the_whole_network(case):
    logits, jacobians = jacobian(case.network, case.projected, case.latent, case.factor)
    assert len(jacobians) == case.network.in_channels
    assert_close(logits, case.network(case.coords, case.latent).detach())
    for scan in range(SCANS):
        assert_close(torch.stack([slope[scan] for slope in jacobians]), case.full_jacobian(scan))


def test_gradient_is_that_of_the_summed_cross_entropy(case):
    sums, _ = case.linearise()
    for scan in range(SCANS):
        expected = torch.autograd.functional.jacobian(lambda z: case.loss(scan, z), case.zero)
        assert_close(sums.gradient[scan], expected)


def test_matrix_is_the_fisher_matrix_of_all_points_and_channels(case):
    sums, _ = case.linearise()
    for scan in range(SCANS):
        p = case.channels(scan, case.zero).sigmoid().detach()
        slope = case.full_jacobian(scan)
        assert_close(sums.matrix[scan], torch.einsum("cnr,cn,cns->rs", slope, p * (1 - p), slope))


def test_losses_are_sums_over_points_and_channels(case):
    sums, logits = case.linearise()
    assert_close(logits, case.network(case.coords, case.latent).detach())
    assert sums.points == POINTS
    for scan in range(SCANS):
        p, y = case.channels(scan, case.zero).sigmoid().detach(), case.intensity[scan]
        inner = y[:, 2:]
        assert_close(sums.loss[scan], case.loss(scan, case.zero).detach())
        assert_close(sums.floor[scan], -(inner * inner.log() + (1 - inner) * (1 - inner).log()).sum())
        assert_close(sums.squared[scan], (p - y).square().sum())


def test_loss_of_a_perfect_reconstruction_is_the_floor():
    case = Case(in_channels=2)
    case.intensity = case.network(case.coords, case.latent)[:, :2].sigmoid().detach()
    sums, _ = case.linearise()
    assert_close(sums.loss, sums.floor)
    assert sums.squared.max() < 1e-12 and sums.gradient.abs().max() < 1e-6


def test_factor_may_span_fewer_directions_than_the_latent():
    case = Case(rank=2, latent_size=5)
    sums, _ = case.linearise()
    assert sums.matrix.shape == (SCANS, 2, 2)
    _, (slope,) = jacobian(case.network, case.projected, case.latent, case.factor)
    assert_close(slope[1], case.full_jacobian(1)[0])


@pytest.mark.parametrize("sizes", [{}, {"in_channels": 2, "latent_size": 4}])
def test_chunks_add_up_to_the_whole(sizes):
    case = Case(**sizes)
    whole, _ = case.linearise()
    first, second, third = (case.linearise(points)[0] for points in (slice(0, 7), slice(7, 20), slice(20, None)))
    total = first + second + third
    assert total.points == whole.points == POINTS
    for name in ("loss", "floor", "squared", "gradient", "matrix"):
        assert_close(getattr(total, name), getattr(whole, name))


def test_a_scan_of_a_batch_is_as_it_is_alone():
    case = Case(in_channels=2)
    together, logits = case.linearise()
    for scan in range(SCANS):
        one = slice(scan, scan + 1)
        parts = (case.projected[one], case.intensity[one], case.latent[one])
        alone, own = linearise(case.network, *parts, case.factor)
        assert_close(own, logits[one])
        for name in ("loss", "floor", "squared", "gradient", "matrix"):
            assert_close(getattr(alone, name), getattr(together, name)[one])


def test_no_weight_gets_a_gradient_and_no_graph_is_kept():
    case = Case(latent_size=4)
    sums, logits = case.linearise()
    assert all(p.grad is None and p.requires_grad for p in case.network.parameters())
    assert not any(t.requires_grad for t in (logits, sums.loss, sums.gradient, sums.matrix))
