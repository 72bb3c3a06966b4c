"""A quicker import of MONAI for commands that segment scans."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

#: Packages that MONAI imports if they are there, and that segmenting a scan never uses.
UNUSED = (
    "IPython",
    "matplotlib",
    "mlflow",
    "requests",
    "scipy.optimize",
    "scipy.signal",
    "skimage.morphology",
    "sklearn",
    "tensorboard",
)

#: Module that Ignite imports for the type of an optimiser, with everything for sharded training.
SHARDED = "torch.distributed.optim"


def import_monai() -> None:
    """Imports MONAI without what it would load besides and segmenting never uses, in about half the time.

    MONAI takes those packages for missing, in this process alone; they can be imported as usual afterwards. Does
    nothing if MONAI has been imported already.
    """
    if "monai" in sys.modules:
        return
    stub = ModuleType(SHARDED)
    stub.ZeroRedundancyOptimizer = type("ZeroRedundancyOptimizer", (), {})
    absent = {name: None for name in UNUSED if name not in sys.modules}  # None: importing it raises ImportError
    absent |= {SHARDED: stub} if SHARDED not in sys.modules else {}
    sys.modules.update(absent)
    try:
        with _uncollected():
            import monai  # noqa: F401
    finally:
        for name in absent:
            del sys.modules[name]


@contextmanager
def _uncollected() -> Iterator[None]:
    """No garbage collection inside, nor later of what was made: modules stay, and looking through them takes a fifth of
    the time of importing them."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()
