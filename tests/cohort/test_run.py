"""Cohorts on Ray, with workers and drivers that are killed: two cores, tiny scans, a network without training."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import psutil
import pytest
import torch
from helpers.tiny import phantom_scans
from helpers.waiting import until
from pyarrow import parquet

from nisf.cohort.pool import ray_at
from nisf.cohort.run import Workers, run_cohort
from nisf.cohort.state import Cohort, part_of
from nisf.io.receipts import receipt_of
from nisf.models.nisf import NISF
from nisf.models.weights import save_weights
from nisf.runs import inference_of
from nisf.utils.bundle import run_bundle
from nisf.utils.errors import InputError

SIZES = {"hidden_size": 8, "latent_size": 4, "num_layers": 2}

SCANS = [f"test{number:03d}_sa" for number in range(8)]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Folder with eight scans and one that is cut off, weights, and a config of all this."""
    folder = tmp_path_factory.mktemp("data")
    phantom_scans(folder / "made", len(SCANS))
    (folder / "scans").mkdir()
    for file in (folder / "made").glob("*_sa.nii.gz"):
        file.rename(folder / "scans" / file.name)
    whole = (folder / "scans" / f"{SCANS[0]}.nii.gz").read_bytes()
    (folder / "scans" / "short.nii.gz").write_bytes(whole[: len(whole) // 2])
    torch.manual_seed(0)
    save_weights(NISF(num_classes=4, **SIZES), folder / "model.pt")
    config = {**SIZES, "model": str(folder / "model.pt"), "final_points": 256}
    (folder / "tiny.json").write_text(json.dumps(config))
    inference = json.loads((Path(__file__).parent.parent.parent / "bundle" / "configs" / "inference.json").read_text())
    shaken = {**inference["fit"], "_target_": "helpers.unsteady.fit", "marker": str(folder / "hiccup"), "pose": False}
    path = f"$sys.path.insert(0, {str(Path(__file__).parent.parent)!r})"
    (folder / "unsteady.json").write_text(json.dumps({"fit": shaken, "imports": [*inference["imports"], path]}))
    return folder


def call(data, out, *more, **settings):
    config = ",".join(["phantom", "plain", str(data / "tiny.json"), *map(str, more)])
    return inference_of([str(data / "scans")], str(out), config, device="cpu", skip_finished=True, **settings)


@pytest.fixture(scope="module")
def plain(data, tmp_path_factory):
    """Results of a run in this process."""
    out = tmp_path_factory.mktemp("plain")
    configs, settings = call(data, out)
    with pytest.raises(SystemExit):  # for the scan that is cut off
        run_bundle("inference", configs, **settings)
    return out


def ray_processes(folder):
    """Processes that Ray started from ``folder`` and that do something; two idle ones of its own end a minute later."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        words = " ".join(process.info["cmdline"] or [])
        if process.info["cwd"] == folder and "Agent" not in words and ("ray::" in words or "/ray/core/" in words):
            found.append(process)
    return found


def kill_a_worker(deaths, ready):
    """Kills a worker in the middle of its work, once some scans are done."""
    while not ready() or not (workers := [p for p in psutil.Process().children(recursive=True) if _at_work(p)]):
        time.sleep(0.01)
    worker = np.random.default_rng().choice(workers)
    worker.send_signal(signal.SIGKILL)
    deaths.append(worker.pid)


def _at_work(process):
    try:
        return "ray::ScanWorker.do" in " ".join(process.cmdline())
    except psutil.Error:
        return False


@pytest.fixture(scope="module")
def shaken(data, ray, tmp_path_factory):
    """Results of a run on Ray that met a fault, and whose worker was killed at random; the worker's process."""
    out, deaths = tmp_path_factory.mktemp("shaken"), []
    killer = threading.Thread(
        target=kill_a_worker, args=(deaths, lambda: len(list(out.glob("*/*_receipt.json"))) > 1), daemon=True
    )
    killer.start()
    with pytest.raises(SystemExit) as ended:
        run_cohort(*call(data, out, data / "unsteady.json"), Workers("auto", 2))
    killer.join(10)
    assert ended.value.code == 1
    return out, deaths[0]


def rows_of(out, name="scans.parquet"):
    return {row["subject"]: row for row in parquet.read_table(out / name).to_pylist()}


def labels(out, scan):
    return np.asarray(nib.load(out / scan / f"{scan}_seg.nii.gz").dataobj)


@pytest.mark.parametrize(
    "make, sentence",
    [
        (lambda: part_of("3/2"), "--part is '3/2'; write K/N"),
        (lambda: part_of("x"), "--part is 'x'; write K/N"),
        (lambda: ray_at("127.0.0.1:1", 1).__enter__(), "--ray 127.0.0.1:1: nothing answers there"),
        (lambda: ray_at("head", 1).__enter__(), "--ray head: nothing answers there"),
        (lambda: Workers(number=0), "the number of Ray's workers is 0"),
        (lambda: Workers(threads=0.5), "the threads of Ray's workers is 0.5"),
        (lambda: Workers(minutes=0), "the minutes of a scan are 0"),
        (lambda: Workers(minutes=float("inf")), "the minutes of a scan are inf"),
    ],
)
def test_wrong_words_get_one_sentence(make, sentence):
    with pytest.raises(InputError, match=sentence):
        make()


def test_a_shaken_run_on_ray_gives_what_a_plain_run_gives(shaken, plain):
    out, _ = shaken
    for scan in SCANS:
        np.testing.assert_array_equal(labels(out, scan), labels(plain, scan))
        one, other = (torch.load(f / scan / f"{scan}_latent.pt", weights_only=True) for f in (out, plain))
        assert torch.equal(one["latent"], other["latent"]) and torch.equal(one["covariance"], other["covariance"])
    one, other = (json.loads((folder / "scans.json").read_text()) for folder in (out, plain))
    assert [row["scan"] for row in one["scans"]] == sorted(row["scan"] for row in other["scans"])
    quality = {row["scan"]: row["quality"] for row in other["scans"]}
    assert all(row["quality"] == quality[row["scan"]] for row in one["scans"])
    assert (one["done"], one["failed"]) == (8, 1) == (other["done"], other["failed"])


def test_the_table_has_every_scan_once_with_what_became_of_it(shaken):
    out, killed = shaken
    table = parquet.read_table(out / "scans.parquet").to_pylist()
    assert [row["subject"] for row in table] == ["short", *SCANS]
    for row in table[1:]:
        assert row["state"] == "done" and row["seconds"] > 0 and row["reason"] is None
        assert len(row["files"]) == 4 and all((out / file).is_file() for file in row["files"])
        assert row["quality_reconstruction_error"] > 0 and dict(row["versions"])["torch"] == torch.__version__
        assert json.loads(row["settings"])["seed"] == 0
        assert not row["worker"].endswith(f":{killed}") or row["ended"] is not None
    # one attempt met the fault, one the kill unless its scan was finished at that time point
    again = [row["attempts"] for row in table[1:] if row["attempts"] > 1]
    assert sum(again) - len(again) in (1, 2)
    assert table[0]["state"] == "failed" and table[0]["attempts"] == 1 and table[0]["files"] == []
    assert "short.nii.gz: the voxel data is damaged or cut off" in table[0]["reason"]


def test_results_that_are_not_whole_are_done_again_and_no_others(shaken, data, ray):
    out, _ = shaken
    before = rows_of(out)
    file = out / SCANS[2] / f"{SCANS[2]}_seg.nii.gz"
    whole = labels(out, SCANS[2])
    file.write_bytes(file.read_bytes()[:-9])
    # as a run without Ray leaves it, and cut off: there is no receipt to compare with
    latent = out / SCANS[3] / f"{SCANS[3]}_latent.pt"
    receipt_of(latent).unlink()
    latent.write_bytes(latent.read_bytes()[:-100])
    receipt_of(out / SCANS[4] / f"{SCANS[4]}_latent.pt").unlink()  # whole
    (data / "scans" / "short.nii.gz").rename(data / "short.nii.gz")
    run_cohort(*call(data, out, data / "unsteady.json"), Workers("auto", 1))
    (data / "short.nii.gz").rename(data / "scans" / "short.nii.gz")
    after = rows_of(out)
    assert {scan for scan in after if after[scan]["state"] == "done"} == {SCANS[2], SCANS[3]}
    assert {scan for scan in after if after[scan]["state"] == "finished"} == set(SCANS) - {SCANS[2], SCANS[3]}
    for scan in set(SCANS) - {SCANS[2], SCANS[3], SCANS[4]}:
        assert after[scan] == {**before[scan], "state": "finished"}
    assert receipt_of(out / SCANS[4] / f"{SCANS[4]}_latent.pt").is_file()
    np.testing.assert_array_equal(labels(out, SCANS[2]), whole)


def test_a_fault_that_stays_is_recorded_after_so_many_tries(data, ray, tmp_path):
    # nothing can be made in a folder that is not there, and so every attempt meets the fault
    broken = json.loads((data / "unsteady.json").read_text())
    broken["fit"]["marker"] = str(tmp_path / "nowhere" / "hiccup")
    (tmp_path / "broken.json").write_text(json.dumps(broken))
    configs, settings = call(data, tmp_path / "out", tmp_path / "broken.json")
    with pytest.raises(SystemExit):
        run_cohort(configs, {**settings, "dataset_dir": [str(data / "scans" / f"{SCANS[0]}.nii.gz")]}, Workers(tries=2))
    (row,) = rows_of(tmp_path / "out").values()
    assert (row["state"], row["attempts"]) == ("failed", 2) and "No such file or directory" in row["reason"]


def test_a_killed_driver_loses_nothing_and_the_same_command_does_the_rest(data, tmp_path):
    out = tmp_path / "out"
    configs = f"phantom,plain,{data / 'tiny.json'}"
    words = ["cohort", "run", str(data / "scans"), "-o", str(out), "--config", configs, "--device", "cpu"]
    words += ["--ray", "auto", "--workers", "1"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    driver = subprocess.Popen([sys.executable, "-m", "nisf.cli.main", *words], cwd=tmp_path, env=environment)
    until(lambda: len(list(out.glob("*/*_receipt.json"))) >= 2, 300)
    assert ray_processes(str(tmp_path))
    driver.kill()
    driver.wait()
    until(lambda: not ray_processes(str(tmp_path)), 30)
    first = {file: json.loads(file.read_text()) for file in out.glob("*/*_receipt.json")}
    assert len(first) < len(SCANS)
    left = [out / SCANS[0] / ".4711.report.png", *out.glob("*/.*")]  # what a kill leaves under no final name
    left[0].write_bytes(b"half")
    again = subprocess.run([sys.executable, "-m", "nisf.cli.main", *words], cwd=tmp_path, env=environment)
    assert again.returncode == 1  # for the scan that is cut off
    assert not any(path.exists() for path in left)
    rows = rows_of(out)
    assert all(json.loads(file.read_text()) == content for file, content in first.items())
    finished = {content["scan"] for content in first.values()}
    assert {scan for scan, row in rows.items() if row["state"] == "finished"} == finished
    assert {scan for scan, row in rows.items() if row["state"] == "done"} == set(SCANS) - finished
    # with a page of each scan, also of the one whose worker was killed between the two
    assert all((out / scan / "report.html").is_file() for scan in SCANS) and (out / "index.html").is_file()


def test_a_scan_whose_worker_died_before_it_answered_is_known_by_the_receipt_of_the_same_run(shaken, data):
    out, _ = shaken
    configs, settings = call(data, out)
    cohort = Cohort(configs, {key: value for key, value in settings.items() if value is not None})
    subject = cohort.subjects[SCANS[1]]
    assert cohort.recalled(subject) is None
    cohort.run = json.loads(receipt_of(out / SCANS[1] / f"{SCANS[1]}_latent.pt").read_text())["run"]
    assert cohort.recalled(subject)["scan"] == SCANS[1]


def test_parts_of_a_cohort_are_all_of_it_and_two_runs_of_the_same_are_kept_apart(data, tmp_path):
    configs, settings = call(data, tmp_path / "out")
    whole, *parts = (
        Cohort(configs, {k: v for k, v in settings.items() if v is not None}, p) for p in (None, "1/2", "2/2")
    )
    assert sorted(scan for one in parts for scan in one.waiting) == sorted(whole.waiting) == sorted(["short", *SCANS])
    assert [one.table for one in parts] == ["scans_1_of_2.parquet", "scans_2_of_2.parquet"]
    with whole.alone(), parts[0].alone(), pytest.raises(InputError, match="another run does these scans"):
        with Cohort(configs, {k: v for k, v in settings.items() if v is not None}).alone():
            pass


def test_weights_that_no_worker_can_load_end_the_run(data, ray, tmp_path):
    configs, settings = call(data, tmp_path / "out", model=str(tmp_path / "none.pt"))
    with pytest.raises(InputError, match="none.pt: there is no such model file"):
        run_cohort(configs, settings, Workers("auto", 1))
