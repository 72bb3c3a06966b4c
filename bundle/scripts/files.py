"""Writing files so that a reader, or a run that is killed, never meets half a file."""

import os
from pathlib import Path


def write_text(file: str | os.PathLike, text: str) -> Path:
    """Write a text file in one move (temporary file beside it, then rename), making its folder. Returns the path."""
    file = Path(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    # the process id keeps the ranks of a distributed run apart
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8")
        os.replace(part, file)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    return file
