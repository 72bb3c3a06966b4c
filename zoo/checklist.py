"""A list of checks, each a line on the terminal."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from pathlib import Path


class CheckFailed(Exception):
    """Something that the zoo would not take, as one sentence."""


def run_checks(checks: Mapping[str, Callable[[Path], str]], folder: Path) -> int:
    """Prints ``ok`` or ``FAIL`` with a word of detail for each check of a bundle's folder.

    Args:
        checks: by name; a check returns its detail and raises where the bundle fails.
        folder: of the bundle.

    Returns:
        How many failed.
    """
    failed = 0
    for name, check in checks.items():
        try:
            with redirect_stdout(sys.stderr):  # what MONAI has to say goes another way than the list
                state, detail = "ok  ", check(folder)
        except CheckFailed as error:
            state, detail = "FAIL", str(error)
        except Exception as error:  # MONAI raises what it likes
            traceback.print_exc()
            state, detail = "FAIL", f"{type(error).__name__}: {error}"
        failed += state == "FAIL"
        print(f"{state}  {name:<18}  {detail}", flush=True)
    return failed
