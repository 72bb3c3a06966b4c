"""The engine that fits one scan after another, and what it says meanwhile."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence

import torch
from ignite.engine import Engine, Events
from monai.data import Dataset, MetaTensor
from monai.engines import SupervisedEvaluator

from nisf.quality.verdict import in_a_word
from nisf.utils.errors import InputError, input_error_in, reason_of
from nisf.utils.text import clock

logger = logging.getLogger(__name__)


def one_item(batch: Sequence[dict]) -> dict:
    """Collation of scans, which differ in size: the one item itself."""
    if len(batch) != 1:
        raise InputError(f"scans are fitted one at a time, but the batch size is {len(batch)}; set it to 1")
    return batch[0]


def prepare_scan(
    item: Mapping[str, object], device: torch.device, non_blocking: bool = False, **kwargs: object
) -> tuple:
    """A scan for an inferer: image [1, C, X, Y, Z, T]; its label, where there is one, as target and argument."""
    label = item.get("label")
    label = label.unsqueeze(0) if isinstance(label, torch.Tensor) else None  # inference leaves a label file unread
    return attach_frame(item).unsqueeze(0), label, (label,), {}


def attach_frame(item: Mapping[str, object]) -> torch.Tensor:
    """The item's image as a MetaTensor that knows its coordinate frame, also when it comes from the store."""
    image = item["image"]
    if isinstance(image, MetaTensor):
        return image
    kept = {key: item[key] for key in ("frame", "unet_prob") if key in item}
    return MetaTensor(image, meta={**kept, "subject": item.get("subject", "")})


class ScanEvaluator(SupervisedEvaluator):
    """MONAI's evaluator over scans that goes on with the next scan when one fails.

    A data item that holds ``error`` (see ``ScanDataset``) and whatever goes wrong during the fit or the writing are
    put into ``failures`` as (subject, reason); subjects with a fault other than ``InputError``, which another try may
    not meet, also into ``unexpected``.
    """

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.failures: list[tuple[str, str]] = []
        self.unexpected: set[str] = set()

    def _iteration(self, engine: SupervisedEvaluator, batchdata: dict) -> dict:
        subject = str(batchdata.get("subject", "?"))
        if "error" in batchdata:
            return self._failed(subject, batchdata["error"], batchdata.get("unexpected", False))
        try:
            return super()._iteration(engine, batchdata)
        except Exception as error:  # one bad scan must not end the others
            return self._failed(subject, reason_of(error), input_error_in(error) is None)

    def _failed(self, subject: str, reason: str, unexpected: bool) -> dict:
        logger.error("%s failed: %s", subject, reason)
        self.failures.append((subject, reason))
        self.unexpected |= {subject} if unexpected else set()
        return {}


#: Numbers of ``quality_of`` that are told of each scan.
FEATURES = ("reconstruction_error", "disagreement")


class ScanProgress:
    """A line a scan: what was done, how long it took, and how much time is left."""

    def attach(self, engine: Engine) -> None:
        """Registers for the start of the run and each scan."""
        engine.add_event_handler(Events.STARTED, lambda _: setattr(self, "started", time.time()))
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Reports."""
        done, total = engine.state.iteration, len(engine.data_loader)
        gone = time.time() - self.started
        fit = engine.state.output.get("fit") if engine.state.output else None
        if fit is not None:
            loss, steps = fit.history[-1]["loss"], len(fit.history)
            features = ", ".join(
                f"{name.replace('_', ' ')} {fit.quality[name]:.3f}" for name in FEATURES if name in fit.quality
            )
            detail = f"loss {loss:.4f}, {steps} steps, fit {fit.seconds:.1f} s, {fit.reason}; {features}"
            detail = "; ".join([detail, in_a_word(fit.verdict)]).removesuffix("; ")
        else:
            detail = "failed"
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


class ScanDataset(Dataset):
    """MONAI's Dataset over scans that reports a scan that cannot be read instead of raising.

    Such an item is ``{"subject": ..., "error": reason}``, with ``unexpected`` where it is no ``InputError``.
    """

    def __getitem__(self, index: int) -> dict:
        item = self.data[index]
        try:
            return super()._transform(index)
        except Exception as error:  # one bad scan must not end the others
            failed = {"subject": item.get("subject", str(index)), "error": reason_of(error)}
            return failed if input_error_in(error) else {**failed, "unexpected": True}
