"""The short-axis cine is found among other series whatever their names, and an incomplete one is refused."""

import os
from pathlib import Path

import numpy as np
import pydicom
import pytest
from helpers.dicom_help import change, examination, of_series
from helpers.phantom_dicom import Examination, stored, write_dicom
from helpers.tiny import TINY
from scipy.spatial.transform import Rotation

from nisf.io.dicom_headers import dicom_paths, read_pictures
from nisf.io.dicom_stack import line_through, short_axis
from nisf.phantom.cohort import make_subject
from nisf.utils.errors import InputError


def found(folder):
    return short_axis(read_pictures(folder), "FOLDER")


def trigger_times(stack):
    return [[p.trigger for p in pictures] for pictures in stack.slices]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A subject, its folder and what is found in it: only read."""
    subject, folder = examination(tmp_path_factory.mktemp("whole"))
    return subject, folder, *found(folder)


def test_slices_are_in_the_order_of_place_and_frames_in_that_of_time(whole):
    subject, _, stack, _ = whole
    assert (len(stack.slices), stack.frames) == (subject.acquisition.shape[2], subject.acquisition.frames)
    assert np.all(np.diff(stack.depths) > 0)
    assert all(times == sorted(times) and len(set(times)) == len(times) for times in trigger_times(stack))


def test_each_other_series_is_named_with_the_reason(whole):
    _, _, stack, left = whole
    assert (stack.label, stack.title) == ("series 7", "series 7 'cine_sax'")
    for label, reason in {
        "series 1 'localizer'": "without time",
        "series 3 'cine_2ch'": "1 slice of another plane",
        "series 4 'cine_4ch'": "1 slice of another plane",
        "series 60 'lge_sax'": "4 slices without time",
    }.items():
        assert any(line.startswith(f"{label}: ") and reason in line for line in left), (label, left)
    assert len(left) == 4


def test_names_and_numbers_of_series_do_not_matter(tmp_path, whole):
    _, folder = examination(tmp_path)
    change(folder, lambda data: setattr(data, "SeriesDescription", "localizer"))
    change(folder, lambda data: setattr(data, "SeriesNumber", 1))
    stack, _ = found(folder)
    assert [[p.uid for p in s] for s in stack.slices] == [[p.uid for p in s] for s in whole[2].slices]


def test_slices_stored_as_series_of_their_own_make_one_stack(tmp_path, whole):
    _, folder = examination(tmp_path, spread=True)
    stack, left = found(folder)
    assert stack.label == "series 7 to 10" and len({s[0].series for s in stack.slices}) == 4
    assert np.allclose(stack.depths, whole[2].depths) and trigger_times(stack) == trigger_times(whole[2])
    assert len(left) == 4


def test_of_a_slice_taken_again_the_last_one_is_kept(tmp_path):
    subject, folder = examination(tmp_path, spread=True)
    exam, again = Examination(folder, 0, 900.0), subject.acquisition.affine.copy()
    again[:3, 3] += 2 * again[:3, 2]
    exam.add(20, "again", stored(subject)[:, :, 2:3], again)
    stack, left = found(folder)
    assert {s[0].order for s in stack.slices} == {7, 8, 10, 20}
    assert "series 9 'cine_sax': only 1 slice" in left


def test_of_two_stacks_the_larger_and_then_the_later_is_taken(tmp_path):
    subject, folder = examination(tmp_path, others=False)
    exam, affine = Examination(folder, 0, 900.0), subject.acquisition.affine
    exam.add(30, "short", stored(subject)[:, :, :3], affine)
    stack, left = found(folder)
    assert stack.first.order == 7, "more slices count more than being later"
    assert left == ["series 30 'short': another short-axis cine, series 7 'cine_sax' has more slices"]
    exam.add(31, "repeat", stored(subject), affine)
    stack, left = found(folder)
    assert stack.first.order == 31
    assert "series 7 'cine_sax': another short-axis cine, series 31 'repeat' is the later one" in left


def test_perfusion_and_velocity_stacks_are_no_cines(tmp_path):
    subject, folder = examination(tmp_path, others=False)
    exam, affine = Examination(folder, 0, 900.0), subject.acquisition.affine
    larger = np.concatenate([stored(subject)] * 2, axis=2)
    velocity = ["ORIGINAL", "PRIMARY", "P"]
    exam.add(40, "flow", larger, affine, ImageType=velocity)
    exam.add(41, "dynamic", larger, affine, TriggerTime=300.0)

    def beat_by_beat(data):  # each frame a beat after the one before
        data.AcquisitionTime = f"1000{data.InstanceNumber:02d}.000000"

    change(folder, beat_by_beat, of_series(41))
    stack, left = found(folder)
    assert stack.first.order == 7
    assert "series 40 'flow': velocity or phase pictures" in left
    assert "series 41 'dynamic': frames from different heart beats (perfusion, mapping or the like)" in left


def test_a_transaxial_cine_stack_is_no_short_axis_unless_views_cross_it(tmp_path):
    subject = make_subject(5, **TINY)
    array, affine = stored(subject), np.diag([-6.0, -6.0, 8.0, 1.0])
    exam = Examination(tmp_path, 0, 900.0)
    exam.add(2, "axial", array, affine)
    with pytest.raises(InputError, match="no short-axis cine.*series 2: 4 slices of another plane, 5[0-9] degrees"):
        found(tmp_path)
    for number, turn in enumerate((0, 60)):  # a heart that points to the head would be seen so
        view = np.eye(4)
        view[:3, :3] = Rotation.from_euler("z", turn, degrees=True).as_matrix() @ np.diag([6.0, 6, 6])[:, [0, 2, 1]]
        exam.add(3 + number, "view", array[:, :, :1], view)
    assert found(tmp_path)[0].first.order == 2


def test_no_short_axis_cine_is_one_sentence_that_says_what_is_there(tmp_path):
    _, folder = examination(tmp_path)
    for path in dicom_paths(folder):
        if pydicom.dcmread(path).SeriesNumber == 7:
            os.remove(path)
    with pytest.raises(InputError, match="FOLDER: holds no short-axis cine") as caught:
        found(folder)
    for label in (
        "series 1: 1 slice without",
        "series 3: 1 slice of another plane",
        "series 60: 4 slices without",
    ):
        assert label in str(caught.value)
    assert "\n" not in str(caught.value) and "; give the folder" in str(caught.value)


def remove_one(folder, instance):
    for path in dicom_paths(folder):
        data = pydicom.dcmread(path)
        if (data.SeriesNumber, data.InstanceNumber) == (7, instance):
            os.remove(path)
            return float(data.SliceLocation)
    raise AssertionError("no such file")


@pytest.mark.parametrize("spread", [False, True])
def test_a_slice_that_lacks_a_frame_is_named(tmp_path, spread):
    _, folder = examination(tmp_path, spread=spread)
    depth = remove_one(folder, 2)
    count = "slice [14] of 4 of the short-axis cine"
    with pytest.raises(InputError, match=rf"{count} \(series 7, {depth:.1f} mm .*has 2 frames, the others 3"):
        found(folder)


def test_a_missing_slice_is_named(tmp_path):
    subject = make_subject(5, **{**TINY, "slices": 6, "thickness_mm": 12})
    folder = write_dicom(subject, tmp_path, others=False)
    for instance in (7, 8, 9):
        remove_one(folder, instance)
    with pytest.raises(InputError, match="between slice [23] and [34] of 5 are 28.0 mm, elsewhere 14.0 mm; export"):
        found(folder)


def test_a_slice_beside_the_others_is_named(tmp_path):
    subject, folder = examination(tmp_path, others=False)
    aside = subject.acquisition.affine[:3, 0] * 8 * [-1, -1, 1]

    def move(data):
        data.ImagePositionPatient = list(np.array(data.ImagePositionPatient, float) + aside)

    assert change(folder, move, lambda data: data.InstanceNumber in (4, 5, 6)) == 3
    with pytest.raises(InputError, match=r"slice \d of 4 is .* mm off the line of the others"):
        found(folder)


@pytest.mark.parametrize("gone", [("TriggerTime",), ("TriggerTime", "InstanceNumber")])
def test_without_trigger_times_the_next_best_order_is_taken(tmp_path, whole, gone):
    _, folder = examination(tmp_path, others=False)

    def edit(data):
        data.AcquisitionTime = f"10{(data.InstanceNumber - 1) // 3:02d}00.{(data.InstanceNumber - 1) % 3:02d}0000"
        for keyword in gone:
            delattr(data, keyword)

    change(folder, edit)
    stack, _ = found(folder)
    assert [[p.uid for p in s] for s in stack.slices] == [[p.uid for p in s] for s in whole[2].slices]


def test_trigger_times_that_are_all_one_give_way_to_instance_numbers(tmp_path, whole):
    _, folder = examination(tmp_path, others=False, TriggerTime=0.0)
    stack, _ = found(folder)
    assert [[p.uid for p in s] for s in stack.slices] == [[p.uid for p in s] for s in whole[2].slices]


def test_frames_without_any_order_are_refused(tmp_path):
    _, folder = examination(tmp_path, others=False, TriggerTime=None, InstanceNumber=None)
    with pytest.raises(InputError, match="nothing tells the order of the frames of series 7"):
        found(folder)


def test_an_image_stored_under_two_names_counts_once(tmp_path):
    _, folder = examination(tmp_path, others=False)
    for path in dicom_paths(folder)[:5]:
        data = pydicom.dcmread(path)
        data.SOPInstanceUID = pydicom.uid.generate_uid()
        data.save_as(Path(path).with_suffix(".copy"))
    stack, _ = found(folder)
    assert [len(s) for s in stack.slices] == [3] * 4


def test_the_line_through_positions():
    origin, step = np.array([3.0, -2, 5]), np.array([1.0, 2, 8])
    got = line_through(origin + np.arange(6)[:, None] * step)
    np.testing.assert_allclose(got, [origin, step])
