"""Results of a scan replace earlier ones all at once, and never another scan's or labels corrected by hand."""

import os

import pytest
from helpers.one_name import relabel, small_network, two_scans
from helpers.tiny import disk_full_after

from nisf.api import Segmenter
from nisf.inference.save import SaveLatentd
from nisf.io.latent_file import read_latent
from nisf.io.results import ScanResults
from nisf.utils.errors import InputError


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """Two scans called sa, fitted in memory."""
    folder = tmp_path_factory.mktemp("two")
    configs = small_network(folder).split(",")
    segmenter = Segmenter(configs, device="cpu", save_probabilities=True)
    return [segmenter(scan) for scan in two_scans(folder)]


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_another_scan_of_the_same_name_is_written_beside_the_first(fitted, tmp_path):
    one, other = fitted
    assert {file.parent.name for file in one.save(tmp_path)} == {"sa"}
    first = content(tmp_path / "sa")
    files = other.save(tmp_path)
    assert {file.parent.name for file in files} == {"B_sa"} and all(file.is_file() for file in files)
    assert content(tmp_path / "sa") == first
    assert {file.parent.name for file in other.save(tmp_path)} == {"B_sa"}
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["B_sa", "sa"]
    saved = [read_latent(results).source for results in (tmp_path / "sa" / "sa_latent.pt", files[-1])]
    assert [source.paths[0].split("/")[-2] for source in saved] == ["A", "B"] and saved[0].digest != saved[1].digest


@pytest.mark.parametrize("size", [500, 5_000])  # of the labels, of the latent
def test_on_a_full_disk_all_earlier_results_stay(fitted, tmp_path, size):
    fitted[0].save(tmp_path)
    before = content(tmp_path / "sa")
    with disk_full_after(size), pytest.raises(InputError, match="cannot be written"):
        fitted[0].save(tmp_path)
    assert content(tmp_path / "sa") == before


def test_labels_that_were_corrected_by_hand_are_never_replaced(fitted, tmp_path):
    fitted[0].save(tmp_path)
    file = tmp_path / "sa" / "sa_seg.nii.gz"
    relabel(file, lambda labels: labels.fill(2))
    before = content(tmp_path / "sa")
    with pytest.raises(InputError, match="sa_seg.nii.gz was corrected by hand and is kept; move .*sa away"):
        fitted[0].save(tmp_path)
    assert content(tmp_path / "sa") == before


def test_nothing_of_an_earlier_fit_stays_beside_a_new_one(fitted, tmp_path):
    fitted[0].save(tmp_path)
    results = ScanResults.of_folder(tmp_path / "sa")
    old = [results.folder / "sa_recon.nii.gz", results.folder / "sa_uncertainty.nii.gz", results.receipt]
    old += [results.measures, results.folder / "measures.csv", results.page, results.picture]
    for file in old:
        file.write_text("of another fit")
    (results.folder / "notes.txt").write_text("the user's")
    fitted[0].save(tmp_path)
    assert not any(file.exists() for file in old) and (results.folder / "notes.txt").is_file()
    assert (results.folder / "sa_prob.nii.gz").is_file()


def test_a_name_that_another_run_takes_meanwhile_is_left_to_it(fitted, tmp_path, monkeypatch):
    one, other = fitted
    write = SaveLatentd.__call__

    def meanwhile(self, data):
        monkeypatch.setattr(SaveLatentd, "__call__", write)
        one.save(tmp_path)
        return write(self, data)

    monkeypatch.setattr(SaveLatentd, "__call__", meanwhile)
    files = other.save(tmp_path)
    assert {file.parent.name for file in files} == {"B_sa"} and all(file.is_file() for file in files)
    assert [
        read_latent(tmp_path / name / f"{name}_latent.pt").source.paths[0].split("/")[-2] for name in ("sa", "B_sa")
    ] == ["A", "B"]


def test_labels_beside_a_damaged_fit_are_kept(fitted, tmp_path):
    fitted[0].save(tmp_path)
    labels = relabel(tmp_path / "sa" / "sa_seg.nii.gz", lambda labels: labels.fill(2))
    latent = tmp_path / "sa" / "sa_latent.pt"
    latent.write_bytes(latent.read_bytes()[:-100])
    fitted[0].save(tmp_path)
    assert (tmp_path / "sa" / "earlier_1" / "sa_seg.nii.gz").read_bytes() == labels
    assert ScanResults.of_folder(tmp_path / "sa").label_files(["sa.nii.gz"])


def test_what_a_killed_run_left_is_removed(fitted, tmp_path):
    left, recent = (tmp_path / "sa" / f".{number}.abc.new" for number in (11, 12))
    for folder in (left, recent):
        folder.mkdir(parents=True)
    os.utime(left, (0, 0))
    fitted[0].save(tmp_path)
    assert not left.exists() and recent.exists()  # it may be another run's
