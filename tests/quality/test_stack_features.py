"""Whether a stack lies as its file says, and whether the organ is in it whole."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from nisf.fit.points import GridPoints
from nisf.fit.posterior import LatentFit
from nisf.geometry.frame import CoordinateFrame
from nisf.geometry.pose import Pose
from nisf.models.nisf import NISF
from nisf.quality.stack_features import cut_ends, flipped, upside_down

AFFINE = np.diag([4.0, 4.0, 10.0, 1.0])
SHAPE = (24, 24, 10)


class Cone(torch.nn.Module):
    """A stand-in for a trained network: LV inside a cone, wide at the base (low z), its point at z = reach."""

    in_channels, coord_dims, num_classes = 1, 4, 4

    def __init__(self, reach):
        super().__init__()
        self.reach = reach
        self.register_buffer("latent_mean", torch.zeros(3))

    def forward(self, coords, latent=None):
        x, y, z = coords[:, 0], coords[:, 1], coords[:, 2]
        inside = 0.5 * (self.reach - z) - torch.hypot(x, y)
        inside = torch.where(z < -self.reach, -1.0, inside)
        none = torch.zeros_like(inside)
        return torch.stack([none, none, 20 * inside, none - 9, none - 9], dim=1)


def scan(reach, turned=False):
    """What a cone of this reach shows on the grid, its slices in the wrong order or not."""
    frame = CoordinateFrame.posed(AFFINE, SHAPE, (0.0, 0.5), Pose(z=0.05))
    coords = frame.points(torch.arange(frame.size)).unsqueeze(0)
    said = Cone(reach)(coords)[0, 1:].softmax(dim=0).reshape(4, *SHAPE, 2)
    said = said.flip(3) if turned else said
    return GridPoints(frame, torch.rand(1, *SHAPE, 2), unet_prob=GridPoints(frame, said))


def test_flipping_mirrors_the_slices_about_the_organs_centre_alone():
    frame = scan(0.4).frame
    numbers = torch.arange(frame.size)
    here, there = frame.points(numbers), flipped(frame).points(numbers)
    assert torch.allclose(here[2], -there[2], atol=1e-6) and torch.equal(here[[0, 1, 3]], there[[0, 1, 3]])
    assert flipped(flipped(frame)).scale == pytest.approx(frame.scale)


def test_a_stack_stored_the_other_way_round_is_told():
    assert upside_down(Cone(0.4), scan(0.4)) < -0.02
    assert upside_down(Cone(0.4), scan(0.4, turned=True)) > 0.02
    assert math.isnan(upside_down(Cone(0.4), replace(scan(0.4), unet_prob=None)))


def ends(network, points):
    """``cut_ends`` of a fit at the prior's mean, with its values on the whole grid."""
    with torch.no_grad():
        values = network(points.frame.points(torch.arange(points.frame.size)).unsqueeze(0), network.latent_mean[None])
    return cut_ends(network, LatentFit(network.latent_mean), points, values[0].reshape(-1, *SHAPE, 2))


def test_an_end_that_is_cut_off_is_told_and_which():
    assert ends(Cone(0.4), scan(0.4)) == (0, 0)
    points = scan(0.4)
    above = replace(points, frame=CoordinateFrame.posed(AFFINE, SHAPE, (0.0, 0.5), Pose(z=0.5)))
    base, apex = ends(Cone(0.4), above)
    assert base == 0 and apex > 0.05
    below = replace(points, frame=CoordinateFrame.posed(AFFINE, SHAPE, (0.0, 0.5), Pose(z=-0.5)))
    base, apex = ends(Cone(0.4), below)
    assert base > 1 and apex == 0


def test_of_a_network_without_an_organ_nothing_is_cut():
    torch.manual_seed(0)
    network = NISF(hidden_size=8, latent_size=3, num_layers=2)
    with torch.no_grad():
        network.class_head.bias.copy_(torch.tensor([9.0, 0, 0, 0]))
        network.class_head.weight.zero_()
    assert ends(network, scan(0.4)) == (0.0, 0.0)
