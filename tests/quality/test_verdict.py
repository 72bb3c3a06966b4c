"""Verdicts."""

import json

import pytest
from helpers.quality_features import GOOD, SLICES

from nisf.quality.dice_regression import DicePrediction, Term
from nisf.quality.flags import LIMITS
from nisf.quality.record import Quality, in_a_word
from nisf.quality.verdict import Judge, calibration_file
from nisf.utils.errors import InputError

MADE = {"weights": "a"}
HEART = {"1": "LV", "2": "MYO", "3": "RV"}


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
    judge = Judge.beside(tmp_path / "model.pt", MADE, HEART)
    assert judge(GOOD, SLICES).trusted is None and judge(GOOD, SLICES).predicted_dice is None
    assert judge({**GOOD, "upside_down": 1.0}, SLICES).trusted is False
    other = Judge.beside(tmp_path / "model.pt", MADE, {"1": "anterior", "2": "posterior"})
    assert other({**GOOD, "volume": 1.0, "contrast": -1.0}, SLICES).flags == []


def test_a_calibration_holds_for_what_is_made_in_the_same_way(judge, tmp_path):
    weights, made = tmp_path / "model.pt", {"weights": "a", "unet_blend": 0.75}
    assert judge.write(weights, made) == calibration_file(weights) == tmp_path / "model_quality.json"
    same = Judge.beside(weights, made, HEART)
    assert same(GOOD, SLICES) == judge(GOOD, SLICES) and same(GOOD, SLICES).uncalibrated == ""
    other = Judge.beside(weights, {**made, "unet_blend": 0.0}, HEART)(GOOD, SLICES)
    assert (other.predicted_dice, other.trusted, other.flags) == (None, None, [])
    assert in_a_word(other.verdict()) == "no expected Dice, for unet_blend is 0.0 in place of 0.75"
    assert Quality.from_dict(other.to_dict()) == other


def test_a_scan_with_a_mask_is_not_one_of_the_calibration(judge):
    assert judge.of_inputs({"series": False, "mask": False}) is judge
    masked = judge.of_inputs({"series": False, "mask": True})(GOOD, SLICES)
    assert masked.predicted_dice is None and masked.uncalibrated == "a mask hides a part of the scan"


def test_a_calibration_of_an_earlier_version_is_not_used(judge, tmp_path):
    path = judge.write(tmp_path / "model.pt", {})
    path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "pipeline"}))
    found = Judge.beside(tmp_path / "model.pt", {"weights": "a"}, HEART)(GOOD, SLICES)
    assert found.uncalibrated == "the calibration does not say what it was made with" and found.trusted is None


def test_only_the_flags_of_the_scan_itself_stay_with_a_result_of_an_earlier_version(judge):
    low = judge({**GOOD, "noise": 0.3}, SLICES)
    assert Quality.of_saved(low.to_dict(), MADE) == low
    found = Quality.of_saved(low.to_dict(), {})
    assert (found.predicted_dice, found.trusted, found.flags, found.numbers) == (None, None, [], low.numbers)
    severe = Quality.of_saved(judge({**GOOD, "disagreement": 0.9}, SLICES).to_dict(), {})
    assert severe.trusted is False and [flag["name"] for flag in severe.flags] == ["disagreement"]
    assert Quality.of_saved(GOOD, {}) == Quality(GOOD), "numbers alone: there was no Dice to expect"


@pytest.mark.parametrize("text", ["{", "{}", '{"prediction": {"terms": [{"nose": 1}], "gate": 0, "level": 0}}'])
def test_a_damaged_calibration_is_named(text, tmp_path):
    calibration_file(tmp_path / "model.pt").write_text(text)
    with pytest.raises(InputError, match="model_quality.json: is damaged"):
        Judge.beside(tmp_path / "model.pt", MADE, HEART)


def test_the_record_of_a_latent_file_is_plain_and_has_no_nan(judge):
    numbers = {**GOOD, "roughness": float("nan")}
    record = Quality.from_dict(judge(numbers, SLICES).to_dict()).record()
    assert (
        set(record) == {"predicted_dice", "trusted", "flags", "uncalibrated", "numbers"} and record["trusted"] is True
    )
    assert record["numbers"] == {**GOOD, "roughness": None}
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    old = Quality.from_dict({"uncertainty": 0.1}).record()
    assert old == {**Quality().verdict(), "numbers": {"uncertainty": 0.1}}


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
