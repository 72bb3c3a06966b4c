"""Measures of hearts that are known, in memory and as files."""

import csv
import json
import os
import shutil

import nibabel as nib
import numpy as np
import pytest
import torch
from helpers.analytic import BEAT, CAVITY, OUTER, a_scan, ball, rise
from helpers.one_name import relabel
from helpers.tiny import phantom_scans
from scipy.stats import norm

from nisf.io.results import ScanResults
from nisf.measures.cardiac import DENSITY
from nisf.measures.intervals import LEVEL, Intervals, Widening
from nisf.measures.measure import measure, measure_folder, written_classes
from nisf.measures.person import Person
from nisf.measures.tables import COLUMNS
from nisf.utils.bundle import run_bundle
from nisf.utils.errors import InputError
from nisf.utils.tensors import save_tensors

NAMES = ["LVEDV", "LVESV", "LVSV", "LVEF", "LVM", "RVEDV", "RVESV", "RVSV", "RVEF", "CO", "PER", "PFR"]
SECONDS = 0.8

#: Standard deviations on either side of the mean in which a normal distribution is as often as an interval says.
SPREAD = norm.ppf(0.5 + LEVEL / 2)


@pytest.fixture(scope="module")
def found():
    person = Person(height_cm=180, weight_kg=80, heart_rate=60 / SECONDS, sex="M")
    return measure(a_scan(draws=12, duration=SECONDS), person=person)


def values(found, key="value"):
    return {row["name"]: row[key] for row in found["measures"]}


def beating(volume):
    """Measures of a ball that beats, from the volume [mL] for a radius."""
    large, small, outer = volume(CAVITY), volume(CAVITY * (1 - BEAT)), volume(OUTER)
    measures = {"LVEDV": large, "LVESV": small, "LVSV": large - small, "LVEF": 100 * (1 - small / large)}
    return {**measures, "LVM": DENSITY * (outer - large), "CO": (large - small) * 60 / SECONDS / 1000}


def added_up(radius):
    """Volume of a ball by the slices of ``a_scan``, mL."""
    heights = (np.arange(14) - 6.5) * 8
    return np.pi * np.maximum(radius**2 - heights**2, 0).sum() * 8 / 1000


def test_of_a_beating_ball_its_slices_and_the_whole_of_it(found):
    assert found["phases"] == {"ED": 3, "ES": 8} and found["refused"] == []
    assert list(values(found)) == NAMES
    for key, volume in (("value", added_up), ("whole_heart", ball)):
        wanted = beating(volume)
        assert {name: values(found, key)[name] for name in wanted} == pytest.approx(wanted, rel=0.015), key
    assert abs(beating(added_up)["LVESV"] / beating(ball)["LVESV"] - 1) > 0.02  # so that one cannot be the other
    assert set(found["conventions"]) == {"slices", "whole heart"} and found["curves"]["convention"] == "slices"
    rates = ("PER", "PFR")  # of the whole heart: slices make steps where the heart leaves them
    assert values(found, "convention") == {n: "whole heart" if n in rates else "slices" for n in NAMES}
    assert values(found, "whole_heart")["PER"] is None


def test_rates_are_those_of_the_balls_volume(found):
    times = np.linspace(0, 1, 2000)
    steepest = np.gradient(ball(CAVITY * (1 - BEAT * (1 - np.cos(2 * np.pi * times)) / 2)), times).max() / SECONDS
    assert values(found)["PER"] == pytest.approx(steepest, rel=0.03)
    assert values(found)["PFR"] == pytest.approx(steepest, rel=0.03)


