"""Scores agree with plain counting and brute-force distances on saved files, and mistakes lower them."""

import csv
import json
import math

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.metrics import compute_hausdorff_distance
from scipy import ndimage

from nisf.evaluation.metrics import ROW_KEYS, format_table, score_subject, score_volume, summarise, write_scores
from nisf.utils.errors import InputError

NAMES = {1: "LV", 2: "MYO", 3: "RV"}
SPACING = (1.5, 1.25, 8.0)


def heart(shape=(40, 36, 8), shift=(0.0, 0.0, 0.0), size=1.0):
    """A ball in a shell with a crescent beside it, as labels; nothing touches the volume's edge in plane."""
    x, y, z = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    dx, dy, dz = x - 22 - shift[0], y - 17 - shift[1], 3.0 * (z - 3.5 - shift[2])
    radius = np.sqrt(dx**2 + dy**2 + dz**2) / size
    label = np.zeros(shape, np.uint8)
    label[np.sqrt((dx + 9) ** 2 + dy**2 + dz**2) / size < 8] = 3
    label[radius < 9] = 2
    label[radius < 6] = 1
    return label


def plain_dice(a, b):
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


def plain_hd95(a, b, spacing, inside=True):
    """Both directed 95th percentiles between surface voxels `inside`, by the distance transform of the volume."""
    surface_a, surface_b = (m & ~ndimage.binary_erosion(m) & inside for m in (a, b))
    to_b = ndimage.distance_transform_edt(~surface_b, sampling=spacing)[surface_a]
    to_a = ndimage.distance_transform_edt(~surface_a, sampling=spacing)[surface_b]
    return max(np.percentile(to_b, 95), np.percentile(to_a, 95))


def monai_hd95(prediction, truth):
    """MONAI's own answer on the whole volumes, one per class."""
    onehot = [torch.stack([torch.as_tensor(v == c) for c in range(4)])[None] for v in (prediction, truth)]
    return compute_hausdorff_distance(*onehot, percentile=95, spacing=list(SPACING))[0]


def by_class(rows):
    return {row["class"]: row for row in rows}


@pytest.fixture
def saved(tmp_path):
    files = {"truth": heart(), "prediction": heart(shift=(2.0, -1.0, 0.4), size=1.1)}
    for name, label in files.items():
        nib.save(nib.Nifti1Image(label, np.diag([*SPACING, 1.0])), tmp_path / f"{name}.nii.gz")
    return {name: nib.load(tmp_path / f"{name}.nii.gz") for name in files}


def test_scores_of_saved_files_agree_with_an_independent_computation(saved):
    prediction, truth = (np.asarray(saved[name].dataobj) for name in ("prediction", "truth"))
    rows = score_volume(prediction, truth, saved["truth"].header.get_zooms(), NAMES)
    assert [row["class"] for row in rows] == ["LV", "MYO", "RV"]
    for row, number in zip(rows, NAMES):
        a, b = prediction == number, truth == number
        assert row["dice"] == pytest.approx(plain_dice(a, b), abs=1e-6)
        assert row["hd95_mm"] == pytest.approx(plain_hd95(a, b, SPACING), rel=1e-5)
        assert 0.5 < row["dice"] < 0.95 and row["hd95_mm"] > 0, "the case must not be trivial"
        assert not row["empty_truth"] and not row["empty_prediction"]


@pytest.mark.parametrize("edge", [False, True])
@pytest.mark.filterwarnings("ignore:.*always_return_as_numpy")
def test_cropping_changes_nothing(edge):
    truth, prediction = heart(), heart(shift=(2.0, 0.0, 0.0))
    if edge:  # classes that touch the border of the volume
        truth, prediction = truth[14:, 9:, 2:6], prediction[14:, 9:, 2:6]
    rows = score_volume(prediction, truth, SPACING, NAMES)
    assert [row["hd95_mm"] for row in rows] == monai_hd95(prediction, truth).tolist()
    assert [row["hd95_mm"] for row in rows] == pytest.approx(
        [plain_hd95(prediction == c, truth == c, SPACING) for c in NAMES], rel=1e-5
    )


def test_perfect_prediction_as_tensor():
    label = torch.as_tensor(heart())
    for row in score_volume(label, label, SPACING, {"0": "background", "1": "LV", "2": "MYO", "3": "RV"}):
        assert (row["dice"], row["hd95_mm"]) == (1.0, 0.0)


def test_wrong_spacing_changes_the_distance_only():
    truth, prediction = heart(), heart(shift=(2.0, 0.0, 0.0))
    right = score_volume(prediction, truth, SPACING, NAMES)
    wrong = score_volume(prediction, truth, (3.0, 1.25, 8.0), NAMES)
    for a, b in zip(right, wrong):
        assert a["dice"] == b["dice"]
        assert b["hd95_mm"] > a["hd95_mm"] + 1


