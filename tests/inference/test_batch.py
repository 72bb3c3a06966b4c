"""Which scans of a batch wait, and what is said of them."""

import json
import logging
import os
from types import SimpleNamespace

import nibabel as nib
import numpy as np
from helpers.latent_files import write_latent

from nisf.inference.batch import Batch
from nisf.inference.evaluator import Failure
from nisf.io.source import Source
from nisf.quality.record import Quality
from nisf.transforms.scan import Scan
from nisf.utils.digest import digest_of_file
from nisf.utils.errors import InputError, NoHeartFound


def subjects(folder, *names):
    for name in names:
        (folder / f"{name}.nii.gz").write_bytes(name.encode())
    return [{"subject": name, "image": str(folder / f"{name}.nii.gz")} for name in names]


def finish(out, subject, more=None, **settings):
    """What a run leaves of a scan, as far as a batch looks at it; ``more`` is content of its latent file."""
    name = subject["subject"]
    (out / name).mkdir(parents=True)
    labels = out / name / f"{name}_seg.nii.gz"
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 4), np.uint8), np.eye(4)), labels)
    content = {"source": Source.of_subject(subject).to_dict(), "labels": {labels.name: digest_of_file(labels)}}
    made_with = {"settings": settings, "versions": {"nisf": "0"}, "weights": {}}
    content |= {"quality": {"disagreement": 0.25}, "made_with": made_with, **(more or {})}
    write_latent(out / name / f"{name}_latent.pt", **content)


def correct(out, name):
    """Corrects a scan's labels as an editor of labels does."""
    nib.save(nib.Nifti1Image(np.ones((4, 4, 4), np.uint8), np.eye(4)), out / name / f"{name}_seg.nii.gz")


def waiting(batch):
    return [subject["subject"] for subject in batch.waiting]


def test_finished_scans_are_left_out_and_those_made_with_other_settings_done_again(tmp_path, caplog):
    listed, out = subjects(tmp_path, "a", "b", "c"), tmp_path / "out"
    finish(out, listed[0], seed=0, pose=True)
    finish(out, listed[1], seed=1, pose=True)
    with caplog.at_level(logging.INFO):
        batch = Batch(listed, str(out), ("seg",), {"seed": 0, "pose": True}, skip_finished=True)
    assert waiting(batch) == ["b", "c"]
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        "a: finished by an earlier run, skipped; --overwrite does it again",
        "b: done again, because it was made with another seed",
    ]
    assert waiting(Batch(listed, str(out), ("seg",), {"seed": 0}, skip_finished=False)) == ["a", "b", "c"]


def test_a_scan_is_done_again_when_it_has_changed_or_a_result_is_wanted_that_is_not_there(tmp_path, caplog):
    listed, out = subjects(tmp_path, "a", "b"), tmp_path / "out"
    finish(out, listed[0])
    finish(out, listed[1])
    (tmp_path / "a.nii.gz").write_bytes(b"another scan")
    os.utime(tmp_path / "a.nii.gz", (1, 1))  # no time tells
    with caplog.at_level(logging.INFO):
        assert waiting(Batch(listed, str(out), ("seg",), {}, skip_finished=True)) == ["a"]
    assert "a: done again, because its files have changed" in caplog.text
    assert waiting(Batch(listed, str(out), ("seg", "prob"), {}, skip_finished=True)) == ["a", "b"]
    later = (out / "b" / "b_latent.pt").stat().st_mtime + 10
    os.utime(tmp_path / "b.nii.gz", (later, later))  # touched only
    assert waiting(Batch(listed, str(out), ("seg",), {}, skip_finished=True)) == ["a"]
    os.unlink(tmp_path / "b.nii.gz")  # archived: nothing says that it has changed
    assert waiting(Batch(listed, str(out), ("seg",), {}, skip_finished=True)) == ["a"]
    labels = out / "b" / "b_seg.nii.gz"
    labels.write_bytes(labels.read_bytes()[:-9])
    assert waiting(Batch(listed, str(out), ("seg",), {}, skip_finished=True)) == ["a", "b"]
    (out / "b" / "b_latent.pt").unlink()  # a run that was killed while it wrote
    assert waiting(Batch(listed, str(out), ("seg",), {}, skip_finished=True)) == ["a", "b"]


def test_labels_that_were_corrected_by_hand_are_kept_and_what_cannot_be_kept_fails_with_a_reason(tmp_path):
    listed, out = subjects(tmp_path, "a"), tmp_path / "out"
    finish(out, listed[0], seed=0)
    correct(out, "a")

    def outcome(keys=("seg",), seed=0, skip=True):
        batch = Batch(listed, str(out), keys, {"seed": seed}, skip_finished=skip)
        assert batch.waiting == [] and batch.outcomes["a"].corrected == ["a_seg.nii.gz"]
        return batch.outcomes["a"]

    assert (outcome().state, outcome().note) == ("finished", "labels corrected by hand, kept")
    other = outcome(seed=1)
    assert other.state == "finished" and other.note.endswith("kept, although the scan was made with another seed")
    sentence = f"a_seg.nii.gz was corrected by hand and is kept; move {out / 'a'} away to segment the scan again"
    assert (outcome(skip=False).state, outcome(skip=False).reason) == ("failed", sentence)
    assert outcome(keys=("seg", "prob")).reason == f"a_prob.nii.gz is missing; {sentence}"
    (tmp_path / "a.nii.gz").write_bytes(b"another scan")
    assert outcome().reason == f"its files have changed; {sentence}"


