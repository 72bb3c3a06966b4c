"""``make bundle``: builds folder and zip, unpacks the zip into an empty folder and checks it there.

    python -m zoo [OUTPUT]          output/zoo unless given

Exit status 1 if a check failed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from zoo import files
from zoo.build import NAME, build
from zoo.checklist import CheckFailed, run_checks
from zoo.pins import package_pins

ROOT = Path(__file__).resolve().parent.parent
STATIC = {
    "necessary files": files.necessary_files,
    "preferred files": files.preferred_files,
    "documents": files.documents,
    "sizes and hashes": files.sizes_and_hashes,
    "JSON form": files.json_form,
    "paths": files.no_absolute_paths,
    "keys": files.keys,
    "version": files.version,
    "package pins": package_pins,
    "code form": files.code_form,
}


def verify(archive: Path) -> int:
    """Checks a bundle's zip as the zoo's CI checks a folder; returns the number of failed checks."""
    with tempfile.TemporaryDirectory(prefix="zoo") as root:
        with zipfile.ZipFile(archive) as content:
            content.extractall(Path(root) / "models")
        folder = Path(root) / "models" / NAME
        failed = run_checks(STATIC, folder)
        failed += _run([sys.executable, "-m", "zoo.live", str(folder)], root)
        return failed + run_checks({"unit tests": unit_tests}, folder)


def unit_tests(folder: Path) -> str:
    """Runs the test file for the zoo's ci/unit_tests from the zoo's root."""
    test = ROOT / "zoo" / "unit_tests" / f"test_{NAME}.py"
    done = subprocess.run(
        [sys.executable, str(test)],
        cwd=folder.parent.parent,
        env=_environment(),
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    last = done.stderr.strip().splitlines()[-3:]
    if done.returncode:
        print(done.stdout[-3000:], done.stderr[-3000:])
        raise CheckFailed(f"{test.name}: {last[-1]}")
    return last[0]


def _run(words: list[str], cwd: str) -> int:
    done = subprocess.run(
        words, cwd=cwd, env=_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    )
    print(done.stdout, end="", flush=True)
    if done.returncode:
        print(done.stderr[-5000:], file=sys.stderr)
    return int(done.returncode != 0)


def _environment() -> dict[str, str]:
    """Environment with only the checks of this repository; few threads, no GPU, as on the zoo's smallest machine."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "", "PYTHONDONTWRITEBYTECODE": "1"}


def main(output: str = "output/zoo") -> None:
    """Builds and verifies."""
    folder, archive = build(Path(output))
    print(f"{folder}\n{archive}, {archive.stat().st_size / 1e6:.1f} MB")
    failed = verify(archive)
    print(f"{failed} failed" if failed else "the bundle passes")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