def test_swapped_label_order_and_transposed_axes_lower_the_scores():
    truth = heart()[:36]
    swapped = np.array([0, 3, 2, 1])[truth]
    scores = by_class(score_volume(swapped, truth, SPACING, NAMES))
    assert scores["LV"]["dice"] < 0.1 and scores["RV"]["dice"] < 0.1 and scores["MYO"]["dice"] == 1
    transposed = by_class(score_volume(truth.transpose(1, 0, 2), truth, SPACING, NAMES))
    flipped = by_class(score_volume(truth[::-1], truth, SPACING, NAMES))
    for scores in (transposed, flipped):
        assert max(row["dice"] for row in scores.values()) < 0.8
        assert min(row["hd95_mm"] for row in scores.values()) > 3


@pytest.mark.filterwarnings("ignore:.*(always_return_as_numpy|nan/inf distance)")
@pytest.mark.parametrize(
    "in_truth, in_prediction, dice",
    [(False, False, math.nan), (False, True, math.nan), (True, False, 0.0)],
)
def test_empty_classes_follow_monai_and_are_flagged(in_truth, in_prediction, dice):
    label = heart()
    without = np.where(label == 3, 0, label)
    prediction, truth = (label if there else without for there in (in_prediction, in_truth))
    hd95 = float(monai_hd95(prediction, truth)[2])
    assert not math.isfinite(hd95)
    scores = by_class(score_volume(prediction, truth, SPACING, NAMES))
    assert scores["RV"] == {
        "class": "RV",
        "dice": pytest.approx(dice, nan_ok=True),
        "hd95_mm": pytest.approx(hd95, nan_ok=True),
        "empty_truth": not in_truth,
        "empty_prediction": not in_prediction,
    }
    assert scores["LV"]["dice"] == 1.0


def test_scoring_is_silent_about_empties(recwarn):
    score_volume(np.zeros((4, 4, 2)), heart((4, 4, 2)), SPACING, NAMES)
    assert not [w for w in recwarn if "distance" in str(w.message) or "always_return" in str(w.message)]


def test_volumes_without_anything():
    nothing = np.zeros((4, 4, 2), np.uint8)
    assert all(math.isnan(row["dice"]) and row["empty_truth"] for row in score_volume(nothing, nothing, SPACING, NAMES))


def test_bad_volumes_are_named():
    label = heart()
    with pytest.raises(InputError, match="one shape"):
        score_volume(label[1:], label, SPACING, NAMES)
    with pytest.raises(InputError, match="truth holds the value 4"):
        score_volume(label, np.where(label == 3, 4, label), SPACING, NAMES)
    with pytest.raises(InputError, match="spacing"):
        score_volume(label, label, (1.0, 1.0), NAMES)
    cine = np.stack([label, label], axis=-1)
    with pytest.raises(InputError, match="patient007: frame 2"):
        score_subject(cine, cine, {"ES": 2}, SPACING, NAMES, "patient007")
    with pytest.raises(InputError, match="patient007"):
        score_subject(cine, cine[..., :1], None, SPACING, NAMES, "patient007")


# ---- subjects


def test_subject_is_scored_at_its_phases_only():
    truth = np.stack([heart(), np.zeros_like(heart()), heart(size=0.8)], axis=-1)
    prediction = np.stack([heart(), heart(), heart(shift=(3, 0, 0), size=0.8)], axis=-1)
    expected = score_volume(prediction[..., 2], truth[..., 2], SPACING, NAMES)
    rows = score_subject(prediction, truth, {"ED": 0, "ES": 2}, SPACING, NAMES, "patient001")
    assert [(row["phase"], row["frame"], row["class"]) for row in rows] == [
        (phase, frame, name) for phase, frame in (("ED", 0), ("ES", 2)) for name in NAMES.values()
    ]
    assert {(row["subject"], row["region"]) for row in rows} == {("patient001", "all")}
    assert all(row["dice"] == 1 for row in rows[:3]) and all(row["dice"] < 0.95 for row in rows[3:])
    assert [(row["dice"], row["hd95_mm"]) for row in rows[3:]] == [(e["dice"], e["hd95_mm"]) for e in expected]
    assert {tuple(row) for row in rows} == {ROW_KEYS}


def test_static_volume_and_listed_frames():
    label = heart()
    assert {(row["phase"], row["frame"]) for row in score_subject(label, label, None, SPACING, NAMES, "s")} == {
        ("any", 0)
    }
    cine = np.stack([label] * 3, axis=-1)
    assert {row["frame"] for row in score_subject(cine, cine, [0, 2], SPACING, NAMES, "s")} == {0, 2}


def test_regions_are_scored_beside_the_whole():
    truth = heart()
    prediction = truth.copy()
    prediction[:, :, 4] = heart(shift=(4, 0, 0))[:, :, 4]
    held_out = np.zeros(truth.shape, bool)
    held_out[:, :, 4] = True
    regions = {"everywhere": np.ones_like(held_out), "seen": ~held_out, "held out": held_out}
    rows = score_subject(prediction, truth, None, SPACING, NAMES, "s", regions)
    scores = {(row["region"], row["class"]): row for row in rows}
    for name in NAMES.values():
        for key in ("dice", "hd95_mm"):
            assert scores["everywhere", name][key] == pytest.approx(scores["all", name][key])
        assert scores["seen", name]["dice"] == 1.0
        assert scores["held out", name]["dice"] < scores["all", name]["dice"] < 1.0
    for number, name in NAMES.items():
        expected = plain_hd95(prediction == number, truth == number, SPACING, held_out)
        assert scores["held out", name]["hd95_mm"] == pytest.approx(expected, rel=1e-5)
        assert expected > 3
    slices = prediction[:, :, 4] == 3, truth[:, :, 4] == 3
    assert scores["held out", "RV"]["dice"] == pytest.approx(plain_dice(*slices))


