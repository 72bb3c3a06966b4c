"""Features of a scan as a whole."""

import math

import numpy as np
import pytest
import torch
from helpers.comparisons import FRAMES, SHAPE, SPACING, classes_of, comparison, noisy, probabilities
from monai.metrics import compute_dice

from nisf.quality.image_features import (
    contrast_of,
    expected_dice,
    least_share,
    ncc,
    noise_of,
    roughness,
    uncertainty_of,
    volume_of,
)


@pytest.mark.parametrize("spread", [0.02, 0.06])
def test_noise_is_found_whatever_is_in_the_image(spread):
    assert noise_of(comparison(image=noisy(spread))) == pytest.approx(spread, rel=0.1)
    assert noise_of(comparison()) == 0


def test_contrast_turns_round_with_the_image():
    assert contrast_of(comparison()) == pytest.approx((0.6, 0.6))
    assert contrast_of(comparison(image=1 - comparison().image)) == pytest.approx((-0.6, 0.6))
    nothing = probabilities(torch.zeros((*SHAPE, FRAMES), dtype=torch.long))
    assert all(math.isnan(value) for value in contrast_of(comparison(own=nothing)))


def test_likeness_falls_with_noise_and_is_lost_with_the_organ():
    assert ncc(comparison()) == pytest.approx(1)
    assert ncc(comparison(image=noisy(0.05))) > ncc(comparison(image=noisy(0.3))) > 0
    nothing = probabilities(torch.zeros((*SHAPE, FRAMES), dtype=torch.long))
    assert ncc(comparison(own=nothing, unet=nothing)) == 0


def test_volume_and_shares_count_voxels():
    classes = classes_of()
    voxels = int((classes > 0).sum()) / FRAMES
    assert volume_of(comparison().final, comparison()) == pytest.approx(voxels * np.prod(SPACING) / 1000)
    sheared = np.diag([*SPACING, 1.0])
    sheared[0, 2] = 3.0  # each slice steps aside
    assert volume_of(comparison().final, comparison(affine=sheared)) == volume_of(comparison().final, comparison())
    least = min(int((classes == kind).sum()) for kind in (1, 2, 3))
    assert least_share(comparison().final) == pytest.approx(least / (voxels * FRAMES))
    classes[classes == 3] = 2
    assert least_share(probabilities(classes)) == 0


def test_expected_dice_is_what_draws_from_the_probabilities_give():
    said = probabilities(classes_of(), sure=0.8)
    draw = torch.distributions.Categorical(said.probabilities.movedim(0, -1)).sample((20,))
    taken = said.probabilities.argmax(dim=0)
    dice = [2 * ((taken == k) & (draw == k)).sum() / ((taken == k).sum() * 20 + (draw == k).sum()) for k in (1, 2, 3)]
    assert expected_dice(said) == pytest.approx(float(np.mean(dice)), abs=0.02)
    assert uncertainty_of(said) == pytest.approx(0.2, abs=1e-5)


def beating(curve):
    """Probabilities of a cavity with so many voxels in each frame."""
    classes = torch.zeros((10, 10, 10, len(curve)), dtype=torch.long)
    for t, count in enumerate(curve):
        classes[..., t].view(-1)[: int(count)] = 1
    return torch.nn.functional.one_hot(classes, 4).movedim(-1, 0).float()


def test_a_beating_heart_is_smooth_and_frames_out_of_order_are_not():
    time = np.arange(20) / 20
    curve = 500 + 200 * np.cos(2 * np.pi * time) + 60 * np.sin(4 * np.pi * time)
    assert roughness(beating(curve)) < 0.01
    mixed = curve.copy()
    mixed[[3, 12]] = mixed[[12, 3]]
    assert roughness(beating(mixed)) > 0.05
    assert math.isnan(roughness(beating(curve[:8]))) and math.isnan(roughness(beating(np.full(20, 300))))


def test_classes_count_their_voxels_and_compare_as_monai_does():
    one, other = probabilities(classes_of()), probabilities(classes_of([(3, 0)] * SHAPE[2]))
    assert one.counts == [int((classes_of() == kind).sum()) for kind in range(4)] and one.found == sum(one.counts[1:])
    onehot = [torch.nn.functional.one_hot(c.likeliest.long().flatten(), 4).t()[None] for c in (one, other)]
    expected = compute_dice(*onehot, include_background=False)[0]
    assert one.dice(other) == pytest.approx(expected.tolist())
    nothing = probabilities(torch.zeros((*SHAPE, FRAMES), dtype=torch.long))
    assert one.dice(nothing) == [0.0] and nothing.dice(one) == [0.0] * 3
