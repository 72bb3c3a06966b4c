"""A batch of scans: those waiting, the outcome of each, and in the end a table and a machine-readable summary."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ignite.engine import Engine, Events

from nisf.inference.evaluator import FEATURES
from nisf.io.latent_file import read_latent
from nisf.io.results import ScanResults, sources_of
from nisf.quality.record import Quality, in_a_word
from nisf.utils.errors import InputError
from nisf.utils.files import write_text
from nisf.utils.provenance import provenance

logger = logging.getLogger(__name__)

SUMMARY = "scans.json"

DONE, FINISHED, FAILED = "done", "finished", "failed"


@dataclass
class Outcome:
    """The outcome of one scan.

    Attributes:
        scan: name of the subject.
        state: ``done``, ``finished`` (by an earlier run) or ``failed``.
        seconds: time for reading, fit, sampling and writing; None where nothing was done.
        files: files written.
        quality: ``Quality.known``.
        verdict: ``Quality.verdict``.
        reason: reason of a failure.
    """

    scan: str
    state: str
    seconds: float | None = None
    files: list[str] = field(default_factory=list)
    quality: dict[str, float | None] = field(default_factory=dict)
    verdict: dict[str, object] = field(default_factory=dict)
    reason: str = ""


class Batch:
    """The scans of a run of ``inference``: those waiting, and the ``Outcome`` of each.

    Args:
        subjects: entries of a data list.
        output_dir: folder of the results.
        keys: names of the results that a finished scan has, ``<stem>_<key>.nii.gz``.
        settings: settings of this run; the log names finished scans that were made with others.
        skip_finished: leave out scans whose results exist and are newer than their files.

    Attributes:
        waiting: subjects still to do.
        outcomes: outcome by subject; filled as the run goes on.
    """

    def __init__(
        self,
        subjects: Sequence[Mapping],
        output_dir: str,
        keys: Sequence[str] = ("seg",),
        settings: Mapping[str, object] | None = None,
        skip_finished: bool = False,
    ) -> None:
        self.output_dir, self.keys = Path(output_dir), tuple(keys)
        made_with = provenance(settings or {})
        self.settings, self.versions = made_with["settings"], made_with["versions"]
        self.outcomes: dict[str, Outcome] = {}
        self.waiting = []
        for subject in subjects:
            if skip_finished and self.is_done(subject):
                self._skip(subject)
            else:
                self.waiting.append(subject)
        self._began = time.perf_counter()

    def results_of(self, subject: Mapping) -> ScanResults:
        """The places of a scan's results."""
        return ScanResults.of_subject(self.output_dir, subject)

    def files_of(self, subject: Mapping) -> list[Path]:
        """The files to be written for a scan, the latent file last."""
        return self.results_of(subject).files(sources_of(subject), self.keys)

    def is_done(self, subject: Mapping) -> bool:
        """Whether the results of a scan exist, see ``ScanResults.is_done``."""
        return self.results_of(subject).is_done(sources_of(subject), self.keys)

    def _skip(self, subject: Mapping) -> None:
        scan, files = str(subject["subject"]), self.files_of(subject)
        try:
            saved = read_latent(files[-1])
            made, quality = saved.settings, Quality.from_dict(saved.quality)
        except InputError:  # a file of another version
            made, quality = {}, Quality()
        other = sorted(name for name in self.settings if self.settings[name] != made.get(name))
        how = f" with other settings ({', '.join(other)})" if other else ""
        logger.info("%s: finished by an earlier run%s, skipped; --overwrite does it again", scan, how)
        written = [str(path) for path in files]
        self.outcomes[scan] = Outcome(scan, FINISHED, None, written, quality.known(), quality.verdict())

    def attach(self, engine: Engine) -> None:
        """Registers for the start of the run and each scan."""
        engine.add_event_handler(Events.STARTED, lambda _: setattr(self, "_began", time.perf_counter()))
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Records the outcome of the current scan."""
        scan, now = str(engine.state.batch.get("subject", "?")), time.perf_counter()
        seconds, self._began = now - self._began, now
        output = engine.state.output or {}
        if output:
            quality, files = output["scan"].quality, list(output["saved"])
            self.outcomes[scan] = Outcome(scan, DONE, round(seconds, 2), files, quality.known(), quality.verdict())
        else:
            failure = next(one for one in engine.failures if one.subject == scan)
            verdict = Quality.without_heart().verdict() if failure.no_heart else {}
            self.outcomes[scan] = Outcome(scan, FAILED, round(seconds, 2), verdict=verdict, reason=failure.reason)

    def count(self, state: str) -> int:
        """Number of scans in ``state``."""
        return sum(outcome.state == state for outcome in self.outcomes.values())

    def write(self, name: str = SUMMARY) -> Path:
        """Writes the summary, ``<output_dir>/scans.json``; an unknown quality number is null."""
        counts = {state: self.count(state) for state in (DONE, FINISHED, FAILED)}
        rows = [asdict(one) for one in self.outcomes.values()]
        content = {**counts, "output": str(self.output_dir), "scans": rows, **provenance(self.settings)}
        return write_text(self.output_dir / name, json.dumps(content, indent=1) + "\n")

    def table(self) -> str:
        """One line per scan, and the counts."""
        width = max([len("scan"), *map(len, self.outcomes)])
        features = [sign.replace("_", " ") for sign in FEATURES]
        lines = ["  ".join([f"{'scan':<{width}}", f"{'':<8}", "seconds", "expected Dice", *features]).rstrip()]
        lines += [self._line(outcome, width) for outcome in self.outcomes.values()]
        return "\n".join([*lines, self.counts()])

    def counts(self) -> str:
        """Number of scans in each state, in one line."""
        done, finished, failed = (self.count(state) for state in (DONE, FINISHED, FAILED))
        parts = [f"{done} of {len(self.outcomes)} scans done"]
        parts += [f"{finished} finished by an earlier run"] * bool(finished) + [f"{failed} failed"] * bool(failed)
        return ", ".join(parts)

    @staticmethod
    def _line(outcome: Outcome, width: int) -> str:
        start = f"{outcome.scan:<{width}}  {outcome.state:<8}"
        if outcome.state == FAILED:
            return f"{start}  {outcome.reason}"
        numbers = [f"{outcome.seconds:>7.1f}" if outcome.seconds is not None else " " * 7]
        values = {"expected Dice": outcome.verdict.get("predicted_dice")} | {
            k: outcome.quality.get(k) for k in FEATURES
        }
        numbers += [" " * len(k) if value is None else f"{value:>{len(k)}.3f}" for k, value in values.items()]
        return "  ".join([start, *numbers, in_a_word(outcome.verdict)]).rstrip()
