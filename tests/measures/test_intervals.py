"""Intervals that hold the truth as often as they say."""

import numpy as np
import pytest

from nisf.measures.intervals import Intervals, Widening, found_widening, intervals_path, load_intervals, save_intervals
from nisf.utils.errors import InputError


def cases(number, scale, part, seed=0):
    """Values, deviations of their draws, truths."""
    random = np.random.default_rng(seed)
    truths, deviations = random.uniform(60, 200, number), random.uniform(1, 8, number)
    return truths + random.standard_normal(number) * np.hypot(scale * deviations, part * truths), deviations, truths


@pytest.mark.parametrize(("scale", "part"), [(2.0, 0.0), (0.05, 0.04), (1.0, 0.03)])
def test_the_widening_by_which_errors_were_made_is_found(scale, part):
    values, deviations, truths = cases(3000, scale, part)
    found = found_widening(values, deviations, truths)
    np.testing.assert_allclose(
        found.deviation(truths, deviations), np.hypot(scale * deviations, part * truths), rtol=0.15
    )
    assert found.bias == pytest.approx(0, abs=0.005) and found.cases == 3000


def test_intervals_hold_new_truths_in_95_of_a_hundred_cases_however_few_they_were_found_from():
    inside = []
    for seed in range(20):
        found = found_widening(*cases(12, 1.5, 0.02, seed))
        values, deviations, truths = cases(400, 1.5, 0.02, 1000 + seed)
        away = found.quantile * found.deviation(values, deviations)
        inside.append((np.abs(values - truths) <= away).mean())
    assert 0.92 < np.mean(inside) < 0.98


def test_without_a_widening_the_interval_is_the_draws():
    draws = np.random.default_rng(0).normal(50, 4, (4000, 2))
    low, high = Intervals().of("LVEDV", np.array([50.0, 3.0]), draws)
    np.testing.assert_allclose([low[0], high[0]], [50 - 1.96 * 4, 50 + 1.96 * 4], atol=0.3)
    assert low[1] == 0  # no volume is negative
    assert Intervals().kind("LVEDV") == "posterior"
    assert np.isnan(Intervals().of("LVEDV", np.array(50.0), draws[:0, 0])).all()


def test_a_widening_of_one_measure_leaves_the_others():
    draws = np.random.default_rng(0).normal(100, 4, 4000)
    intervals = Intervals({"LVEDV": Widening(2.0, 0.06, 2.0)})
    low, high = intervals.of("LVEDV", np.array(100.0), draws)
    assert high - low == pytest.approx(2 * 2 * np.hypot(8, 6), rel=0.05)
    assert intervals.kind("LVEDV") == "calibrated" and intervals.kind("LVESV") == "posterior"


def test_they_lie_beside_the_weights_and_hold_for_what_is_made_alike(tmp_path):
    weights = tmp_path / "model.pt"
    kept = Intervals({"LVEF": Widening(1.5, 0.02, 2.1, -0.01, 16)}, {"subjects": 16})
    made = {"weights": "abc", "prior_weight": 1e-4}
    assert save_intervals(kept, weights, made) == intervals_path(weights) == tmp_path / "model_intervals.json"
    assert load_intervals(weights, made) == kept
    other = load_intervals(weights, {**made, "prior_weight": 1e-3})
    assert other == Intervals(uncalibrated="prior_weight is 0.001 in place of 0.0001") and not other.widenings
    assert load_intervals(weights, {}).uncalibrated == "the result does not say what it was made with"
    assert load_intervals(tmp_path / "new.pt", made) == Intervals()
    for broken in ("{", '{"pipeline": {}, "made_with": {}, "measures": {"LVEF": {"width": 2}}}'):
        intervals_path(weights).write_text(broken)
        with pytest.raises(InputError, match="model_intervals.json: is damaged"):
            load_intervals(weights, made)


def test_too_few_cases_are_refused():
    with pytest.raises(InputError, match="on 4 cases"):
        found_widening(*cases(4, 1.0, 0.0))


def test_cardiac_output_is_as_uncertain_as_the_stroke_volume_that_it_is_made_of():
    intervals = Intervals({"LVSV": Widening(2.0, 0.06, 2.0)})
    draws = np.random.default_rng(0).normal(70, 2, 50)
    stroke, output = (intervals.of(name, np.array(70.0 * k), draws * k) for name, k in (("LVSV", 1), ("CO", 0.06)))
    np.testing.assert_allclose(np.array(output), 0.06 * np.array(stroke))
    assert intervals.kind("CO") == "calibrated" and intervals.kind("PER") == "posterior"
