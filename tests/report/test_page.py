"""The page of a scan as text: what it says, and that nothing from a file becomes a part of it."""

import json
import shutil

import pytest
import torch
from helpers.parsed_page import Parsed
from helpers.report_scans import HOSTILE, SEGMENTS, measured, read_again

from nisf.report.page import number, scan_page
from nisf.report.views import slices_view
from nisf.utils.tensors import save_tensors


@pytest.fixture
def folder(phantom_result, tmp_path):
    return shutil.copytree(phantom_result, tmp_path / "heart")


def page_of(folder, **changes):
    scan = read_again(folder)
    return scan_page(scan, measured(folder, **changes), slices_view(scan), [], None, None)


def test_wall_motion_is_shown_where_it_is_known(folder):
    rows = [{"segment": i + 1, "name": name, "thickening": 41.0, "motion": 7.3} for i, name in enumerate(SEGMENTS)]
    motion = {"units": {"thickening": "%", "motion": "mm"}, "convention": "surfaces", "segments": rows}
    shown, hidden = (page_of(folder, wall_motion=one) for one in (motion, None))
    assert shown.count("basal anterior: 41 %") == shown.count("apical lateral: 7.3 mm") == 1
    assert "Inward motion" in shown and "Inward motion" not in hidden and "Wall thickness at end diastole" in hidden


def test_hostile_words_are_shown_and_are_no_elements(folder):
    plain = Parsed(page_of(folder))
    content = torch.load(folder / "heart_latent.pt", weights_only=True)
    save_tensors({**content, "class_names": {"1": HOSTILE, "2": "MYO", "3": "RV"}}, folder / "heart_latent.pt")
    flags = [{"name": HOSTILE, "text": HOSTILE, "severe": True}]
    hostile = {"subject": HOSTILE, "sex": HOSTILE, "settings": {HOSTILE: HOSTILE}, "versions": {HOSTILE: HOSTILE}}
    quality = {"predicted_dice": 0.5, "trusted": False, "flags": flags, "numbers": {HOSTILE: 1.0}}
    rows = [{"name": HOSTILE, "title": HOSTILE, "unit": HOSTILE, "value": 3.0, "low": None, "high": None}]
    phases = {HOSTILE: 1}
    page = page_of(folder, **hostile, quality=quality, measures=rows, phases=phases)
    found = Parsed(page)
    for tag in ("script", "img", "iframe"):
        assert len(found.named(tag)) == len(plain.named(tag))
    assert found.words.count(HOSTILE) >= 8
    assert HOSTILE not in page
    assert json.loads(found.data)["phases"] == {HOSTILE: pytest.approx(0.25)}


def test_nothing_is_fetched(folder):
    page = Parsed(page_of(folder))
    for tag, name in (("script", "src"), ("link", "href"), ("img", "src"), ("iframe", "src")):
        assert all(one.get(name, "data:").startswith("data:") for one in page.named(tag))
    policy = next(one["content"] for one in page.named("meta") if "http-equiv" in one)
    assert "default-src 'none'" in policy


@pytest.mark.parametrize(
    "quality, kind, words",
    [
        (None, "unknown", "Quality: not assessed"),
        ({"predicted_dice": 0.93, "trusted": True, "flags": []}, "good", "Quality: trusted"),
        ({"predicted_dice": 0.41, "trusted": False, "flags": []}, "bad", "Quality: not to be trusted"),
    ],
)
def test_quality_comes_first_in_words(folder, quality, kind, words):
    found = Parsed(page_of(folder, quality=quality))
    sections = [one for one in found.named("section")]
    assert sections[0]["class"] == f"card quality {kind}" and words in found.words
    if quality:
        assert f"predicted Dice {quality['predicted_dice']}" in found.words
    assert "reconstruction error" in found.words  # of the latent file, where measures.json has no numbers


def test_labels_corrected_by_hand_are_said_and_what_is_not_of_them(folder):
    assert "corrected by hand" not in Parsed(page_of(folder)).words
    row = {"name": "LVEDV", "title": "LV volume", "unit": "mL", "value": 99.0, "by_slices": 99.0, "of": "labels"}
    rate = {**row, "name": "PER", "title": "LV rate", "by_slices": None, "of": "function"}
    labels = {"corrected": ["heart_seg.nii.gz"], "digests": {}}
    words = Parsed(page_of(folder, labels=labels, measures=[row, rate])).words
    assert "Labels corrected by hand heart_seg.nii.gz: changed since the scan was segmented." in words
    assert "The fitted function does not know of the correction" in words
    assert "LV volume labels" in words and "LV rate function" in words


