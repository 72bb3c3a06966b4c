"""Digests of settings: a result names what made it, and another process recognises it."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping
from functools import lru_cache

#: Number of hexadecimal digits of a digest.
DIGITS = 16

#: Nanoseconds after a change in which another one may leave a file's times as they are, on the coarsest disks.
UNREST = 2_000_000_000


def digest_of_settings(settings: Mapping[str, object]) -> str:
    """A short digest of settings, the same for the same values in any order and in every process.

    Values may be numbers, text, None, and lists and mappings of them; anything else counts as its text, as a path does.
    1 and 1.0 are the same, and so are a list and a tuple; True is not 1.
    """
    text = json.dumps(_plain(settings), sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, (bool, int, float, str, type(None))) else str(value)


def digest_of_file(path: str | os.PathLike) -> str:
    """The SHA-256 of a file's content as hexadecimal digits. Raises OSError where it cannot be read."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest_of_input(path: str | os.PathLike) -> str:
    """As ``digest_of_file``, but a process reads a file once as long as its size, times and place on the disk stay."""
    found = os.stat(path)
    if time.time_ns() - max(found.st_mtime_ns, found.st_ctime_ns) < UNREST:
        return digest_of_file(path)
    times = (found.st_mtime_ns, found.st_ctime_ns)  # the second cannot be set back
    return digest_of_same(os.path.abspath(path), found.st_ino, found.st_size, times)


@lru_cache(1 << 16)
def digest_of_same(path: str, inode: int, size: int, times: tuple[int, int]) -> str:
    """The digest of a file in this state; see ``digest_of_input``."""
    return digest_of_file(path)
