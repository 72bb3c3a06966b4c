"""Results of a scan replace earlier ones all at once, and never another scan's or labels corrected by hand."""

import pytest
from helpers.one_name import relabel, small_network, two_scans
from helpers.tiny import disk_full_after

from nisf.api import Segmenter
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
    assert sorted(path.name for path in tmp_path.iterdir()) == ["B_sa", "sa"]
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
    for file in old:
        file.write_text("of another fit")
    (results.folder / "notes.txt").write_text("the user's")
    fitted[0].save(tmp_path)
    assert not any(file.exists() for file in old) and (results.folder / "notes.txt").is_file()
    assert (results.folder / "sa_prob.nii.gz").is_file()
