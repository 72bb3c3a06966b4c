"""A committee's fit is that of each of its members, in the pose that the first one finds."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from nisf.fit.adam import fit_adam
from nisf.fit.gauss_newton import fit_gauss_newton
from nisf.fit.joint import SeriesPoints, fit_together
from nisf.fit.points import GridPoints
from nisf.geometry.frame import CoordinateFrame
from nisf.geometry.pose import Pose
from nisf.models.committee import Committee
from nisf.models.nisf import NISF

GRID, TIMES = (8, 7, 3), (0.0, 0.3, 0.6)
AFFINE = np.diag([2.0, 1.5, 8.0, 1.0])


def a_member(seed, pose=0.1):
    torch.manual_seed(seed)
    network = NISF(num_classes=3, hidden_size=16, latent_size=4, num_layers=2, omega0=3.0, sigma0=1.0, num_probes=8)
    with torch.no_grad():
        network.intensity_head.weight.mul_(4)
        network.latent_factor.mul_(0.4)
        network.pose_factor.copy_(pose * torch.eye(6))
    return network.eval()


@pytest.fixture(params=["relative", "posed"])
def scan(request):
    """Grey noise on a grid, with the classes that a U-Net might see in it."""
    generator = torch.Generator().manual_seed(5)
    if request.param == "posed":
        frame = CoordinateFrame.posed(AFFINE, GRID, TIMES, Pose(0.1, -0.2, 0.05, 0.3, 0.2, -0.1), unit=8.0)
    else:
        frame = CoordinateFrame.physical(AFFINE, GRID, TIMES, 4, half_field=8.0)
    seen = GridPoints(frame, torch.rand(3, *GRID, 3, generator=generator).softmax(dim=0))
    return GridPoints(frame, torch.rand(1, *GRID, 3, generator=generator), unet_prob=seen)


def moved(points, fit):
    unet_prob = replace(points.unet_prob, frame=fit.frame(points.unet_prob.frame))
    return replace(points, frame=fit.frame(points.frame), unet_prob=unet_prob)


@pytest.mark.parametrize("pose", [True, False])
def test_each_member_has_its_own_fit_in_one_pose(scan, pose):
    first, second = a_member(1), a_member(2)
    whole = fit_gauss_newton(Committee([first, second]), scan, pose=pose)
    alone = fit_gauss_newton(first, scan, pose=pose)
    other = fit_gauss_newton(second, moved(scan, alone), pose=False)
    assert bool(alone.pose.any()) == pose
    assert torch.equal(whole.latent, torch.cat([alone.latent, other.latent])) and torch.equal(whole.pose, alone.pose)
    assert whole.points == alone.points + other.points == whole.history[-1]["points"]
    assert len(whole.history) == max(len(alone.history), len(other.history))
    for step, row in enumerate(whole.history, start=1):
        own = [fit.history[min(step, len(fit.history)) - 1]["loss"] for fit in (alone, other)]
        assert row["step"] == step and row["loss"] == pytest.approx(sum(own) / 2)


def test_the_posterior_has_the_members_and_the_pose(scan):
    first, second = a_member(1), a_member(2)
    whole, alone = fit_gauss_newton(Committee([first, second]), scan), fit_gauss_newton(first, scan)
    other = fit_gauss_newton(second, moved(scan, alone), pose=False)
    own, pose = [0, 1, 2, 3], [8, 9, 10, 11, 12, 13]
    assert whole.covariance.shape == (14, 14)
    assert torch.equal(whole.covariance[own + pose][:, own + pose], alone.covariance)
    assert torch.equal(whole.covariance[4:8, 4:8], other.covariance)
    assert not whole.covariance[4:8][:, own + pose].any()
    latents, poses = whole.sample(4000)
    torch.testing.assert_close(latents.mean(dim=0), whole.latent, atol=0.05, rtol=0)
    spread = torch.cat([latents, poses], dim=1).double().T.cov()
    torch.testing.assert_close(spread, whole.covariance, atol=0.1 * float(whole.covariance.max()), rtol=0)


def test_shifts_of_slices_are_the_first_ones(scan):
    first, second = a_member(1), a_member(2)
    gains = (0.1, 0.1, 0.05, 0.05)
    whole = fit_gauss_newton(Committee([first, second]), scan, acquisition=(*gains, 0.1, 0.1))
    alone = fit_gauss_newton(first, scan, acquisition=(*gains, 0.1, 0.1))
    other = fit_gauss_newton(second, moved(scan, alone), pose=False, acquisition=(*gains, 0.0, 0.0))
    assert bool(whole.effects[:, 2:].any()) and torch.equal(whole.effects, alone.effects)
    assert torch.equal(whole.latent[4:], other.latent)


def test_other_series_go_along(scan):
    points = np.random.default_rng(0).uniform(0, 8, (200, 3))
    series = SeriesPoints.of_world(scan.frame, points, np.zeros(200), torch.rand(1, 200))
    members = [a_member(1), a_member(2)]
    with_series = fit_together(Committee(members), scan, [series], fit_gauss_newton)
    without = fit_together(Committee(members), scan, [], fit_gauss_newton)
    assert with_series.latent.shape == (8,) and with_series.points > without.points
    assert not torch.allclose(with_series.latent[4:], without.latent[4:])


def test_adam_fits_each_member(scan):
    first, second = a_member(1), a_member(2)
    whole = fit_adam(Committee([first, second]), scan, steps=20)
    expected = torch.cat([fit_adam(one, scan, steps=20).latent for one in (first, second)])
    assert torch.equal(whole.latent, expected) and whole.covariance is None and len(whole.history) == 20
