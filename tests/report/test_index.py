"""The pages of a cohort: what is to be looked at first stands first."""

import csv

import pytest
from helpers.parsed_page import Parsed
from helpers.report_scans import HOSTILE

from nisf.report.index import Entry, find_outliers, write_cohort_pages


def entry(name, edv=120.0, trusted=None, flags=(), error=""):
    row = {
        "name": "LVEDV",
        "title": "",
        "unit": "mL",
        "value": edv,
        "low": edv - 5,
        "high": edv + 5,
        "by_slices": edv + 1,
    }
    quality = {"trusted": trusted, "predicted_dice": None if trusted is None else 0.9, "flags": list(flags)}
    measures = {
        "subject": name,
        "phases": {"ED": 0, "ES": 3},
        "measures": [row],
        "interval_level": 0.92,
        "quality": quality,
    }
    return Entry(name, {} if error else measures, error)


@pytest.fixture
def cohort():
    found = [entry(f"scan{i:02d}", 100.0 + i, trusted=True) for i in range(12)]
    flagged = entry("flagged", 104.0, True, [{"name": "basal", "text": "The basal slice is odd.", "severe": False}])
    return [*found, entry("far", 400.0, True), flagged, entry("bad", 101.0, False), entry("broken", error="no file")]


def names_of(page):
    return [row.split()[0] for row in rows_of(page)]


def rows_of(page):
    text = page.read_text().split("<tbody>")[1].split("</tbody>")[0]
    return [Parsed(f"<tr {row}").words for row in text.split("<tr ")[1:]]


def test_failed_untrusted_outliers_and_flagged_stand_first(cohort, tmp_path):
    page, _ = write_cohort_pages(tmp_path, cohort)
    assert names_of(page)[:5] == ["broken", "bad", "far", "flagged", "scan00"]
    rows = rows_of(page)
    assert "no file" in rows[0] and "not trusted" in rows[1] and "LVEDV is far from the others'" in rows[2]
    assert "The basal slice is odd." in rows[3]
    words = Parsed(page.read_text()).words
    assert "16 scans" in words and "1 failed" in words and "1 not trusted" in words


def test_outliers_need_a_cohort():
    few = [entry(str(i), v) for i, v in enumerate([100, 101, 102, 400])]
    find_outliers(few)
    assert not any(one.outliers for one in few)
    same = [entry(str(i)) for i in range(20)]
    find_outliers(same)
    assert not any(one.outliers for one in same)


def test_every_scan_links_to_its_page_also_with_odd_names(tmp_path):
    odd = 'a #1 50%?"<b>'
    page, _ = write_cohort_pages(tmp_path, [entry(odd), entry("broken", error=HOSTILE), entry(HOSTILE)])
    found = Parsed(page.read_text())
    links = [one["href"] for one in found.named("a")]
    assert "a%20%231%2050%25%3F%22%3Cb%3E/report.html" in links and not any(link.startswith("broken") for link in links)
    assert HOSTILE in found.words and odd in found.words
    assert len(found.named("script")) == 1 and not found.named("img") and not found.named("b")


def test_the_table_holds_all_scans_and_all_numbers(cohort, tmp_path):
    _, table = write_cohort_pages(tmp_path, [*cohort, entry('quoted, "twice"\nbroken')])
    rows = {row["scan"]: row for row in csv.DictReader(table.open(newline=""))}
    assert len(rows) == 17 and list(rows) == sorted(rows)
    assert float(rows["far"]["LVEDV"]) == 400 and float(rows["far"]["LVEDV_low"]) == 395
    assert rows["far"]["interval_level"] == "0.92"
    assert float(rows["far"]["LVEDV_by_slices"]) == 401 and rows["far"]["ES"] == "3"
    assert rows["bad"]["trusted"] == "False" and rows["flagged"]["flags"] == "basal"
    assert rows["broken"]["error"] == "no file" and rows["broken"]["LVEDV"] == ""
    assert 'quoted, "twice"\nbroken' in rows


def test_no_spreadsheet_takes_a_name_for_a_formula(tmp_path):
    _, table = write_cohort_pages(tmp_path, [entry("=1+1"), entry("plain")])
    assert {row["scan"] for row in csv.DictReader(table.open(newline=""))} == {"'=1+1", "plain"}


def test_distributions_are_shown_of_three_or_more(cohort, tmp_path):
    few = Parsed(write_cohort_pages(tmp_path, cohort[:2])[0].read_text())
    many = Parsed(write_cohort_pages(tmp_path, cohort)[0].read_text())
    assert not any(one.get("class") == "histogram" for one in few.named("svg"))
    assert sum(one.get("class") == "histogram" for one in many.named("svg")) == 1


def test_labels_corrected_by_hand_are_said_in_the_table_of_all_scans(cohort, tmp_path):
    cohort[3].measures["labels"] = {"corrected": ["a_seg.nii.gz"], "digests": {}}
    page, table = write_cohort_pages(tmp_path, cohort)
    (row,) = [row for row in rows_of(page) if "labels corrected by hand" in row]
    assert row.startswith("scan03") and "1 with labels corrected by hand" in Parsed(page.read_text()).words
    rows = {row["scan"]: row["labels"] for row in csv.DictReader(table.read_text().splitlines())}
    assert rows.pop("scan03") == "corrected by hand" and set(rows.values()) == {""}


def test_measures_are_compared_with_reference_values(cohort, tmp_path):
    known = {f"scan{i:02d}": {"LVEDV": 98.0 + i} for i in range(12)}
    assert "Against the reference values" not in write_cohort_pages(tmp_path, cohort)[0].read_text()
    page, _ = write_cohort_pages(tmp_path, cohort, {**known, "scan00": {"LVEDV": 92.0}})
    found = Parsed(page.read_text())
    assert len(found.named("circle")) == 12 and "LVEDV ours − reference, mL" in found.words
    assert "+2.5 ± 3.4" in found.words and "92%" in found.words  # one of twelve is 8 mL off, beyond its 5
    assert "scan00: mean 96 mL, difference +8.0 mL" in page.read_text()
    even = {f"scan{i:02d}": {"LVEDV": 100.0 + i + 0.02 * (-1) ** i + 0.01} for i in range(12)}
    assert "-0.0" not in write_cohort_pages(tmp_path, cohort, even)[0].read_text()
    few = write_cohort_pages(tmp_path, cohort, dict(list(known.items())[:2]))[0].read_text()
    assert "Against the reference values" not in few


def test_the_page_says_for_how_many_scans_a_measure_is_refused(cohort, tmp_path):
    reason = "Two frames, taken for end diastole and end systole, have no peak rates."
    for one in cohort[:3]:
        one.measures["refused"] = [{"measures": ["PER", "PFR"], "reason": reason}]
    page, _ = write_cohort_pages(tmp_path, cohort)
    assert f"{reason} (3 of 16)" in Parsed(page.read_text()).words
