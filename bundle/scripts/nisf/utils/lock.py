"""A lock file that keeps a second process out of a folder."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from nisf.utils.errors import InputError

logger = logging.getLogger(__name__)


@contextmanager
def alone(file: Path, taken: Callable[[], str], again: bool = False, wait: float = 0.0) -> Iterator[None]:
    """Holds a lock. The lock of a process that dies is released.

    Args:
        file: the lock file, in a folder that exists.
        taken: gives the sentence for the case that another holds it.
        again: whether this process may take it a second time.
        wait: seconds to wait for it.

    Raises:
        InputError: another holds it.
    """
    lock = FileLock(file, timeout=wait, is_singleton=again)
    try:
        lock.acquire()
    except Timeout:
        raise InputError(taken()) from None
    except (OSError, NotImplementedError):  # a file system without locks
        logger.warning("%s: cannot be locked; make sure that nothing else writes there", file.parent)
        yield
        return
    try:
        yield
    finally:
        lock.release()
