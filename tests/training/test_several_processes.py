"""Training and evaluation by two processes (gloo, CPU)."""

import json
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from helpers.bundle_runs import EVALUATION, NETWORK, PLAIN, PRIOR, TINY, UNET, command, run
from helpers.forked import run_command

from nisf.phantom.cohort import write_cohort
from nisf.training.seeded import SeededSampler
from nisf.utils import distributed
from nisf.utils.errors import InputError

SETTINGS = {
    **TINY,
    "subjects_per_step": 4,
    "steps_per_epoch": 20,
    "copies": 2,
    "val_interval": 4,
    "output_dir": "out",
    "bf16": False,
}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Five training subjects, which two processes cannot share evenly, and three for validation."""
    folder = tmp_path_factory.mktemp("cohort")
    size = {"matrix": 24, "voxel_mm": 6, "slices": 4, "thickness_mm": 18, "gap_mm": 2, "frames": 3, "subsamples": 1}
    return write_cohort(folder, 5, 3, 3, **size)


def by_torchrun(run_id, configs, cwd, **settings):
    """Runs a run id in two processes, as a user does."""
    words = command(run_id, configs, **settings)[1:]
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    done = subprocess.run([*start, *words], cwd=cwd, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]


def together(run_id, configs, cwd, **settings):
    """The same with torchrun's variables in two processes of the fork server, which saves their imports; what they
    printed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = command(run_id, configs, **settings)
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}

    def start(rank):
        return run_command(words, cwd, RANK=str(rank), LOCAL_RANK=str(rank), **common)

    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(start, range(2)))
    assert [done.returncode for done in both] == [0, 0], "".join(done.stderr[-3000:] for done in both)
    return "".join(done.stdout for done in both)


def alone(configs, cwd, **settings):
    """Trains in one process."""
    done = run("training", configs, cwd, **settings)
    assert done.returncode == 0, done.stderr[-3000:]


ONE = [*PRIOR, *PLAIN]
MULTI = [*ONE, "multi_gpu_train.json"]


@pytest.fixture(scope="module")
def by_two(cohort, tmp_path_factory):
    """The folder of a training by two processes."""
    folder = tmp_path_factory.mktemp("two")
    together("training", MULTI, folder, dataset_dir=cohort, max_epochs=4, checkpoint_interval=2, **SETTINGS)
    return folder / "out"


def same(first, second, least=0.3):
    """Weights and losses of two trainings agree to rounding."""
    losses = [[one["loss"] for one in json.loads((folder / "training.json").read_text())] for folder in (first, second)]
    np.testing.assert_allclose(*losses, rtol=1e-4)
    assert losses[0][-1] < losses[0][0] - least  # it did learn
    weights = [torch.load(folder / "model.pt", weights_only=True) for folder in (first, second)]
    for name in [name for name in weights[0] if not name.startswith(("guess", "temp"))]:
        torch.testing.assert_close(
            weights[0][name], weights[1][name], rtol=2e-3, atol=2e-4, msg=lambda m: f"{name}: {m}"
        )


def test_two_processes_train_as_one_does(by_two, cohort, tmp_path):
    alone(ONE, tmp_path, dataset_dir=cohort, max_epochs=4, checkpoint_interval=4, **SETTINGS)
    same(by_two, tmp_path / "out")
    saved = [torch.load(out / "checkpoint_epoch=4.pt", weights_only=True) for out in (by_two, tmp_path / "out")]
    tables = [state["latents"]["weight"] for state in saved]
    assert tables[0].shape == (10, 8)
    torch.testing.assert_close(*tables, rtol=2e-3, atol=2e-4)
    moments = [state["optimizer"]["parts"][1]["state"][0]["exp_avg"] for state in saved]
    torch.testing.assert_close(*moments, rtol=2e-2, atol=1e-5)


