"""Warnings of the libraries that read files: counted and told in one line, unless they are asked for."""

from __future__ import annotations

import logging
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

#: Loggers of the libraries, and Python's for what they pass to ``warnings``.
LOGGERS = ("py.warnings", "pydicom", "highdicom", "nibabel", "nibabel.global")


class _Count(logging.Handler):
    """Counts records by their text without what differs from file to file."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.found: Counter[str] = Counter()

    def emit(self, record: logging.LogRecord) -> None:
        """Counts a record."""
        text = record.getMessage().strip()
        if record.name == "py.warnings":  # path:line: kind: text
            text = text.split("Warning: ", 1)[-1]
        self.found[text.splitlines()[0].split(":")[0][:100] if text else "no text"] += 1


@contextmanager
def library_warnings(verbose: bool = False) -> Iterator[None]:
    """Counts what libraries warn of and writes one line about it to standard error at the end.

    Args:
        verbose: leave the warnings as the libraries write them.
    """
    if verbose:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            yield
        return
    count, loggers = _Count(), [logging.getLogger(name) for name in LOGGERS]
    before = [(one.propagate, list(one.handlers)) for one in loggers]
    with warnings.catch_warnings():
        warnings.filterwarnings("always", module="pydicom|nibabel|highdicom")
        logging.captureWarnings(True)
        try:
            for one in loggers:
                one.propagate, one.handlers = False, [count]
            yield
        finally:
            logging.captureWarnings(False)
            for one, (propagate, handlers) in zip(loggers, before):
                one.propagate, one.handlers = propagate, handlers
            if count.found:
                text, _ = count.found.most_common(1)[0]
                total = sum(count.found.values())
                print(f"{total} warnings of libraries, most often: {text}; --verbose shows them", file=sys.stderr)
