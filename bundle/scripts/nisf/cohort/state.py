"""The scans of a cohort and their records, in memory and on disk."""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from pathlib import Path

from nisf.cohort.table import TABLE, WAITING, row_of, write_table
from nisf.inference.finder import Finder
from nisf.inference.outcome import DONE, FAILED, SUMMARY, Outcome, Summary
from nisf.io.receipts import read_receipt, write_receipt
from nisf.io.recipe import Recipe
from nisf.utils.bundle import parser_of
from nisf.utils.errors import InputError, unwrapped
from nisf.utils.files import check_writable, remove_parts
from nisf.utils.lock import alone

logger = logging.getLogger(__name__)

#: Seconds after which table and summary are rewritten; more where that would take over a tenth of the time.
RENEWED = 10.0


def part_of(text: str | None) -> tuple[int, int]:
    """``K/N`` as numbers; 1 of 1 where none is named.

    Raises:
        InputError: the text has another form.
    """
    found = re.fullmatch(r"(\d+)/(\d+)", str(text or "1/1"))
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise InputError(f"--part is '{text}'; write K/N with K from 1 to N, as 3/10")
    return int(found[1]), int(found[2])


class Cohort:
    """The scans of a run.

    Args:
        configs, settings: configs and settings of the run id ``inference``, as from ``runs.inference_of``.
        part: ``K/N`` for only every N-th scan from the K-th on; it enters the names of table and summary.

    Attributes:
        run: unique name of the run.
        subjects: subjects of the data list, by name.
        waiting: names of the scans still to be done.
        records: records of the others, as from ``ScanWorker.do``.

    Raises:
        InputError: a config, a setting or the data list is wrong, or the folder cannot be written.
    """

    def __init__(self, configs: Sequence[str], settings: Mapping[str, object], part: str | None = None) -> None:
        self.run, (first, step) = uuid.uuid4().hex, part_of(part)
        names = ("subjects", "output_dir", "saved_keys", "settings", "skip_finished", "label_writers")
        with unwrapped():
            parser = parser_of(configs, **settings)
            subjects, folder, keys, settings, *rest = (parser.get_parsed_content(name) for name in names)
        self.folder = check_writable(folder)
        self._finder = Finder(subjects[first - 1 :: step], folder, keys, Recipe.of(settings), *rest)
        self.subjects = {str(subject["subject"]): subject for subject in self._finder.subjects}
        self.waiting, self.records = list(self.subjects), {}
        self._all = Summary(folder)
        of_part = "" if step == 1 else f"_{first}_of_{step}"
        self.table, self.summary = (f"{Path(n).stem}{of_part}{Path(n).suffix}" for n in (TABLE, SUMMARY))
        self._written = self._cost = 0.0

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Locks the folder against another run of the same scans; the lock of a run that dies is released.

        Raises:
            InputError: there is such a run.
        """
        taken = f"{self.folder}: another run does these scans; wait for it or end it"
        with alone(self.folder / f".{self.table}.lock", lambda: taken):
            yield

    def check_results(self) -> None:
        """Finds the scans whose results are complete and what this run would give, and those that cannot be done again;
        removes half-written files."""
        for subject in self.subjects.values():
            remove_parts(self._finder.results_of(subject).folder)
        with ThreadPoolExecutor(8) as threads:
            for record in threads.map(self.found, list(self.waiting)):
                if record is not None:
                    self.take(record)
        if self.records:
            finished = len(self.records) - len(self.failed())
            logger.info("%d of %d scans were finished by an earlier run", finished, len(self.subjects))

    def found(self, scan: str) -> dict | None:
        """The record of a scan that need not or cannot be done again; None for one that waits."""
        subject = self.subjects[scan]
        outcome = self._finder.outcome_of(subject, whole=True)
        if outcome is None or outcome.state == FAILED:
            return None if outcome is None else asdict(outcome)
        # a run without Ray writes no receipt, nor does one that was killed before it
        results = self._finder.results_of(subject)
        receipt = read_receipt(results.receipt) or self._adopted(outcome, results.latent)
        outcome.files = [str(results.folder / entry["name"]) for entry in receipt["files"]]
        outcome = replace(self._finder.with_label_files(subject, outcome), seconds=receipt.get("seconds"))
        return {**receipt, **asdict(outcome)}

    def recalled(self, subject: Mapping) -> dict | None:
        """The record of a scan that this run has finished, from its receipt."""
        results = self._finder.results_of(subject)
        record = read_receipt(results.receipt)
        if record is None or record.get("run") != self.run or results.fault(self._finder.files_of(subject)):
            return None
        return {**record, "files": [str(results.folder / entry["name"]) for entry in record["files"]]}

    @staticmethod
    def _adopted(outcome: Outcome, latent: Path) -> dict:
        """Writes the missing receipt of results; returns it."""
        record = {name: value for name, value in asdict(outcome).items() if name not in ("files", "note", "corrected")}
        return read_receipt(write_receipt(latent, outcome.files, {**record, "state": DONE}))

    def take(self, record: Mapping) -> None:
        """Records the outcome of a waiting scan."""
        scan = str(record["scan"])
        self.waiting.remove(scan)
        self.records[scan] = dict(record)
        known = {field.name: record[field.name] for field in fields(Outcome) if field.name in record}
        self._all.outcomes[scan] = Outcome(**known)

    def write(self, always: bool = True) -> None:
        """Writes table and summary; unless ``always``, only when due.

        Raises:
            InputError: the folder cannot be written or the disk is full.
        """
        began = time.monotonic()
        if not always and began - self._written < max(RENEWED, 10 * self._cost):
            return
        nothing = {"state": WAITING}
        rows = [row_of({"scan": scan, **self.records.get(scan, nothing)}, self.folder) for scan in self.subjects]
        write_table(self.folder / self.table, rows)
        outcomes = self._all.outcomes
        self._all.outcomes = {scan: outcomes[scan] for scan in self.subjects if scan in outcomes}
        self._all.write(self.summary)
        self._written = time.monotonic()
        self._cost = self._written - began

    def failed(self) -> dict[str, str]:
        """Scans that could not be done, with the reason."""
        return {scan: one.reason for scan, one in self._all.outcomes.items() if one.state == FAILED}

    def said(self) -> str:
        """A line for each failed scan, and the counts."""
        return "\n".join([*(f"{scan}  failed  {why}" for scan, why in self.failed().items()), self._all.counts()])
