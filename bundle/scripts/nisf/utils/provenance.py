"""Versions and settings behind a result."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import monai
import numpy as np
import torch

__version__ = "0.1.0"


def provenance(settings: Mapping[str, object]) -> dict[str, object]:
    """Versions and settings behind a result, as plain types."""
    plain = {
        key: value if isinstance(value, (int, float, bool, type(None))) else str(value)
        for key, value in settings.items()
    }
    versions = {
        "nisf": __version__,
        "monai": monai.__version__,
        "torch": str(torch.__version__),
        "numpy": np.__version__,
    }
    return {"settings": plain, "versions": versions}


def described(bound: partial) -> str:
    """A function with options bound to it, as text: the same in every process."""
    options = ", ".join(f"{name}={value}" for name, value in sorted(bound.keywords.items()))
    return f"{bound.func.__name__}({options})"
