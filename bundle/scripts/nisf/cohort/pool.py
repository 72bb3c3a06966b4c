"""Jobs on Ray actors, which keep what they have loaded; one that dies is replaced, and its job is repeated."""

from __future__ import annotations

import logging
import math
import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import SimpleQueue

from nisf.utils.errors import InputError, input_error_in
from nisf.utils.text import clock

logger = logging.getLogger(__name__)

#: Memory for Ray's shared objects in bytes: jobs and their results are small.
OBJECT_STORE = 100 << 20

#: Number of successive workers that die while loading, after which the run ends.
DEATHS = 5


@dataclass
class Job:
    """One job.

    Attributes:
        item: input of the worker.
        attempts: number of attempts begun.
        result: result of the last attempt; None where it did not finish.
        reason: reason why it did not.
    """

    item: Mapping[str, object]
    attempts: int = 0
    result: dict | None = None
    reason: str = ""


@contextmanager
def ray_at(address: str, cpus: int) -> Iterator[None]:
    """Ray within a context: a running cluster, or one started on this machine.

    Args:
        address: address of a cluster; ``auto`` starts Ray on this machine and stops it afterwards. If this process has
            called ``ray.init`` before, that Ray is used and left running.
        cpus: number of cores that a Ray started here may use.

    Raises:
        InputError: Ray is not installed, or no cluster answers.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    # else an actor without a GPU could not use a device that was named
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError as error:
        raise InputError("--ray needs Ray, which is not installed; pip install 'nisf[ray]'") from error
    os.environ.setdefault("RAY_worker_niceness", "0")  # for a Ray started here: workers at normal priority
    if ray.is_initialized():
        yield
        return
    if address != "auto":
        _check_answers(address)
    own = {"num_cpus": cpus, "object_store_memory": OBJECT_STORE, "include_dashboard": False}
    try:
        ray.init(
            "local" if address == "auto" else address, logging_level="warning", **(own if address == "auto" else {})
        )
    except Exception as error:  # the type depends on why the cluster cannot be reached
        line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"--ray {address}: no Ray cluster of this version answers there ({line}); start one or use --ray auto"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _check_answers(address: str) -> None:
    """Raises ``InputError`` where nothing listens; Ray itself would try for minutes."""
    host, _, port = address.split("://")[-1].rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, ValueError) as error:
        raise InputError(
            f"--ray {address}: nothing answers there ({error}); give HOST:PORT of a Ray cluster, or auto"
        ) from error


def capacity(threads: int, gpu: bool, wanted: int | None = None) -> tuple[int, float]:
    """Number of workers that fit on Ray's machines, and each one's share of a GPU; see ``shared_out``.

    Raises:
        InputError: not even one fits.
    """
    import ray

    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpus = sum(int(of.get("GPU", 0)) for of in machines) if gpu else 0
    room = sum(int(of.get("CPU", 0)) // threads for of in machines)
    if not room:
        raise InputError(f"no machine of the Ray cluster has {threads} cores for a worker; give fewer --threads")
    return shared_out(room, gpus, wanted)


def shared_out(room: int, gpus: int, wanted: int | None) -> tuple[int, float]:
    """Number of workers, and each one's share of a GPU; 0 where there is none.

    Args:
        room: number of workers for which there are cores.
        gpus: number of GPUs.
        wanted: number of workers that the user asks for; more than there are GPUs share these. None: one for each GPU,
            or as many as there is room for.
    """
    if not gpus:
        return min(wanted or room, room), 0.0
    each = math.ceil((wanted or gpus) / gpus)
    return min(wanted or gpus, room), 1 / each


@dataclass
class Pool:
    """Workers and their jobs; a thread of this process waits for each worker.

    Ray's ``ActorPool`` does not say which item failed. Its restarts and retries use up the tries of an item while its
    worker restarts, give no reason and have no time limit.

    Args:
        start: function that starts a worker, a Ray actor with the methods ``load()`` and ``do(item, attempt)``.
        size: number of workers at a time.
        tries: number of attempts at a job, each by another worker if there is one.
        recall: function that finds the result of an item whose worker died after the work but before it returned; None
            where there is none.
        limit: seconds after which an attempt counts as lost; None waits forever.
    """

    start: Callable[[], object]
    size: int
    tries: int = 3
    recall: Callable[[Mapping], dict | None] = lambda item: None
    limit: float | None = None
    waiting: SimpleQueue = field(default_factory=SimpleQueue)
    ended: SimpleQueue = field(default_factory=SimpleQueue)
    workers: list = field(default_factory=list)
    over: bool = False

    def run(self, items: Sequence[Mapping[str, object]]) -> Iterator[Job]:
        """Does every item once; yields each job as it ends, in any order.

        ``do`` returns a dict, with ``final`` false where another worker may succeed. Close the iterator before Ray
        is shut down.

        Raises:
            InputError: workers cannot be started.
        """
        import ray

        for item in items:
            self.waiting.put(Job(item))
        threads = ThreadPoolExecutor(self.size)
        serving = [threads.submit(self._serve) for _ in range(self.size)]
        try:
            for _ in items:
                job = self.ended.get()
                if isinstance(job, BaseException):
                    raise job
                yield job
        finally:
            self.over = True
            for _ in serving:
                self.waiting.put(None)
            stopped = False
            while not stopped:  # once more after the threads have stopped: they may have started another worker
                stopped = not wait(serving, timeout=0.2).not_done
                for worker in list(self.workers):
                    ray.kill(worker)

    def _serve(self) -> None:
        """Gives jobs to a worker, replaced where it dies, until all are done."""
        try:
            worker = self._loaded()
            while (job := self.waiting.get()) is not None and not self.over:
                has_ended, is_well = self._attempt(worker, job)
                (self.ended if has_ended else self.waiting).put(job)
                if not is_well:
                    worker = self._loaded()
        except BaseException as error:
            self.ended.put(error)

    def _loaded(self) -> object:
        """A worker that has loaded."""
        import ray

        for _ in range(DEATHS):
            self.workers.append(worker := self.start())
            try:
                logger.info("worker %s is ready", ray.get(worker.load.remote()))
                return worker
            except ray.exceptions.RayError as error:
                ray.kill(worker)
                self.workers.remove(worker)
                if (said := _said_by_worker(error)) is not None or self.over:
                    raise said or error from None
                line = _line(error)
                logger.warning("a worker could not be started: %s", line)
        raise InputError(f"{DEATHS} workers in succession could not be started ({line}); see Ray's logs")

    def _attempt(self, worker: object, job: Job) -> tuple[bool, bool]:
        """Runs a job on a worker; returns whether the job has ended, and whether the worker still works."""
        import ray

        job.attempts, job.result, is_well = job.attempts + 1, None, False
        try:
            job.result = ray.get(worker.do.remote(job.item, job.attempts), timeout=self.limit)
            is_well = job.result["final"]
        except ray.exceptions.GetTimeoutError:
            job.reason = f"it took longer than {clock(self.limit)}"
        except ray.exceptions.RayError as error:
            said = _said_by_worker(error)
            job.reason, is_well = str(said or _line(error)), said is not None
        if is_well:
            return True, True
        ray.kill(worker)  # it may still be running, or broken
        self.workers.remove(worker)
        has_ended = job.attempts == self.tries
        if job.result is None:
            job.result = self.recall(job.item)
            has_ended |= job.result is not None
        return has_ended, False


def _said_by_worker(error: BaseException) -> InputError | None:
    """The user's error that a worker raised; None for Ray's own errors."""
    return input_error_in(getattr(error, "cause", None) or error)


def _line(error: BaseException) -> str:
    """The error in one line."""
    import ray

    if isinstance(error, ray.exceptions.RayTaskError):
        return f"{type(error.cause).__name__}: {error.cause}"
    return "its worker died or was lost"
