"""The short-axis cine is found among other series whatever their names, and an incomplete one is refused."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from helpers.dicom_help import change, examination, of_series
from helpers.phantom_dicom import Examination, stored, write_dicom
from helpers.tiny import TINY
from scipy.spatial.transform import Rotation

from nisf.io.dicom_cine import find_scan
from nisf.io.dicom_headers import dicom_paths, read_examination
from nisf.io.dicom_slices import Stack
from nisf.io.dicom_stack import placed_stack, short_axis
from nisf.io.layouts.images import dicom_folders
from nisf.phantom.cohort import make_subject
from nisf.utils.errors import InputError


def found(folder):
    choice = short_axis(replace(read_examination(folder), source="FOLDER"))
    return Stack(placed_stack(choice.chosen, "FOLDER", "short-axis cine").slices), choice.left


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
    exam.add(9, "coronal", array, affine[[0, 2, 1, 3]])
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
def test_a_frame_that_a_slice_lacks_is_left_out_of_all(tmp_path, whole, spread):
    _, folder = examination(tmp_path, spread=spread, frames=6)
    all_times = trigger_times(found(folder)[0])
    remove_one(folder, 2)  # not the last one: the times tell which it is
    stack, _ = found(folder)
    assert trigger_times(stack) == [[t for k, t in enumerate(times) if k != 1] for times in all_times]
    (note,) = find_scan(folder).notes
    assert note.endswith("has other numbers of frames than 6: the 5 that all slices have are read")
    with pytest.raises(InputError, match="frames than 6.*; mend the files, or leave --strict out"):
        find_scan(folder, strict=True)


def test_a_slice_with_few_frames_is_filled_with_the_nearest(tmp_path):
    subject, folder = examination(tmp_path, others=False, frames=8)
    for instance in (1, 3, 5, 7):
        remove_one(folder, instance)
    scan = find_scan(folder)
    assert [len(pictures) for pictures in scan.slices] == [8] * 4
    (short,) = [pictures for pictures in scan.slices if len({p.path for p in pictures}) == 4]
    assert [p.instance // 100_000 for p in short] == [2, 2, 2, 4, 4, 6, 6, 8]
    assert "has 4 frames, the others 8: the nearest in time stand for those that it lacks" in scan.notes[0]


def test_a_missing_slice_leaves_its_place_empty(tmp_path):
    subject = make_subject(5, **{**TINY, "slices": 6, "thickness_mm": 12})
    folder = write_dicom(subject, tmp_path, others=False)
    for instance in (7, 8, 9):
        remove_one(folder, instance)
    scan = find_scan(folder)
    there = [k for k in range(6) if k != 2] if scan.kept_slices[2] == 3 else [k for k in range(6) if k != 3]
    assert scan.kept_slices == there and scan.shape[2] == 6
    at = np.linalg.inv(scan.affine) @ subject.acquisition.affine
    array = stored(subject) if at[2, 2] > 0 else stored(subject)[:, :, ::-1]
    np.testing.assert_array_equal(scan.array()[:, :, there], array[:, :, there])
    assert not scan.array()[:, :, (set(range(6)) - set(there)).pop()].any()
    assert "on a grid of 14.0 mm 1 place between them have none" in scan.notes[0]


def test_slices_at_no_even_distances_are_refused(tmp_path):
    subject, folder = examination(tmp_path, others=False)

    def move(data):
        depth = [0.0, 10.0, 27.0, 34.0][(data.InstanceNumber - 1) // 3]
        normal = np.cross(*np.array(data.ImageOrientationPatient, float).reshape(2, 3))
        data.ImagePositionPatient = list(depth * normal)

    change(folder, move)
    with pytest.raises(InputError, match="is no even stack: its slices are .* mm apart; export all its slices"):
        found(folder)


def test_files_with_studies_of_their_own_are_one_scan(tmp_path):
    _, folder = examination(tmp_path / "one")
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID"):
        change(folder, lambda data: setattr(data, keyword, f"1.2.{data.SOPInstanceUID[-9:]}"))
    assert dicom_folders(tmp_path) == [str(folder)], "although its files are in three folders"
    _, other = examination(tmp_path / "two", seed=6)
    change(other, lambda data: setattr(data, "PatientID", "another"))
    assert dicom_folders(tmp_path) == [str(folder), str(other)]


def test_a_tilted_stack_is_taken_where_it_is_the_only_one_or_called_so(tmp_path):
    subject = make_subject(5, **TINY)
    array, axial = stored(subject), np.diag([-6.0, -6.0, 8.0, 1.0])
    exam = Examination(tmp_path, 0, 900.0)
    exam.add(2, "pig_SAX", array, axial)
    (note,) = find_scan(tmp_path).notes
    assert note.startswith("series 2 is taken as the only cine of several slices, although it is 4 slices of another")
    exam.add(3, "cine", array, axial[[0, 2, 1, 3]])
    (note,) = find_scan(tmp_path).notes
    assert note.startswith("series 2 is taken as the only cine that is called short-axis")
    for wanted in ("3", exam.uid("series", 3), "CINE"):
        scan = find_scan(tmp_path, wanted)
        assert {p.order for s in scan.slices for p in s} == {3} and scan.notes[0].startswith("series 3 is taken as")
    with pytest.raises(InputError, match=r"has no series 8 \(series 2: 4 slices .*nisf inspect lists all"):
        find_scan(tmp_path, "8")


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
