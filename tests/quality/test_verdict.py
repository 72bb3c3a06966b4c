"""Verdicts."""

import json

import pytest
import torch
from helpers.quality_features import GOOD, SLICES

from nisf.models.nisf import NISF
from nisf.quality.dice_regression import DicePrediction, Term
from nisf.quality.flags import LIMITS
from nisf.quality.record import Quality, in_a_word
from nisf.quality.verdict import Judge, calibration_file
from nisf.utils.errors import InputError

HEART = {"1": "LV", "2": "MYO", "3": "RV"}


def network(seed=0):
    torch.manual_seed(seed)
    return NISF(hidden_size=8, latent_size=4, num_layers=2)


@pytest.fixture
def judge():
    """Predicts 0.88 at a noise of 0.03, and less for more."""
    term = Term("noise", "log", -1, mean=3.5, scale=1.0, level=1.5)
    return Judge(DicePrediction((term,), 9.0, 2.0), {**LIMITS, "noise": 1.0}, {"fits": 3})


def test_a_good_scan_is_trusted_and_a_bad_one_says_why(judge):
    good, bad = judge(GOOD, SLICES), judge({**GOOD, "noise": 0.3}, SLICES)
    assert good.trusted is True and good.flags == [] and good.predicted_dice > 0.8
    assert (good.numbers, good.slices) == (GOOD, SLICES)
    assert bad.trusted is False and bad.predicted_dice < 0.7
    (flag,) = bad.flags
    assert flag["name"] == "low_dice" and flag["severe"] and f"{bad.predicted_dice:.2f}" in flag["text"]


def test_a_severe_flag_outweighs_the_prediction_and_comes_first(judge):
    found = judge({**GOOD, "prior_distance": 3.0, "disagreement": 0.9}, SLICES)
    assert found.predicted_dice > 0.8 and found.trusted is False
    assert [flag["name"] for flag in found.flags] == ["disagreement", "prior_distance"]
    mild = judge({**GOOD, "prior_distance": 3.0}, SLICES)
    assert mild.trusted is True and [flag["name"] for flag in mild.flags] == ["prior_distance"]


def test_without_a_calibration_nothing_is_trusted_and_of_other_organs_nothing_is_flagged(tmp_path):
    judge = Judge.beside(tmp_path / "model.pt", network(), HEART)
    assert judge(GOOD, SLICES).trusted is None and judge(GOOD, SLICES).predicted_dice is None
    assert judge({**GOOD, "upside_down": 1.0}, SLICES).trusted is False
    other = Judge.beside(tmp_path / "model.pt", network(), {"1": "anterior", "2": "posterior"})
    assert other({**GOOD, "volume": 1.0, "contrast": -1.0}, SLICES).flags == []


def test_a_calibration_is_that_of_its_own_weights(judge, tmp_path, caplog):
    weights = tmp_path / "model.pt"
    assert judge.write(weights, network()) == calibration_file(weights) == tmp_path / "model_quality.json"
    assert Judge.beside(weights, network(), HEART)(GOOD, SLICES) == judge(GOOD, SLICES)
    assert Judge.beside(weights, network(1), HEART).prediction is None
    assert "for other weights" in caplog.text


@pytest.mark.parametrize("text", ["{", "{}", '{"prediction": {"terms": [{"nose": 1}], "gate": 0, "level": 0}}'])
def test_a_damaged_calibration_is_named(text, tmp_path):
    calibration_file(tmp_path / "model.pt").write_text(text)
    with pytest.raises(InputError, match="model_quality.json: is damaged"):
        Judge.beside(tmp_path / "model.pt", network(), HEART)


def test_the_record_of_a_latent_file_is_plain_and_has_no_nan(judge):
    numbers = {**GOOD, "roughness": float("nan")}
    record = Quality.from_dict(judge(numbers, SLICES).to_dict()).record()
    assert set(record) == {"predicted_dice", "trusted", "flags", "numbers"} and record["trusted"] is True
    assert record["numbers"] == {**GOOD, "roughness": None}
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    old = Quality.from_dict({"uncertainty": 0.1}).record()
    assert old == {"predicted_dice": None, "trusted": None, "flags": [], "numbers": {"uncertainty": 0.1}}


def test_a_quality_comes_back_from_its_file(judge):
    found = judge({**GOOD, "upside_down": 1.0}, SLICES)
    assert Quality.from_dict(found.to_dict()) == found
    assert Quality.from_dict({}) == Quality() and in_a_word(Quality().verdict()) == ""


def test_a_scan_that_was_refused_for_want_of_a_heart_is_flagged():
    record = Quality.without_heart().record()
    assert record["trusted"] is False and [flag["name"] for flag in record["flags"]] == ["no_heart"]
    assert record["numbers"] == {} and in_a_word(record).startswith("NOT TO BE TRUSTED: No heart was found")


def test_a_summary_has_a_word_for_each(judge):
    assert in_a_word(judge(GOOD, SLICES).verdict()) == "" == in_a_word({})
    assert in_a_word(judge({**GOOD, "prior_distance": 3.0}, SLICES).verdict()) == "look at: prior distance"
    words = in_a_word(judge({**GOOD, "upside_down": 1.0, "prior_distance": 3.0}, SLICES).verdict())
    assert words.startswith("NOT TO BE TRUSTED: The stack seems") and "learned" not in words
