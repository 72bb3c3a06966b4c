"""A process that loads weights and settings of ``inference`` once and then does scan after scan."""

from __future__ import annotations

import logging
import os
import socket
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path

from nisf.inference.outcome import DONE
from nisf.io.latent_file import LATENT
from nisf.io.receipts import write_receipt
from nisf.report.write import report_one
from nisf.utils.bundle import parser_of
from nisf.utils.errors import InputError, input_error_in

logger = logging.getLogger(__name__)

#: Endings of files that are made from the labels and have a record of their own.
OF_LABELS = (".dcm", ".seg.nrrd", ".seq.nrrd")


def worker_name() -> str:
    """Names of machine and process."""
    return f"{socket.gethostname()}:{os.getpid()}"


class ScanWorker:
    """Does single scans with the engine of the run id ``inference``, as a whole run does.

    Args:
        configs: configs, as for ``run_bundle``.
        settings: settings, as for ``run_bundle``.
        run: name of the run, kept in the receipts.
        threads: number of processor threads.
        folder: working folder, to which paths in the settings are relative; None: the current one.
        people: personal data by scan, for measures and pages; None writes neither.
        share: share of its GPU's memory that this worker may take.
    """

    def __init__(
        self,
        configs: Sequence[str],
        settings: Mapping[str, object],
        run: str,
        threads: int = 1,
        folder: str | None = None,
        people: Mapping[str, Mapping] | None = None,
        share: float = 1.0,
    ) -> None:
        self.configs, self.settings, self.run, self.threads = configs, dict(settings), run, threads
        self.folder, self.people, self.share = folder, people, share

    def load(self) -> str:
        """Loads configs and weights; returns the worker's name.

        Raises:
            InputError: a config, a setting or weights are wrong, or the folder is not on this machine.
        """
        import torch

        warnings.filterwarnings("ignore", module="monai")
        torch.set_num_threads(self.threads)
        if 0 < self.share < 1 and torch.cuda.is_available():  # the others on the card need their part
            torch.cuda.set_per_process_memory_fraction(self.share)
        if self.folder is not None:
            self._enter(self.folder)
        # a placeholder for one scan, in place of the whole data list
        parser = parser_of(self.configs, **{**self.settings, "subjects": [{}], "skip_finished": False})
        try:
            parser.get_parsed_content("initialize")
            self.batch, self.evaluator = (parser.get_parsed_content(name) for name in ("batch", "evaluator"))
        except Exception as error:
            raise input_error_in(error) or error from None
        return worker_name()

    @staticmethod
    def _enter(folder: str) -> None:
        try:
            os.chdir(folder)
        except OSError as error:
            raise InputError(
                f"{folder}: cannot be entered on {socket.gethostname()}; start from a folder that all machines share"
            ) from error

    def _report(self, latent: Path) -> None:
        """Writes measures and page of a scan; a failure is only logged."""
        if self.people is None:
            return
        why = report_one(latent, self.people.get(latent.parent.name, {}))
        if why is not None:
            logger.warning("%s: %s", latent.parent.name, why)

    def do(self, subject: Mapping[str, object], attempt: int = 1) -> dict[str, object]:
        """Fits and writes a scan, then its receipt, then its page if wanted.

        Args:
            subject: entry of a data list.
            attempt: number of the attempt, from 1.

        Returns:
            the fields of ``Outcome``; ``worker``, ``ended`` (UTC), ``attempts`` and ``run``; and
            ``final``: whether another try would end in the same way.

        Raises:
            InputError: the receipt cannot be written.
        """
        batch, evaluator = self.batch, self.evaluator
        batch.waiting[0] = dict(subject)  # the list that the evaluator's data set uses
        batch.outcomes.clear()
        evaluator.failures.clear()
        evaluator.run()
        (outcome,) = batch.outcomes.values()
        ended = datetime.now(timezone.utc).isoformat(timespec="seconds")
        record = {**asdict(outcome), "worker": worker_name(), "ended": ended, "attempts": attempt, "run": self.run}
        if outcome.state == DONE:
            (latent,) = (Path(file) for file in outcome.files if file.endswith(LATENT))
            write_receipt(latent, [file for file in outcome.files if not file.endswith(OF_LABELS)], record)
            self._report(latent)
        return {**record, "final": not any(failure.unexpected for failure in evaluator.failures)}
