"""Trainings logged to MLflow, read back by its own client."""

import math
from pathlib import Path

import pytest
from helpers.bundle_runs import PLAIN, PRIOR, TINY, run
from mlflow import MlflowClient

from nisf import runs
from nisf.phantom.cohort import write_cohort
from nisf.utils.errors import InputError

UNET = {"features": [8, 8, 16, 16, 16, 8], "pixel": 4.0, "patch": 48, "stacks_per_epoch": 8}
LOSSES = ["loss", "intensity", "classes", "dice"]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort")
    write_cohort(folder, n_training=3, n_validation=1, n_test=0, matrix=(48, 52), voxel_mm=4.0, slices=5, frames=2)
    return folder


def logged(database: Path, experiment: str) -> tuple[MlflowClient, list]:
    """Finished runs of an experiment, the first one first."""
    client = MlflowClient(f"sqlite:///{database}")
    found = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
    assert all(one.info.status == "FINISHED" for one in found)
    return client, sorted(found, key=lambda one: one.info.start_time)


def test_monais_own_command_logs_losses_step_sizes_and_validation(cohort, tmp_path):
    settings = {**TINY, "steps_per_epoch": 3, "max_epochs": 2, "val_interval": 1, "final_points": 256}
    words = {"dataset_dir": cohort, "output_dir": "out", "tracking": "mlflow", "experiment_name": "tiny"}
    done = run("training", [*PRIOR, *PLAIN], tmp_path, **words, **settings)
    assert done.returncode == 0, done.stderr[-3000:]
    client, (one,) = logged(tmp_path / "out" / "mlruns.db", "tiny")
    assert (one.data.params["max_epochs"], one.data.params["epoch_length"]) == ("2", "3")
    steps = client.get_metric_history(one.info.run_id, "train_loss")
    assert sorted({point.step for point in steps}) >= [1, 2, 3, 4, 5, 6]
    assert all(math.isfinite(point.value) for point in steps)
    history = client.get_metric_history(one.info.run_id, "val_mean_dice")
    assert [point.step for point in history] == [1, 2]
    assert {f"train_{name}" for name in LOSSES} <= set(one.data.metrics)
    assert {"lr_group_0", "lr_group_1", "best_step"} <= set(one.data.metrics)


def test_both_steps_of_nisf_train_go_to_one_database(cohort, tmp_path):
    small = {**TINY, **UNET, "steps_per_epoch": 2, "unet_frames": 2, "copies": 1, "final_points": 256}
    where = str(tmp_path / "out")
    runs.train(str(cohort), where, "phantom", epochs=1, unet_epochs=1, tracking="mlflow", device="cpu", **small)
    client, (unet_prob, prior) = logged(tmp_path / "out" / "mlruns.db", "monai_experiment")
    assert "val_mean_dice" in unet_prob.data.metrics and "train_intensity" not in unet_prob.data.metrics
    assert "train_intensity" in prior.data.metrics
    assert [file.path for file in client.list_artifacts(prior.info.run_id)] == ["config.json"]


def test_settings_of_tracking_are_refused_where_nothing_is_tracked(tmp_path):
    with pytest.raises(InputError, match="--experiment_name is no setting of the run id training"):
        runs.train("DATA", str(tmp_path), experiment_name="mine")
    with pytest.raises(InputError, match="wandb: there is no such config"):
        runs.train("DATA", str(tmp_path), tracking="wandb")
