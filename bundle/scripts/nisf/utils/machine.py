"""Memory and processors that this process may use: those of its container, where it runs in one.

psutil and ``os.cpu_count`` give the machine's. The limits of a container (Docker, Kubernetes, Slurm) are those of its
Linux control groups, https://docs.kernel.org/admin-guide/cgroup-v2.html and, before it, cgroup-v1.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

import psutil

#: Where Linux says which groups a process is in, and where it shows the groups.
OWN, GROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")

#: Files of a group for the limit, the use, and the entry of ``memory.stat`` that is cache and given back when needed.
MEMORY = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def free_memory() -> int:
    """Bytes of main memory that this process can still take."""
    return min([psutil.virtual_memory().available, *_left("memory")])


def processors() -> int:
    """Number of processors that this process may use, at least 1."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux alone has it
    own = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, math.ceil(min([own, *_shares("cpu")])))


def _left(controller: str) -> Iterator[int]:
    """Free bytes of each group with a limit."""
    for group in _groups(controller):
        for limit, used, cache in MEMORY:
            most, now = _number(group / limit), _number(group / used)
            if most is not None and now is not None:
                yield max(0, most - now + _entry(group / "memory.stat", cache))


def _shares(controller: str) -> Iterator[float]:
    """Processors' worth of time of each group with a limit."""
    for group in _groups(controller):
        quota, period = (_words(group / "cpu.max") + ["", ""])[:2]
        if not quota:  # version 1
            quota, period = (" ".join(_words(group / f"cpu.cfs_{name}_us")) for name in ("quota", "period"))
        if quota.isdigit() and period.isdigit():  # "max" or -1 where there is no limit
            yield int(quota) / int(period)


def _groups(controller: str) -> Iterator[Path]:
    """This process's groups of a controller, the innermost first; the top one is a container's own."""
    for number, names, path in (line.split(":", 2) for line in _lines(OWN)):
        if number == "0" or controller in names.split(","):
            top = GROUPS if number == "0" else GROUPS / controller
            inner = top / path.strip("/")
            yield from (group for group in (inner, *inner.parents) if group.is_dir() and group.is_relative_to(top))


def _entry(file: Path, name: str) -> int:
    return next((int(line.split()[1]) for line in _lines(file) if line.startswith(f"{name} ")), 0)


def _number(file: Path) -> int | None:
    words = _words(file)
    return int(words[0]) if words and words[0].isdigit() else None


def _words(file: Path) -> list[str]:
    return " ".join(_lines(file)).split()


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except OSError:  # no Linux, no such group, or not readable
        return []
