"""Which training ``resume`` goes on with, and that no two trainings share a folder."""

import os
import signal
import sys
from pathlib import Path

import pytest
import torch
from helpers.bundle_runs import TINY, weights
from helpers.forked import FORK, started
from helpers.waiting import until

from nisf import runs
from nisf.phantom.cohort import write_cohort
from nisf.training.checkpoints import checkpoints_in
from nisf.training.identity import Training, training_in
from nisf.utils.errors import InputError, sentence_of

SIZE = {"matrix": 24, "voxel_mm": 6, "slices": 4, "thickness_mm": 18, "gap_mm": 2, "frames": 3, "subsamples": 1}
QUICK = {**TINY, "points_per_subject": 32, "steps_per_epoch": 2, "fit_steps": 2, "initial_draws": 5, "fit_points": 32}
SMALL_UNET = {
    **{"features": [8, 8, 16, 16, 16, 8], "pixel": 6.0, "patch": 32, "stacks_per_epoch": 2},
    **{"unet_epochs": 1, "unet_val_interval": 1},
}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return write_cohort(tmp_path_factory.mktemp("cohort"), 3, 1, 0, **SIZE)


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    return {"epochs": 1, "cache_dir": str(tmp_path_factory.mktemp("store")), **QUICK}


def words(cohort, settings, *more):
    """The command for the same training."""
    options = [word for name, value in settings.items() for word in (f"--{name}", value)]
    return [Path(sys.executable).with_name("nisf"), "train", cohort, "-o", "out", "--config", "phantom,plain"] + [
        *options,
        *more,
    ]


def test_resume_after_a_killed_retraining_never_returns_the_weights_of_the_one_before(cohort, settings, tmp_path):
    out = tmp_path / "out"

    def train(**more):
        runs.train(str(cohort), str(out), "phantom,plain", **{**settings, **more})
        return weights(out)

    old, before = train(seed=1), training_in(out)
    retraining = words(cohort, settings, "--seed", 2)
    with started(retraining, tmp_path, method=FORK) as running:
        until(lambda: training_in(out).id != before.id, 120)
        running.process.kill()
    assert running.done.returncode == -signal.SIGKILL
    new = train(seed=2, resume=True)
    assert training_in(out).finished and training_in(out).id != before.id
    assert any(not torch.equal(old[name], new[name]) for name in old)
    set_aside = torch.load(out / "earlier_1" / "model.pt", weights_only=True)
    assert all(torch.equal(old[name], set_aside[name]) for name in old)


def test_a_kill_before_the_old_checkpoints_were_moved_is_noticed(cohort, settings, tmp_path):
    out = tmp_path / "out"
    runs.train(str(cohort), str(out), "phantom,plain", **settings)
    old = (out / "checkpoint_epoch=1.pt").read_bytes()
    Training("another").write(out)  # what a new training does first
    runs.train(str(cohort), str(out), "phantom,plain", resume=True, **settings)
    assert training_in(out).id == "another"
    assert (out / "earlier_1" / "checkpoint_epoch=1.pt").read_bytes() == old
    assert torch.load(out / "checkpoint_epoch=1.pt", weights_only=True)["training"] == {"id": "another"}


def test_ctrl_c_says_the_command_that_goes_on_and_a_second_training_is_kept_out(cohort, settings, tmp_path):
    long = {**settings, "epochs": 10_000, "checkpoint_interval": 1}
    with started(words(cohort, long), tmp_path, method=FORK) as running:
        until(lambda: checkpoints_in(tmp_path / "out"), 120)
        with pytest.raises(InputError, match=rf"out: another training \(process {running.process.pid} on .+\) works"):
            runs.train(str(cohort), str(tmp_path / "out"), "phantom,plain", **settings)
        assert not (tmp_path / "out" / "earlier_1").exists()
        os.kill(running.process.pid, signal.SIGINT)
    done = running.done
    assert done.returncode == 130 and "Traceback" not in done.stderr
    assert "nisf: stopped; the same command with --resume True goes on after epoch" in done.stderr


def test_other_subjects_or_another_network_are_no_continuation(cohort, settings, tmp_path):
    out, other = tmp_path / "out", write_cohort(tmp_path / "other", 2, 1, 0, **SIZE)
    runs.train(str(cohort), str(out), "phantom,plain", **settings)
    for data, more in ((other, {}), (cohort, {"latent_size": 9})):
        with pytest.raises(Exception) as error:
            runs.train(str(data), str(out), "phantom,plain", resume=True, **{**settings, **more})
        assert "out: the training there has other subjects or another network" in sentence_of(error.value)
    with pytest.raises(InputError, match="nowhere"):
        runs.train(str(tmp_path / "nowhere"), str(out), "phantom,plain", **settings)
    assert (out / "model.pt").is_file()  # a call that cannot work sets nothing aside


def test_a_unet_of_an_earlier_training_is_not_taken_for_that_of_the_one_that_goes_on(cohort, settings, tmp_path):
    folder, given = tmp_path / "unet", {"dataset_dir": str(cohort), "cache_dir": settings["cache_dir"], **SMALL_UNET}
    configs = ["inference", "train", "unet", "phantom"]
    folder.mkdir()
    Training("old", finished=True).write(folder)
    (folder / "unet.pt").write_bytes(b"of the old one")
    made = Path(runs._train_unet(configs, folder, "new", given, None))
    assert training_in(folder).id == "new" and training_in(folder).finished
    assert (folder / "earlier_1" / "unet.pt").read_bytes() == b"of the old one"
    first = made.read_bytes()
    assert torch.load(made, weights_only=True)
    assert Path(runs._train_unet(configs, folder, "new", given, None)).read_bytes() == first
    assert not (folder / "earlier_2").exists()
    Training("new").write(tmp_path)
    with pytest.raises(InputError, match="unet.pt: is finished after epoch 1, so unet_epochs 2 cannot be used; leave"):
        runs.train(str(cohort), str(tmp_path), "phantom", resume=True, unet_epochs=2, **settings)
    assert made.read_bytes() == first
