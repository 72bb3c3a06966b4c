"""The engine that fits one scan after another, and its progress messages."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from ignite.engine import Engine, Events
from monai.data import Dataset
from monai.engines import SupervisedEvaluator

from nisf.quality.record import in_a_word
from nisf.transforms.scan import Scan
from nisf.utils.errors import InputError, NoHeartFound, input_error_in, reason_of
from nisf.utils.text import clock

logger = logging.getLogger(__name__)


def one_item(batch: Sequence[dict]) -> dict:
    """Collate function for scans, which differ in size: returns the only item."""
    if len(batch) != 1:
        raise InputError(f"scans are fitted one at a time, but the batch size is {len(batch)}; set it to 1")
    return batch[0]


def prepare_scan(
    item: Mapping[str, object], device: torch.device, non_blocking: bool = False, **kwargs: object
) -> tuple:
    """A scan for an inferer: image [1, C, X, Y, Z, T]; its label, if any, as target and argument."""
    label = item.get("label")
    label = label.unsqueeze(0) if isinstance(label, torch.Tensor) else None  # inference does not read a label file
    return item["image"].unsqueeze(0), label, (label,), {}


@dataclass(frozen=True)
class Failure:
    """A scan that failed.

    Attributes:
        subject: name in the data list.
        reason: one sentence.
        unexpected: whether the error is not an ``InputError``, so that another try may succeed.
        no_heart: whether no heart was found in the scan.
    """

    subject: str
    reason: str
    unexpected: bool = False
    no_heart: bool = False

    @classmethod
    def of(cls, subject: str, error: Exception) -> Failure:
        """The failure for an error raised by a transform, a fit or a writer."""
        found = input_error_in(error)
        return cls(subject, reason_of(error), found is None, isinstance(found, NoHeartFound))


class ScanEvaluator(SupervisedEvaluator):
    """MONAI's evaluator over scans that goes on with the next scan when one fails.

    The ``failure`` of a data item (see ``ScanDataset``) and errors during the fit or the writing are put into
    ``failures``.
    """

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.failures: list[Failure] = []

    def _iteration(self, engine: SupervisedEvaluator, batchdata: dict) -> dict:
        if "failure" in batchdata:
            return self._failed(batchdata["failure"])
        try:
            return super()._iteration(engine, batchdata)
        except Exception as error:  # one bad scan must not end the others
            return self._failed(Failure.of(str(batchdata.get("subject", "?")), error))

    def _failed(self, failure: Failure) -> dict:
        logger.error("%s failed: %s", failure.subject, failure.reason)
        self.failures.append(failure)
        return {}


#: Quality features reported for each scan.
FEATURES = ("reconstruction_error", "disagreement")


class ScanProgress:
    """Logs one line per scan: what was done, how long it took, and how much time is left."""

    def attach(self, engine: Engine) -> None:
        """Registers for the start of the run and each scan."""
        engine.add_event_handler(Events.STARTED, lambda _: setattr(self, "started", time.time()))
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Logs the line of a scan."""
        done, total = engine.state.iteration, len(engine.data_loader)
        gone = time.time() - self.started
        detail = _said_of(engine.state.output["scan"]) if engine.state.output else "failed"
        subject = engine.state.batch.get("subject", "")
        logger.info(
            "scan %d/%d %s: %s | %s gone, %s left",
            done,
            total,
            subject,
            detail,
            clock(gone),
            clock(gone / done * (total - done)),
        )


def _said_of(scan: Scan) -> str:
    """The part of the line that describes a fitted scan."""
    fit, numbers = scan.fit, scan.quality.numbers
    features = ", ".join(f"{name.replace('_', ' ')} {numbers[name]:.3f}" for name in FEATURES if name in numbers)
    detail = f"loss {fit.history[-1]['loss']:.4f}, {len(fit.history)} steps, fit {fit.seconds:.1f} s, {fit.reason}"
    return "; ".join([detail, features, in_a_word(scan.quality.verdict())]).removesuffix("; ")


class ScanDataset(Dataset):
    """MONAI's Dataset over scans that reports a scan that cannot be read instead of raising.

    Such an item has its ``subject`` and a ``failure``.
    """

    def __getitem__(self, index: int) -> dict:
        item = self.data[index]
        try:
            return super()._transform(index)
        except Exception as error:  # one bad scan must not end the others
            subject = str(item.get("subject", index))
            return {"subject": subject, "failure": Failure.of(subject, error)}
