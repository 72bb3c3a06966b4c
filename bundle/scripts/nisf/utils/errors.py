"""The exception for errors that a user can fix, and how it is reported."""

from __future__ import annotations

import errno
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

logger = logging.getLogger(__name__)


class InputError(ValueError):
    """Bad input. The message is one sentence: which file or option, what is wrong, what to do."""


def check_counts(what: str, **counts: int | None) -> None:
    """Refuses counts below 1 of ``what``; None stands for no limit.

    Raises:
        InputError: it names the count.
    """
    for name, value in counts.items():
        if value is not None and value < 1:
            raise InputError(f"{name} of {what} is {value}; it must be 1 or more")


class Stopped(KeyboardInterrupt):
    """Ctrl-C where the message says how to go on."""


class NoHeartFound(InputError):
    """A scan in which no heart was found; summaries list it as not trusted."""


def chain_of(error: BaseException) -> list[BaseException]:
    """An exception and what it was raised from, outermost first."""
    chain = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None and cause not in chain:
        chain.append(cause)
    return chain


def input_error_in(error: BaseException) -> InputError | None:
    """The ``InputError`` in a chain of exceptions (MONAI wraps what a transform or a config expression raises)."""
    return next((link for link in chain_of(error) if isinstance(link, InputError)), None)


@contextmanager
def unwrapped() -> Iterator[None]:
    """Raises an ``InputError`` without MONAI's wrapping exceptions."""
    try:
        yield
    except Exception as error:
        found = input_error_in(error)
        if found is None or found is error:
            raise
        raise found from None


#: Of torch on a CPU, of a GPU, and of the system for an error with the number ENOMEM.
OUT_OF_MEMORY = ("can't allocate memory", "out of memory", os.strerror(errno.ENOMEM))


def memory_sentence(error: BaseException) -> str | None:
    """What to do about an allocation that failed, on a CPU or a GPU; None for other errors."""
    for link in chain_of(error):
        if isinstance(link, MemoryError) or any(words in str(link) for words in OUT_OF_MEMORY):
            return (
                "there is not enough memory; use fewer points at once (chunk of inference and sampling, "
                "points_per_subject and subjects_per_step of training), a coarser or smaller grid, or a machine with "
                "more"
            )
    return None


def sentence_of(error: BaseException) -> str | None:
    """The message for an error in place of a traceback; None for a fault of the program."""
    found = input_error_in(error)
    return memory_sentence(error) if found is None else str(found)


def plain_errors() -> None:
    """Makes an uncaught error that a user can fix end the program with its message alone; others keep
    their traceback."""
    before = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        found = str(error) or "stopped" if isinstance(error, KeyboardInterrupt) else sentence_of(error)
        if found is None:
            before(kind, error, trace)
        else:
            print(f"error: {found}", file=sys.stderr)

    sys.excepthook = hook


def reason_of(error: BaseException) -> str:
    """The message for the user from a chain of exceptions; the first cause where there is none."""
    found = sentence_of(error)
    if found is not None:
        return found
    logger.error("unexpected fault", exc_info=error)
    first = chain_of(error)[-1]
    return f"{type(first).__name__}: {first}"
