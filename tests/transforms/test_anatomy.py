"""Anatomies between anatomies: where a point of one subject lies in another, and in mixtures of them."""

import math

import pytest
import torch

from nisf.transforms.anatomy import Anatomies

LOW, HIGH = torch.tensor([-1.0, -1.0, -1.2]), torch.tensor([1.0, 1.0, 1.2])


def anatomies(phases=2, subjects=3, seed=0):
    """Smooth fields with mean zero."""
    generator = torch.Generator().manual_seed(seed)
    fields = 0.05 * torch.randn(subjects, phases, 3, 4, 5, 6, generator=generator)
    return Anatomies(fields - fields.mean(dim=0), LOW, HIGH, torch.tensor([0.3, 0.4, 0.5]))


def places(number=50, time=0.0):
    coords = torch.rand(3, 4, number, generator=torch.Generator().manual_seed(1)) * 1.6 - 0.8
    coords[:, 3] = time
    return coords


def of_template(found, at, subject, phase):
    """Where places [3, N] of the template lie in a subject."""
    weights = torch.zeros(1, found.fields.shape[1], at.shape[1])
    weights[:, phase] = 1
    return at + found._displacement(found.fields[[subject]], at[None], weights)[0]


def test_without_a_share_every_point_stays():
    found, coords = anatomies(), places(time=0.37)
    moved = found.move(coords, torch.arange(3), torch.randn(3, 3), torch.zeros(3))
    assert torch.equal(moved, coords)


@pytest.mark.parametrize("phase, time", [(0, 0.0), (1, 0.4), (0, 1.0)])
def test_a_point_goes_all_the_way_to_where_another_subject_has_it(phase, time):
    found, subject, other = anatomies(), 1, 2
    at = places()[0, :3]
    here, there = (of_template(found, at, one, phase) for one in (subject, other))
    mix = torch.zeros(1, 3)
    mix[0, other] = math.sqrt(3)
    coords = torch.cat([here, torch.full((1, here.shape[1]), time)])[None]
    moved = found.move(coords, torch.tensor([subject]), mix, torch.ones(1))
    torch.testing.assert_close(moved[0, :3], there, atol=2e-3, rtol=0)
    assert torch.equal(moved[:, 3], coords[:, 3])


def test_half_of_the_share_is_half_of_the_way():
    found, coords, mix = anatomies(), places(time=0.2), torch.randn(3, 3)
    half, whole = (found.move(coords, torch.arange(3), mix, torch.full((3,), share)) for share in (0.5, 1.0))
    torch.testing.assert_close(half - coords, (whole - coords) / 2, atol=1e-6, rtol=1e-5)


def test_the_cycle_closes_and_is_smooth():
    found, coords, mix = anatomies(), places(1), torch.randn(3, 3)
    moved = []
    for time in torch.linspace(0, 1, 201):
        coords[:, 3] = time
        moved.append(found.move(coords, torch.arange(3), mix, torch.ones(3))[:, :3])
    moved = torch.stack(moved)
    torch.testing.assert_close(moved[-1], moved[0], atol=1e-6, rtol=0)
    assert moved.diff(dim=0).abs().max() < 0.05 * (moved.amax(dim=0) - moved.amin(dim=0)).max()


def test_a_static_organ_has_one_field():
    found = anatomies(phases=1)
    moved = found.move(places()[:, :3], torch.arange(3), torch.randn(3, 3), torch.ones(3))
    assert moved.shape == (3, 3, 50) and not torch.equal(moved, places()[:, :3])


def test_new_shapes_spread_as_the_population_does():
    found, draws = anatomies(subjects=12), 4000
    mix = torch.randn(draws, 12, generator=torch.Generator().manual_seed(0))
    drawn = mix @ found.fields.flatten(1) / math.sqrt(12)
    wanted = found.fields.flatten(1).square().mean(dim=0)
    torch.testing.assert_close(drawn.square().mean(dim=0), wanted, rtol=0.15, atol=1e-5)
