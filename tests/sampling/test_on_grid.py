"""A latent is read on a grid: every voxel is the network at its own coordinates, however the work is cut up."""

import numpy as np
import pytest
import torch

from nisf.fit.posterior import LatentFit
from nisf.geometry.frame import CoordinateFrame
from nisf.geometry.pose import Pose
from nisf.models.committee import network_of
from nisf.models.nisf import NISF
from nisf.sampling import on_grid
from nisf.sampling.coarse_to_fine import CoarseToFine
from nisf.sampling.on_grid import sample_grid
from nisf.sampling.uncertainty import sample_uncertainty
from nisf.utils.bundle import parser_of
from nisf.utils.tensors import likeliest

GRID = (6, 5, 3)
TIMES = (0.0, 0.4)


@pytest.fixture
def network():
    torch.manual_seed(0)
    network = NISF(num_classes=3, hidden_size=12, latent_size=4, num_layers=2)
    network.latent_mean.normal_()
    network.temperature.fill_(1.7)
    return network


def a_frame(half_field=6.0, grid=GRID):
    affine = np.diag([1.5, 2.0, 8.0, 1.0])
    affine[:3, 3] = [10.0, -20.0, half_field]
    return CoordinateFrame.physical(affine, grid, TIMES, half_field=half_field)


