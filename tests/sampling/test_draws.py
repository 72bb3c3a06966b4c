"""Draws of a fit that is blended with U-Net probabilities are draws of the blend: as wide as refits, inside the U-Net's
reach and beyond it."""

import pytest
import torch
from helpers.known_scans import TIMES, WHOLE, a_frame, a_network, draws, noisy_scans

from nisf.fit.blending import Correction, cut_off
from nisf.fit.gauss_newton import fit_gauss_newton
from nisf.fit.points import GridPoints
from nisf.geometry.grid import Grid
from nisf.geometry.pose import Pose
from nisf.models.committee import Committee
from nisf.sampling.fitted_scan import FittedScan
from nisf.sampling.on_grid import sample_grid
from nisf.utils.errors import InputError

NUMBER, DRAWS, WEIGHT = 40, 4, 0.75
#: Between two frames of the U-Net.
TIME = 0.4
#: mm; half of the points are between two slices.
STEP = (1.0, 1.5, 4.0)


def blended(network, latent, seen, mask=None, fit=None, seed=0):
    """A latent blended with fixed U-Net probabilities, as inference does it, with draws of its fit."""
    frame = a_frame()
    own = sample_grid(network, latent.float(), frame, dtype=torch.float32)[network.in_channels :]
    correction = Correction.of(own, GridPoints(frame, seen, mask=mask), WEIGHT, 1.0, list(range(len(TIMES))))
    many = [] if fit is None else [(h, frame.moved(Pose.of(pose))) for h, pose in zip(*fit.sample(DRAWS, seed))]
    return FittedScan(network, latent.float(), frame, correction, draws=many)


def log_probabilities(scan, points):
    return scan.read(points, TIME)[scan.network.in_channels :].log()


@pytest.mark.parametrize("masked", [False, True])
def test_draws_of_the_blend_are_as_wide_as_refits_are_from_the_truth(masked):
    """Latents from the prior, one observation an intensity, the same U-Net: errors of the blended refits are as wide as
    the draws say. With a mask the U-Net counts in half of the voxels alone."""
    network = a_network()
    with torch.no_grad():
        network.class_head.weight.mul_(3)
    latents, frame = draws(network, NUMBER, seed=4), a_frame()
    seen = torch.rand(3, *frame.shape, len(TIMES), generator=torch.Generator().manual_seed(0)).softmax(dim=0)
    mask = torch.arange(frame.shape[0])[:, None, None].expand(frame.shape) < 4 if masked else None
    points = Grid.of_scan(frame, STEP).world()
    options = {**WHOLE, "prior_weight": 1 / frame.size, "iterations": 8, "pose": False}
    errors, spreads = [], []
    for seed, (latent, scan) in enumerate(zip(latents, noisy_scans(network, latents, seed=4))):
        fit = fit_gauss_newton(network, scan, **options)
        found = blended(network, fit.latent, seen, mask, fit, seed)
        middle = log_probabilities(found, points)
        errors.append(middle - log_probabilities(blended(network, latent, seen, mask), points))
        spreads.append(found.draw_classes(points, TIME).log() - middle)
        assert torch.equal(found.drawn()[2].read(points, TIME)[1:].log() - middle, spreads[-1][2])
    ratio = torch.stack(spreads).square().mean(dim=(0, 1)).sqrt() / torch.stack(errors).square().mean(dim=0).sqrt()
    assert 0.8 < float(ratio.mean()) < 1.25
    assert 0.6 < float(ratio.quantile(0.02)) and float(ratio.quantile(0.98)) < 1.6


@pytest.mark.parametrize("blend", [True, False])
def test_draws_of_a_committee_are_of_one_member_each_in_turn(blend):
    """So where the members differ, draws do too; blended, a draw keeps the difference of its member from the mean."""
    members = [a_network(seed=seed) for seed in (1, 2)]
    members[0].temperature.fill_(1.5)  # the one that counts
    members[1].temperature.fill_(1.5 if blend else 3.0)  # `sample_grid` below reads a member by itself
    whole, generator = Committee(members), torch.Generator().manual_seed(2)
    latent, many = torch.randn(8, generator=generator) * 0.3, torch.randn(3, 8, generator=generator) * 0.3
    frame, points = a_frame(), Grid.of_scan(a_frame(), STEP).world()
    seen = torch.rand(3, *frame.shape, len(TIMES), generator=generator).softmax(dim=0)
    scan = FittedScan(whole, latent, frame, draws=[(one, frame) for one in many])
    if blend:
        own = sample_grid(whole, latent, frame, dtype=torch.float32)[1:]
        scan.correction = Correction.of(own, GridPoints(frame, seen), WEIGHT, 1.5, list(range(len(TIMES))))
    found = scan.draw_classes(points, TIME)
    for number, one in enumerate(many):
        part = one[:4] if number % 2 == 0 else one[4:]
        alone = FittedScan(members[number % 2], part, frame)
        logits = alone.logits(points, TIME)[1:]
        if blend:
            mine = sample_grid(members[number % 2], part, frame, dtype=torch.float32)[1:]
            correction = Correction.of(mine, GridPoints(frame, seen), WEIGHT, 1.5, list(range(len(TIMES))))
            logits = cut_off(logits) + correction.at(alone.voxels(points), TIME)
        expected = (logits / 1.5).softmax(dim=0)
        assert (found[number] - expected).abs().max() < (2e-2 if blend else 1e-6)  # corrections are kept in eight bits
        assert torch.equal(scan.drawn()[number].read(points, TIME)[1:], found[number])


@pytest.mark.parametrize("ask", [FittedScan.draw_classes, FittedScan.uncertainty])
def test_a_scan_without_draws_says_how_to_get_some(ask):
    network = a_network()
    with pytest.raises(InputError, match="the fitted scan: has no draws; load it with some, for example draws=16"):
        ask(FittedScan(network, draws(network, 1)[0], a_frame()), Grid.of_scan(a_frame(), STEP).world())
