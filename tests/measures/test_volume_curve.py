"""Phases and rates of volume curves that are known."""

import numpy as np
import pytest

from nisf.measures.volume_curve import at_frames, cycle_seconds, peak_rates, phases_of, smooth, times_of_curve
from nisf.utils.errors import InputError


def curve(times):
    return 100 + 40 * np.cos(2 * np.pi * (np.asarray(times) - 0.3))


@pytest.mark.parametrize("count", [8, 9, 12, 15, 25, 40])
def test_moments_hold_the_frames_and_are_even_and_enough(count):
    times = tuple(np.arange(count) / count)
    found = times_of_curve(times)
    assert np.isin(np.round(times, 9), np.round(found, 9)).all()
    np.testing.assert_allclose(np.diff(found), 1 / len(found))
    assert 14 <= len(found) <= 40


def test_of_few_frames_their_own_moments_and_of_many_some():
    assert times_of_curve((0.0, 0.4)).tolist() == [0.0, 0.4]
    found = times_of_curve(tuple(np.arange(100) / 100))
    assert len(found) <= 40 and found[0] == 0 and np.ptp(np.diff(found)) < 1e-9


def test_phases_are_frames_of_the_scan():
    times = tuple(np.arange(10) / 10)
    curve_times = times_of_curve(times)
    assert phases_of(times, curve_times, curve(curve_times)) == {"ED": 3, "ES": 8}
    assert phases_of((0.3, 0.75), np.array([0.3, 0.75]), curve([0.3, 0.75])) == {"ED": 0, "ES": 1}
    assert phases_of((0.0,), np.array([0.0]), curve([0.0])) == {"ED": 0, "ES": None}


def test_at_frames_goes_on_from_the_cycles_end_to_its_start():
    curve_times = np.array([0.0, 0.5])
    np.testing.assert_allclose(at_frames((0.0, 0.25, 0.75), curve_times, np.array([[2.0, 4.0]])), [[2, 3, 3]])


def test_rates_are_the_steepest_slopes_of_the_curve_without_its_noise():
    curve_times = np.arange(24) / 24
    steep = 40 * 2 * np.pi / 0.8
    rates = peak_rates(curve_times, curve_times, curve(curve_times), 0.8)
    np.testing.assert_allclose(rates, steep, rtol=1e-3)
    noisy = curve(curve_times) + np.random.default_rng(0).normal(0, 1, (50, 24))
    emptying, filling = peak_rates(curve_times, curve_times, noisy, 0.8)
    assert emptying.shape == (50,)
    # the slopes between neighbours would be off by some 20%
    assert np.abs(emptying / steep - 1).mean() < 0.08 and np.abs(filling / steep - 1).mean() < 0.08


def test_emptying_and_filling_are_told_apart():
    curve_times = np.arange(30) / 30
    part = np.interp(curve_times, [0, 0.5, 0.8, 1], [0, 1, 2, 2])  # empties, then fills faster, then rests
    emptying, filling = peak_rates(curve_times, curve_times, 70 + 30 * np.cos(np.pi * part), 1.0)
    assert emptying == pytest.approx(30 * np.pi / 0.5, rel=0.1) and filling == pytest.approx(30 * np.pi / 0.3, rel=0.1)


@pytest.mark.parametrize("part", [0.85, 0.7])
def test_rates_of_a_recording_that_ends_early_are_not_those_of_its_jump_back(part):
    times = np.arange(20) / 20
    emptying, filling = peak_rates(times, times, curve(0.3 + part * times), part)  # from the largest volume
    last = min(part * times[-1], 0.75)  # the slope rises up to three quarters of the cycle
    assert emptying == pytest.approx(80 * np.pi, rel=0.02)
    assert filling == pytest.approx(-80 * np.pi * np.sin(2 * np.pi * last), rel=0.07)


def test_rates_are_the_same_where_the_beat_is_known():
    """20 frames over 70% of a beat of a second, their times stretched over the cycle or in their place in it."""
    times, part = np.arange(20) / 20, 0.7
    stretched = peak_rates(times, times, curve(0.3 + part * times), part)
    np.testing.assert_allclose(peak_rates(part * times, part * times, curve(0.3 + part * times), 1.0), stretched)


def test_a_recording_longer_than_a_beat_has_no_known_time():
    assert [cycle_seconds(given) for given in (0.0, 0.7, 2.5, 30.0)] == [None, 0.7, None, None]


def test_a_smooth_curve_of_few_moments_is_refused():
    with pytest.raises(InputError, match="five time points or more, not 4"):
        smooth(np.arange(4) / 4, np.ones(4), np.zeros(1))
