"""Folder and zip of the bundle under its name in the zoo, reproducible to the byte."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path

from monai.bundle import ConfigParser

from nisf.utils.bundle import EVALUATION, PRIOR, UNET
from nisf.utils.files import check_writable, whole_file

NAME = "nisf_cardiac_cine"
BUNDLE = Path(__file__).resolve().parent.parent / "bundle"
#: Parts of a bundle; caches, egg-info and other files do not belong to it.
PATTERNS = (
    "LICENSE",
    "configs/*.json",
    "configs/*.conf",
    "docs/*",
    "models/*.*",
    "models/SHA256SUMS",
    "scripts/__init__.py",
    "scripts/nisf/**/*",
)
LEFT_OUT = ("__pycache__", ".pyc")
#: The earliest time that a zip can hold.
MOMENT = (1980, 1, 1, 0, 0, 0)


def files_of(bundle: Path) -> list[Path]:
    """The bundle's files, relative to it, sorted."""
    found = {path for pattern in PATTERNS for path in bundle.glob(pattern) if path.is_file()}
    relative = [path.relative_to(bundle) for path in found]
    return sorted(path for path in relative if not any(part.endswith(LEFT_OUT) for part in path.parts))


def build(output: Path, bundle: Path = BUNDLE) -> tuple[Path, Path]:
    """Makes ``output/<name>/`` and ``output/<name>_v<version>.zip``, each config of a run id merged.

    Returns:
        Folder and zip.

    Raises:
        InputError: ``output`` cannot be written.
    """
    version = json.loads((bundle / "configs" / "metadata.json").read_text(encoding="utf-8"))["version"]
    folder, archive = output / NAME, output / f"{NAME}_v{version}.zip"
    fresh = check_writable(output) / f".{os.getpid()}.{NAME}"
    try:
        for path in files_of(bundle):
            (fresh / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(bundle / path, fresh / path)
        for names in (EVALUATION, PRIOR, UNET):
            write_whole(bundle / "configs", names, fresh / "configs")
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(fresh, folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    with whole_file(archive) as part:
        pack(folder, part)
    return folder, archive


def write_whole(source: Path, names: Sequence[str], target: Path) -> None:
    """Writes the last of several configs merged with those before it: the zoo and MONAI's apps load it alone."""
    merged = ConfigParser.load_config_files([source / f"{name}.json" for name in names])
    (target / f"{names[-1]}.json").write_text(json.dumps(merged, indent=4) + "\n", encoding="utf-8")


def pack(folder: Path, archive: Path) -> None:
    """Zips a folder under its name, sorted and with fixed times and modes."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as out:
        for path in files:
            entry = zipfile.ZipInfo(str(path.relative_to(folder.parent)).replace(os.sep, "/"), MOMENT)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o100644 << 16
            entry.create_system = 3
            out.writestr(entry, path.read_bytes())
