"""Checks that the packages imported by the bundle are pinned in its metadata, to the installed versions."""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import packages_distributions, version
from pathlib import Path

from zoo.checklist import CheckFailed

#: Extras, imported where they are used: NRRD and MetaImage files, ONNX files.
OPTIONAL = ("itk", "onnx", "onnxruntime", "onnxscript")
#: Packages whose pins have entries of their own.
OWN = {"torch": "pytorch_version", "monai": "monai_version", "numpy": "numpy_version"}
#: Classes of MONAI that import a package when they are made.
BEHIND = {"TensorBoardStatsHandler": "tensorboard"}


def package_pins(folder: Path) -> str:
    """Exact versions, those installed, for every package that ``scripts`` imports or the configs name."""
    metadata = json.loads((folder / "configs" / "metadata.json").read_text(encoding="utf-8"))
    return check_pins(metadata, {**imported(folder), **named(folder)})


def check_pins(metadata: Mapping, needed: Mapping[str, str]) -> str:
    """Checks the versions in the metadata against the modules that are needed, each with a file that needs it.

    Raises:
        CheckFailed: a version is missing, not exact or not the one installed.
    """
    pins = {_plain(name): number for name, number in metadata.get("required_packages_version", {}).items()}
    pins |= {name: metadata[key] for name, key in OWN.items() if key in metadata}
    for name, number in pins.items():
        if not re.fullmatch(r"\d+(\.\d+)+", number):
            raise CheckFailed(f"metadata.json: the version of {name} is '{number}'; one exact version is needed")
        if version(name).split("+")[0] != number:
            raise CheckFailed(f"metadata.json: {name} is pinned to {number}, but the checks run with {version(name)}")
    # not what another package brings along: that may change, and what its extras name is not installed
    for module, file in sorted(needed.items()):
        names = {_plain(name) for name in _owners().get(module, [module])}
        if module not in OPTIONAL and not names & set(pins):
            raise CheckFailed(f"metadata.json: {module}, needed by {file}, is not pinned")
    return f"{len(pins)} packages"


@cache
def _owners() -> Mapping[str, list[str]]:
    return packages_distributions()


def named(folder: Path) -> dict[str, str]:
    """Modules that MONAI's classes named in the configs import, each with a config."""
    configs = {path.name: path.read_text(encoding="utf-8") for path in (folder / "configs").glob("*.json")}
    return {module: name for word, module in BEHIND.items() for name, text in configs.items() if f'"{word}"' in text}


def imported(folder: Path) -> dict[str, str]:
    """Modules of other packages that the code imports, each with a file that imports it."""
    found = {}
    for path in sorted((folder / "scripts").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            plain = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            taken = [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
            found |= {name.split(".")[0]: path.name for name in (*plain, *taken)}
    return {name: file for name, file in found.items() if name not in (*sys.stdlib_module_names, "scripts", "nisf")}


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")
