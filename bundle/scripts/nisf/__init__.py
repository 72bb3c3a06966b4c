"""NISF: neural implicit segmentation functions. Segments a scan as a function that can be read off the grid."""

import importlib
from typing import Any

#: Public names and the modules that define them, each imported when it is first used.
_PUBLIC = {
    "Segmenter": "nisf.api",
    "segment": "nisf.api",
    "FittedScan": "nisf.sampling.fitted_scan",
    "fit_gauss_newton": "nisf.fit.gauss_newton",
    "NISF": "nisf.models.nisf",
    "InputError": "nisf.utils.errors",
    "__version__": "nisf.utils.provenance",
}
__all__ = list(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'nisf' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
