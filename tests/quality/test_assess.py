"""What a fit knows of its own quality."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from nisf.fit.points import GridPoints
from nisf.fit.posterior import LatentFit
from nisf.geometry.frame import CoordinateFrame
from nisf.models.nisf import NISF
from nisf.quality.assess import assess, quality_of

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
    unet_prob = GridPoints(frame, one_hot(classes))
    return GridPoints(frame, image, unet_prob=unet_prob), torch.cat([image, one_hot(classes)])


def fit(z=0.0, u=0.0):
    made = network()
    pose = u * made.pose_factor.diagonal()
    return LatentFit(made.latent_mean + z * made.latent_factor.diagonal(), pose=pose)


#: Numbers that are zero where nothing is wrong.
ZERO = ("reconstruction_error", "slice_error", "prior_distance", "pose_distance", "uncertainty", "unet_uncertainty")
ZERO += ("disagreement", "worst_disagreement", "slice_shift", "empty_slices", "contrast_error")


def test_a_perfect_fit_has_nothing_against_it(scan):
    found, slices = assess(network(), fit(), *scan)
    assert {name: found[name] for name in ZERO} == pytest.approx(dict.fromkeys(ZERO, 0.0), abs=1e-5)
    assert (found["ncc"], found["expected_dice"]) == pytest.approx((1, 1))
    assert found["volume"] == found["unet_volume"] == pytest.approx(60e-3 * 3 / 4, rel=0.3)
    assert slices == {"number": [0, 1, 2], "error": [0, 0, 0], "shift_mm": [0, 0, 0], "empty": []}


def test_each_number_grows_with_what_it_stands_for(scan):
    points, values = scan
    worse = values.clone()
    worse[0] += 0.1
    assert quality_of(network(), fit(), points, worse)["reconstruction_error"] == pytest.approx(0.1, abs=1e-6)
    far = quality_of(network(), fit(2.0, -1.5), points, values)
    assert (far["prior_distance"], far["pose_distance"]) == pytest.approx((2.0, 1.5), rel=1e-5)
    worse[1:] = 0.8 * values[1:] + 0.05
    assert quality_of(network(), fit(), points, worse)["uncertainty"] == pytest.approx(0.15, abs=1e-5)
    worse[1:] = values[[1, 3, 2, 4]]  # two classes taken for each other
    found = quality_of(network(), fit(), points, worse)
    assert (found["disagreement"], found["worst_disagreement"]) == pytest.approx((2 / 3, 1), abs=0.1)


def test_the_worst_slice_counts_and_the_final_classes_are_judged_apart_from_the_latents_own(scan):
    points, values = scan
    worse = values.clone()
    worse[0, :, :, 1] += 0.3
    found, slices = assess(network(), fit(), points, worse, final=0.9 * values[1:] + 0.025)
    assert slices["error"] == pytest.approx([0, 0.3, 0], abs=1e-6) and found["slice_error"] == max(slices["error"])
    assert found["uncertainty"] == pytest.approx(0, abs=1e-6)
    assert found["expected_dice"] == pytest.approx(2 * 0.925 / (1 + 0.925 + 3 * 0.025), rel=0.05)


def test_only_what_the_fit_saw_is_looked_at(scan):
    points, values = scan
    worse = values.clone()
    worse[:, :, :, 1] = 0.25
    worse[..., 1] = 0.25
    seen = replace(points, kept_slices=[0, 2], kept_frames=[0])
    seen.unet_prob = GridPoints(replace(points.frame, times=(0.0,)), points.unet_prob.image[..., :1], [0, 2])
    found = quality_of(network(), fit(), seen, worse)
    assert max(found[name] for name in ("reconstruction_error", "uncertainty", "disagreement")) < 1e-6


def test_without_a_unet_there_is_nothing_to_disagree_with_and_an_empty_result_is_doubtful(scan):
    points, values = scan
    alone = quality_of(network(), fit(), replace(points, unet_prob=None), values)
    unknown = {"disagreement", "worst_disagreement", "unet_uncertainty", "unet_volume", "upside_down", "roughness"}
    assert {name for name, value in alone.items() if math.isnan(value)} - {"contrast", "contrast_error"} == unknown
    empty = values.clone()
    empty[1:], empty[1] = 0, 1
    found = quality_of(network(), fit(), points, empty)
    assert found["uncertainty"] == 1 and found["disagreement"] == 1
    assert found["volume"] == found["expected_dice"] == found["ncc"] * 0 == 0
