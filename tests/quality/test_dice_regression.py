"""The predicted Dice."""

import json
import math

import numpy as np
import pytest

from nisf.quality.dice_regression import TERMS, DicePrediction, Term


def scans(count=60, seed=0):
    """Numbers that follow from a hidden quality from 0 to 1, and the Dice that it comes to."""
    quality = np.random.default_rng(seed).uniform(0, 1, count)
    rows = []
    for q in quality:
        rows.append({name: float(q if sign > 0 else np.exp(-3 * q)) for name, (_, sign) in TERMS.items()})
        rows[-1]["volume"] = 200.0
        rows[-1]["expected_dice"] = float(0.5 + 0.45 * q)
    return rows, 1 / (1 + np.exp(2 - 6 * quality))


@pytest.fixture(scope="module")
def prediction():
    return DicePrediction.fitted(*scans(), start=50.0)


def test_unseen_scans_are_predicted(prediction):
    rows, dice = scans(seed=1)
    assert np.abs([prediction(row) for row in rows] - dice).mean() < 0.02


def test_what_is_no_organ_is_told_from_what_is_badly_outlined():
    rows, _ = scans(80)
    for place, row in enumerate(rows):
        row["least_share"] = 1e-3 if place % 4 == 0 else 0.2
    dice = [0.0 if row["least_share"] < 0.1 else 0.8 + 0.15 * (row["expected_dice"] - 0.5) / 0.45 for row in rows]
    found = DicePrediction.fitted(rows, dice, start=50.0)
    assert np.abs([found(row) for row in rows] - np.array(dice)).mean() < 0.02


def test_no_number_that_gets_worse_raises_the_prediction(prediction):
    row = scans()[0][0]
    for name, (_, sign) in TERMS.items():
        worse = {**row, name: row[name] / 1.5 if sign > 0 else row[name] * 1.5}
        assert prediction(worse) <= prediction(row) + 1e-12, name
    assert all(min(term.gate, term.level) >= 0 for term in prediction.terms)


def test_a_number_that_is_not_known_says_nothing(prediction):
    row = scans()[0][0]
    unknown = [prediction({**row, "ncc": value}) for value in (math.nan, None)]
    left_out = prediction({name: value for name, value in row.items() if name != "ncc"})
    assert unknown == [left_out, left_out] and 0 < left_out < 1


def test_a_shortfall_counts_below_its_start_alone_and_far_numbers_no_more_than_far():
    term = Term("volume", "shortfall", -1, start=50.0)
    assert [term.of(v) for v in (50.0, 900.0)] == [0, 0] and term.of(25.0) == pytest.approx(-math.log(2))
    assert term.of(1e-9) == -4 and Term("noise", "log", -1).of(0.0) == 4


def test_it_survives_json(prediction):
    again = DicePrediction.from_dict(json.loads(json.dumps(prediction.to_dict())))
    row = scans()[0][3]
    assert again(row) == prediction(row)
