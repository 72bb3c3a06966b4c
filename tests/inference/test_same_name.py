"""The command with scans that have the same name: whose results are where, and what is said of them."""

import json
from pathlib import Path

import pytest
import torch
from helpers.one_name import SIZES, relabel, small_network, two_scans

from nisf.models.nisf import NISF
from nisf.models.weights import save_weights
from nisf.runs import segment


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Folder with two scans called sa, and a config with a small network without training."""
    folder = tmp_path_factory.mktemp("same")
    two_scans(folder)
    small_network(folder)
    return folder


def run(place, out, *names, **settings):
    """Runs nisf segment; state by scan, and the content of scans.json."""
    scans = [str(place / name / "sa.nii.gz") for name in names]
    config = f"phantom,plain,{place / 'tiny.json'}"
    segment(scans, str(out), config, device="cpu", **{"skip_finished": True, **settings})
    summary = json.loads((out / "scans.json").read_text())
    return {row["scan"]: row["state"] for row in summary["scans"]}, summary


def fitted_file(out, scan):
    """The folder of the file whose fit a result folder holds."""
    return Path(torch.load(out / scan / f"{scan}_latent.pt", weights_only=True)["source"]["paths"][0]).parent.name


def test_a_second_scan_of_the_same_name_is_never_taken_for_the_first(place, tmp_path):
    assert run(place, tmp_path, "A")[0] == {"sa": "done"}
    labels = (tmp_path / "sa" / "sa_seg.nii.gz").read_bytes()
    assert run(place, tmp_path, "B")[0] == {"B_sa": "done"}
    assert run(place, tmp_path, "B")[0] == {"B_sa": "finished"}
    assert run(place, tmp_path, "B", "A")[0] == {"B_sa": "finished", "sa": "finished"}
    assert (tmp_path / "sa" / "sa_seg.nii.gz").read_bytes() == labels
    assert [fitted_file(tmp_path, scan) for scan in ("sa", "B_sa")] == ["A", "B"]


def test_each_scan_is_said_to_be_made_with_what_made_it_and_other_weights_make_it_again(place, tmp_path, capsys):
    run(place, tmp_path, "A", save_reconstruction=True)
    states, summary = run(place, tmp_path, "A", "B", uncertainty_draws=0)
    assert states == {"sa": "finished", "B_sa": "done"}
    made = {row["scan"]: summary["runs"][row["made_with"]] for row in summary["scans"]}
    assert made["sa"] == made["B_sa"] and len(summary["runs"]) == 1 and len(made["sa"]["weights"]["model"]) == 64
    save_weights(NISF(num_classes=4, **SIZES), place / "other.pt")
    states, again = run(place, tmp_path, "A", model=str(place / "other.pt"))
    assert states == {"sa": "done"}
    assert "sa: done again, because it was made with another model" in "".join(capsys.readouterr())
    assert not set(again["runs"]) & set(summary["runs"])
    states, both = run(place, tmp_path, "A", "B", model=str(place / "other.pt"))
    assert states == {"sa": "finished", "B_sa": "done"} and len(both["runs"]) == 1


def test_labels_corrected_by_hand_outlive_the_same_command_and_others(place, tmp_path):
    run(place, tmp_path, "A")
    file = tmp_path / "sa" / "sa_seg.nii.gz"
    corrected = relabel(file, lambda labels: labels.fill(2))
    states, summary = run(place, tmp_path, "A", seed=7)
    (row,) = summary["scans"]
    assert states == {"sa": "finished"} and row["corrected"] == ["sa_seg.nii.gz"]
    assert summary["runs"][row["made_with"]]["settings"]["seed"] == 0  # the run that made it, not this one
    with pytest.raises(SystemExit):
        run(place, tmp_path, "A", skip_finished=False)
    assert file.read_bytes() == corrected
