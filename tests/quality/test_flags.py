"""What is flagged, and in which words."""

import math

import pytest
from helpers.quality_features import GOOD, SLICES

from nisf.quality.flags import LIMITS, flags_of, limits_of


def flagged(slices=None, **numbers):
    return flags_of({**GOOD, **numbers}, {**SLICES, **(slices or {})}, LIMITS)


def test_a_good_scan_has_no_flag_also_where_numbers_are_not_known():
    assert flagged() == []
    assert flagged(upside_down=math.nan, contrast=math.nan, disagreement=math.nan, roughness=math.nan) == []


@pytest.mark.parametrize(
    "numbers, name, severe",
    [
        ({"volume": 3.0}, "no_heart", True),
        ({"volume": 2000.0}, "large_volume", False),
        ({"upside_down": 0.4}, "upside_down", True),
        ({"contrast": -0.3}, "contrast", True),
        ({"disagreement": 0.4}, "disagreement", False),
        ({"disagreement": 0.6}, "disagreement", True),
        ({"noise": 0.2}, "noise", False),
        ({"prior_distance": 2.0}, "prior_distance", False),
        ({"roughness": 0.2}, "roughness", False),
        ({"base_cut": 0.9}, "base_cut", False),
        ({"apex_cut": 0.9}, "apex_cut", False),
    ],
)
def test_each_fault_has_its_flag_and_no_other(numbers, name, severe):
    (flag,) = flagged(**numbers)
    assert (flag["name"], flag["severe"]) == (name, severe)
    assert flag["text"][0].isupper() and flag["text"][-1] in ".?" and ". " not in flag["text"]


def test_slices_are_named_as_people_count_them():
    (flag,) = flagged({"shift_mm": [0, 9.0, 0, 7.0]}, slice_shift=9.0)
    assert flag["name"] == "slice_shift" and flag["text"].startswith("Slices 2 and 4 from the base lie up to 9 mm")
    (flag,) = flagged({"error": [0.1, 0.1, 0.4, 0.1]})
    assert flag["name"] == "slice_error" and flag["text"].startswith("Slice 3 from the base looks unlike")
    (flag,) = flagged({"empty": [0]})
    assert flag == {"name": "empty_slices", "text": "Slice 1 from the base holds no image.", "severe": False}
    assert flagged({"empty": [0, 1]})[0]["severe"]


def test_of_a_heart_that_is_not_there_nothing_else_is_said_but_of_the_image():
    found = flagged({"empty": [1]}, volume=0.0, upside_down=0.5, contrast=-1.0, noise=0.5)
    assert [flag["name"] for flag in found] == ["no_heart", "noise"]


def test_limits_lie_beyond_what_good_scans_show():
    scans = [GOOD, {**GOOD, "noise": 0.05, "volume": 400.0, "roughness": math.nan, "slice_shift": 2.0}]
    limits = limits_of(scans)
    assert all(flags_of(scan, SLICES, limits) == [] for scan in scans)
    assert 0.05 < limits["noise"] < 0.1 and limits["slice_shift"] == LIMITS["slice_shift"]
    assert limits["least_volume"] < 250 / 2 and limits["largest_volume"] > 400 * 1.5
    assert set(limits) == set(LIMITS)
