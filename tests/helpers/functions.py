"""Fitted scans made up of random numbers, each with other parts of the function."""

import numpy as np
import torch

from nisf.fit.blending import Correction
from nisf.geometry.frame import CoordinateFrame
from nisf.geometry.pose import Pose
from nisf.models.committee import network_of
from nisf.sampling.fitted_scan import FittedScan

AFFINE = np.array([[1.2, 0.5, 0.3, -20.0], [-0.4, 1.3, 0.5, 15.0], [0.1, -0.6, 7.0, -30.0], [0, 0, 0, 1]])


def _scan(frame, correction=None, **options):
    torch.manual_seed(3)
    network = network_of(num_probes=4, **options).eval()
    network.temperature.fill_(1.3)
    return FittedScan(network, 0.3 * torch.randn(network.latent_size), frame, correction)


def beating():
    """A closed cycle, a pose, slice shifts, two image channels, six classes, a U-Net that saw three slices of five."""
    shape, times = (9, 8, 5), (0.0, 0.2, 0.5, 0.7)
    pose = Pose(0.1, -0.2, 0.05, 0.6, 0.2, -0.1)
    frame = CoordinateFrame.posed(AFFINE, shape, times, pose, unit=20.0).shifted(0.1 * torch.randn(5, 2))
    torch.manual_seed(4)
    values = torch.randint(-60, 60, (6, 9, 8, 3, 2), dtype=torch.int8)
    correction = Correction(values, 0.05, (0, 2, 4), 5, (0.2, 0.7))
    sizes = {"hidden_size": 16, "latent_size": 7, "num_layers": 3, "omega0": 3.0, "sigma0": 2.0}
    return _scan(frame, correction, num_classes=6, in_channels=2, closed_cycle=True, **sizes)


def joined():
    """``beating`` with a committee of three networks."""
    whole = beating()
    sizes = {"hidden_size": 8, "latent_size": 7, "num_layers": 4, "omega0": 3.0, "sigma0": 2.0, "members": 3}
    return _scan(whole.frame, whole.correction, num_classes=6, in_channels=2, closed_cycle=True, **sizes)


def still():
    """Three coordinates, no pose, no U-Net, two classes."""
    frame = CoordinateFrame.relative(AFFINE, (6, 7, 4), (0.0,), dims=3)
    sizes = {"hidden_size": 12, "latent_size": 12, "num_layers": 2, "omega0": 3.0, "sigma0": 2.0}
    return _scan(frame, num_classes=2, coord_dims=3, **sizes)
