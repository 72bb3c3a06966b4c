"""Segmentation of a cohort by workers on Ray; it can be killed at any time and started again."""

from __future__ import annotations

import logging.config
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

from nisf.cohort.pool import Pool, capacity, ray_at
from nisf.cohort.state import Cohort
from nisf.cohort.worker import ScanWorker
from nisf.inference.outcome import FAILED
from nisf.utils.bundle import bundle_root
from nisf.utils.errors import InputError
from nisf.utils.machine import processors
from nisf.utils.text import clock

logger = logging.getLogger(__name__)


@dataclass
class Workers:
    """Settings of the workers.

    Attributes:
        address: address of a Ray cluster; ``auto`` starts Ray on this machine.
        number: number of workers, which share the GPUs if they are more; None: one for each GPU, or one for every
            ``threads`` cores where there is none.
        threads: processor threads of each worker.
        tries: number of workers that try a scan before it is given up.
        minutes: time after which a try counts as lost; None waits forever.

    Raises:
        InputError: one of the numbers is below 1, or the time is not above 0.
    """

    address: str = "auto"
    number: int | None = None
    threads: int = 1
    tries: int = 3
    minutes: float | None = None

    def __post_init__(self) -> None:
        for name in ("number", "threads", "tries"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < 1):
                raise InputError(f"the {name} of Ray's workers is {value}; give a whole number from 1 on")
        number = isinstance(self.minutes, (int, float)) and not isinstance(self.minutes, bool)
        if self.minutes is not None and not (number and 0 < self.minutes < math.inf):
            raise InputError(f"the minutes of a scan are {self.minutes}; give a number above 0")


def run_cohort(
    configs: Sequence[str],
    settings: Mapping[str, object],
    workers: Workers | None = None,
    part: str | None = None,
    people: Mapping[str, Mapping] | None = None,
) -> None:
    """The run id ``inference`` on Ray: its files, ``scans.json``, ``scans.parquet`` and a receipt for each scan.

    Args:
        configs, settings: as ``runs.inference_of`` gives them.
        workers: settings of the workers.
        part: ``K/N`` for every N-th scan from the K-th on, see ``Cohort``.
        people: personal data by scan from ``people_of``, for measures and pages; None writes neither.

    Raises:
        InputError: a setting is wrong, or another run does the same scans.
        SystemExit: status 1 when a scan failed; the others are done.
    """
    logging.config.fileConfig(
        bundle_root() / "configs" / "terminal.conf", disable_existing_loggers=False, encoding="utf-8"
    )
    given = {key: value for key, value in settings.items() if value is not None}
    workers, cohort = workers or Workers(), Cohort(configs, given, part)
    with cohort.alone():
        cohort.check_results()
        cohort.write()
        if cohort.waiting:
            try:
                _work(cohort, workers, configs, given, people)
            finally:
                cohort.write()
    print(cohort.said())
    if cohort.failed():
        raise SystemExit(1)


def _work(
    cohort: Cohort, workers: Workers, configs: Sequence[str], settings: Mapping, people: Mapping[str, Mapping] | None
) -> None:
    """Does the waiting scans."""
    threads = workers.threads
    cores = max(threads, processors()) if workers.number is None else workers.number * threads
    with ray_at(workers.address, cores):
        size, share = capacity(threads, "cpu" not in str(settings.get("device")), workers.number)
        size = min(size, len(cohort.waiting))
        logger.info("%d scans wait for %d workers", len(cohort.waiting), size)
        # a worker sees only the GPU that Ray gives it, whatever its number
        own = {name: value for name, value in settings.items() if not (share and name == "device")}
        start = _actor(threads, share, list(configs), own, cohort.run, threads, os.getcwd(), people, share)
        limit = None if workers.minutes is None else 60 * workers.minutes
        pool = Pool(start, size, workers.tries, cohort.recalled, limit)
        progress = Progress(len(cohort.waiting))
        with closing(pool.run([cohort.subjects[scan] for scan in cohort.waiting])) as jobs:
            for job in jobs:
                lost = {"scan": job.item["subject"], "state": FAILED, "reason": job.reason}
                record = {**(job.result or lost), "attempts": job.attempts}
                cohort.take(record)
                progress(record)
                cohort.write(always=False)


def _actor(threads: int, share: float, *args: object) -> Callable[[], object]:
    """Starts a ``ScanWorker`` as a Ray actor with some threads and a share of a GPU."""
    import ray

    cls = ray.remote(num_cpus=threads, num_gpus=share)(ScanWorker)
    return lambda: cls.remote(*args)


class Progress:
    """Logs a line for each scan: its outcome and the remaining time.

    Args:
        total: number of scans.
    """

    def __init__(self, total: int) -> None:
        self.done, self.total, self.began = 0, total, time.monotonic()

    def __call__(self, record: Mapping) -> None:
        """Reports a scan."""
        self.done += 1
        gone, dice = time.monotonic() - self.began, (record.get("verdict") or {}).get("predicted_dice")
        detail = record["state"] if record.get("seconds") is None else f"{record['state']} in {record['seconds']:.1f} s"
        parts = [detail] if dice is None else [detail, f"expected Dice {dice:.3f}"]
        parts += [record["reason"]] * bool(record.get("reason"))
        parts += [f"{record['attempts']} attempts"] * (record["attempts"] > 1)
        logger.info(
            "scan %d/%d %s: %s | %s gone, %s left",
            self.done,
            self.total,
            record["scan"],
            ", ".join(parts),
            clock(gone),
            clock(gone / self.done * (self.total - self.done)),
        )
