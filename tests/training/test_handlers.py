"""Handlers on real Ignite engines."""

import json
import logging
import re
import time

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events
from ignite.handlers import Checkpoint
from monai.handlers import CheckpointLoader
from sklearn.covariance import ledoit_wolf

from nisf.models.nisf import NISF, LatentTable
from nisf.training.early_stop import EarlyStopFound, moving_average
from nisf.training.handlers import GrowingAverage, PriorOfLatents, Progress
from nisf.utils.errors import InputError

NAMES = {"1": "LV", "2": "MYO", "3": "RV"}


def network() -> NISF:
    return NISF(latent_size=4, hidden_size=4, num_layers=2)


def curve(best: int, steps: int = 40, index: int = 0) -> dict:
    """Dice of the subject ``index`` and three classes with its top at step ``best`` (1-based)."""
    dice = 0.8 - 0.0005 * (np.arange(1, steps + 1) - best) ** 2
    of_classes = torch.tensor(np.stack([dice, dice - 0.1, dice - 0.2], axis=1))[None]
    return {"index": index, "dice": of_classes, "loss": torch.ones(1, steps)}


def test_early_stop_is_the_best_mean_step_and_goes_into_the_weights(tmp_path):
    net = network()
    found = EarlyStopFound(net, str(tmp_path), NAMES, smooth=3)
    engine = Engine(lambda _, batch: {"pred": batch})
    found.attach(engine)
    engine.run([curve(18), curve(22, index=1)])
    assert int(net.fit_steps) == 20 == engine.state.metrics["best_step"]
    assert engine.state.metrics["val_mean_dice"] == pytest.approx(0.8 - 0.1 - 0.0005 * 4, abs=1e-3)
    record = json.loads((tmp_path / "validation.json").read_text())
    assert record["history"][0]["best_step"] == 20
    assert np.shape(record["curve"]["dice"]) == (3, 2, 40)
    assert (tmp_path / "fit_curve.png").read_bytes()[:4] == b"\x89PNG"


def test_a_class_without_points_does_not_spoil_the_mean(tmp_path):
    net = network()
    found = EarlyStopFound(net, str(tmp_path), NAMES, smooth=1)
    engine = Engine(lambda _, batch: {"pred": batch})
    found.attach(engine)
    spoilt, other = curve(25), curve(25, index=1)
    spoilt["dice"][0, :, 2] = float("nan")  # never a point of this class in one subject
    for one in (spoilt, other):
        one["dice"][0, 3, 1] = float("nan")  # and none of that class in any subject at one step
    engine.run([spoilt, other])
    assert int(net.fit_steps) == 25
    assert np.isfinite(engine.state.metrics["val_mean_dice"])


def test_validation_without_any_label_is_refused(tmp_path):
    found = EarlyStopFound(network(), str(tmp_path), NAMES)
    engine = Engine(lambda _, batch: {"pred": batch})
    found.attach(engine)
    nothing = curve(5)
    nothing["dice"][:] = float("nan")
    with pytest.raises(InputError, match="no validation subject has a label"):
        engine.run([nothing])


def test_prior_is_mean_and_spread_of_the_latents():
    net, latents = network(), LatentTable(5, 4, std=1.0)
    engine = Engine(lambda *_: None)
    PriorOfLatents(net, latents).attach(engine)
    engine.run([0])
    np.testing.assert_allclose(net.latent_mean, latents.weight.detach().numpy().mean(0), rtol=1e-5)
    assert int(net.num_subjects) == 5
    expected, _ = ledoit_wolf(latents.weight.detach().numpy())
    np.testing.assert_allclose(net.latent_factor @ net.latent_factor.t(), expected, rtol=1e-4, atol=1e-5)


def test_moving_average_is_shorter_at_the_ends():
    np.testing.assert_allclose(moving_average(np.array([0.0, 3.0, 6.0, 9.0]), 3), [1.5, 3.0, 6.0, 7.5])


def test_time_left_counts_only_the_epochs_of_this_run(tmp_path, caplog):
    def trainer() -> Engine:
        engine = Engine(lambda _, batch: time.sleep(0.05) or {"image": batch, "loss": 1.0})
        engine.state.max_epochs = 1000
        return engine

    before = trainer()
    before.state.epoch_length, before.state.iteration, before.state.epoch = 1, 960, 960
    saver = Checkpoint({"trainer": before}, str(tmp_path))
    saver(before)
    resumed = trainer()
    Progress(unit="slices").attach(resumed)
    CheckpointLoader(str(next(tmp_path.glob("*.pt"))), {"trainer": resumed}).attach(resumed)
    resumed.add_event_handler(Events.EPOCH_COMPLETED, resumed.terminate)
    with caplog.at_level(logging.INFO):
        resumed.run([torch.zeros(1, 1)], max_epochs=1000)
    minutes, seconds = re.search(r"epoch 961/1000 .* (\d+):(\d+) left", caplog.text).groups()
    assert 1 <= int(minutes) * 60 + int(seconds) < 40, "39 epochs of 0.05 s and a little are left"


def test_the_average_follows_a_short_training_and_is_slow_in_a_long_one():
    net = torch.nn.Linear(1, 1)
    torch.nn.init.zeros_(net.weight)
    engine, average = Engine(lambda engine, batch: net.weight.data.fill_(1.0)), GrowingAverage(net, momentum=0.01)
    average.attach(engine)
    seen = []
    engine.add_event_handler(Events.ITERATION_COMPLETED, lambda _: seen.append(float(average.ema_model.weight)))
    engine.run([0] * 30)
    assert 0.9 < seen[0] < 1 and seen[-1] > 0.999  # not held by the first weights
    engine.run([0] * 2000)
    assert engine.state.ema_momentum == 0.01
