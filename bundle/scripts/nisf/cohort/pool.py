"""Jobs on Ray actors: each worker holds what it has loaded; a worker that dies is replaced, its job goes to another."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from nisf.utils.errors import InputError, input_error_in
from nisf.utils.text import clock

logger = logging.getLogger(__name__)


#: Memory for Ray's shared objects, bytes: jobs and what is said of them are small.
OBJECT_STORE = 100 << 20


@dataclass
class Job:
    """One thing to do.

    Attributes:
        item: what the worker gets.
        attempts: begun so far.
        result: of the last attempt; None where it came to no end.
        reason: why it came to none.
        began: when the last attempt did, on the monotonic clock.
    """

    item: Mapping[str, object]
    attempts: int = 0
    began: float = 0.0
    result: dict | None = None
    reason: str = ""


@contextmanager
def ray_at(address: str, cpus: int) -> Iterator[None]:
    """Ray, there for a while: a cluster that runs, or one of our own on this machine.

    Args:
        address: of a cluster; ``auto`` starts Ray on this machine and ends it afterwards. Where this process has called
            ``ray.init`` before, that Ray is taken and left as it is.
        cpus: cores that a Ray of our own may use.

    Raises:
        InputError: Ray is not installed, or no cluster answers.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    # or an actor without a GPU would lose sight of a device that was named
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError as error:
        raise InputError("--ray needs Ray, which is not installed; pip install 'nisf[ray]'") from error
    os.environ.setdefault("RAY_worker_niceness", "0")  # of a Ray of our own: workers as urgent as whoever starts them
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
    except Exception as error:  # a different type for each way in which a cluster can be out of reach
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


def capacity(threads: int, gpu: bool) -> tuple[int, bool]:
    """How many workers Ray's machines have room for, and whether each gets a GPU: where there are any, and if ``gpu``.

    Raises:
        InputError: there is no room for one.
    """
    import ray

    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpus = sum(int(of.get("GPU", 0)) for of in machines) if gpu else 0
    room = gpus or sum(int(of.get("CPU", 0)) // threads for of in machines)
    if not room:
        raise InputError(f"no machine of the Ray cluster has {threads} cores for a worker; give fewer --threads")
    return room, gpus > 0


@dataclass
class Pool:
    """Workers and the jobs that they do.

    Args:
        start: starts a worker, a Ray actor with the methods ``load()`` and ``do(item, attempt)``.
        size: workers at a time.
        tries: attempts at a job, each by another worker.
        recall: the result of an item whose worker died after the work and before it could say so; None where there is
            none.
        limit: seconds after which an attempt is taken for lost; None waits for ever.
    """

    start: Callable[[], object]
    size: int
    tries: int = 3
    recall: Callable[[Mapping], dict | None] = lambda item: None
    limit: float | None = None
    idle: list = field(default_factory=list)
    #: what is under way: Ray's reference to the worker, and to its job or None while it loads
    busy: dict = field(default_factory=dict)
    #: workers in succession that could not load
    unborn: int = 0

    def run(self, items: Sequence[Mapping[str, object]]) -> Iterator[Job]:
        """Does every item; yields each as it ends, in no order.

        A ``do`` returns a dict, with ``final`` false where another worker may do better.

        Raises:
            InputError: workers cannot be started.
        """
        import ray

        self.waiting = deque(Job(item) for item in items)
        try:
            while self.waiting or any(job for _, job in self.busy.values()):
                self._hand_out()
                ended, _ = ray.wait(list(self.busy), num_returns=1, timeout=self._patience())
                reference = ended[0] if ended else self._first_to_end()
                worker, job = self.busy.pop(reference)
                if job is None:
                    self._loaded(worker, reference)
                elif self._done(worker, job, reference if ended else None):
                    yield job
        finally:
            for worker in [*self.idle, *(worker for worker, _ in self.busy.values())]:
                ray.kill(worker)
            self.idle, self.busy = [], {}

    def _first_to_end(self) -> object | None:
        """Of the attempts under way the one that began first."""
        begun = {reference: job.began for reference, (_, job) in self.busy.items() if job}
        return min(begun, key=begun.get, default=None)

    def _patience(self) -> float | None:
        """Seconds until that one is taken for lost."""
        first = self._first_to_end()
        if self.limit is None or first is None:
            return None
        return max(0.0, self.busy[first][1].began + self.limit - time.monotonic())

    def _hand_out(self) -> None:
        """Gives waiting jobs to idle workers, and starts workers where there are too few."""
        while self.waiting and self.idle:
            worker, job = self.idle.pop(0), self.waiting.popleft()
            job.attempts, job.began = job.attempts + 1, time.monotonic()
            self.busy[worker.do.remote(job.item, job.attempts)] = (worker, job)
        starting = sum(job is None for _, job in self.busy.values())
        room = self.size - len(self.busy)
        for _ in range(min(room, len(self.waiting) - starting)):
            worker = self.start()
            self.busy[worker.load.remote()] = (worker, None)

    def _loaded(self, worker: object, ended: object) -> None:
        import ray

        try:
            logger.info("worker %s is ready", ray.get(ended))
        except ray.exceptions.RayError as error:
            ray.kill(worker)
            self.unborn += 1
            if (said := _said_by_worker(error)) is not None:
                raise said from None
            logger.warning("a worker could not be started: %s", _line(error))
            if self.unborn >= 3 * self.size:
                raise InputError(
                    f"{self.unborn} workers in succession could not be started ({_line(error)}); see Ray's logs"
                ) from error
        else:
            self.unborn = 0
            self.idle.append(worker)

    def _done(self, worker: object, job: Job, ended: object | None) -> bool:
        """Takes what a worker says of its job, None where time ran out; returns whether the job has ended."""
        import ray

        try:
            if ended is None:
                raise ray.exceptions.GetTimeoutError(f"it took longer than {clock(self.limit)}")
            job.result = ray.get(ended)
        except ray.exceptions.RayError as error:
            said = _said_by_worker(error)
            job.reason = str(said) if said else _line(error)
            job.result = None
            alive = final = said is not None
        else:
            alive = final = job.result["final"]
        if alive:
            self.idle.append(worker)
        else:
            ray.kill(worker)  # it may be at it still, or sick; a fresh one takes its place
        if job.result is None and not final:
            job.result = self.recall(job.item)
            final = job.result is not None
        if not final and job.attempts < self.tries:
            self.waiting.appendleft(job)
            return False
        return True


def _said_by_worker(error: BaseException) -> InputError | None:
    """The user's error that a worker raised; not what Ray has to say."""
    return input_error_in(getattr(error, "cause", None) or error)


def _line(error: BaseException) -> str:
    """What happened, in a line."""
    import ray

    if isinstance(error, ray.exceptions.RayTaskError):
        return f"{type(error.cause).__name__}: {error.cause}"
    if isinstance(error, ray.exceptions.GetTimeoutError):
        return str(error)
    return "its worker died or was lost"
