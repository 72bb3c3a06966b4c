"""What a fit knows of its own quality."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from scripts.fitting import LatentFit
from scripts.geometry import CoordinateFrame
from scripts.networks import NISF
from scripts.points import GridPoints
from scripts.quality import quality_of

GRID, TIMES = (4, 5, 3), (0.0, 0.5)


def network():
    torch.manual_seed(0)
    made = NISF(hidden_size=8, latent_size=4, num_layers=2)
    made.latent_factor.copy_(torch.diag(torch.tensor([1.0, 2.0, 3.0, 4.0])))
    made.pose_factor.copy_(torch.diag(torch.tensor([0.1, 0.1, 0.1, 0.2, 0.2, 0.2])))
    made.latent_mean.fill_(0.5)
    return made


def one_hot(classes):
    return torch.nn.functional.one_hot(classes, 4).movedim(-1, 0).float()


@pytest.fixture
def scan():
    """An image, its classes, and a prediction that is right about both."""
    draw = torch.Generator().manual_seed(0)
    image = torch.rand(1, *GRID, 2, generator=draw)
    classes = torch.randint(0, 4, (*GRID, 2), generator=draw)
    frame = CoordinateFrame.relative(np.eye(4), GRID, TIMES)
    evidence = GridPoints(frame, one_hot(classes))
    return GridPoints(frame, image, evidence=evidence), torch.cat([image, one_hot(classes)])


def fit(z=0.0, u=0.0):
    made = network()
    pose = u * made.pose_factor.diagonal()
    return LatentFit(made.latent_mean + z * made.latent_factor.diagonal(), pose=pose)


def test_a_perfect_fit_has_nothing_against_it(scan):
    found = quality_of(network(), fit(), *scan)
    assert found == pytest.approx(
        {"reconstruction_error": 0, "prior_distance": 0, "pose_distance": 0, "doubt": 0, "disagreement": 0}, abs=1e-6
    )


def test_each_number_grows_with_what_it_stands_for(scan):
    points, values = scan
    worse = values.clone()
    worse[0] += 0.1
    assert quality_of(network(), fit(), points, worse)["reconstruction_error"] == pytest.approx(0.1, abs=1e-6)
    far = quality_of(network(), fit(2.0, -1.5), points, values)
    assert (far["prior_distance"], far["pose_distance"]) == pytest.approx((2.0, 1.5), rel=1e-5)
    worse[1:] = 0.8 * values[1:] + 0.05
    assert quality_of(network(), fit(), points, worse)["doubt"] == pytest.approx(0.15, abs=1e-5)
    worse[1:] = values[[1, 3, 2, 4]]  # two classes taken for each other
    assert quality_of(network(), fit(), points, worse)["disagreement"] == pytest.approx(2 / 3, abs=0.1)


def test_only_what_the_fit_saw_is_looked_at(scan):
    points, values = scan
    worse = values.clone()
    worse[:, :, :, 1] = 0.25
    worse[..., 1] = 0.25
    seen = replace(points, kept_slices=[0, 2], kept_frames=[0])
    seen.evidence = GridPoints(replace(points.frame, times=(0.0,)), points.evidence.image[..., :1], [0, 2])
    found = quality_of(network(), fit(), seen, worse)
    assert max(found[name] for name in ("reconstruction_error", "doubt", "disagreement")) < 1e-6


def test_without_evidence_there_is_nothing_to_disagree_with_and_an_empty_result_is_doubtful(scan):
    points, values = scan
    assert math.isnan(quality_of(network(), fit(), replace(points, evidence=None), values)["disagreement"])
    empty = values.clone()
    empty[1:], empty[1] = 0, 1
    found = quality_of(network(), fit(), points, empty)
    assert found["doubt"] == 1 and found["disagreement"] == 1
