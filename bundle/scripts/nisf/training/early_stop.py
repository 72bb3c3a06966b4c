"""The step at which Adam fits should stop, found on validation subjects."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from ignite.engine import Engine, Events

from nisf.models.nisf import NISF
from nisf.plots.curves import dice_curve
from nisf.utils.distributed import all_of, rank
from nisf.utils.errors import InputError
from nisf.utils.files import write_text

logger = logging.getLogger(__name__)


class EarlyStopFound:
    """Finds the fit's best number of steps on the validation subjects and stores it in the network (``fit_steps``).

    Attached to the validation evaluator. The Dice of a step is the mean over subjects and classes, smoothed over
    neighbouring steps because each step draws other points. ``history`` has one entry per validation. Writes
    ``validation.json`` and ``fit_curve.png`` (Dice and loss against the step, last validation) to ``output_dir``.

    Args:
        network: network whose ``fit_steps`` is set.
        output_dir: folder of the two files.
        class_names: inside label value (text) to name.
        smooth: width of the moving average, in steps.
    """

    def __init__(self, network: NISF, output_dir: str, class_names: Mapping[str, str], smooth: int = 9) -> None:
        self.network, self.output_dir, self.smooth = network, Path(output_dir), smooth
        self.class_names = list(class_names.values())
        self.history: list[dict] = []
        self.trainer: Engine | None = None

    def attach(self, engine: Engine) -> None:
        """Registers for each scan and the end of a validation."""
        engine.add_event_handler(Events.EPOCH_STARTED, lambda _: setattr(self, "curves", []))
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._note)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def _note(self, engine: Engine) -> None:
        curve = {name: engine.state.output["pred"][name].cpu().numpy() for name in ("dice", "loss")}
        self.curves.append((int(engine.state.batch["index"]), curve))

    def __call__(self, engine: Engine) -> None:
        """Chooses the step and records the curves."""
        curves = [curve for _, curve in sorted(dict(all_of(self.curves)).items())]
        dice = np.concatenate([curve["dice"] for curve in curves])  # [subjects, steps, classes]
        loss = np.concatenate([curve["loss"] for curve in curves])
        if not np.isfinite(dice).any():
            raise InputError(
                "no validation subject has a label, so the early stop cannot be chosen; name others for validation"
            )
        per_class = moving_average(average(dice, 0), self.smooth)
        mean = moving_average(average(average(dice, 0), 1), self.smooth)
        best = int(np.nanargmax(mean)) + 1
        self.network.fit_steps.fill_(best)
        epoch = self.trainer.state.epoch if self.trainer is not None else 0
        names = [f"class_{c + 1}" for c in range(dice.shape[2])]
        entry = {
            "epoch": epoch,
            "best_step": best,
            "mean_dice": float(mean[best - 1]),
            "dice": {n: float(per_class[best - 1, i]) for i, n in enumerate(names)},
        }
        self.history.append(entry)
        engine.state.metrics["val_mean_dice"] = entry["mean_dice"]
        engine.state.metrics["best_step"] = best
        logger.info(
            "validation: mean Dice %.4f at step %d of %d (%s)",
            entry["mean_dice"],
            best,
            len(mean),
            ", ".join(f"{n} {v:.3f}" for n, v in entry["dice"].items()),
        )
        if rank() == 0:
            self._write(dice.transpose(2, 0, 1).round(4), loss.mean(axis=0).round(5))

    def _write(self, dice: np.ndarray, loss: np.ndarray) -> None:
        """Writes all validations, and the curves of the last one: Dice [classes, subjects, steps] and loss [steps]."""
        record = {"history": self.history, "curve": {"dice": dice.tolist(), "loss": loss.tolist()}}
        write_text(self.output_dir / "validation.json", json.dumps(record))
        steps, named = range(1, len(loss) + 1), dict(zip(self.class_names, dice))
        dice_curve(self.output_dir / "fit_curve.png", steps, named, self.history[-1]["best_step"], loss)

    def state_dict(self) -> dict:
        """The history, for checkpoints."""
        return {"history": json.dumps(self.history)}

    def load_state_dict(self, state: dict) -> None:
        """Restores the history from a checkpoint."""
        self.history = json.loads(state["history"])


def average(values: np.ndarray, axis: int) -> np.ndarray:
    """Mean of the finite values along an axis; NaN where there are none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # numpy warns of an empty mean
        return np.nanmean(values, axis=axis)


def moving_average(values: np.ndarray, width: int) -> np.ndarray:
    """Mean of the finite values among ``width`` neighbours along the first axis; NaN where there are none."""
    half, count = width // 2, len(values)
    return np.stack([average(values[max(0, i - half) : min(count, i + half + 1)], 0) for i in range(count)])
