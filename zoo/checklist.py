"""A list of checks, each printed as a line."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from pathlib import Path


class CheckFailed(Exception):
    """A reason for which the zoo would refuse a bundle, as one sentence."""


def run_checks(checks: Mapping[str, Callable[[Path], str]], folder: Path) -> int:
    """Prints ``ok`` or ``FAIL`` with a word of detail for each check of a bundle's folder.

    Args:
        checks: checks by name; each returns its detail and raises if the bundle fails.
        folder: folder of the bundle.

    Returns:
        Number of failed checks.
    """
    failed = 0
    for name, check in checks.items():
        try:
            with redirect_stdout(sys.stderr):  # MONAI's prints stay out of the list
                state, detail = "ok  ", check(folder)
        except CheckFailed as error:
            state, detail = "FAIL", str(error)
        except Exception as error:  # MONAI raises many types
            traceback.print_exc()
            state, detail = "FAIL", f"{type(error).__name__}: {error}"
        failed += state == "FAIL"
        print(f"{state}  {name:<18}  {detail}", flush=True)
    return failed
