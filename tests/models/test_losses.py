"""The losses are what the paper writes, stay finite, and leave frames without label to the reconstruction."""

import pytest
import torch
from torch.nn import functional as F

from nisf.models.losses import NISFLoss, class_bce


@pytest.fixture
def batch():
    """Logits [3, 1 + 4, 20], intensity [3, 1, 20], label [3, 1, 20], latent [3, 6], in float64."""
    torch.manual_seed(0)
    output = (2 * torch.randn(3, 5, 20, dtype=torch.float64)).requires_grad_(True)
    latent = torch.randn(3, 6, dtype=torch.float64).requires_grad_(True)
    return output, torch.rand(3, 1, 20, dtype=torch.float64), torch.randint(0, 4, (3, 1, 20)), latent


def onehot(label, classes=4):
    return F.one_hot(label[:, 0].long(), classes).movedim(-1, 1).double()


def dice_by_hand(logits, label):
    """1 - Dice of each class but the background over all points of the batch, mean over classes."""
    p, t = logits.softmax(dim=1)[:, 1:], onehot(label)[:, 1:]
    overlap, sizes = (p * t).sum(dim=(0, 2)), (p + t).sum(dim=(0, 2))
    return (1 - (2 * overlap + 1e-5) / (sizes + 1e-5)).mean()


def intensity_bce_by_hand(logits, intensity):
    p = 1 / (1 + torch.exp(-logits))
    return -(intensity * torch.log(p) + (1 - intensity) * torch.log(1 - p)).mean()


def test_class_bce_is_binary_cross_entropy_of_the_softmax(batch):
    output, _, label, _ = batch
    expected = F.binary_cross_entropy(output[:, 1:].softmax(dim=1), onehot(label))
    torch.testing.assert_close(class_bce(output[:, 1:], label), expected, rtol=1e-9, atol=0)


@pytest.mark.parametrize("size", [100.0, 1e4])
def test_class_bce_stays_finite_and_points_the_right_way_at_extreme_logits(size):
    label = torch.tensor([[[0, 1, 2]]])
    right = (size * (2 * onehot(label, 3) - 1)).float()
    wrong = right.roll(1, dims=1).requires_grad_(True)
    loss = class_bce(wrong, label)
    loss.backward()
    assert 10 < float(loss.detach()) < float("inf")
    assert torch.isfinite(wrong.grad).all()
    assert (wrong.grad.gather(1, label) < 0).all()  # a step downhill raises the true class
    assert float(class_bce(right, label)) == pytest.approx(0.0, abs=1e-6)


def test_each_term_by_hand_and_the_weights_of_their_sum(batch):
    output, intensity, label, latent = batch
    output, latent = output.detach(), latent.detach()
    parts = NISFLoss(alpha=7.0, latent_l2=0.3)(output, intensity, label, latent)
    expected = {
        "intensity": intensity_bce_by_hand(output[:, :1], intensity),
        "classes": F.binary_cross_entropy(output[:, 1:].softmax(dim=1), onehot(label)),
        "dice": dice_by_hand(output[:, 1:], label),
        "latent": sum((row**2).sum() for row in latent) / 3,
    }
    for name, value in expected.items():
        assert float(parts[name]) == pytest.approx(float(value), rel=1e-6), name
    total = expected["classes"] + expected["dice"] + 7.0 * expected["intensity"] + 0.3 * expected["latent"]
    assert float(parts["loss"]) == pytest.approx(float(total), rel=1e-6)


def test_default_weights_are_the_papers():
    loss = NISFLoss()
    assert (loss.alpha, loss.latent_l2) == (10.0, 1e-4)


def test_perfect_prediction_costs_little_and_a_swapped_label_much(batch):
    _, _, label, latent = batch
    latent = latent.detach()
    intensity = torch.full((3, 1, 20), 1.0, dtype=torch.float64)
    perfect = torch.cat([torch.full((3, 1, 20), 20.0, dtype=torch.float64), 40 * onehot(label)], dim=1)
    loss = NISFLoss()
    assert float(loss(perfect, intensity, label, latent)["loss"]) < 0.01
    assert float(loss(perfect, intensity, (label + 1) % 4, latent)["loss"]) > 1


def test_several_image_channels(batch):
    output, _, label, latent = batch
    intensity = torch.rand(3, 2, 20, dtype=torch.float64)
    label = label.clamp(max=2)
    by_hand = float(intensity_bce_by_hand(output[:, :2].detach(), intensity))
    parts = NISFLoss(num_channels=2)(output, intensity, label, latent)
    assert float(parts["intensity"].detach()) == pytest.approx(by_hand)
    expected = F.binary_cross_entropy(output[:, 2:].softmax(dim=1), onehot(label, 3))
    assert float(parts["classes"].detach()) == pytest.approx(float(expected.detach()))


def test_rows_without_label_take_part_by_their_intensities_alone(batch):
    output, intensity, label, latent = batch
    label = label.to(torch.int8)  # as the store keeps it
    label[1] = -1
    loss = NISFLoss()
    parts = loss(output, intensity, label, latent)
    kept = torch.tensor([0, 2])
    others = loss(output[kept], intensity[kept], label[kept], latent[kept])
    for name in ("classes", "dice"):
        assert float(parts[name].detach()) == pytest.approx(float(others[name].detach())), name
    by_hand = float(intensity_bce_by_hand(output[:, :1].detach(), intensity))
    assert float(parts["intensity"].detach()) == pytest.approx(by_hand)
    parts["loss"].backward()
    assert output.grad[1, 1:].abs().max() == 0
    assert output.grad[1, 0].abs().min() > 0
    assert output.grad[0, 1:].abs().max() > 0


def test_a_batch_without_any_label_trains_the_reconstruction(batch):
    output, intensity, label, latent = batch
    parts = NISFLoss(latent_l2=0.0)(output, intensity, torch.full_like(label, -1), latent)
    assert float(parts["classes"].detach()) == float(parts["dice"].detach()) == 0
    by_hand = float(intensity_bce_by_hand(output[:, :1].detach(), intensity))
    assert float(parts["loss"].detach()) == pytest.approx(10 * by_hand)
    parts["loss"].backward()
    assert output.grad[:, 0].abs().max() > 0


def test_gradients_are_those_of_finite_differences(batch):
    output, intensity, label, latent = batch
    loss = NISFLoss(latent_l2=0.5)
    assert torch.autograd.gradcheck(lambda o, h: loss(o, intensity, label, h)["loss"], (output, latent))
