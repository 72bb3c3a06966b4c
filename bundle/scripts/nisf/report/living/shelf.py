"""Bytes of a page as text: one long text for all, seven bits to a letter, which is a seventh less than base64."""

from __future__ import annotations

import numpy as np

#: Numbers of letters that a page's text may not have, as it would be changed or end; 256 more is another letter.
UNFIT = tuple(b"\0\n\r<")


def shelved(data: object) -> tuple[object, str]:
    """Data with its ``bytes``, wherever they are in dicts and lists, as [start, size] among all bytes, and all bytes as
    text for ``web/shelf.js``."""
    shelf: list[bytes] = []

    def plain(one: object) -> object:
        if isinstance(one, dict):
            return {key: plain(value) for key, value in one.items()}
        if isinstance(one, list):
            return [plain(value) for value in one]
        if isinstance(one, bytes):
            shelf.append(one)
            return [sum(map(len, shelf[:-1])), len(one)]
        return one

    return plain(data), as_text(b"".join(shelf))


def as_text(data: bytes) -> str:
    """Letters of which each has seven bits of some bytes, the first bits first; zeros fill the last."""
    bits = np.unpackbits(np.frombuffer(data, np.uint8))
    bits = np.pad(bits, (0, -len(bits) % 7)).reshape(-1, 7)
    letters = np.packbits(bits, axis=1).ravel() >> 1
    return letters.tobytes().decode("ascii").translate({number: chr(256 + number) for number in UNFIT})


def size_of(data: object) -> int:
    """Bytes that the bytes in some data take as text, about."""
    if isinstance(data, (dict, list)):
        return sum(size_of(one) for one in (data.values() if isinstance(data, dict) else data))
    return round(len(data) * 8 / 7 * (1 + len(UNFIT) / 128)) if isinstance(data, bytes) else 0
