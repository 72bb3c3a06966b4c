"""What a recording determines, and what it does not."""

import numpy as np
import pytest

from nisf.measures.recording import closed, refusals
from nisf.measures.volume_curve import phases_of


def curve(times):
    """A beat with a fast filling, a rest and the atria's kick; ED at 0, ES at 0.35."""
    knots = [0, 0.08, 0.2, 0.35, 0.45, 0.55, 0.8, 0.92, 1.0]
    return np.interp(times, knots, [120, 112, 75, 50, 72, 97, 103, 119, 120])


def out(values, seconds=0.9):
    return {name for entry in refusals(values, seconds) for name in entry["measures"]}


ES = {"LVESV", "LVSV", "LVEF", "RVESV", "RVSV", "RVEF", "CO", "wall motion"}


@pytest.mark.parametrize("frames", [12, 25, 40])
def test_of_a_whole_beat_nothing_is_refused_and_only_rates_without_the_time(frames):
    values = curve(np.arange(frames) / frames)
    assert closed(values) and out(values) == set()
    assert out(np.roll(values, 7)) == set()  # from another phase on
    assert out(values, None) == {"PER", "PFR"}


def test_prospective_gating_loses_the_filling_only_where_it_was_not_seen():
    late = curve(np.linspace(0, 0.78, 24))  # without the kick
    assert not closed(late) and out(late) == set()
    assert out(curve(np.linspace(0, 0.44, 14))) == {"PFR"}
    assert out(curve(np.linspace(0, 0.3, 10))) == {*ES, "PER", "PFR"}


@pytest.mark.parametrize("frames, missing", [(1, {*ES, "PER", "PFR"}), (2, {"PER", "PFR"}), (3, {*ES, "PER", "PFR"})])
def test_few_frames(frames, missing):
    (entry,) = refusals(curve(np.arange(frames) / max(frames, 2)), 0.9)
    assert set(entry["measures"]) == missing and entry["reason"].endswith(".")
    assert out(curve(np.arange(7) / 7)) == {*ES, "PER", "PFR"} and out(curve(np.arange(8) / 8)) == set()


def test_noise_does_not_move_the_phases_far():
    times, random = np.arange(30) / 30, np.random.default_rng(0)
    own = 85 + 35 * np.cos(2 * np.pi * (times - 0.12))  # ED at frame 3.6, ES at 18.6
    moved = [
        abs(phases_of(tuple(times), times, own + 2.5 * random.standard_normal(30))["ES"] - 18.6) for _ in range(60)
    ]
    assert np.mean(moved) < 0.8  # 0.94 where the smallest value itself decides
