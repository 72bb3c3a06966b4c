"""What a run on Ray finds in a folder of results; no worker is needed for that."""

import json

import pytest
from helpers.one_name import relabel, small_network, two_scans

from nisf.cohort.state import Cohort
from nisf.cohort.table import row_of
from nisf.io.receipts import read_receipt, receipt_of
from nisf.runs import inference_of, segment


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Two scans called sa, and the names of the configs."""
    folder = tmp_path_factory.mktemp("state")
    return two_scans(folder), small_network(folder)


def cohort_of(place, out, *numbers, **options):
    """The cohort of some of the scans, after it has looked at the results."""
    scans, config = place
    options = {"skip_finished": True, **options}
    configs, settings = inference_of([scans[n] for n in numbers], str(out), config, device="cpu", **options)
    found = Cohort(configs, {key: value for key, value in settings.items() if value is not None})
    found.check_results()
    return found


def segmented(place, out, *numbers):
    scans, config = place
    segment([scans[n] for n in numbers], str(out), config, device="cpu", skip_finished=True)


def test_another_scan_of_the_same_name_waits_and_the_finished_one_does_not(place, tmp_path):
    segmented(place, tmp_path, 0)
    other = cohort_of(place, tmp_path, 1)
    assert (other.waiting, other.records) == (["B_sa"], {})
    segmented(place, tmp_path, 1)
    both = cohort_of(place, tmp_path, 0, 1)
    assert both.waiting == [] and sorted(both.records) == ["B_sa", "sa"]
    assert cohort_of(place, tmp_path, 0, 1, seed=3).waiting == ["sa", "B_sa"]


def test_labels_corrected_by_hand_are_kept_with_and_without_a_receipt(place, tmp_path):
    segmented(place, tmp_path, 0)
    cohort_of(place, tmp_path, 0)  # writes the receipt that a run without Ray does not
    receipt = receipt_of(tmp_path / "sa" / "sa_latent.pt")
    assert receipt.is_file()
    corrected = relabel(tmp_path / "sa" / "sa_seg.nii.gz", lambda labels: labels.fill(2))
    for _ in range(2):
        found = cohort_of(place, tmp_path, 0)
        assert found.waiting == [] and found.records["sa"]["state"] == "finished"
        row = row_of(found.records["sa"], tmp_path)
        assert row["corrected"] is True and row["note"] == "labels corrected by hand, kept"
        found.write()
        (said,) = json.loads((tmp_path / "scans.json").read_text())["scans"]
        assert said["corrected"] == ["sa_seg.nii.gz"]
        receipt.unlink()
    again = cohort_of(place, tmp_path, 0, skip_finished=False)
    assert again.waiting == [] and "corrected by hand" in again.failed()["sa"]
    assert (tmp_path / "sa" / "sa_seg.nii.gz").read_bytes() == corrected


def test_a_label_file_that_is_cut_off_is_not_taken_for_a_corrected_one(place, tmp_path):
    segmented(place, tmp_path, 0)
    file = tmp_path / "sa" / "sa_seg.nii.gz"
    file.write_bytes(file.read_bytes()[:-9])
    assert cohort_of(place, tmp_path, 0).waiting == ["sa"]


def test_a_finished_scan_is_recorded_with_what_made_it(place, tmp_path):
    segmented(place, tmp_path, 0)
    found = cohort_of(place, tmp_path, 0)
    row = row_of(found.records["sa"], tmp_path)
    assert json.loads(row["settings"])["seed"] == 0 and dict(row["weights"])["model"]
    assert read_receipt(receipt_of(tmp_path / "sa" / "sa_latent.pt"))["state"] == "done"
