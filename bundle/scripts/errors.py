"""The one exception for what a user can put right, and how it reaches the user."""

from __future__ import annotations

import sys
from types import TracebackType


class InputError(ValueError):
    """Bad input. The message is one sentence: which file or option, what is wrong, what to do."""


def chain_of(error: BaseException) -> list[BaseException]:
    """An exception and what it was raised from, outermost first."""
    chain = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None and cause not in chain:
        chain.append(cause)
    return chain


def input_error_in(error: BaseException) -> InputError | None:
    """The user's error within a chain of exceptions (MONAI wraps what a transform or a config expression raises)."""
    return next((link for link in chain_of(error) if isinstance(link, InputError)), None)


def plain_errors() -> None:
    """Makes an uncaught ``InputError`` end the program with its sentence alone; others keep their traceback."""
    before = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        found = input_error_in(error)
        if found is None:
            before(kind, error, trace)
        else:
            print(f"error: {found}", file=sys.stderr)

    sys.excepthook = hook