def test_two_processes_that_draw_from_the_store_do_too(cohort, tmp_path):
    settings = {"dataset_dir": cohort, "cache_stacks": False, "max_epochs": 2, "checkpoint_interval": 2, **SETTINGS}
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    said = together("training", MULTI, tmp_path / "two", **settings)
    assert "the stacks are kept there" not in said
    alone(MULTI, tmp_path / "one", **settings)
    same(tmp_path / "two" / "out", tmp_path / "one" / "out", least=0.1)


def test_a_training_goes_on_with_another_number_of_processes(by_two, cohort, tmp_path):
    half = tmp_path / "out"
    half.mkdir()
    (half / "checkpoint_epoch=2.pt").write_bytes((by_two / "checkpoint_epoch=2.pt").read_bytes())
    alone(ONE, tmp_path, dataset_dir=cohort, max_epochs=4, resume=True, checkpoint_interval=4, **SETTINGS)
    same(by_two, half)


def test_one_process_writes(by_two):
    names = [path.name for path in by_two.rglob("*") if path.is_file()]
    assert sum(name.startswith("events") for name in names) == 1
    assert len([name for name in names if name.startswith("checkpoint")]) == 2
    record = json.loads((by_two / "validation.json").read_text())
    assert np.array(record["curve"]["dice"]).shape[1] == 3  # every validation subject once


def test_the_unet_is_trained_together_too(cohort, tmp_path):
    small = {"features": "[8,8,8,8,8,8]", "patch": 32, "pixel": 6, "batch_size": 2, "stacks_per_epoch": 8}
    configs = [*UNET, "phantom.json", "multi_gpu_unet.json"]
    settings = {"unet_epochs": 2, "unet_val_interval": 2, "output_dir": "out", **small}
    by_torchrun("training", configs, tmp_path, dataset_dir=cohort, **settings)
    state = torch.load(tmp_path / "out" / "unet.pt", weights_only=True)
    assert not any(name.startswith("module.") for name in state)
    start = torch.load(tmp_path / "out" / "checkpoint_epoch=1.pt", weights_only=True)["network"]
    assert any(not torch.equal(start[name].half(), state[name]) for name in state)


def test_two_processes_evaluate_as_one_does(by_two, cohort, tmp_path):
    settings = {**NETWORK, "dataset_dir": cohort, "model": by_two / "model.pt", "section": "validation"}
    configs = [*EVALUATION, *PLAIN]
    done = run("evaluation", configs, tmp_path, output_dir="one", **settings)
    assert done.returncode == 0, done.stderr[-3000:]
    shared = together("evaluation", [*configs, "multi_gpu_evaluate.json"], tmp_path, output_dir="two", **settings)
    assert "3 of 3 scans done" in shared and shared.count("scans done") == 1
    rows = [json.loads((tmp_path / name / "scores.json").read_text())["summary"] for name in ("one", "two")]
    assert len(rows[0]) == len(rows[1])
    for first, second in zip(*rows):
        assert first == pytest.approx(second, nan_ok=True)
    known = [json.loads((tmp_path / name / "calibration.json").read_text()) for name in ("one", "two")]
    np.testing.assert_allclose(*(one["curves"]["calibrated"]["field"]["share"] for one in known))


def test_every_subject_is_drawn_equally_often_and_a_seed_draws_the_same():
    sampler = SeededSampler(range(6), num_samples=120, generator=torch.Generator())
    draws = [list(sampler) for _ in range(2) if sampler.generator.manual_seed(3)]
    assert set(np.bincount([subject for subject, _ in draws[0]])) == {20}
    assert len({seed for _, seed in draws[0]}) == 120
    assert draws[0] == draws[1]


def test_a_step_that_processes_cannot_share_is_refused(monkeypatch):
    monkeypatch.setattr(distributed, "world", lambda: 2)
    assert distributed.share_of(6, "subjects_per_step") == 3
    with pytest.raises(InputError, match="subjects_per_step is 5, which 2 processes cannot share"):
        distributed.share_of(5, "subjects_per_step")
