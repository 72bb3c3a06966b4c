"""Names of files that every disk tells apart."""

from __future__ import annotations

import unicodedata


def name_key(name: str) -> str:
    """What two names have in common that some disk takes for one: those of macOS and Windows ignore case, and macOS
    stores an accent either as part of its letter or after it."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())
