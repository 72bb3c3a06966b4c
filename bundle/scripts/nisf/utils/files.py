"""Writing files so that neither a reader nor a killed run leaves or finds half a file."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from nisf.utils.errors import InputError, memory_sentence


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary name beside ``path`` to write to; the file gets its final name when it is complete on disk, and is
    removed otherwise.

    Raises:
        InputError: the folder cannot be written or the disk is full.
    """
    # the ending stays, because it sets the format; the process id separates parallel runs
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        to_disk(temporary)
        os.replace(temporary, path)
        to_disk(path.parent)
    except (OSError, RuntimeError) as error:
        reason = unwritable(error)
        if reason is None:  # of what is written, not of the writing
            raise
        raise InputError(f"{path}: cannot be written ({reason}); free space or choose another output_dir") from error
    finally:
        if temporary.parent.is_dir():
            temporary.unlink(missing_ok=True)


def unwritable(error: Exception) -> str | None:
    """Why a file could not be written, in some words; None where the error is not about that."""
    if memory_sentence(error) is not None:
        return None
    if isinstance(error, (FileExistsError, NotADirectoryError)):
        return "a file stands where its folder should be"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    of_torch = ("inline_container", "PytorchStreamWriter", "iostream")  # it reports a full disk as a RuntimeError
    return "the disk may be full" if any(word in str(error) for word in of_torch) else None


def remove_parts(folder: Path) -> None:
    """Removes half-written files of killed processes from a folder that no other process writes to."""
    for part in folder.glob(".[0-9]*.*"):
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)


def set_aside(folder: Path, files: Sequence[Path]) -> Path | None:
    """Moves files into a new folder ``earlier_N`` in ``folder``; returns that, None where there are no files."""
    if not files:
        return None
    place = next(place for number in count(1) if not (place := folder / f"earlier_{number}").exists())
    place.mkdir()
    for file in files:
        file.rename(place / file.name)
    return place


def to_disk(path: Path) -> None:
    """Waits until a file, or the names in a folder, would survive a power cut."""
    if path.is_dir() and os.name == "nt":  # Windows cannot flush folders
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def check_readable(path: str | os.PathLike) -> Path:
    """The path of a file that can be opened.

    Raises:
        InputError: it is missing or not readable.
    """
    try:
        with open(path, "rb"):
            return Path(path)
    except PermissionError as error:
        raise InputError(f"{path}: may not be read (Permission denied); change its permissions") from error
    except OSError as error:
        raise InputError(f"{path}: there is no such file; check the path or the data list") from error


def check_writable(folder: str | Path) -> Path:
    """The folder, made where it is missing.

    Raises:
        InputError: nothing can be written there.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe.{os.getpid()}"
        probe.write_bytes(b"x")
        probe.unlink()
    except OSError as error:
        raise InputError(f"{folder}: cannot be written to ({error.strerror}); choose another output_dir") from error
    return folder


def write_text(file: str | os.PathLike, text: str) -> Path:
    """Writes a text file in one move, making its folder; returns the path. Raises as ``whole_file``."""
    file = Path(file)
    with whole_file(file) as part:
        part.write_text(text, encoding="utf-8")
    return file


def walk_files(folder: str | os.PathLike) -> list[str]:
    """Absolute paths of all files below ``folder``, sorted; follows links, because data folders are often linked."""
    found = []
    for root, dirs, files in os.walk(os.path.abspath(folder), followlinks=True):
        here = os.path.realpath(root) + os.sep
        # a link to one of its parents would be walked forever
        dirs[:] = [
            d for d in dirs if not here.startswith(os.path.realpath(os.path.join(root, d)).rstrip(os.sep) + os.sep)
        ]
        found += [os.path.join(root, name) for name in files]
    return sorted(found)
