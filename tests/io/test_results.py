"""Where the results of a scan are, and in which state."""

import os

import pytest
from helpers.latent_files import write_latent

from nisf.io.receipts import write_receipt
from nisf.io.results import ScanResults, find_results, folder_of
from nisf.utils.errors import InputError

KEYS = ("seg", "prob")


def of_subject(tmp_path, *names):
    """Results of a scan of these files, and the files."""
    sources = [str(tmp_path / name) for name in names]
    for source in sources:
        open(source, "wb").close()
    return ScanResults.of_subject(tmp_path / "out", {"subject": "heart", "image": sources}), sources


def finish(results, sources):
    """Leaves what a run leaves."""
    results.folder.mkdir(parents=True)
    for file in results.files(sources, KEYS)[:-1]:
        file.write_bytes(b"voxels")
    write_latent(results.latent)


def date(file, seconds):
    """Dates a file against now."""
    now = 1_700_000_000 + seconds
    os.utime(file, (now, now))


@pytest.mark.parametrize("names", [("heart.nii.gz",), ("heart_1.nii.gz", "heart_2.nii.gz")])
def test_a_scan_is_done_when_all_its_files_are_there(tmp_path, names):
    results, sources = of_subject(tmp_path, *names)
    assert results.folder == tmp_path / "out" / "heart" and not results.is_done(sources, KEYS)
    finish(results, sources)
    assert results.is_done(sources, KEYS)
    for file in results.files(sources, KEYS):
        content = file.read_bytes()
        file.unlink()
        assert not results.is_done(sources, KEYS)
        file.write_bytes(content)
    assert results.is_done(sources, KEYS) and not results.is_done(sources, (*KEYS, "recon"))


def test_a_source_that_changed_makes_it_undone_and_one_that_is_gone_does_not(tmp_path):
    results, sources = of_subject(tmp_path, "heart_1.nii.gz", "heart_2.nii.gz")
    finish(results, sources)
    date(results.latent, 0)
    date(sources[0], -5)
    date(sources[1], 5)
    assert not results.is_of(sources) and not results.is_done(sources, KEYS)
    os.unlink(sources[1])
    assert results.is_done(sources, KEYS)


def test_measures_and_page_are_of_the_fit_when_they_are_not_older(tmp_path):
    results, sources = of_subject(tmp_path, "heart.nii.gz")
    finish(results, sources)
    assert not results.is_measured() and not results.is_reported()
    for file in (results.measures, results.page, results.picture):
        file.write_text("")
        date(file, 0)
    date(results.latent, -1)
    assert results.is_measured() and results.is_reported()
    date(results.page, -2)
    assert results.is_measured() and not results.is_reported()
    date(results.measures, -2)
    assert not results.is_measured()


def test_files_with_a_receipt_are_compared_and_the_others_read(tmp_path):
    results, sources = of_subject(tmp_path, "heart.nii.gz")
    finish(results, sources)
    labels, probabilities, latent = results.files(sources, KEYS)
    assert results.fault([latent]) == "" and results.fault([labels]) == "heart_seg.nii.gz is damaged or cut off"
    write_receipt(latent, [labels, latent], {})
    assert results.fault([labels, latent]) == ""
    assert results.fault([labels, probabilities]) == "heart_prob.nii.gz is damaged or cut off"
    labels.write_bytes(b"others")
    assert results.fault([latent]) == "heart_seg.nii.gz is cut off or was changed"


def test_results_are_found_in_the_folder_of_many_or_of_one_wherever_it_was_moved(tmp_path):
    results, sources = of_subject(tmp_path, "heart.nii.gz")
    finish(results, sources)
    assert find_results(tmp_path / "out") == find_results(results.folder) == [results]
    assert results == ScanResults.of_folder(results.folder) == ScanResults.of_latent(results.latent)
    moved = results.folder.rename(tmp_path / "out" / "mine")
    (found,) = find_results(tmp_path / "out")
    assert (found.scan, found.name, found.latent) == ("mine", "heart", moved / "heart_latent.pt")


def test_a_folder_without_results_or_with_two_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no results; name the folder that nisf segment wrote"):
        find_results(tmp_path)
    for name in ("a", "b"):
        write_latent(tmp_path / f"{name}_latent.pt")
    with pytest.raises(InputError, match="holds 2 latent files where one is needed"):
        ScanResults.of_folder(tmp_path)


@pytest.mark.parametrize(
    "subject, files, folder",
    [
        ("test000", ["d/test000_sa.nii.gz"], "test000_sa"),
        ("scan", ["scan.nii"], "scan"),
        ("p1", ["p1_frame01.nii.gz", "p1_frame12.nii.gz"], "p1"),
        ("1001", ["1001/sa.nii.gz"], "1001"),
        ("b_sa", ["b/sa.nii.gz"], "b_sa"),
    ],
)
def test_a_scan_is_called_by_its_file_or_by_the_subject_where_the_file_does_not_tell(subject, files, folder):
    assert folder_of(files, subject) == folder
