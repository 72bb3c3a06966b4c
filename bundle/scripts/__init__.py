"""NISF: neural implicit segmentation functions as a MONAI bundle. Modules are imported when they are first named."""

import importlib
from types import ModuleType

__version__ = "0.1.0"


def __getattr__(name: str) -> ModuleType:
    """Lets a config write ``scripts.workflows.train`` after ``import scripts`` alone."""
    try:
        return importlib.import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"{__name__}.{name}":
            raise
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'") from None
