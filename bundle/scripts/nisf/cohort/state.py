"""The scans of a cohort and their records, in memory and on disk."""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

from nisf.cohort.table import TABLE, WAITING, row_of, write_table
from nisf.inference.batch import DONE, FAILED, FINISHED, SUMMARY, Batch, Outcome
from nisf.io.latent_file import read_latent
from nisf.io.receipts import read_receipt, write_receipt
from nisf.quality.record import Quality
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
        names = ("subjects", "output_dir", "saved_keys", "settings", "skip_finished")
        with unwrapped():
            parser = parser_of(configs, **settings)
            subjects, folder, keys, settings, self.skip = (parser.get_parsed_content(name) for name in names)
        self.subjects = {str(subject["subject"]): subject for subject in subjects[first - 1 :: step]}
        self.waiting, self.records = list(self.subjects), {}
        self.folder = check_writable(folder)
        self._batch = Batch(list(self.subjects.values()), str(folder), keys, settings)
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
        """Finds the scans whose results exist, are up to date and complete; removes half-written files."""
        for subject in self.subjects.values():
            remove_parts(self._batch.results_of(subject).folder)
        if not self.skip:
            return
        others: Counter[str] = Counter()
        with ThreadPoolExecutor(8) as threads:
            for scan, record in zip(list(self.waiting), threads.map(self.finished, self.waiting)):
                if record is not None:
                    self.take({**record, "state": FINISHED})
                    others.update(self._other_settings(record))
        if self.records:
            logger.info("%d of %d scans were finished by an earlier run", len(self.records), len(self.subjects))
        for name, count in others.items():
            logger.warning("%d of them with another %s; --overwrite segments them again", count, name)

    def _other_settings(self, record: Mapping) -> list[str]:
        made = (record.get("made_with") or {}).get("settings") or {}
        return [name for name, value in self._batch.settings.items() if made.get(name) != value]

    def finished(self, scan: str) -> dict | None:
        """The record of a scan whose results are complete on disk; None where they are not."""
        subject = self.subjects[scan]
        if not self._batch.is_done(subject):
            return None
        results, files = self._batch.results_of(subject), self._batch.files_of(subject)
        fault = results.fault(files)
        if fault:
            logger.warning("%s: %s; it is done again", scan, fault)
            return None
        # a run without Ray writes no receipt, nor does one that was killed before it
        record = read_receipt(results.receipt) or self._adopted(scan, files)
        return {**record, "scan": scan, "files": [str(results.folder / entry["name"]) for entry in record["files"]]}

    def recalled(self, subject: Mapping) -> dict | None:
        """The record of a scan that this run has finished, from its receipt."""
        record = self.finished(str(subject["subject"]))
        return record if record and record.get("run") == self.run else None

    @staticmethod
    def _adopted(scan: str, files: Sequence[Path]) -> dict:
        """Writes the missing receipt of results; returns it."""
        saved = read_latent(files[-1])
        quality = Quality.from_dict(saved.quality)
        record = {"scan": scan, "state": DONE, "quality": quality.known(), "verdict": quality.verdict()}
        made_with = {"settings": dict(saved.settings), "versions": dict(saved.versions)}
        return read_receipt(write_receipt(files[-1], files, {**record, "made_with": made_with}))

    def take(self, record: Mapping) -> None:
        """Records the outcome of a waiting scan."""
        scan = str(record["scan"])
        self.waiting.remove(scan)
        self.records[scan] = dict(record)
        known = {field.name: record[field.name] for field in fields(Outcome) if field.name in record}
        self._batch.outcomes[scan] = Outcome(**known)

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
        outcomes = self._batch.outcomes
        self._batch.outcomes = {scan: outcomes[scan] for scan in self.subjects if scan in outcomes}
        self._batch.write(self.summary)
        self._written = time.monotonic()
        self._cost = self._written - began

    def failed(self) -> dict[str, str]:
        """Scans that could not be done, with the reason."""
        return {scan: one.reason for scan, one in self._batch.outcomes.items() if one.state == FAILED}

    def said(self) -> str:
        """A line for each failed scan, and the counts."""
        return "\n".join([*(f"{scan}  failed  {why}" for scan, why in self.failed().items()), self._batch.counts()])
