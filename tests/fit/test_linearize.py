"""The linearised losses are what differentiating the whole network by latent and pose gives."""

import pytest
import torch

from nisf.fit.linearize import Targets, jacobian, linearise
from nisf.fit.variables import Variables
from nisf.geometry.pose import moved
from nisf.models.nisf import NISF

SIZES = {
    "latent of the hidden size": {},
    "latent smaller than hidden": {"latent_size": 3},
    "latent larger than hidden": {"latent_size": 9},
    "two channels": {"in_channels": 2},
    "two channels, another latent size": {"in_channels": 2, "latent_size": 4},
    "static volume": {"coord_dims": 3},
    "one layer": {"num_layers": 1},
    "closed cycle": {"closed_cycle": True, "pose": True},
    "with pose": {"pose": True},
    "with pose, two channels, another latent size": {"pose": True, "in_channels": 2, "latent_size": 4},
    "with acquisition": {"acquisition": True},
    "with pose and acquisition": {"pose": True, "acquisition": True, "latent_size": 4},
    "with pose and acquisition, two channels": {"pose": True, "acquisition": True, "in_channels": 2},
}
POINTS, SLICES = 30, 3


class Case:
    """A scan's points, intensities and latent, and a factor that mixes the latent's entries."""

    def __init__(self, pose=False, classes=False, acquisition=False, **sizes):
        torch.manual_seed(2)
        sizes = {"latent_size": 6, "hidden_size": 6, "num_layers": 3, "omega0": 4.0, "sigma0": 2.0, **sizes}
        self.network, self.classes = NISF(num_classes=3, **sizes).double(), classes
        length = self.network.latent_size
        with torch.no_grad():
            self.network.intensity_head.weight.mul_(4)
            self.network.latent_mean.normal_()
            self.network.latent_factor.copy_(torch.randn(length, length).tril() / 2)
            self.network.pose_factor.copy_(pose * (torch.randn(6, 6).tril() / 5))
        spread = acquisition * torch.linspace(0.1, 0.6, 6)
        self.variables = Variables(self.network, True, SLICES, spread)
        self.slices = torch.randint(-1, SLICES, (POINTS,))  # -1: of no slice of the stack
        self.coords = torch.rand(self.network.coord_dims, POINTS, dtype=torch.float64) * 2 - 1
        channels = 3 if classes else self.network.in_channels
        self.wanted = torch.rand(channels, POINTS, dtype=torch.float64)
        self.wanted[:, 0], self.wanted[:, 1] = 0.0, 1.0  # their entropy is zero
        if classes:
            self.wanted = self.wanted.mul(3).softmax(dim=0)
            self.wanted[:, 0] = torch.eye(3, dtype=torch.float64)[0]
        self.v = torch.randn(self.variables.size, dtype=torch.float64) / 2
        self.first = self.network.in_channels * classes
        self.outputs = range(self.first, self.first + channels)

    def targets(self, points=slice(None), weight=1.0):
        coords = self.coords[:, points]
        projected = self.network.project(coords).detach()
        return Targets(coords, self.wanted[:, points], self.classes, weight, projected, self.slices[points])

    def linearise(self, points=slice(None), weight=1.0):
        return linearise(self.network, self.targets(points, weight), self.variables, self.v)

    def channels(self, v):
        """Logits [C, N] of the intensities or classes at ``v`` [M]."""
        effects = self.effects(v)
        coords = torch.cat([self.coords[:2] + effects[:, 2:].t(), self.coords[2:]])
        coords = moved(coords, self.variables.pose(v))
        logits = self.network(coords[None], self.variables.latent(v)[None])[0, self.first : self.outputs.stop]
        return logits if self.classes else (1 + effects[:, 0]) * logits + effects[:, 1]

    def effects(self, v):
        """Gain, offset and shift in plane of each point [N, 4], written out slice by slice."""
        out = torch.zeros(POINTS, 4, dtype=torch.float64)
        if self.variables.has_acquisition:
            spread, of_scan = torch.linspace(0.1, 0.6, 6).double(), v[self.variables.known :]
            of_slices = of_scan[2:].reshape(4, SLICES)
            for place, number in enumerate(self.slices.tolist()):
                if number >= 0:
                    out[place] = spread[2:] * of_slices[:, number]
                    out[place, :2] = out[place, :2] + spread[:2] * of_scan[:2]
        return out

    def probabilities(self, v):
        logits = self.channels(v)
        return logits.softmax(dim=0) if self.classes else logits.sigmoid()

    def loss(self, v):
        p, y = self.probabilities(v), self.wanted
        return -(y * p.log()).sum() if self.classes else -(y * p.log() + (1 - y) * (1 - p).log()).sum()

    def full_jacobian(self):
        """[C, N, M]."""
        return torch.autograd.functional.jacobian(self.channels, self.v)


def assert_close(found, expected):
    """To 1e-5 of the largest entry."""
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()


CLASSES = {
    "classes": {"classes": True},
    "classes with pose": {"classes": True, "pose": True, "latent_size": 4},
    "classes with pose and acquisition": {"classes": True, "pose": True, "acquisition": True},
}


