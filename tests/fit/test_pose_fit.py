"""Pose and U-Net probabilities in the fit: what the network itself made is found again."""

from dataclasses import replace

import pytest
import torch
from helpers.known_scans import ALL, a_frame, a_network, draws, image_of

from nisf.fit.gauss_newton import fit_gauss_newton
from nisf.fit.points import GridPoints
from nisf.fit.prior import set_pose_prior
from nisf.geometry.pose import Pose

SPREAD = torch.tensor([0.1, 0.1, 0.1, 0.2, 0.1, 0.1])
CHANGE = Pose(0.08, -0.06, 0.05, 0.15, 0.07, -0.06)
EVERY = {"start_points": ALL, "final_points": ALL, "tolerance": 1e-7, "iterations": 60, "prior_weight": 1e-7}


def posed_network(**options):
    network = a_network(**options)
    set_pose_prior(network, SPREAD.expand(3, 6))
    return network


@torch.no_grad()
def classes_of(network, latent, frame):
    logits = network(frame.points(torch.arange(frame.size))[None], latent[None])[0, network.in_channels :]
    return logits.softmax(dim=0).reshape(-1, *frame.shape, len(frame.times))


def scan_of(network, latent, change=CHANGE):
    """An organ that lies otherwise than the frame of the fit's start says."""
    return GridPoints(a_frame(), image_of(network, latent, a_frame().moved(change)))


def test_latent_and_pose_are_found_together():
    network = posed_network(contrast=4.0)
    (latent,) = draws(network, 1)
    fit = fit_gauss_newton(network, scan_of(network, latent), **EVERY)
    torch.testing.assert_close(fit.latent, latent, atol=0.02, rtol=0)
    torch.testing.assert_close(fit.pose, CHANGE.vector(), atol=0.02, rtol=0)
    assert fit.covariance.shape == (10, 10)
    latents, poses = fit.sample(500)
    assert latents.shape == (500, 4) and poses.shape == (500, 6)
    stated = fit.covariance.diagonal()[4:].sqrt()
    torch.testing.assert_close(poses.double().std(dim=0), stated, rtol=0.15, atol=0)


def test_the_pose_can_be_switched_off():
    network = posed_network(contrast=4.0)
    (latent,) = draws(network, 1)
    scan = scan_of(network, latent)
    fixed, free = (fit_gauss_newton(network, scan, pose=pose, **EVERY) for pose in (False, True))
    assert torch.equal(fixed.pose, torch.zeros(6)) and fixed.covariance.shape == (4, 4)
    assert free.history[-1]["loss"] < fixed.history[-1]["loss"]


def test_a_network_without_a_prior_over_poses_is_the_papers():
    network = a_network()
    (latent,) = draws(network, 1)
    fit = fit_gauss_newton(network, scan_of(network, latent, Pose()), **EVERY)
    assert torch.equal(fit.pose, torch.zeros(6)) and fit.covariance.shape == (4, 4)
    torch.testing.assert_close(fit.latent, latent, atol=0.02, rtol=0)


@pytest.mark.parametrize("frames", [(0.0, 0.3, 0.6), (0.0, 0.6)])
def test_unet_probabilities_are_fitted_beside_the_intensities(frames):
    """Grey intensities say nothing; the U-Net, of all frames or some, says it all."""
    network = a_network(contrast=4.0)
    with torch.no_grad():
        network.class_head.weight.mul_(6)
    (latent,) = draws(network, 1, seed=3)
    frame = replace(a_frame(), times=frames)
    unet_prob = GridPoints(frame, classes_of(network, latent, frame))
    grey = GridPoints(a_frame(), torch.full_like(image_of(network, latent), 0.5), unet_prob=unet_prob)
    options = {**EVERY, "prior_weight": 1e-6}
    without, with_it = (fit_gauss_newton(network, grey, unet_weight=w, **options) for w in (0.0, 100.0))
    far, near = ((fit.latent - latent).norm() for fit in (without, with_it))
    assert near < 0.2 * far and near < 0.1


def test_unet_probabilities_that_agree_with_the_intensities_change_nothing():
    network = a_network()
    (latent,) = draws(network, 1)
    scan = scan_of(network, latent, Pose())
    seen = replace(scan, unet_prob=GridPoints(a_frame(), classes_of(network, latent, a_frame())))
    plain, both = (fit_gauss_newton(network, s, unet_weight=1.0, **EVERY).latent for s in (scan, seen))
    torch.testing.assert_close(plain, both, atol=0.02, rtol=0)
