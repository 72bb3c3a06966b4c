"""Which scans of a batch wait, and what is said of them."""

import json
import logging
import os
from types import SimpleNamespace

from helpers.latent_files import write_latent

from nisf.inference.batch import Batch
from nisf.inference.evaluator import Failure
from nisf.quality.record import Quality
from nisf.transforms.scan import Scan
from nisf.utils.errors import InputError, NoHeartFound


def subjects(folder, *names):
    for name in names:
        (folder / f"{name}.nii.gz").write_bytes(b"a scan")
    return [{"subject": name, "image": str(folder / f"{name}.nii.gz")} for name in names]


def finish(out, name, **settings):
    """What a run leaves of a scan, as far as a batch looks at it."""
    (out / name).mkdir(parents=True)
    (out / name / f"{name}_seg.nii.gz").write_bytes(b"labels")
    made_with = {"settings": settings}
    write_latent(out / name / f"{name}_latent.pt", quality={"disagreement": 0.25}, made_with=made_with)


def waiting(batch):
    return [subject["subject"] for subject in batch.waiting]


def test_finished_scans_are_left_out_and_other_settings_are_named(tmp_path, caplog):
    listed, out = subjects(tmp_path, "a", "b", "c"), tmp_path / "out"
    finish(out, "a", seed=0, pose=True)
    finish(out, "b", seed=1, pose=True)
    with caplog.at_level(logging.INFO):
        batch = Batch(listed, str(out), ("seg",), {"seed": 0, "pose": True}, skip_finished=True)
    assert waiting(batch) == ["c"]
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0] == "a: finished by an earlier run, skipped; --overwrite does it again"
    assert "with other settings (seed)" in lines[1]
    assert waiting(Batch(listed, str(out), ("seg",), {"seed": 0}, skip_finished=False)) == ["a", "b", "c"]


def test_a_scan_is_done_again_when_it_has_changed_or_a_result_is_wanted_that_is_not_there(tmp_path):
    listed, out = subjects(tmp_path, "a", "b"), tmp_path / "out"
    finish(out, "a")
    finish(out, "b")
    later = (out / "a" / "a_latent.pt").stat().st_mtime + 10
    os.utime(tmp_path / "a.nii.gz", (later, later))
    assert waiting(Batch(listed, str(out), ("seg",), {}, skip_finished=True)) == ["a"]
    assert waiting(Batch(listed, str(out), ("seg", "prob"), {}, skip_finished=True)) == ["a", "b"]
    (out / "b" / "b_latent.pt").unlink()  # a run that was killed while it wrote
    assert waiting(Batch(listed, str(out), ("seg",), {}, skip_finished=True)) == ["a", "b"]


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
    finish(out, "a")
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
    assert content["settings"]["seed"] == 3
    rows = {row["scan"]: row for row in content["scans"]}
    assert rows["b"]["files"] == ["b_seg.nii.gz"] and rows["b"]["quality"]["disagreement"] is None
    assert rows["b"]["verdict"] == {"predicted_dice": 0.5, "trusted": False, "flags": [flag], "uncalibrated": ""}
    assert rows["c"]["reason"] == reason and rows["c"]["verdict"]["flags"][0]["name"] == "no_heart"
