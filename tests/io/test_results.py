"""Where the results of a scan are, and in which state."""

import json
import os

import nibabel as nib
import numpy as np
import pytest
from helpers.latent_files import write_latent

from nisf.io.latent_file import read_latent
from nisf.io.receipts import write_receipt
from nisf.io.results import ScanResults, find_results, folder_of
from nisf.utils.digest import digest_of_file
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


def nifti(path, array):
    nib.save(nib.Nifti1Image(array, np.eye(4)), path)
    return path


def date(file, seconds):
    """Dates a file against now."""
    now = 1_700_000_000 + seconds
    os.utime(file, (now, now))


@pytest.mark.parametrize("names", [("heart.nii.gz",), ("heart_1.nii.gz", "heart_2.nii.gz")])
def test_the_files_of_a_scan_that_are_missing(tmp_path, names):
    results, sources = of_subject(tmp_path, *names)
    assert results.folder == tmp_path / "out" / "heart"
    assert results.missing(sources, KEYS) == results.files(sources, KEYS)
    finish(results, sources)
    assert results.missing(sources, KEYS) == []
    (one,) = results.missing(sources, ("recon",))[:1]
    assert one == results.folder / f"{names[0][:-7]}_recon.nii.gz"


def test_labels_are_corrected_when_they_are_whole_and_not_what_was_written(tmp_path):
    results, sources = of_subject(tmp_path, "heart.nii.gz")
    finish(results, sources)
    labels = nifti(results.folder / "heart_seg.nii.gz", np.zeros((4, 4, 4), np.uint8))
    written = labels.read_bytes()
    write_latent(results.latent, labels={labels.name: digest_of_file(labels)})
    assert results.changed_labels(read_latent(results.latent)) == []
    labels.write_bytes(written[:-9])
    assert results.changed_labels(read_latent(results.latent)) == [labels]
    assert results.corrected_labels(read_latent(results.latent)) == []
    nifti(labels, np.ones((4, 4, 4), np.uint8))
    date(labels, -1e6)  # no time tells
    assert results.corrected_labels(read_latent(results.latent)) == [labels]
    labels.write_bytes(written)
    assert results.corrected_labels(read_latent(results.latent)) == []


def test_labels_beside_a_fit_of_an_earlier_version_are_corrected_when_they_are_later_by_far(tmp_path):
    results, sources = of_subject(tmp_path, "heart.nii.gz")
    finish(results, sources)
    labels = nifti(results.folder / "heart_seg.nii.gz", np.zeros((4, 4, 4), np.uint8))
    write_latent(results.latent, files=["heart.nii.gz"])
    date(results.latent, 0)
    for seconds, found in ((5, []), (500, [labels])):  # a copy of the folder has them in any order
        date(labels, seconds)
        assert results.corrected_labels(read_latent(results.latent)) == found


def test_measures_and_page_are_of_the_fit_when_they_are_not_older(tmp_path):
    results, sources = of_subject(tmp_path, "heart.nii.gz")
    finish(results, sources)
    assert not results.is_measured() and not results.is_reported()
    date(results.folder / "heart_seg.nii.gz", -2)
    for file in (results.measures, results.page, results.picture):
        file.write_text("")
        date(file, 0)
    date(results.latent, -1)
    assert results.is_measured() and results.is_reported()
    date(results.page, -2)
    assert results.is_measured() and not results.is_reported()
    date(results.measures, -2)
    assert not results.is_measured()


def test_measures_are_of_the_labels_that_were_measured_whatever_the_times(tmp_path):
    results, sources = of_subject(tmp_path, "heart.nii.gz")
    finish(results, sources)
    labels = results.folder / "heart_seg.nii.gz"
    results.measures.write_text(json.dumps({"labels": {"digests": {labels.name: digest_of_file(labels)}}}))
    date(results.latent, -9)
    assert results.is_measured()
    labels.write_bytes(b"others")
    date(labels, -9)
    assert not results.is_measured() and not results.is_reported()


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
    assert results.fault([labels, latent], corrected=[labels]) == ""


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