def test_every_voxel_is_the_network_at_that_voxels_coordinates(network):
    frame, latent = a_frame(), torch.randn(4)
    grid = sample_grid(network, latent, frame, dtype=torch.float32)
    assert grid.shape == (1 + 3, *GRID, len(TIMES))
    for i, j, k, t in [(0, 0, 0, 0), (5, 0, 0, 1), (0, 4, 1, 0), (2, 3, 2, 1)]:
        where = torch.tensor([frame.axis(0)[i], frame.axis(1)[j], frame.axis(2)[k], TIMES[t]], dtype=torch.float32)
        logits = network(where[None, :, None], latent[None])[0, :, 0].detach()
        expected = torch.cat([logits[:1].sigmoid(), (logits[1:] / 1.7).softmax(dim=0)])
        torch.testing.assert_close(grid[:, i, j, k, t], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("chunk", [1, 7, 10**6])
def test_chunk_size_does_not_matter(network, chunk):
    latent = torch.randn(4)
    expected = sample_grid(network, latent, a_frame(), dtype=torch.float32)
    sampled = sample_grid(network, latent, a_frame(), chunk=chunk, dtype=torch.float32)
    torch.testing.assert_close(sampled, expected, rtol=1e-5, atol=1e-6)


def test_a_finer_grid_agrees_where_it_shares_points(network):
    latent, coarse = torch.randn(4), a_frame()
    fine = CoordinateFrame(
        coarse.affine @ np.diag([0.5, 1, 1, 1]),
        (11, 5, 3),
        TIMES,
        (coarse.scale[0] / 2, *coarse.scale[1:]),
        coarse.offset,
    )
    torch.testing.assert_close(
        sample_grid(network, latent, fine)[:, ::2], sample_grid(network, latent, coarse), rtol=1e-3, atol=1e-3
    )


def test_a_static_network_samples_each_frame_of_its_grid():
    torch.manual_seed(0)
    network = NISF(num_classes=2, coord_dims=3, hidden_size=8, latent_size=4, num_layers=2)
    frame = CoordinateFrame.relative(np.eye(4), GRID, (0.0,), dims=3)
    grid = sample_grid(network, network.latent_mean, frame, dtype=torch.float32)
    assert grid.shape == (3, *GRID, 1)
    where = torch.tensor([frame.axis(a)[i] for a, i in enumerate((4, 1, 2))], dtype=torch.float32)
    expected = network.probabilities(network(where[None, :, None]))[0, :, 0].detach()
    torch.testing.assert_close(grid[:, 4, 1, 2, 0], expected, rtol=1e-5, atol=1e-6)


def test_a_compiled_network_gives_the_same_grid(network, monkeypatch):
    latent = torch.randn(4)
    eager = sample_grid(network, latent, a_frame(), chunk=32, dtype=torch.float32)
    monkeypatch.setattr(on_grid, "COMPILE_FROM", 1)
    compiled = sample_grid(network, latent, a_frame(), chunk=32, dtype=torch.float32)
    torch.testing.assert_close(compiled, eager, rtol=1e-4, atol=1e-5)


def test_bfloat16_moves_probabilities_little(network, monkeypatch):
    """Coordinates and latent keep their float32 digits; only the later layers are rounded."""
    latent = torch.randn(4)
    exact = sample_grid(network, latent, a_frame(), dtype=torch.float32)
    monkeypatch.setattr("nisf.utils.compile.has_bf16", lambda device: True)  # emulated where the hardware has none
    rounded = sample_grid(network, latent, a_frame(), dtype=torch.float32, bf16=True)
    assert 0 < float((rounded - exact).abs().max()) < 0.01


# ---- uncertainty


def test_maps_of_uncertainty_are_the_moments_of_the_draws(network):
    draws = torch.randn(6, 4), torch.randn(6, 6) / 10
    fit = LatentFit(network.latent_mean)
    maps = sample_uncertainty(network, fit, draws, a_frame(), chunk=50, dtype=torch.float32)
    frames = [a_frame().moved(Pose.of(pose)) for pose in draws[1]]
    every = torch.stack([sample_grid(network, h, f, dtype=torch.float32)[1:] for h, f in zip(draws[0], frames)])
    mean = every.mean(dim=0)
    torch.testing.assert_close(maps[:3], mean, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(maps[3], -(mean * mean.log()).sum(dim=0), rtol=1e-4, atol=1e-5)
    likeliest = mean.argmax(dim=0)
    spread = every.gather(1, likeliest.expand(6, 1, *likeliest.shape))[:, 0].std(dim=0, correction=0)
    torch.testing.assert_close(maps[4], spread, rtol=1e-4, atol=1e-5)


def test_maps_of_a_committee_are_of_draws_that_are_of_one_member_each():
    torch.manual_seed(0)
    sizes = {"num_classes": 3, "hidden_size": 8, "latent_size": 4, "num_layers": 2, "omega0": 3.0, "sigma0": 1.0}
    whole, latents = network_of(members=2, **sizes).eval(), torch.randn(3, 8)
    maps = sample_uncertainty(
        whole, LatentFit(torch.zeros(8)), (latents, torch.zeros(3, 6)), a_frame(), dtype=torch.float32
    )
    own = [(whole.members[0], latents[0, :4]), (whole.members[1], latents[1, 4:]), (whole.members[0], latents[2, :4])]
    every = torch.stack([sample_grid(one, latent, a_frame(), dtype=torch.float32)[1:] for one, latent in own])
    torch.testing.assert_close(maps[:3], every.mean(dim=0), rtol=1e-4, atol=1e-5)


def test_draws_that_are_all_alike_are_certain_of_what_the_latent_says(network):
    latent = torch.randn(4)
    draws = latent.expand(3, 4), torch.zeros(3, 6)
    maps = sample_uncertainty(network, LatentFit(latent), draws, a_frame(), dtype=torch.float32)
    single = sample_grid(network, latent, a_frame(), dtype=torch.float32)
    torch.testing.assert_close(maps[:3], single[1:], rtol=1e-5, atol=1e-6)
    assert float(maps[4].abs().max()) < 1e-6


# ---- coarse to fine


@pytest.fixture(scope="module")
def heart():
    """The shipped weights and the field of a scan with two frames: the population's mean heart."""
    network = parser_of(["inference"], device="cpu").get_parsed_content("network")
    affine, times = np.diag([1.6, 1.6, 10.0, 1.0]), (0.0, 0.3)
    return network, CoordinateFrame.posed(affine, (90, 85, 3), times, Pose())


def test_classes_from_coarse_to_fine_are_those_of_every_voxel(heart, monkeypatch):
    network, frame = heart
    every = sample_grid(network, network.latent_mean, frame, dtype=torch.float32)
    asked, points = [], CoordinateFrame.points
    monkeypatch.setattr(CoordinateFrame, "points", lambda self, flat: asked.append(flat) or points(self, flat))
    monkeypatch.setattr(on_grid, "TOGETHER", 30_000)  # two groups of frames
    found = sample_grid(network, network.latent_mean, frame, dtype=torch.float32, coarsest=8.0)
    assert sum(map(len, asked)) < 0.4 * frame.size
    known = found.flatten(1)[:, torch.cat(asked)]
    torch.testing.assert_close(known, every.flatten(1)[:, torch.cat(asked)], rtol=1e-4, atol=1e-5)
    labels, expected = (likeliest(values[1:]) for values in (found, every))
    assert torch.equal(labels, expected) and len(expected.unique()) == 4
    torch.testing.assert_close(found[1:].sum(dim=0), torch.ones_like(found[0]))
    away = (found[0] - every[0]).abs()
    assert float(away.square().mean().sqrt()) < 0.01 and float(away.max()) < 0.1


def test_classes_of_a_cine_are_those_of_every_voxel_of_every_frame(heart, monkeypatch):
    network, frame = heart
    frame = CoordinateFrame.posed(frame.affine, (60, 56, 2), tuple(np.arange(25) / 25), Pose())
    every = sample_grid(network, network.latent_mean, frame, dtype=torch.float32)
    asked, points = {}, CoordinateFrame.points
    for apart in (0.001, 0.1):  # of the cycle; the first evaluates coarsely in plane alone
        part = asked[apart] = []
        monkeypatch.setattr(on_grid, "APART", apart)
        monkeypatch.setattr(CoordinateFrame, "points", lambda self, flat: part.append(flat) or points(self, flat))
        found = sample_grid(network, network.latent_mean, frame, dtype=torch.float32, coarsest=8.0)
        labels, expected = (likeliest(values[1:]) for values in (found, every))
        assert torch.equal(labels, expected) and len(expected.unique()) == 4
    few, more = (sum(map(len, asked[apart])) for apart in (0.1, 0.001))
    assert few < 0.85 * more
    known = torch.cat(asked[0.1])
    torch.testing.assert_close(found.flatten(1)[:, known], every.flatten(1)[:, known], rtol=1e-4, atol=1e-5)
    away = (found[0] - every[0]).abs()
    assert float(away.square().mean().sqrt()) < 0.02 and float(away.max()) < 0.3


@pytest.mark.parametrize(
    "times, apart",
    [
        ((0.0,), 1),
        ((0.0, 0.4), 1),
        ((0.4, 0.0), 1),
        ((0.0, 0.0, 0.0), 1),
        (np.arange(9) / 9, 1),
        (np.arange(20) / 20, 2),
        (np.arange(50) / 50, 4),
        (np.r_[np.arange(20) / 50, 0.9], 1),
    ],
)
def test_frames_sampled_first_are_at_most_a_tenth_of_the_cycle_apart(times, apart):
    assert on_grid.frames_apart(CoordinateFrame.posed(np.eye(4), (4, 4, 2), tuple(times), Pose())) == apart


@pytest.mark.parametrize("steps, evaluated", [((4, 4, 1), 0.3), ((4, 1, 1), 0.45), ((1, 1, 1), 1.0)])
def test_what_lies_on_a_plane_is_interpolated_and_a_line_is_not(steps, evaluated):
    def values(voxels):
        x, y, z = voxels.T.astype(np.float32)
        image = 0.01 * x + 0.002 * y + 0.1 * z + 0.3 * (x > 30.5)
        inside = 20 - np.hypot(x - 32, y - 24 - z)
        return np.stack([image, -np.logaddexp(0, inside), -np.logaddexp(0, -inside)])

    shape = (129, 97, 2)
    every = values(np.stack(np.indices(shape), axis=-1).reshape(-1, 3)).reshape(3, *shape)
    found = CoarseToFine(shape, steps, values, images=1, classes=2)
    assert found.evaluated <= evaluated * np.prod(shape)
    np.testing.assert_allclose(found.values[0], every[0], atol=1e-5)
    assert (found.values[1:].argmax(axis=0) == every[1:].argmax(axis=0)).all()
