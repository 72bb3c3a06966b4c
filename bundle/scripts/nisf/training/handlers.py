"""Ignite handlers: seeding, progress, checks and clipping, the prior of the latents, pictures."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path

import numpy as np
import torch
from ignite.engine import Engine, Events
from ignite.handlers import EMAHandler
from monai.engines import IterationEvents

from nisf.fit.prior import set_prior
from nisf.models.nisf import NISF, LatentTable
from nisf.plots.curves import training_curve
from nisf.training.early_stop import EarlyStopFound
from nisf.training.population import TrainingLoss
from nisf.utils.distributed import mean_over, world
from nisf.utils.errors import InputError
from nisf.utils.files import write_text

logger = logging.getLogger(__name__)


def named(handler: object) -> object:
    """The handler itself: lets a config's handler list refer to one that is defined elsewhere in the config."""
    return handler


class ListedOutput:
    """Puts the output of each iteration into a list of one; the last of a trainer's own handlers.

    MONAI's experiment tracking handlers (``--tracking mlflow``) come after it; they expect a decollated list and take
    the loss of its first item. Decollating the points of many subjects is not worth the time.
    """

    def attach(self, engine: Engine) -> None:
        """Registers for each iteration."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Wraps the output."""
        engine.state.output = [engine.state.output]


class EpochSeed:
    """Seeds everything random at the start of each epoch, so that a resumed training goes on exactly as an
    uninterrupted one.

    Args:
        seed: base seed.
        generator: generator of the sampler that orders the subjects.
        transform: the training transforms (``monai.transforms.Compose``), whose random state is set.
        rank: number of this process, if several draw independently.
    """

    def __init__(self, seed: int, generator: torch.Generator, transform: object, rank: int = 0) -> None:
        self.seed, self.generator, self.transform, self.rank = seed, generator, transform, rank

    def attach(self, engine: Engine) -> None:
        """Registers for the start of each epoch."""
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Seeds for the epoch that begins."""
        parts = [self.seed, engine.state.epoch, *[self.rank] * bool(self.rank)]
        mixed = int(np.random.SeedSequence(parts).generate_state(1)[0])
        self.generator.manual_seed(mixed)
        self.transform.set_random_state(seed=mixed)
        torch.manual_seed(mixed)


class Progress:
    """Logs one line per epoch: losses, points per second, time gone and left; ``history`` keeps every loss.

    Args:
        loss: the training loss, whose parts are averaged; None for a loss without parts.
        interval: epochs between lines.
        unit: what is counted: ``points`` of [B, D, N]; with any other name, the items of a batch.
    """

    def __init__(self, loss: TrainingLoss | None = None, interval: int = 1, unit: str = "points") -> None:
        self.loss, self.interval, self.unit = loss, interval, unit
        self.history: list[dict] = []

    def attach(self, engine: Engine) -> None:
        """Registers for the start of the run, each iteration and each epoch."""
        engine.add_event_handler(Events.STARTED, self.start)
        # not earlier: a checkpoint, and with it the epoch, is loaded after the run has started
        engine.add_event_handler(Events.EPOCH_STARTED, self.first)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.iteration)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.epoch)

    def start(self, engine: Engine) -> None:
        """Starts the clock."""
        self.started, self.before, self.points, self.sums, self.number = time.time(), None, 0, {}, 0
        self.clock = time.time()

    def first(self, engine: Engine) -> None:
        """Records how many epochs were done before this run."""
        if self.before is None:
            self.before = engine.state.epoch - 1

    def iteration(self, engine: Engine) -> None:
        """Adds up points and losses."""
        inputs = engine.state.output["image"]
        self.points += inputs.shape[0] * (inputs.shape[2] if self.unit == "points" else 1)
        self.number += 1
        parts = {"loss": engine.state.output["loss"]} if self.loss is None else self.loss.parts
        for name, value in parts.items():
            self.sums[name] = self.sums.get(name, 0.0) + float(value)

    def epoch(self, engine: Engine) -> None:
        """Logs the line of the epoch."""
        epoch, last = engine.state.epoch, engine.state.max_epochs
        means = dict(zip(self.sums, mean_over([total / max(self.number, 1) for total in self.sums.values()])))
        self.history.append({"epoch": epoch, **means})
        engine.state.metrics.update({f"train_{name}": value for name, value in means.items()})
        if epoch % self.interval == 0 or epoch == last:
            seconds = time.time() - self.started
            left = seconds / (epoch - self.before) * (last - epoch)
            rate = self.points * world() / max(time.time() - self.clock, 1e-9)
            parts = " ".join(f"{name} {value:.4f}" for name, value in means.items())
            logger.info(
                "epoch %d/%d %s | %s %s/s | %s gone, %s left",
                epoch,
                last,
                parts,
                f"{rate / 1e3:.0f}k" if rate >= 1e4 else f"{rate:.0f}",
                self.unit,
                _clock(seconds),
                _clock(left),
            )
        self.clock, self.points, self.sums, self.number = time.time(), 0, {}, 0

    def state_dict(self) -> dict:
        """The history, for checkpoints."""
        return {"history": json.dumps(self.history)}

    def load_state_dict(self, state: dict) -> None:
        """Takes the history of a checkpoint."""
        self.history = json.loads(state["history"])


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


class GrowingAverage(EMAHandler):
    """Ignite's moving average of the weights, over a tenth of the iterations so far at most: the first weights do not
    outlast a short training. It depends on the iteration alone, so a resumed training goes on alike."""

    def attach(self, engine: Engine, name: str = "ema_momentum", **options: object) -> None:
        """Registers for each iteration, first of all to set the momentum."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._set_momentum, name)
        super().attach(engine, name, **options)

    def _set_momentum(self, engine: Engine, name: str) -> None:
        setattr(engine.state, name, max(self.momentum, 10 / (10 + engine.state.iteration)))


