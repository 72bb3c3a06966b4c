"""Random transforms of the U-Net's slices: what each one does to image and label."""

import pytest
import torch

from nisf.training.slice_transforms import RandFieldOfViewd, RandGhostd, RandSliced, RandTissueContrastd


def stored(shape=(24, 30), slices=5):
    """A stored stack whose slice number is its intensity, with a square of class 1."""
    image = torch.arange(slices, dtype=torch.uint8).mul(40).expand(1, *shape, slices).clone()[..., None]
    label = torch.zeros(1, *shape, slices, 1, dtype=torch.int8)
    label[:, 8:16, 10:20] = 1
    return {"image": image, "label": label, "spacing": [1.5, 1.5, 8.0]}


def a_slice():
    label = torch.zeros(1, 40, 40)
    label[:, 10:30, 10:20], label[:, 10:30, 20:30] = 1, 2
    return {"image": 0.2 + 0.3 * label.expand(3, -1, -1) + 0.05 * torch.rand(3, 40, 40), "label": label}


def test_a_slices_neighbours_come_in_both_orders():
    draw, orders = RandSliced(alone=0.0, scale=1.0).set_random_state(seed=0), set()
    for _ in range(30):
        first, here, last = draw(stored())["image"].mean(dim=(1, 2)).mul(255 / 40).round().int().tolist()
        if 0 < here < 4:
            orders.add((first - here, last - here))
    assert orders == {(-1, 1), (1, -1)}


def test_slices_are_drawn_larger_and_smaller_with_their_labels():
    draw, sizes = RandSliced(scale=1.35).set_random_state(seed=0), []
    for _ in range(30):
        found = draw(stored((64, 64)))
        sizes.append(found["image"].shape[1])
        assert found["label"].shape[1:] == found["image"].shape[1:]
        share = found["label"].mean() / (8 * 10 / 64**2)
        assert 0.85 < share < 1.15
    assert min(sizes) < 64 * 0.85 and max(sizes) > 64 * 1.15 and 64 / 1.36 <= min(sizes) and max(sizes) <= 64 * 1.36


def test_each_tissue_gets_a_contrast_of_its_own():
    item = a_slice()
    found = RandTissueContrastd(prob=1.0).set_random_state(seed=1)(item)["image"] - item["image"]
    inside = [found[:, 13:27, 12:18], found[:, 13:27, 22:28], found[:, 32:, :]]
    means = torch.stack([part.mean() for part in inside])
    assert (means[:, None] - means[None]).abs().add(torch.eye(3)).min() > 0.01
    assert means.abs().max() < 0.6


def test_ghosts_are_copies_at_equal_steps():
    image = torch.zeros(1, 40, 40)
    image[:, 18:22, 18:22] = 1
    found = RandGhostd(prob=1.0, ghosts=(2, 2), strength=0.3).set_random_state(seed=0)({"image": image})["image"]
    bright = (found[0] > 0).nonzero()
    assert len(bright) == 32 and found.max() > 0.7
    torch.testing.assert_close(found.sum(), image.sum())


def test_what_a_crop_hides_is_background():
    item, seen = a_slice(), set()
    crop = RandFieldOfViewd(prob=1.0, smallest=0.3).set_random_state(seed=0)
    for _ in range(20):
        found = crop(item)
        hidden = found["image"][0] == 0
        assert hidden.any() and torch.equal(found["image"][0][~hidden], item["image"][0][~hidden])
        assert not found["label"][0][hidden].any()
        assert torch.equal(found["label"][0][~hidden], item["label"][0][~hidden])
        seen.add(int(hidden.sum()))
    assert len(seen) > 5


@pytest.mark.parametrize("step", [RandTissueContrastd, RandGhostd, RandFieldOfViewd])
def test_without_its_probability_nothing_changes(step):
    item = a_slice()
    found = step(prob=0.0)(item)
    assert all(torch.equal(found[key], item[key]) for key in item)
