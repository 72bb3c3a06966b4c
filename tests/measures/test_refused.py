"""Measures that a scan does not determine are left out; those that it does are not moved by what is missing."""

import numpy as np
import pytest
from helpers.analytic import BEAT, CAVITY, LARGEST, a_scan, ball, beat, heart

from nisf.measures.measure import measure
from nisf.measures.person import Person

SECONDS = 0.8
NAMES = ["LVEDV", "LVESV", "LVSV", "LVEF", "LVM", "RVEDV", "RVESV", "RVSV", "RVEF", "CO", "PER", "PFR"]


def values(found, key="value"):
    return {row["name"]: row[key] for row in found["measures"]}


def test_without_a_pixel_size_there_are_fractions_alone():
    sized, found = (measure(a_scan(draws=3), size_known=known) for known in (True, False))
    assert set(values(found)) == {"LVEF", "RVEF"} and found["wall_thickness"] is None
    assert values(found) == {name: values(sized)[name] for name in values(found)}
    (entry,) = [one for one in found["refused"] if "volumes" in one["measures"]]
    assert entry["reason"].startswith("The pixel size of the scan is not known: no volumes")
    assert found["curves"]["unit"] == "% of the LV at ED" and max(found["curves"]["LV"]["value"]) == 100
    blank = measure(a_scan(times=(0.0, 0.5), spacing=(8.0, 8.0, 8.0)))
    assert "8 x 8 mm with slices 8 mm apart, which no short-axis stack" in blank["refused"][0]["reason"]
    assert set(values(blank)) == {"LVEF", "RVEF"}


def test_a_recording_is_not_taken_for_a_beat_and_rates_are_by_what_was_recorded():
    """20 frames over 85% of a beat of a second: the file says 0.85 s, and nothing about the beat."""

    def most_of(points, time, size):
        return heart(points, 0.85 * time + LARGEST, size)  # gated: it begins at end diastole

    scan = a_scan(most_of, tuple(np.arange(20) / 20), duration=0.85, spacing=(4.0, 4.0, 8.0))
    found, told = measure(scan), measure(scan, person=Person(heart_rate=60))
    assert found["heart_rate"] is None and "CO" not in values(found)
    stroke = ball(CAVITY) - ball(CAVITY * (1 - BEAT))
    assert values(told, "whole_heart")["CO"] == pytest.approx(stroke * 60 / 1000, rel=0.02)
    times = np.linspace(0, 0.85 * 0.95, 2000)  # from the first frame to the last
    change = np.gradient(ball(CAVITY * beat(times + LARGEST)), times)
    for one in (found, told):
        assert values(one)["PER"] == pytest.approx(-change.min(), rel=0.03)
        assert values(one)["PFR"] == pytest.approx(change.max(), rel=0.06)  # near the open end
        assert one["curves"]["seconds"] == pytest.approx([0.85 * t for t in one["curves"]["time"]])


def test_one_frame_is_end_diastole():
    found = measure(a_scan(times=(0.0,)))
    assert found["phases"] == {"ED": 0, "ES": None}
    names = set(values(found))
    assert {"LVEDV", "LVM", "RVEDV"} <= names
    assert not names & {"LVESV", "LVSV", "LVEF", "RVESV", "RVSV", "RVEF", "CO", "PER", "PFR"}


def test_two_frames_have_no_rates_and_no_curve_between():
    found = measure(a_scan(times=(0.3, 0.8), duration=SECONDS))
    assert found["phases"] == {"ED": 0, "ES": 1} and found["curves"]["time"] == [0.3, 0.8]
    assert set(NAMES) - set(values(found)) == {"CO", "PER", "PFR"}
