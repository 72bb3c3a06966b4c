"""U-Net probabilities blended into a prediction: a product where both are known, interpolated elsewhere."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from nisf.fit.blending import LEAST, Correction, blend, combine
from nisf.fit.points import GridPoints
from nisf.geometry.frame import CoordinateFrame

GRID, TIMES, CLASSES = (3, 4, 5), (0.0, 0.25, 0.5, 0.75), 3


def a_frame(times=TIMES):
    return CoordinateFrame.relative(np.eye(4), GRID, times)


def random_classes(frames, seed=0, sharpness=1.0):
    logits = torch.randn(CLASSES, *GRID, frames, generator=torch.Generator().manual_seed(seed))
    return (sharpness * logits).softmax(dim=0)


def unet_prob_of(values, frames, kept=None):
    return GridPoints(a_frame(tuple(TIMES[t] for t in frames)), values, kept)


def blended(own, seen, frames, weight, heat=1.0, kept=None):
    frames = list(frames)
    correction = Correction.of(own, unet_prob_of(seen, frames, kept), weight, heat, frames)
    return blend(own, correction, TIMES, heat)


def test_where_both_are_known_it_is_their_weighted_product():
    own, seen = random_classes(4), random_classes(4, seed=1)
    found = blended(own, seen, range(4), 0.3)
    product = own**0.7 * seen**0.3
    torch.testing.assert_close(found, product / product.sum(dim=0), rtol=0.02, atol=1e-3)


@pytest.mark.parametrize("weight, expected", [(0.0, 0), (1.0, 1)])
def test_the_ends_of_the_weight_are_the_one_and_the_other(weight, expected):
    both = random_classes(4), random_classes(4, seed=1)
    # 8 bits of a logarithm
    torch.testing.assert_close(blended(*both, range(4), weight), both[expected], rtol=0.08, atol=1e-3)


def test_unet_probabilities_that_agree_change_nothing_anywhere():
    own = random_classes(4)
    found = blended(own, own[..., [0, 2]], [0, 2], 0.5, kept=[0, 2, 4])
    torch.testing.assert_close(found, own, rtol=1e-4, atol=1e-5)


def test_slices_and_frames_that_were_not_seen_get_the_difference_of_their_neighbours():
    """The network says the same everywhere; the U-Net differs from it in slice 2 of frame 2 alone."""
    own = torch.full((CLASSES, *GRID, 4), 1 / 3)
    seen = own[..., [0, 2]].clone()
    seen[:, :, :, 2, 1] = torch.tensor([0.8, 0.1, 0.1])[:, None, None]
    seen[:, :, :, [1, 3]] = torch.tensor([0.01, 0.01, 0.98])[:, None, None, None, None]  # must not be looked at
    found = blended(own, seen, [0, 2], 1.0, kept=[0, 2, 4])
    odds = (found[0] / found[1]).log() / np.log(8)
    expected = torch.tensor([[0, 0, 0, 0], [0, 0.25, 0.5, 0.25], [0, 0.5, 1, 0.5], [0, 0.25, 0.5, 0.25], [0, 0, 0, 0]])
    torch.testing.assert_close(odds[0, 0], expected, rtol=0.02, atol=0.02)


def test_the_temperature_is_that_of_the_logits_of_both():
    own, seen, heat = random_classes(4), random_classes(4, seed=1), 1.7
    calibrated = (own.log() / heat).softmax(dim=0)
    found = blended(calibrated, seen, range(4), 0.5, heat)
    expected = (combine(own.log(), seen, 0.5) / heat).softmax(dim=0)
    torch.testing.assert_close(found, expected, rtol=0.02, atol=1e-3)


def test_neither_can_rule_a_class_out():
    own = torch.tensor([1.0, 0.0, 0.0]).reshape(3, 1, 1, 1, 1).expand(3, *GRID, 4)
    seen = torch.tensor([0.0, 1.0, 0.0]).reshape(3, 1, 1, 1, 1).expand(3, *GRID, 4)
    found = blended(own, seen, range(4), 0.5)
    torch.testing.assert_close(found[0], found[1], rtol=0.02, atol=1e-3)
    assert float(found.min()) > 0 and float(found[2].max()) < 2 * LEAST**0.5


def test_calibration_sees_the_points_that_the_unet_saw():
    image = torch.zeros(1, *GRID, 4)
    values = random_classes(2)
    source = replace(GridPoints(a_frame(), image), unet_prob=unet_prob_of(values, [1, 3]))
    number = torch.arange(len(source))
    kept, found = source.unet_prob_at(number)
    assert torch.equal(kept % 4, torch.tensor([1, 3]).repeat(len(number) // 4))
    torch.testing.assert_close(found, values.flatten(1))


def test_between_voxels_and_moments_the_correction_is_linear_and_beyond_the_stack_it_fades():
    own, seen = random_classes(4), random_classes(2, seed=1)
    correction = Correction.of(own, unet_prob_of(seen, [0, 2], [0, 2, 4]), 0.5, 1.0, [0, 2])
    grid = correction.on_grid(0.0)
    where = np.argwhere(np.ones(GRID))
    torch.testing.assert_close(correction.at(where, 0.0), grid.flatten(1), rtol=1e-4, atol=1e-4)
    middle = correction.at(np.array([[0.5, 1, 2], [0, 1, 1.5]]), 0.125)
    expected = 0.75 * grid + 0.25 * correction.on_grid(0.5)
    wanted = torch.stack([expected[:, :2, 1, 2].mean(dim=1), expected[:, 0, 1, 1:3].mean(dim=1)], dim=1)
    torch.testing.assert_close(middle, wanted, rtol=1e-4, atol=1e-4)
    ends = correction.at(np.array([[1, 1, -0.25], [1, 1, 4.5], [1, 1, 5.5], [1, 1, -3.0]]), 0.0)
    wanted = torch.stack(
        [0.75 * grid[:, 1, 1, 0], 0.5 * grid[:, 1, 1, 4], 0 * grid[:, 1, 1, 0], 0 * grid[:, 1, 1, 0]], 1
    )
    torch.testing.assert_close(ends, wanted, rtol=1e-4, atol=1e-4)


def test_a_correction_comes_back_from_a_file(tmp_path):
    own, seen = random_classes(4), random_classes(2, seed=1)
    correction = Correction.of(own, unet_prob_of(seen, [0, 2], [0, 2, 4]), 0.5, 1.0, [0, 2])
    torch.save(correction.to_dict(), tmp_path / "c.pt")
    found = Correction.from_dict(torch.load(tmp_path / "c.pt", weights_only=True))
    assert torch.equal(found.on_grid(0.3), correction.on_grid(0.3)) and found.times == (0.0, 0.5)
