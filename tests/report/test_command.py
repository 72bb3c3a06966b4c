"""Reports of a result folder with what is known of the people."""

import json
import shutil

import pytest

from nisf.api import Segmenter
from nisf.phantom.cohort import write_cohort
from nisf.report.command import report_all

SCANNER = {"matrix": 24, "slices": 4, "frames": 2, "voxel_mm": 5.5}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Results of two small scans."""
    place = tmp_path_factory.mktemp("results")
    write_cohort(place / "data", 0, 0, 2, seed=5, **SCANNER)
    segmenter = Segmenter("phantom", device="cpu", final_points=2048)
    for number in range(2):
        segmenter(place / "data" / f"test00{number}_sa.nii.gz").save(place / "out")
    return place / "out"


def measures(folder, number):
    return json.loads((folder / f"test00{number}_sa" / "measures.json").read_text())


def test_people_of_a_table_go_before_those_of_the_options_and_new_facts_are_taken_in(folder, tmp_path, capsys):
    report_all(folder / "test000_sa")
    assert "1 of 1 scans reported" in capsys.readouterr().out
    assert measures(folder, 0)["body_surface_area"] is None
    stamp = (folder / "test000_sa" / "measures.json").stat().st_mtime_ns
    report_all(folder / "test000_sa")  # nothing new is known: nothing is measured anew
    assert (folder / "test000_sa" / "measures.json").stat().st_mtime_ns == stamp
    table = tmp_path / "people.csv"
    table.write_text("scan,height,sex\ntest001_sa,160,F\n")
    report_all(folder, str(table), height=180, weight=72)
    assert "2 of 2 scans reported" in capsys.readouterr().out
    assert (folder / "index.html").is_file() and (folder / "test001_sa" / "report.html").is_file()
    assert measures(folder, 0)["body_surface_area"] == pytest.approx((180 * 72 / 3600) ** 0.5)
    assert measures(folder, 1)["body_surface_area"] == pytest.approx((160 * 72 / 3600) ** 0.5)
    assert (measures(folder, 0)["sex"], measures(folder, 1)["sex"]) == (None, "F")


def test_reference_values_of_too_few_scans_are_said_to_be_compared_with_nothing(folder, tmp_path, caplog):
    (tmp_path / "few.csv").write_text("scan,LVEDV\ntest000_sa,120\n")
    report_all(folder, renew=False, reference=str(tmp_path / "few.csv"))
    assert "few.csv: nothing is compared, for no measure is known of 3 scans or more" in caplog.text


def test_a_folder_that_was_renamed_is_reported_under_its_new_name(folder, tmp_path, capsys):
    shutil.copytree(folder / "test000_sa", tmp_path / "out" / "mine")
    table = tmp_path / "people.csv"
    table.write_text("scan,sex\nmine,M\n")
    report_all(tmp_path / "out", str(table))
    assert "1 of 1 scans reported" in capsys.readouterr().out
    assert json.loads((tmp_path / "out" / "mine" / "measures.json").read_text())["sex"] == "M"
    assert 'href="mine/report.html"' in (tmp_path / "out" / "index.html").read_text()


def test_a_scan_that_cannot_be_reported_is_named_and_the_others_are_done(folder, capsys):
    latent = folder / "test000_sa" / "test000_sa_latent.pt"
    whole = latent.read_bytes()
    latent.write_bytes(whole[:500])
    try:
        with pytest.raises(SystemExit) as ended:
            report_all(folder, height=170, weight=60)
    finally:
        latent.write_bytes(whole)
    text = capsys.readouterr().out
    assert ended.value.code == 1 and "1 of 2 scans reported" in text
    assert "the latent file is damaged or cut off" in text
    assert measures(folder, 1)["body_surface_area"] == pytest.approx((170 * 60 / 3600) ** 0.5)


def test_a_linked_folder_has_the_name_of_its_link_and_a_lost_latent_ends_nothing(folder, tmp_path, capsys):
    out = tmp_path / "out"
    elsewhere = shutil.copytree(folder / "test000_sa", tmp_path / "elsewhere")
    shutil.copytree(folder / "test001_sa", out / "test001_sa")
    (out / "mine").symlink_to(elsewhere)
    (out / "lost").mkdir()
    (out / "lost" / "lost_latent.pt").symlink_to(tmp_path / "nowhere")
    with pytest.raises(SystemExit):
        report_all(out, renew=False)  # as after a run on Ray
    text = capsys.readouterr().out
    assert "2 of 3 scans reported" in text and "lost  " in text
    page = (out / "index.html").read_text()
    assert 'href="mine/report.html"' in page and "elsewhere/report.html" not in page