@pytest.fixture(params=[*SIZES.values(), *CLASSES.values()], ids=[*SIZES, *CLASSES])
def case(request):
    return Case(**request.param)


def test_jacobian_is_that_of_the_whole_network(case):
    weights = torch.eye(case.network.in_channels + 3, dtype=torch.float64)[case.outputs.start : case.outputs.stop]
    logits, jacobians = jacobian(case.network, case.targets(), case.variables, case.v, weights)
    assert len(jacobians) == len(case.outputs)
    assert_close(logits[case.outputs], case.channels(case.v).detach())
    assert_close(torch.stack(jacobians), case.full_jacobian())


def test_gradient_is_that_of_the_summed_cross_entropy(case):
    assert_close(case.linearise().gradient, torch.autograd.functional.jacobian(case.loss, case.v))


def test_matrix_is_the_fisher_matrix_of_all_points_and_channels(case):
    p, slope = case.probabilities(case.v).detach(), case.full_jacobian()
    expected = torch.einsum("cnr,cn,cns->rs", slope, p * (1 - p), slope)
    if case.classes:  # variance of the logits' slopes over the classes of a point
        mean = torch.einsum("cnr,cn->nr", slope, p)
        expected = torch.einsum("cnr,cn,cns->rs", slope, p, slope) - mean.t() @ mean
    assert_close(case.linearise().matrix, expected)


def test_losses_are_sums_over_points_and_channels(case):
    sums = case.linearise()
    assert sums.points == (0 if case.classes else POINTS)
    assert_close(sums.loss, case.loss(case.v).detach())
    inner = case.wanted[:, 1 if case.classes else 2 :]
    of_classes = -(inner * inner.log()).sum()
    assert_close(sums.floor, of_classes if case.classes else of_classes - ((1 - inner) * (1 - inner).log()).sum())


@pytest.mark.parametrize("sizes", [{"in_channels": 2}, {"classes": True}])
def test_loss_of_a_perfect_prediction_is_the_floor(sizes):
    case = Case(**sizes)
    case.wanted = case.probabilities(case.v).detach()
    sums = case.linearise()
    assert_close(sums.loss, sums.floor)
    assert sums.gradient.abs().max() < 1e-6


@pytest.mark.parametrize("sizes", [{}, {"in_channels": 2, "latent_size": 4}, {"pose": True}, {"classes": True}])
def test_chunks_add_up_to_the_whole(sizes):
    case = Case(**sizes)
    whole = case.linearise()
    first, second, third = (case.linearise(points=p) for p in (slice(0, 7), slice(7, 20), slice(20, None)))
    total = first + second + third
    assert total.points == whole.points
    for name in ("loss", "floor", "gradient", "matrix"):
        assert (getattr(total, name) - getattr(whole, name)).abs().max() <= 1e-9 * getattr(whole, name).abs().max()


@pytest.mark.parametrize("classes", [False, True])
def test_a_weight_scales_the_loss_and_all_that_follows_from_it(classes):
    case = Case(classes=classes)
    plain, weighted = case.linearise(), case.linearise(weight=0.3)
    for name in ("loss", "floor", "gradient", "matrix"):
        assert_close(getattr(weighted, name), 0.3 * getattr(plain, name))


@pytest.mark.parametrize("kind", CLASSES)
def test_points_whose_classes_are_settled_change_nothing(kind):
    case = Case(**CLASSES[kind])
    with torch.no_grad():
        case.network.class_head.weight.mul_(14)  # most points are sure of their class
    said = case.probabilities(case.v).detach()
    sure = (said.amax(dim=0) > 1 - 1e-5).nonzero()[:, 0]
    case.wanted[:, sure[1:]] = said[:, sure[1:]]  # and right, but for one, and another that is nearly so
    case.wanted[:, sure[1]] = said[:, sure[1]] + 5e-3 * (said[:, sure[1]].roll(1) - said[:, sure[1]])
    assert 1 < len(sure) < POINTS
    found, slope = case.linearise(), case.full_jacobian()
    mean = torch.einsum("cnr,cn->nr", slope, said)
    assert (found.loss - case.loss(case.v)).abs() <= 1e-9 * found.loss
    gradient = torch.einsum("cnr,cn->r", slope, said - case.wanted)
    matrix = torch.einsum("cnr,cn,cns->rs", slope, said, slope) - mean.t() @ mean
    doubt = torch.maximum(1 - said.amax(dim=0), (said - case.wanted).abs().amax(dim=0))
    settled, steep = doubt * (doubt <= 1e-4), slope.abs().amax(dim=(0, 2))
    assert (found.gradient - gradient).abs().max() <= 3 * settled @ steep + 1e-9
    assert (found.matrix - matrix).abs().max() <= 2 * settled @ steep**2 + 1e-9


def test_no_weight_gets_a_gradient_and_no_graph_is_kept():
    case = Case(latent_size=4, pose=True)
    sums = case.linearise()
    assert all(p.grad is None and p.requires_grad for p in case.network.parameters())
    assert not any(t.requires_grad for t in (sums.loss, sums.gradient, sums.matrix))