def test_a_volume_by_slices_stands_beside_that_of_the_whole_heart_and_what_is_refused_has_its_reason(folder):
    row = {"name": "LVEDV", "title": "LV volume", "unit": "mL", "value": 99.0, "low": 90.0, "high": 108.0}
    whole = {"whole_heart": 107.0, "whole_heart_low": 101.0, "whole_heart_high": 113.0, "convention": "slices"}
    refused = [{"measures": ["PER"], "reason": "Two frames have no peak rates."}]
    unlike = "This scan is unlike those."
    words = Parsed(page_of(folder, measures=[{**row, **whole}], refused=refused, unlike=unlike)).words
    assert "Value 95% interval Whole heart" in words and "99 mL 90 to 108 107 101 to 113" in words
    assert "Value: slices added up, as experts count." in words
    assert "Two frames have no peak rates." in words and unlike in words
    plain = Parsed(page_of(folder, measures=[row])).words
    assert "Whole heart" not in plain and "as experts count" not in plain


def test_severe_flags_stand_first(folder):
    flags = [{"name": "a", "text": "Minor.", "severe": False}, {"name": "b", "text": "Grave.", "severe": True}]
    words = Parsed(page_of(folder, quality={"trusted": False, "flags": flags, "numbers": {}})).words
    assert words.index("Grave.") < words.index("Minor.")


@pytest.mark.parametrize(
    "sex, shown", [("F", "83 to 165"), ("M", "103 to 229"), (None, "men 103 to 229, women 83 to 165")]
)
def test_references_are_those_of_the_sex_and_name_their_source(folder, sex, shown):
    row = {
        "name": "LVEDV",
        "title": "LV end-diastolic volume",
        "unit": "mL",
        "value": 180.0,
        "low": 170.0,
        "high": 190.0,
    }
    words = Parsed(page_of(folder, sex=sex, measures=[row])).words
    assert shown in words and "doi:10.1186/s12968-017-0327-9" in words
    assert ("180 mL ↑" in words) == (sex == "F")
    assert "170 to 190" in words


def test_what_is_not_known_is_left_out(folder):
    row = {"name": "anterior volume", "title": "anterior volume", "unit": "mL", "value": 1.234}
    found = Parsed(page_of(folder, measures=[row], curves={}, wall_thickness=None, phases={}))
    ids = {attributes.get("id") for _, attributes in found.elements}
    assert not ids & {"curves", "wall", "surface"} and "1.23 mL" in found.words
    assert "Reference" not in found.words and "95% interval" in found.words


@pytest.mark.parametrize("names, missing", [(["LVSV"], True), (["LVSV", "CO"], False), (["LVEDV"], False)])
def test_a_heart_without_a_rate_has_no_output_and_is_told_how_to_get_it(folder, names, missing):
    rows = [{"name": name, "title": name, "unit": "", "value": 70.0} for name in names]
    assert ("files give no heart rate. Give it" in Parsed(page_of(folder, measures=rows)).words) == missing


def test_what_is_not_calibrated_is_said_with_the_reason(folder):
    why = "unet_blend is 0.0 in place of 0.75"
    words = Parsed(page_of(folder, uncalibrated=why, quality={"trusted": None, "uncalibrated": why})).words
    assert f"No Dice is expected, for {why}." in words and f"against the calibration {why}." in words


def test_settings_name_files_without_their_folders(folder):
    words = Parsed(page_of(folder, settings={"model": "/home/someone/models/model.pt", "seed": 0})).words
    assert "model.pt" in words and "/home" not in words


def test_numbers_are_written_as_people_write_them():
    assert [number(v) for v in (1.234, 5.678, 61.6, -30.2, None, float("nan"))] == [
        "1.23",
        "5.7",
        "62",
        "-30",
        "–",
        "–",
    ]
    assert number(19.6, like=21.0) == "20"
