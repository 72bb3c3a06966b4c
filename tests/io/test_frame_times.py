"""Frames have their place in the cycle by their times, and fill it only where nothing says that they do not."""

import numpy as np
import pytest
from helpers.dicom_help import examination
from helpers.nifti_files import save, series

from nisf.geometry.grid import even_times
from nisf.io.frame_times import frame_times
from nisf.io.images import read_image
from nisf.transforms.auxiliary import LoadPartiald
from nisf.transforms.load import LoadCined
from nisf.transforms.scan import scan_of
from nisf.utils.errors import InputError

TEN = 0.08 * np.arange(10)  # 0.8 s recorded


def scan_at(path, **options):
    return scan_of(LoadCined("image", **options)({"image": str(path)})["image"])


def test_a_cine_that_ends_before_the_beat_stays_in_the_first_part_of_the_cycle():
    assert frame_times("a", 10, TEN, 1.0) == pytest.approx(TEN)
    assert frame_times("a", 10, TEN + 0.02, 1.0) == pytest.approx(TEN + 0.02), "from the R wave on"
    for away in (5, -0.3):
        assert frame_times("a", 10, TEN + away, 1.0) == pytest.approx(TEN), "times that are not counted from an R wave"


@pytest.mark.parametrize("beat", [0.0, 0.6, 0.8, 0.83, 1.6])
def test_frames_fill_the_cycle_where_the_beat_is_unknown_or_as_long_or_not_believable(beat):
    assert frame_times("a", 10, TEN + 0.03, beat) == even_times(10)


def test_uneven_frames_keep_their_spacing_and_rounded_trigger_times_are_even():
    early = np.array([0, 1, 2, 3, 5, 7]) / 10
    assert frame_times("a", 6, early) == pytest.approx(early / 0.84)
    assert frame_times("a", 10, np.round(TEN / 0.0025) * 0.0025 + 0.01) == even_times(10)


@pytest.mark.parametrize("name", ["NominalInterval", "CardiacRRIntervalSpecified"])
def test_dicom_frames_are_placed_by_trigger_time_and_interval(tmp_path, name):
    told = {"NominalInterval": 0, "HeartRate": None, name: 1500}
    subject, folder = examination(tmp_path, others=False, **told)
    step = subject.acquisition.frame_duration
    assert 0.55 * 1.5 < 3 * step < 0.95 * 1.5, "the phantom's frames end early in such a beat"
    found = scan_at(folder)
    assert found.times == pytest.approx(np.arange(3) * step / 1.5, abs=1e-6)
    assert found.frame_duration == pytest.approx(step) and found.cycle == pytest.approx(1.5)


def test_of_an_interval_and_a_rate_that_differ_the_shorter_beat_counts(tmp_path):
    _, folder = examination(tmp_path, others=False, NominalInterval=1500)  # its heart rate is that of the frames
    assert scan_at(folder).times == even_times(3)


@pytest.mark.parametrize("seconds, units", [(0.05, "sec"), (50.0, "msec")])
def test_the_user_can_say_how_long_a_beat_is(tmp_path, seconds, units):
    path = save(tmp_path / "a.nii.gz", series(), seconds=seconds, units=("mm", units))
    assert scan_at(path).times == even_times(3) and scan_at(path).cycle == pytest.approx(0.15)
    found = scan_at(path, cycle_ms=250)
    assert found.times == pytest.approx([0, 0.2, 0.4]) and found.cycle == pytest.approx(0.25)
    own = LoadCined("image", cycle_ms=250)({"image": path, "times": [0.0, 0.5, 0.7]})
    assert scan_of(own["image"]).times == (0.0, 0.5, 0.7), "a data list's times are more particular"
    assert read_image(path, 0.25)[1].times == found.times


def test_other_series_of_the_scan_share_the_beat(tmp_path):
    path = save(tmp_path / "a.nii.gz", series())
    item = {**LoadCined("image", cycle_ms=250)({"image": path}), "series": [path]}
    (found,) = scan_of(LoadPartiald(cycle_ms=250)(item)["image"]).series
    assert sorted(set(found.times)) == pytest.approx([0, 0.2, 0.4])


def test_times_that_contradict_each_other_are_refused_in_one_sentence(tmp_path):
    path, still = save(tmp_path / "a.nii.gz", series()), save(tmp_path / "b.nii.gz", series()[..., 0])
    unknown = save(tmp_path / "c.nii.gz", series(), seconds=1.0)
    with pytest.raises(InputError, match="a.nii.gz: its last frame comes 100 ms after the first, beyond --cycle_ms 90"):
        scan_at(path, cycle_ms=90)
    with pytest.raises(InputError, match="c.nii.gz: does not tell the time between its frames, so --cycle_ms cannot"):
        scan_at(unknown, cycle_ms=800)
    for wrong in (0, -5, "850"):
        with pytest.raises(InputError, match=f"--cycle_ms is {wrong}; give the time from one beat to the next in ms"):
            LoadCined(cycle_ms=wrong)
    for times in ([0.0, 0.5, 0.4], [0.0, 0.0, 0.5], [-0.1, 0.2, 0.5], [0.0, 0.5, 1.0]):
        with pytest.raises(InputError, match="a.nii.gz: its times in the data list, .*, do not ascend from 0"):
            LoadCined("image")({"image": path, "times": times})
    assert scan_at(still, cycle_ms=800).times == (0.0,), "a still has nothing to place"