def test_intervals_are_those_of_hearts_of_all_drawn_sizes(found):
    sizes = np.array([1 + 0.01 * float(latent[0]) for latent, _ in a_scan(draws=12).draws])
    for row in found["measures"][:2]:
        by_sizes = np.array([added_up(size * CAVITY * (1 if row["name"] == "LVEDV" else 1 - BEAT)) for size in sizes])
        assert row["high"] - row["low"] == pytest.approx(2 * SPREAD * by_sizes.std(ddof=1), rel=0.12)  # a cap fades
    # a heart that is larger by a part ejects the same part
    assert values(found, "high")["LVEF"] - values(found, "low")["LVEF"] < 1
    assert all(row["low"] <= row["value"] <= row["high"] for row in found["measures"])
    assert (found["interval"], found["interval_level"]) == ("posterior", LEVEL)
    wider = measure(a_scan(draws=12), intervals=Intervals({"LVEDV": Widening(0.2, power=0)}))
    assert (wider["interval"], values(wider, "interval")["LVEDV"]) == ("calibrated", "calibrated")
    assert values(wider, "high")["LVEDV"] > 1.19 * values(wider)["LVEDV"]
    assert values(wider, "whole_heart_high")["LVEDV"] is None  # nobody calibrated it
    whole = measure(
        a_scan(draws=12), intervals=Intervals({"LVEDV whole heart": Widening(), "LVEF": Widening(0.5, power=0)})
    )
    assert values(whole, "high")["LVEF"] == 100 and values(whole, "low")["LVEF"] < 10  # no part is more than the whole
    by_sizes = ball(CAVITY * sizes)
    high = values(whole, "whole_heart")["LVEDV"] + SPREAD * by_sizes.std(ddof=1)
    assert values(whole, "whole_heart_high")["LVEDV"] == pytest.approx(high, rel=0.002)


def test_indexed_values_are_divided_by_mostellers_surface(found):
    assert found["body_surface_area"] == 2.0  # sqrt(180 * 80 / 3600)
    assert found["heart_rate"] == pytest.approx(75) and found["sex"] == "M"
    for row in found["measures"]:
        if row["unit"] in ("mL", "g", "L/min"):
            assert row["indexed"] == pytest.approx(row["value"] / 2, rel=1e-5)
            assert row["indexed_unit"] == row["unit"] + "/m2"
        else:
            assert row["indexed"] is row["indexed_unit"] is None


def test_curves_and_walls(found):
    curves = found["curves"]
    assert curves["seconds"] == pytest.approx([SECONDS * t for t in curves["time"]])
    for name in ("LV", "MYO", "RV"):
        assert all(low <= v <= high for low, v, high in zip(*(curves[name][key] for key in ("low", "value", "high"))))
    assert max(curves["LV"]["value"]) == values(found)["LVEDV"] and np.ptp(curves["MYO"]["value"]) < 4.0
    segments = found["wall_thickness"]["segments"]
    assert [row["segment"] for row in segments] == list(range(1, 17))
    assert all(row["low"] < row["value"] < row["high"] for row in segments)


def test_slices_are_taken_at_the_same_phases():
    by_slices = {"LV": np.arange(10.0) + 50, "MYO": np.full(10, 100.0), "RV": np.zeros(10)}
    told = values(measure(a_scan(), by_slices), "by_slices")
    assert (told["LVEDV"], told["LVESV"], told["LVEF"]) == (53, 58, pytest.approx(100 * -5 / 53, rel=1e-5))
    assert told["LVM"] == pytest.approx(105)


def test_without_draws_a_cycle_or_a_person_what_hangs_on_them_is_left_out():
    found = measure(a_scan(duration=30.0))  # no heart beats twice a minute: some headers hold 1 s a frame
    assert found["heart_rate"] is None and found["curves"]["seconds"] is None
    assert set(NAMES) - set(values(found)) == {"CO", "PER", "PFR"}
    assert set(NAMES) - set(values(measure(a_scan(), person=Person(heart_rate=60)))) == {"PER", "PFR"}
    assert all(row[key] is None for row in found["measures"] for key in ("low", "high", "indexed", "by_slices"))
    assert (found["interval"], found["interval_level"]) == ("posterior", LEVEL)


def test_another_organ_has_a_volume_a_class():
    def body(points, time, size):
        whole = rise(20.0 - np.linalg.norm(points, axis=1))
        front = rise(-points[:, 1])
        return np.stack([1 - whole, whole * front, whole * (1 - front)])

    found = measure(a_scan(body, (0.0,), {1: "anterior", 2: "posterior"}), person=Person(170, 70))
    assert found["phases"] == {} and found["wall_thickness"] is None
    assert values(found) == pytest.approx(
        {f"{n} volume": added_up(20) / 2 for n in ("anterior", "posterior")}, rel=0.02
    )
    assert set(found["curves"]) == {"convention", "unit", "time", "seconds", "anterior", "posterior"}


