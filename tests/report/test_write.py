"""Reports of a result folder."""

import json
import os
import shutil
import time
from pathlib import Path

import pytest
import torch
from helpers.report_scans import measured
from matplotlib.image import imread

from nisf.report.write import read_measures, report
from nisf.utils.errors import InputError


@pytest.fixture(scope="module")
def results(phantom_result, tmp_path_factory):
    """Two scans that can be reported and one whose latent file was cut off, reported once."""
    out = tmp_path_factory.mktemp("reported")
    for name in ("one", "two", "cut"):
        shutil.copytree(phantom_result, out / name)
        measured(out / name, subject=f"patient {name}")
    file = out / "cut" / "heart_latent.pt"
    file.write_bytes(file.read_bytes()[:5000])
    return out, report(out)


def test_every_scan_gets_its_page_and_picture_and_all_of_them_an_index(results):
    out, entries = results
    assert [(one.name, bool(one.error)) for one in entries] == [("cut", True), ("one", False), ("two", False)]
    for name in ("one", "two"):
        page = (out / name / "report.html").read_text()
        assert f"<h1>patient {name}</h1>" in page and "../index.html" in page and len(page) < 8e6
        assert 'href="view.html"' in page and f"<h1>patient {name}</h1>" in (out / name / "view.html").read_text()
        assert imread(out / name / "report.png").shape[1] > 800
    index = (out / "index.html").read_text()
    assert 'href="one/report.html"' in index and "is damaged or cut off" in index and 'href="cut/' not in index
    assert (out / "measures.csv").read_text().count("\n") == 4
    assert not list(out.rglob(".*"))


def test_scans_that_are_not_wanted_are_left_alone_and_stay_in_the_index(results, tmp_path):
    out = shutil.copytree(results[0], tmp_path / "out")
    shutil.rmtree(out / "cut")
    before = {name: (out / name / "report.html").stat().st_mtime_ns for name in ("one", "two")}
    assert [one.error for one in report(out, renew=False)] == ["", ""]
    assert {name: (out / name / "report.html").stat().st_mtime_ns for name in before} == before
    (out / "two" / "report.html").unlink()
    report(out, renew=False)
    assert (out / "one" / "report.html").stat().st_mtime_ns == before["one"]
    assert (out / "two" / "report.html").is_file()


def test_what_is_older_than_the_fit_is_made_again(results, tmp_path):
    out = shutil.copytree(results[0], tmp_path / "out")
    shutil.rmtree(out / "cut")
    now = time.time()
    os.utime(out / "two" / "heart_latent.pt", (now, now))
    before = {name: json.loads((out / name / "measures.json").read_text()) for name in ("one", "two")}
    report(out, renew=False)
    after = {name: json.loads((out / name / "measures.json").read_text()) for name in ("one", "two")}
    assert after["one"] == before["one"] and after["two"] != before["two"]
    assert (out / "two" / "report.html").stat().st_mtime >= now


def test_a_report_with_its_measures_reads_latent_file_and_weights_once(phantom_result, tmp_path, monkeypatch):
    folder = shutil.copytree(phantom_result, tmp_path / "one")
    (folder / "measures.json").unlink()
    load, read = torch.load, []
    monkeypatch.setattr(torch, "load", lambda path, **how: read.append(Path(path).name) or load(path, **how))
    (entry,) = report(folder)
    assert not entry.error and (folder / "measures.json").is_file() and (folder / "report.html").is_file()
    assert sorted(read) == ["heart_latent.pt", "phantom.pt"]


def test_the_folder_of_one_scan_gets_its_page_alone(results, tmp_path):
    folder = shutil.copytree(results[0] / "one", tmp_path / "one")
    (folder / "report.html").unlink()
    (entry,) = report(folder)
    assert not entry.error and "../index.html" not in (folder / "report.html").read_text()
    assert not (folder / "index.html").exists() and not (tmp_path / "index.html").exists()


@pytest.mark.parametrize("text, words", [("{", "is damaged"), ("[]", "holds no measures"), (None, "cannot be read")])
def test_measures_that_cannot_be_read_are_said(tmp_path, text, words):
    path = tmp_path / "measures.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=words):
        read_measures(path)
    path.write_text(json.dumps({"measures": []}))
    assert read_measures(path) == {"measures": []}
