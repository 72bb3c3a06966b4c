"""Packages that only some commands need: the extras of setup.cfg."""

from __future__ import annotations

from importlib.util import find_spec

from nisf.utils.errors import InputError

#: Modules of each extra.
EXTRAS = {
    "train": ("sklearn", "tensorboard"),
    "mlflow": ("mlflow", "sqlalchemy", "alembic"),
    "dicom": ("gdcm",),
    "dicom-seg": ("highdicom",),
    "itk": ("itk",),
    "ray": ("ray", "pyarrow"),
    "onnx": ("onnx", "onnxruntime", "onnxscript"),
}


def missing_of(extra: str) -> list[str]:
    """Modules of an extra that are not installed."""
    return [name for name in EXTRAS[extra] if find_spec(name) is None]


def check_extra(extra: str, what: str) -> None:
    """Raises ``InputError`` if modules that ``what``, such as "training", needs are missing."""
    if missing := missing_of(extra):
        raise InputError(f"{missing[0]} is not installed; {what} needs: pip install 'nisf[{extra}]'")