class FiniteLoss:
    """Ends a training whose loss is no longer a finite number; the last checkpoint is from before that."""

    def attach(self, engine: Engine) -> None:
        """Registers for each iteration."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Raises ``InputError`` where the loss is NaN or infinite."""
        if not np.isfinite(engine.state.output["loss"].item()):
            raise InputError(
                f"the loss is no longer a number in epoch {engine.state.epoch}; go on from the last checkpoint with a "
                "smaller step size (lr, latent_lr, unet_lr) or a clip, --resume True"
            )


class ClipGradients:
    """Scales the gradients of the network's weights down to a maximum norm before each step.

    Without it, long training of Gabor networks at a large step size can suddenly diverge.

    Args:
        network: network whose weights are trained.
        norm: maximum norm; None leaves the gradients as they are.
    """

    def __init__(self, network: torch.nn.Module, norm: float | None) -> None:
        self.network, self.norm = network, norm

    def attach(self, engine: Engine) -> None:
        """Registers for the end of each backward pass."""
        if self.norm is not None:
            engine.add_event_handler(IterationEvents.BACKWARD_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Clips the gradients."""
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.norm)


class PriorOfLatents:
    """Keeps the Gaussian prior in the network's buffers up to date (``nisf.fit.prior.set_prior``).

    Attached to the trainer, it acts at the end of each epoch, before validation and checkpoints.
    """

    def __init__(self, network: NISF, latents: LatentTable) -> None:
        self.network, self.latents = network, latents

    def attach(self, engine: Engine) -> None:
        """Registers for the end of each epoch."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Sets the prior to mean and covariance over subjects."""
        set_prior(self.network, self.latents.whole())


class Curves:
    """Writes ``training_curve.png`` (Dice and losses against the epoch) and ``training.json`` after each validation and
    at the end.

    Args:
        progress: handler with the losses.
        early_stop: handler with the validations.
        output_dir: folder of the files.
        class_names: inside label value (text) to name.
    """

    def __init__(
        self, progress: Progress, early_stop: EarlyStopFound, output_dir: str, class_names: dict[str, str]
    ) -> None:
        self.progress, self.early_stop, self.output_dir = progress, early_stop, Path(output_dir)
        self.names = list(class_names.values())
        self.drawn = 0

    def attach(self, engine: Engine) -> None:
        """Registers for the end of each epoch and of the run."""
        engine.add_event_handler(
            Events.EPOCH_COMPLETED, lambda _: self() if len(self.early_stop.history) > self.drawn else None
        )
        engine.add_event_handler(Events.COMPLETED, lambda _: self())

    def __call__(self) -> None:
        """Writes the files."""
        history, validations = self.progress.history, self.early_stop.history
        self.drawn = len(validations)
        write_text(self.output_dir / "training.json", json.dumps(history, indent=1))
        losses = (
            {name: [h[name] for h in history] for name in ("loss", "intensity", "classes", "dice")} if history else {}
        )
        dice = {name: [v["dice"][f"class_{i + 1}"] for v in validations] for i, name in enumerate(self.names)}
        training_curve(
            self.output_dir / "training_curve.png",
            [v["epoch"] for v in validations],
            dice,
            losses,
            loss_epochs=[h["epoch"] for h in history],
        )
