"""Gain, offset and shift of slices, fitted beside the latent: what was done to a scan is found again."""

import numpy as np
import pytest
import torch
from helpers.known_scans import ALL, a_frame, a_network, draws, image_of

from nisf.fit.gauss_newton import fit_gauss_newton
from nisf.fit.points import GridPoints
from nisf.fit.variables import factor_of
from nisf.geometry.pose import Pose
from nisf.utils.errors import InputError

EVERY = {"start_points": ALL, "final_points": ALL, "tolerance": 1e-7, "iterations": 60, "prior_weight": 1e-7}
OF_INTENSITY, OF_SHIFTS = [0.0, 0.0, 0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 0.2, 0.2]


@pytest.fixture(scope="module")
def network():
    return a_network(contrast=4.0)


def changed_in_brightness(network, latent):
    """Each slice with a contrast and a brightness of its own, and what they are, [slices, 2]."""
    effects = torch.tensor([[0.3, -0.2], [-0.2, 0.4], [0.0, 0.0]])
    logits = image_of(network, latent).logit()
    gain, offset = effects.t()[:, None, None, None, :, None]
    return GridPoints(a_frame(), ((1 + gain) * logits + offset).sigmoid()), effects


def changed_in_place(network, latent):
    """Each slice shifted by another breath-hold, and by how much, [slices, 2]."""
    shifts = torch.tensor([[0.15, -0.1], [-0.1, 0.05], [-0.05, 0.05]])
    return GridPoints(a_frame(), image_of(network, latent, a_frame().shifted(shifts))), shifts


def test_brightness_of_slices_is_found_together_with_the_latent(network):
    (latent,) = draws(network, 1)
    scan, effects = changed_in_brightness(network, latent)
    plain, fit = (fit_gauss_newton(network, scan, acquisition=spread, **EVERY) for spread in ([0.0] * 6, OF_INTENSITY))
    torch.testing.assert_close(fit.latent, latent, atol=0.05, rtol=0)
    assert (fit.latent - latent).norm() < 0.2 * (plain.latent - latent).norm()
    torch.testing.assert_close(fit.effects[:, :2], effects, atol=0.05, rtol=0)
    assert not fit.effects[:, 2:].any()


def test_shifts_of_slices_are_found_together_with_the_latent(network):
    (latent,) = draws(network, 1)
    scan, shifts = changed_in_place(network, latent)
    plain, fit = (fit_gauss_newton(network, scan, acquisition=spread, **EVERY) for spread in ([0.0] * 6, OF_SHIFTS))
    assert (fit.latent - latent).norm() < 0.2 * (plain.latent - latent).norm()
    torch.testing.assert_close(fit.effects[:, 2:], shifts, atol=0.02, rtol=0)
    # read where the slices were found the heart is that of the image; read where they were meant to be it is not
    said = [image_of(network, fit.latent, frame) for frame in (fit.frame(a_frame()), a_frame())]
    there, meant = ((one - scan.image).square().mean().sqrt() for one in said)
    assert there < 0.1 * meant


def test_without_a_spread_the_fit_is_the_same(network):
    (latent,) = draws(network, 1)
    scan, _ = changed_in_brightness(network, latent)
    plain, off = fit_gauss_newton(network, scan), fit_gauss_newton(network, scan, acquisition=[0.0] * 6)
    assert torch.equal(plain.latent, off.latent) and not off.effects.any()
    assert off.frame(a_frame()).to_dict() == a_frame().moved(Pose()).to_dict()


def test_a_spread_of_zero_brings_no_variable():
    assert factor_of(torch.tensor([0.1, 0.0, 0.2, 0.0, 0.0, 0.3]), 4).shape == (5, 4, 1 + 4 + 4)


def test_a_spread_that_is_no_list_of_six_numbers_is_refused(network):
    (latent,) = draws(network, 1)
    with pytest.raises(InputError, match="acquisition of the fit"):
        fit_gauss_newton(network, GridPoints(a_frame(), image_of(network, latent)), acquisition=[0.1, 0.2])


def test_a_shifted_frame_goes_there_and_back():
    shifts = torch.tensor([[0.1, -0.2], [0.0, 0.3], [-0.1, 0.0]])
    frame = a_frame().moved(Pose(0.1, -0.1, 0.05, 0.4, 0.2, -0.1)).shifted(shifts)
    voxels = np.random.default_rng(0).uniform([0, 0, -0.4], [7, 6, 2.4], (50, 3))
    np.testing.assert_allclose(frame.normalised_to_voxel(frame.voxel_to_normalised(voxels)), voxels, atol=1e-12)
    same = type(frame).from_dict(frame.to_dict())
    np.testing.assert_array_equal(same.voxel_to_normalised(voxels), frame.voxel_to_normalised(voxels))
    grid = torch.arange(frame.size)
    where = np.stack(np.unravel_index(grid.numpy(), (*frame.shape, len(frame.times)))[:3], axis=1)
    np.testing.assert_allclose(frame.points(grid)[:3].T, frame.voxel_to_normalised(where), atol=1e-6)