def test_several_other_settings_of_a_scan_that_is_kept_are_told_in_a_sentence(tmp_path):
    listed, out = subjects(tmp_path, "a"), tmp_path / "out"
    finish(out, listed[0], fit="adam", grid_step=2)
    correct(out, "a")
    (outcome,) = Batch(listed, str(out), ("seg",), {"fit": "gn", "grid_step": 1}, skip_finished=True).outcomes.values()
    told = "labels corrected by hand, kept, although the scan was made with another fit and another grid_step"
    assert outcome.note == told


def test_a_finished_scan_that_does_not_say_what_it_was_made_with_keeps_no_expected_dice(tmp_path):
    listed, out = subjects(tmp_path, "a", "b"), tmp_path / "out"
    quality = Quality({"disagreement": 0.25}, {}, 0.9, True).to_dict()
    finish(out, listed[0], {"quality": quality})
    finish(out, listed[1], {"quality": quality, "pipeline": {"weights": "a"}})
    batch = Batch(listed, str(out), ("seg",), {}, skip_finished=True)
    earlier, known = (batch.outcomes[name].verdict for name in "ab")
    assert (earlier["predicted_dice"], earlier["trusted"]) == (None, None)
    assert earlier["uncalibrated"] == "the result does not say what it was made with"
    assert (known["predicted_dice"], known["trusted"], known["uncalibrated"]) == (0.9, True, "")
    assert batch.outcomes["a"].quality["disagreement"] == 0.25
    assert batch.table().splitlines()[1].endswith("no expected Dice, for the result does not say what it was made with")


def test_want_of_a_heart_is_known_however_often_it_was_wrapped():
    try:
        try:
            raise NoHeartFound("c.nii.gz: nothing like a heart")
        except InputError as error:
            raise RuntimeError("applying transform") from error
    except RuntimeError as error:
        assert Failure.of("c", error) == Failure("c", "c.nii.gz: nothing like a heart", no_heart=True)
    assert not Failure.of("c", InputError("c.nii.gz: no heart found, says a file's name")).no_heart


def test_outcomes_make_a_table_and_a_summary(tmp_path):
    listed, out = subjects(tmp_path, "a", "b", "c"), tmp_path / "out"
    finish(out, listed[0])
    batch = Batch(listed, str(out), ("seg",), {"seed": 3}, skip_finished=True)
    flag = {"name": "noise", "text": "The image is noisy.", "severe": True}
    quality = Quality({"reconstruction_error": 0.125, "disagreement": float("nan")}, {}, 0.5, False, [flag])
    scan = Scan((0.0,), "b", quality=quality)
    done = SimpleNamespace(batch={"subject": "b"}, output={"scan": scan, "saved": ["b_seg.nii.gz"]})
    failed = SimpleNamespace(batch={"subject": "c"}, output={})
    reason = "c.nii.gz: nothing like a heart"
    for state in (done, failed):
        batch(SimpleNamespace(state=state, failures=[Failure.of("c", NoHeartFound(reason))]))
    lines = batch.table().splitlines()
    assert lines[1].split() == ["a", "finished", "0.250"]
    assert lines[2].split()[:2] == ["b", "done"] and lines[2].split()[3:5] == ["0.500", "0.125"]
    assert lines[2].endswith("NOT TO BE TRUSTED: The image is noisy.")
    assert lines[3].split(maxsplit=2) == ["c", "failed", reason]
    assert lines[4] == "1 of 3 scans done, 1 finished by an earlier run, 1 failed"
    content = json.loads(batch.write().read_text())
    assert [content[key] for key in ("done", "finished", "failed")] == [1, 1, 1]
    rows = {row["scan"]: row for row in content["scans"]}
    made = {name: content["runs"][rows[name]["made_with"]] for name in "ab"}  # each by its own run
    assert made["b"]["settings"] == {"seed": 3} and "torch" in made["b"]["versions"]
    assert made["a"] == {"settings": {}, "versions": {"nisf": "0"}, "weights": {}} and rows["c"]["made_with"] is None
    assert rows["b"]["files"] == ["b_seg.nii.gz"] and rows["b"]["quality"]["disagreement"] is None
    assert rows["b"]["verdict"] == {"predicted_dice": 0.5, "trusted": False, "flags": [flag], "uncalibrated": ""}
    assert rows["c"]["reason"] == reason and rows["c"]["verdict"]["flags"][0]["name"] == "no_heart"
