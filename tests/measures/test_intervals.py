"""Intervals of measures beside the weights, and for a scan."""

import json

import numpy as np
import pytest
from scipy.stats import norm

from nisf.measures.cardiac import sizes_of
from nisf.measures.intervals import (
    LEVEL,
    LEVEL_TEXT,
    Intervals,
    Widening,
    intervals_path,
    load_intervals,
    save_intervals,
)
from nisf.utils.errors import InputError

#: Standard deviations on either side of the mean in which a normal distribution is as often as an interval says.
SPREAD = norm.ppf(0.5 + LEVEL / 2)


def test_without_a_widening_the_interval_is_the_draws():
    draws = np.random.default_rng(0).normal(50, 4, (4000, 2))
    low, high = Intervals().of("LVEDV", np.array([50.0, 3.0]), draws)
    np.testing.assert_allclose([low[0], high[0]], [50 - SPREAD * 4, 50 + SPREAD * 4], atol=0.3)
    assert low[1] == 0  # no volume is negative
    assert Intervals().kind("LVEDV") == "posterior"
    assert np.isnan(Intervals().of("LVEDV", np.array(50.0), draws[:0, 0])).all()


def test_a_widening_of_one_measure_leaves_the_others():
    draws = np.random.default_rng(0).normal(100, 4, 4000)
    intervals = Intervals({"LVEDV": Widening(0.06, 0.01, 0.5)})
    low, high = intervals.of("LVEDV", np.array(100.0), draws)
    assert high - low == pytest.approx(2 * 6 * np.sqrt(4 / 1), rel=0.05)
    assert intervals.kind("LVEDV") == "calibrated" and intervals.kind("LVESV") == "posterior"


def test_an_error_is_in_proportion_to_the_ventricle_and_a_fractions_to_points():
    values = {"LVEDV": 200.0, "LVESV": 150.0, "LVSV": 50.0, "LVEF": 25.0, "LVM": 120.0, "CO": 3.0}
    assert sizes_of(values, 60) == {**values, "LVESV": 200.0, "LVSV": 200.0, "LVEF": 100.0, "CO": 12.0}
    low, high = Intervals({"LVEF": Widening(0.04, power=0)}).of("LVEF", np.array(25.0), np.full(4, 25.0), 100.0)
    assert (low, high) == (21.0, 29.0)


def test_they_lie_beside_the_weights_and_hold_for_what_is_made_alike(tmp_path):
    weights = tmp_path / "model.pt"
    kept = Intervals({"LVEF": Widening(0.02, 0.01, 0.3, -0.01, 16, 0.95)}, {"noise": 0.1}, 0.04, {"subjects": 16})
    made = {"weights": "abc", "prior_weight": 1e-4}
    assert save_intervals(kept, weights, made) == intervals_path(weights) == tmp_path / "model_intervals.json"
    assert load_intervals(weights, made) == kept
    other = load_intervals(weights, {**made, "prior_weight": 1e-3})
    assert other == Intervals(uncalibrated="prior_weight is 0.001 in place of 0.0001") and not other.widenings
    assert load_intervals(weights, {}).uncalibrated == "the result does not say what it was made with"
    assert load_intervals(tmp_path / "new.pt", made) == Intervals()
    content = json.loads(intervals_path(weights).read_text())
    assert content["level"] == LEVEL and LEVEL_TEXT == f"{100 * LEVEL:.0f}%"
    intervals_path(weights).write_text(json.dumps({**content, "version": 3}))  # of another formula
    assert load_intervals(weights, made) == Intervals(uncalibrated="its file is of another version")
    for broken in ("{", '{"version": 4, "pipeline": {}, "made_with": {}, "measures": {"LVEF": {"width": 2}}}'):
        intervals_path(weights).write_text(broken)
        with pytest.raises(InputError, match="model_intervals.json: is damaged"):
            load_intervals(weights, made)


def test_cardiac_output_is_as_uncertain_as_the_stroke_volume_that_it_is_made_of():
    intervals = Intervals({"LVSV": Widening(0.06, 0.02, 0.3)})
    draws = np.random.default_rng(0).normal(70, 2, 50)
    stroke, output = (intervals.of(name, np.array(70.0 * k), draws * k) for name, k in (("LVSV", 1), ("CO", 0.06)))
    np.testing.assert_allclose(np.array(output), 0.06 * np.array(stroke))
    assert intervals.kind("CO") == "calibrated" and intervals.kind("PER") == "posterior"


def test_a_scan_unlike_those_of_the_calibration_has_wider_intervals_and_a_sentence_says_why():
    intervals = Intervals({"LVEF": Widening(0.02, 0.02, 0.3)}, {"noise": 0.05, "disagreement": 0.1})
    draws = np.random.default_rng(0).normal(60, 1, 50)

    def width(numbers, name="LVEF"):
        low, high = intervals.for_scan(numbers).of(name, np.array(60.0), draws)
        return float(high - low)

    alike = {"noise": 0.055, "disagreement": 0.02, "ncc": 0.9}
    assert width(alike) == width({"noise": float("nan")}) == width({})
    assert intervals.for_scan(alike).unlike.sentence == ""
    far = {"noise": 0.07, "disagreement": 0.2}
    assert width(far) == pytest.approx(2 * width(alike))
    assert intervals.for_scan(far).unlike.sentence == (
        "This scan is unlike those on which intervals were calibrated (the outlines of heart and slices differ more; "
        "it is noisier), so its own are 2.0 times as wide."
    )
    assert width({"noise": 5.0}) == pytest.approx(4 * width(alike))  # no use in an interval of everything
    assert width(far, "PER") == width(alike, "PER")  # of the draws, which nobody calibrated


def test_intervals_follow_the_root_of_the_unets_uncertainty_within_bounds():
    intervals = Intervals({"LVEF": Widening(0.05, power=0)}, usual=0.04)
    ends = {u: intervals.for_scan({"unet_uncertainty": u}).ends("LVEF", 60.0, 0.0, 100.0) for u in (0.04, 0.09, 4.0)}
    assert {u: float(high) for u, (_, high) in ends.items()} == pytest.approx({0.04: 65.0, 0.09: 67.5, 4.0: 68.5})
    assert intervals.for_scan({"unet_uncertainty": float("nan")}).unsure == intervals.for_scan({}).unsure == 1.0