# ---- summaries


def row(subject, name, dice, hd95=1.0, phase="ED", frame=0):
    fields = {"subject": subject, "phase": phase, "frame": frame, "region": "all", "class": name, "dice": dice}
    return {**fields, "hd95_mm": hd95, "empty_truth": math.isnan(dice), "empty_prediction": dice == 0}


def find(summary, **wanted):
    (found,) = [line for line in summary if all(line[key] == value for key, value in wanted.items())]
    return found


def test_summary_is_over_subjects_and_counts_what_it_leaves_out():
    rows = [
        row("a", "LV", 0.9, 2.0),
        row("a", "RV", 0.7, 4.0),
        row("b", "LV", 0.5, 6.0),
        row("b", "RV", math.nan, math.inf),
        row("c", "LV", 0.0, math.inf),
        row("c", "RV", 0.6, 2.0),
    ]
    summary = summarise(rows)
    lv = find(summary, **{"class": "LV"}, phase="ED")
    assert lv["dice_mean"] == pytest.approx(1.4 / 3), "an empty prediction counts as Dice 0"
    assert lv["dice_std"] == pytest.approx(np.std([0.9, 0.5, 0.0]))
    assert (lv["hd95_mm_mean"], lv["hd95_mm_std"]) == pytest.approx((4.0, 2.0))
    assert [lv[k] for k in ("n", "n_empty_truth", "n_empty_prediction", "n_failed")] == [3, 0, 1, 1]
    rv = find(summary, **{"class": "RV"})
    assert rv["dice_mean"] == pytest.approx(0.65)
    assert [rv[k] for k in ("n_subjects", "n", "n_empty_truth", "n_failed")] == [3, 3, 1, 1]
    mean = find(summary, **{"class": "mean"})
    assert mean["dice_mean"] == pytest.approx(np.mean([0.8, 0.5, 0.3]))
    assert mean["n"] == 6


def test_every_subject_weighs_the_same_however_many_frames_it_has():
    rows = [row("a", "LV", 1.0, frame=f, phase="any") for f in range(9)] + [row("b", "LV", 0.0, phase="any")]
    (line,) = summarise(rows)
    assert line["dice_mean"] == pytest.approx(0.5)
    assert (line["n_subjects"], line["n"]) == (2, 10)


def test_summary_has_each_phase_and_their_mean():
    rows = [row("a", "LV", 0.9), row("a", "LV", 0.7, phase="ES", frame=1), row("b", "LV", 0.8)]
    summary = summarise(rows)
    assert [line["phase"] for line in summary] == ["ED", "ES", "mean"]
    assert find(summary, phase="ES")["n_subjects"] == 1
    assert find(summary, phase="mean")["dice_mean"] == pytest.approx(0.8)


def test_nothing_to_average_is_nan_not_an_error():
    (line,) = summarise([row("a", "LV", math.nan, math.nan)])
    assert math.isnan(line["dice_mean"]) and math.isnan(line["hd95_mm_std"]) and line["n_failed"] == 1
    assert summarise([]) == []
    assert "nan" in format_table([line])


def test_written_files_say_what_was_scored(tmp_path):
    rows = [row("a", "LV", 0.9, 2.5), row("b", "LV", math.nan, math.inf)]
    summary = summarise(rows)
    write_scores(rows, summary, tmp_path / "scores", {"weights": tmp_path / "model.pt"})
    folder = tmp_path / "scores"
    assert sorted(f.name for f in folder.iterdir()) == ["scores.csv", "scores.json", "summary.csv"]
    with open(folder / "scores.csv", newline="") as stream:
        lines = list(csv.DictReader(stream))
    assert [(line["subject"], float(line["hd95_mm"])) for line in lines] == [("a", 2.5), ("b", math.inf)]
    with open(folder / "summary.csv", newline="") as stream:
        (line,) = csv.DictReader(stream)
    assert float(line["dice_mean"]) == pytest.approx(0.9) and line["n_failed"] == "1"
    content = json.loads((folder / "scores.json").read_text(), parse_constant=pytest.fail)
    assert content["provenance"] == {"weights": str(tmp_path / "model.pt")}
    assert content["rows"][1]["dice"] is None and content["summary"][0]["n"] == 2


def test_table_has_a_line_per_group():
    table = format_table(summarise([row("a", "LV", 0.912, 2.5), row("a", "RV", 0.7, 4.0)])).splitlines()
    assert len(table) == 2 + 3
    assert "0.912 +- 0.000" in table[2] and "LV" in table[2] and "2.50" in table[2]
