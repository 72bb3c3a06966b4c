"""Checks that the packages imported by the bundle are pinned in its metadata, to the installed versions."""

from __future__ import annotations

import ast
import json
import re
import sys
from importlib.metadata import packages_distributions, requires, version
from pathlib import Path

from zoo.checklist import CheckFailed

#: Extras, imported where they are used: NRRD and MetaImage files, ONNX files.
OPTIONAL = ("itk", "onnx", "onnxruntime", "onnxscript")


def package_pins(folder: Path) -> str:
    """Exact versions, those installed, for every package that ``scripts`` imports or the configs name."""
    metadata = json.loads((folder / "configs" / "metadata.json").read_text(encoding="utf-8"))
    pins = {_plain(name): number for name, number in metadata["required_packages_version"].items()}
    own = {"torch": "pytorch_version", "monai": "monai_version", "numpy": "numpy_version"}
    pins |= {name: metadata[key] for name, key in own.items()}
    for name, number in pins.items():
        if not re.fullmatch(r"\d+(\.\d+)+", number):
            raise CheckFailed(f"metadata.json: the version of {name} is '{number}'; one exact version is needed")
        if version(name).split("+")[0] != number:
            raise CheckFailed(f"metadata.json: {name} is pinned to {number}, but the checks run with {version(name)}")
    brought = {_plain(re.split(r"[^\w.-]", need)[0]) for name in pins for need in requires(name) or []}
    owners = packages_distributions()
    for module, file in sorted(imported(folder).items()):
        names = {_plain(name) for name in owners.get(module, [module])}
        if module not in OPTIONAL and not names & (set(pins) | brought):
            raise CheckFailed(f"metadata.json: {module}, imported by {file}, is not in required_packages_version")
    return f"{len(pins)} packages"


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
