"""Stated probabilities are counted against the truth, and the temperature makes them true."""

import json
import math

import numpy as np
import pytest
import torch

from nisf.evaluation.reliability import Reliability
from nisf.fit.gauss_newton import fit_gauss_newton
from nisf.fit.points import GridPoints
from nisf.fit.posterior import LatentFit
from nisf.geometry.frame import CoordinateFrame
from nisf.models.nisf import NISF
from nisf.training.calibration import calibrate, fit_temperature, labelled_points
from nisf.transforms.scan import Scan, scan_of, with_scan

GRID = (10, 9, 4)
TIMES = (0.0, 0.3, 0.6)


def drawn(logits):
    """Classes drawn with the probabilities of logits [K, N]."""
    generator = torch.Generator().manual_seed(0)
    return torch.multinomial(logits.softmax(dim=0).t(), 1, generator=generator)[:, 0]


def some_logits(count=40000, classes=4):
    return 2 * torch.randn(classes, count, generator=torch.Generator().manual_seed(1))


# ---- reliability


def test_error_of_a_hand_made_case():
    found = Reliability(bins=10)
    # four voxels at 0.85, three right; four at 0.65, one right: |0.75 - 0.85| and |0.25 - 0.65|, half each
    found.add(torch.tensor([[0.15] * 4 + [0.35] * 4, [0.85] * 4 + [0.65] * 4]), torch.tensor([1, 1, 1, 0, 1, 0, 0, 0]))
    assert found.error() == pytest.approx((0.10 + 0.40) / 2, abs=1e-6)
    curve = found.curve()
    assert (curve["accuracy"][8], curve["accuracy"][6]) == pytest.approx((0.75, 0.25))
    assert (curve["share"][8], curve["share"][6]) == pytest.approx((0.5, 0.5))
    assert math.isnan(curve["accuracy"][0])


def test_true_probabilities_have_no_error_and_overstated_ones_have():
    logits = some_logits()
    label = drawn(logits)
    true, overstated = Reliability(), Reliability()
    true.add(logits.softmax(dim=0), label)
    overstated.add((3 * logits).softmax(dim=0), label)
    assert true.error() < 0.015 < 0.1 < overstated.error()


def test_unlabelled_voxels_do_not_count_and_parts_add_up():
    logits = some_logits(3000)
    label, probabilities = drawn(logits), logits.softmax(dim=0)
    hidden = label.clone()
    hidden[:1000] = -1
    parts, known = Reliability(), Reliability()
    for part in (slice(0, 1500), slice(1500, None)):
        parts.add(probabilities[:, part], hidden[part])
    known.add(probabilities[:, 1000:], label[1000:])
    for region, counts in parts.counts.items():
        torch.testing.assert_close(counts, known.counts[region])


def test_the_hearts_region_leaves_out_what_is_plainly_background():
    probabilities = torch.tensor([[0.999, 0.5, 0.02], [0.001, 0.5, 0.98]])
    found = Reliability()
    found.add(probabilities, torch.tensor([1, 0, 1]))  # the first is wrong, but plainly stated
    assert float(found.counts["heart"][0].sum()) == 2 and float(found.counts["field"][0].sum()) == 3
    of_others = Reliability()
    of_others.add(probabilities, torch.tensor([1, 0, 1]), background=torch.tensor([0.1, 0.999, 0.999]))
    assert float(of_others.counts["heart"][0].sum()) == 1


# ---- temperature


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_temperature_is_found_again(temperature):
    logits = some_logits()
    assert fit_temperature(logits * temperature, drawn(logits)) == pytest.approx(temperature, rel=0.03)


@pytest.fixture
def scans():
    """A network that is three times too sure, and scans that it made, one without a label and one with a bare frame."""
    torch.manual_seed(2)
    network = NISF(num_classes=3, hidden_size=16, latent_size=4, num_layers=2, omega0=3.0, sigma0=1.0)
    frame = CoordinateFrame.physical(np.diag([2.0, 1.5, 8.0, 1.0]), GRID, TIMES, half_field=8.0)
    with torch.no_grad():
        network.class_head.weight.mul_(30)
        items = []
        for seed in range(4):
            latent = 0.5 * torch.randn(4, generator=torch.Generator().manual_seed(seed))
            output = network(frame.points(torch.arange(frame.size))[None], latent[None])[0]
            label = torch.multinomial((output[1:] / 3).softmax(dim=0).t(), 1)[:, 0].reshape(1, *GRID, 3).to(torch.int8)
            image = (output[:1].sigmoid() * 255).round().to(torch.uint8).reshape(1, *GRID, 3)
            items.append({"image": with_scan(image, Scan(TIMES, str(seed), frame=frame)), "label": label})
    items[1]["label"][..., 1] = -1
    items[3]["label"][:] = -1
    return network, items


def test_calibration_finds_the_overstatement_and_keeps_the_weights(scans, tmp_path):
    network, items = scans
    before = {name: value.clone() for name, value in network.state_dict().items()}

    def fit(network: NISF, points: GridPoints) -> LatentFit:
        return fit_gauss_newton(network, points, prior_weight=1e-5)

    record = calibrate(network, items, fit, tmp_path, {"1": "LV", "2": "MYO"})
    assert float(network.temperature) == pytest.approx(3.0, rel=0.2)
    assert record["scans"] == 3 and set(record["dice"]) == {"LV", "MYO"}
    assert all(torch.equal(before[n], v) for n, v in network.state_dict().items() if n != "temperature")
    written = json.loads((tmp_path / "calibration.json").read_text())
    errors = list(written["expected_calibration_error"].values())
    assert errors[1]["field"] < 0.5 * errors[0]["field"]
    assert (tmp_path / "reliability.png").read_bytes()[:4] == b"\x89PNG"


def test_without_labels_nothing_is_changed(scans, tmp_path):
    network, items = scans
    assert calibrate(network, items[3:], fit_gauss_newton, tmp_path, {"1": "LV", "2": "MYO"}) is None
    assert float(network.temperature) == 1 and not list(tmp_path.iterdir())


def test_only_labelled_frames_are_looked_at(scans):
    _, items = scans
    source = GridPoints(scan_of(items[1]["image"]).frame, items[1]["image"].as_tensor())
    number = labelled_points(source, items[1]["label"], 150)
    frames = source.flat(number) % len(TIMES)
    assert set(frames.tolist()) == {0, 2} and 100 <= len(number) <= 200
