"""Intervals that hold the truth as often as they say, from few subjects and whatever their errors are like."""

import numpy as np
import pytest
from scipy.stats import t

from nisf.measures.conformal import calibrated, quantile_of
from nisf.measures.intervals import LEVEL, Intervals
from nisf.utils.errors import InputError


def cases(number, scale, part, seed=0, noise="normal"):
    """Values, deviations of their draws, sizes, truths."""
    random = np.random.default_rng(seed)
    truths, deviations = random.uniform(60, 200, number), random.uniform(1, 8, number)
    errors = random.standard_normal(number) if noise == "normal" else random.standard_t(3, number)
    values = truths + errors * np.hypot(scale * deviations, part * truths)
    return values, deviations, truths.copy(), truths


@pytest.mark.parametrize("noise", ["normal", "heavy tails"])
@pytest.mark.parametrize("subjects", [12, 26])
def test_intervals_hold_new_truths_as_often_as_they_say_however_few_they_were_found_from(subjects, noise):
    inside = []
    for seed in range(25):
        found, _ = calibrated(*cases(subjects, 1.5, 0.02, seed, noise))
        values, deviations, sizes, truths = cases(400, 1.5, 0.02, 1000 + seed, noise)
        low, high = Intervals({"LVEDV": found}).ends("LVEDV", values, deviations, sizes)
        inside.append(((low <= truths) & (truths <= high)).mean())
    assert LEVEL - 0.035 < np.mean(inside) < LEVEL + 0.045


def test_half_widths_are_made_without_the_subject_they_are_for():
    values, deviations, sizes, truths = cases(24, 1.0, 0.02)
    values[[3, 9]] = truths[[3, 9]] + 80  # far from all others; without one of them the other is the largest
    found, away = calibrated(values, deviations, sizes, truths)
    assert abs(values[3] - truths[3]) > away[3] and found.half(deviations[3], sizes[3]) > 1.5 * away[3]
    assert (np.abs(values - truths) <= away).mean() == pytest.approx(22 / 24)


def test_a_promise_needs_as_many_subjects_as_its_level_is_high():
    scores = np.arange(1.0, 41.0)
    assert quantile_of(scores, 40, 0.95) == (pytest.approx(38.95), 0.95)
    assert quantile_of(scores[:19], 19, 0.95) == (19.0, 0.95)
    assert quantile_of(scores[:24], 24) == (pytest.approx(23.0), LEVEL)  # the second largest: one outlier is ignored
    assert quantile_of(scores[:12], 12)[1] == LEVEL > quantile_of(scores[:11], 11)[1] == 11 / 12
    few, promised = quantile_of(np.ones(10), 10)
    assert few == pytest.approx(t.ppf(0.5 + LEVEL / 2, 9)) and promised == pytest.approx(10 / 11)  # Student's
    assert quantile_of(np.array([0.1] * 9 + [5.0]), 10)[0] == 5.0


def test_unknown_cases_are_left_out_and_too_few_refused():
    values, deviations, sizes, truths = cases(12, 1.0, 0.02)
    truths[5] = np.nan
    found, away = calibrated(values, deviations, sizes, truths)
    assert found.cases == 11 and np.isnan(away[5]) and np.isfinite(away).sum() == 11
    subjects = np.repeat(np.arange(4), 3)  # several cases of a subject are no more subjects
    with pytest.raises(InputError, match="on 4 subjects"):
        calibrated(*cases(12, 1.0, 0.02), subjects=subjects)


def test_where_the_draws_spread_or_the_slices_are_unsure_intervals_are_wider():
    values, deviations, sizes, truths = cases(30, 1.0, 0.02)
    found, _ = calibrated(values, deviations, sizes, truths)
    assert found.half(8 * deviations, sizes) == pytest.approx(8**0.5 * found.half(deviations, sizes))
    factors = np.where(np.arange(30) % 2, 2.0, 1.0)
    errors = (values - truths) * factors
    blind, _ = calibrated(truths + errors, deviations, sizes, truths)
    told, away = calibrated(truths + errors, deviations, sizes, truths, factors)
    assert told.part < 0.75 * blind.part and (np.abs(errors) <= away).mean() > 0.9


def test_errors_on_training_subjects_count_as_large_as_those_on_others_are():
    widths, held = {24: [], 184: []}, {24: [], 184: []}
    for seed in range(30):
        values, deviations, sizes, truths = cases(184, 1.0, 0.02, seed, "heavy tails")
        trained = np.arange(184) >= 24
        values[trained] = truths[trained] + 0.5 * (values - truths)[trained]  # learned by heart in part
        new, *others = cases(400, 1.0, 0.02, 1000 + seed, "heavy tails")
        for number in (24, 184):
            given = [one[:number] for one in (values, deviations, sizes, truths)]
            found, away = calibrated(*given, trained=trained[:number])
            widths[number].append(found.part)
            held[number].append((np.abs(new - others[2]) <= found.half(*others[:2])).mean())
            assert found.cases == number and np.isfinite(away).sum() == 24
    assert LEVEL - 0.03 < np.mean(held[184]) < LEVEL + 0.045
    assert np.std(widths[184]) < 0.8 * np.std(widths[24])  # no single subject decides