def test_numbers_that_are_no_persons_are_refused():
    with pytest.raises(InputError, match="1.8 cm and a weight of 80 kg are impossible"):
        measure(a_scan(), person=Person(height_cm=1.8, weight_kg=80))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two small phantom scans segmented by the shipped phantom weights."""
    folder = tmp_path_factory.mktemp("measures")
    scan = {"matrix": 48, "voxel_mm": 4.0, "slices": 10, "frames": 2, "thickness_mm": 8, "gap_mm": 2, "subsamples": 2}
    subjects = phantom_scans(folder / "data", 2, seed=3, **scan)
    configs, options = ["inference.json", "phantom.json"], {"final_points": 1024, "unet_frames": 2}
    files = [subject["image"] for subject in subjects]
    run_bundle("inference", configs, layout="images", dataset_dir=files, output_dir=str(folder / "out"), **options)
    return sorted(path for path in (folder / "out").iterdir() if path.is_dir()), subjects


PERSON = Person(170, 70, sex="F")


@pytest.fixture(scope="module")
def first(folders):
    return measure_folder(folders[0][0], PERSON, draws=2, seed=5)


@pytest.fixture(scope="module")
def second(folders):
    """Of the other scan, whose latent file says whose it is; it is of an earlier version, and one that Adam fitted: no
    posterior."""
    path = next(folders[0][1].glob("*_latent.pt"))
    content = torch.load(path, weights_only=True)
    kept = {"person": {"height_cm": 180.0, "weight_kg": 80.0}, "covariance": None, "pipeline": {}}
    quality = {**content["quality"], "predicted_dice": 0.9, "trusted": True, "uncalibrated": ""}
    save_tensors({**content, **kept, "quality": quality}, path)
    return measure_folder(path.parent)


def test_files_of_a_scan_agree_with_each_other_and_with_its_labels(folders, first):
    (folder, _), (subject, _) = folders
    assert json.loads((folder / "measures.json").read_text()) == first
    assert {"subject", "scan", "phases", "measures", "curves", "wall_thickness", "quality", "versions"} <= set(first)
    rows = list(csv.DictReader((folder / "measures.csv").read_text().splitlines()))
    assert list(rows[0]) == list(COLUMNS)
    assert all(row["interval_level"] == (str(LEVEL) if row["low"] else "") for row in rows) and rows[0]["low"]
    for row, one in zip(rows, first["measures"]):
        assert (row["name"], row["unit"], float(row["value"])) == (one["name"], one["unit"], one["value"])
        assert float(row["low"]) == one["low"]
    by_segment = [f"{name}{n}" for name in ("WT", "WTK", "WM") for n in range(1, 17)]
    assert [row["name"] for row in rows[len(first["measures"]) :]] == by_segment
    # the shipped calibration is that of other settings
    assert first["uncalibrated"] == "final_points is 1024 in place of 8192, and 1 more difference"
    assert {row["interval"] for row in first["measures"]} == {"posterior"}
    assert first["quality"]["uncalibrated"] == first["uncalibrated"] and first["quality"]["predicted_dice"] is None
    label = nib.load(next(folder.glob("*_seg.nii.gz")))
    cell = np.prod(label.header.get_zooms()[:3]) / 1000
    counted = (np.asarray(label.dataobj)[..., first["phases"]["ED"]] == 1).sum() * cell
    assert values(first, "by_slices")["LVEDV"] == pytest.approx(counted, rel=1e-4)
    # a look at the heart itself: the fit is short and coarse
    assert values(first)["LVEDV"] == pytest.approx(subject["true_volumes_ml"]["ED"]["LV"], rel=0.25)


def test_a_seed_gives_the_same_files(folders, first):
    again, other = (measure_folder(folders[0][0], PERSON, draws=2, seed=seed) for seed in (5, 6))
    assert first == again
    assert values(first) == values(other) and values(first, "high") != values(other, "high")


def test_a_person_kept_with_the_latent_is_used_and_no_posterior_gives_no_interval(second):
    assert second["body_surface_area"] == 2.0 and values(second, "indexed")["LVEDV"] is not None
    assert values(second, "low")["LVEDV"] is values(second, "interval")["LVEDV"] is None


def test_a_result_that_does_not_say_what_it_was_made_with_has_no_expected_dice(second):
    quality = second["quality"]
    assert quality["predicted_dice"] is None and quality["trusted"] is not True
    assert quality["uncalibrated"] == second["uncalibrated"] == "the result does not say what it was made with"


def test_labels_corrected_by_hand_are_what_is_measured(folders, first, tmp_path):
    folder = shutil.copytree(folders[0][0], tmp_path / "heart")
    (file,) = folder.glob("*_seg.nii.gz")
    written, stamp = file.read_bytes(), file.stat()
    latent = next(folder.glob("*_latent.pt"))
    save_tensors({**torch.load(latent, weights_only=True), "size_known": False}, latent)
    assert set(values(measure_folder(folder, PERSON, draws=0))) == {"LVEF", "RVEF"}
    save_tensors({**torch.load(latent, weights_only=True), "size_known": True}, latent)
    assert first["labels"]["corrected"] == [] and {row["of"] for row in first["measures"]} == {"function"}

    def dilate(labels):
        labels[..., 1] = 1  # at a frame that was not end diastole

    relabel(file, dilate)
    os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # no time tells
    assert not ScanResults.of_folder(folder).is_measured()
    found = measure_folder(folder, PERSON, draws=2, seed=5)
    assert found["labels"]["corrected"] == [file.name] and ScanResults.of_folder(folder).is_measured()
    assert first["phases"]["ED"] != 1 and found["phases"]["ED"] == 1
    label = nib.load(file)
    cell = np.prod(label.header.get_zooms()[:3]) / 1000
    cavity = [(np.asarray(label.dataobj)[..., t] == 1).sum() * cell for t in range(label.shape[3])]
    rows = {row["name"]: row for row in found["measures"]}
    for name, value in {
        "LVEDV": max(cavity),
        "LVESV": min(cavity),
        "LVSV": max(cavity) - min(cavity),
        "LVM": 0,
    }.items():
        row = rows[name]
        assert row["value"] == row["by_slices"] == pytest.approx(value, rel=1e-4) and row["of"] == "labels"
        assert row["low"] is row["high"] is row["interval"] is None
    assert rows["LVEDV"]["indexed"] == pytest.approx(max(cavity) / PERSON.surface(), rel=1e-4)
    assert all(row["of"] == "function" for name, row in rows.items() if row["by_slices"] is None)
    assert found["curves"]["LV"]["value"] == first["curves"]["LV"]["value"]  # of the function
    with open(folder / "measures.csv", newline="") as table:
        assert {row["name"]: row["of"] for row in csv.DictReader(table)}["LVEDV"] == "labels"
    file.write_bytes(written)
    assert not ScanResults.of_folder(folder).is_measured()


def test_corrected_labels_that_lost_frames_are_refused(folders, tmp_path):
    folder = shutil.copytree(folders[0][0], tmp_path / "heart")
    (file,) = folder.glob("*_seg.nii.gz")
    image = nib.load(file)
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj)[..., :1], image.affine), file)
    with pytest.raises(InputError, match="_seg.nii.gz: was changed and does not have the scan's frames any more"):
        measure_folder(folder, draws=0)


@pytest.mark.parametrize("only, shown", [(None, {1, 2, 3}), ("['LV', '3']", {1, 3}), ("['myo']", {2})])
def test_slices_tell_nothing_of_classes_that_were_not_written(only, shown):
    names = {1: "LV", 2: "MYO", 3: "RV"}
    assert set(written_classes(names, {"only": only})) == shown


def test_a_folder_without_a_fit_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds 0 latent files where one is needed"):
        measure_folder(tmp_path)
