"""MONAI Label's answer against ``nisf segment``, voxel by voxel: docs/how-to/monai-label.md.

    python benchmarks/label_server.py [--scan FILE] [--frames 0 9] [--log FILE] [--json FILE]

Run it with the Python of an environment that has MONAI Label and nisf. It copies MONAI Label's bundle app and the
bundle into a new folder, starts the server there on a free port of this machine, asks it by REST for the labels of
single frames of a cine and segments the same files with ``nisf segment``. Exit status 1 if a voxel differs.
"""

from __future__ import annotations

import argparse
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import nibabel as nib
import numpy as np
from options import parser_of

BUNDLE = Path(__file__).resolve().parent.parent / "bundle"
MODEL = "nisf_cardiac_cine"
PACKAGES = ("monailabel", "monai", "torch", "torchvision", "numpy", "pydicom")
#: Seconds in which the server must be up, and in which it must answer.
START, ANSWER = 180, 600


def studies_of(scan: Path, frames: list[int], folder: Path) -> list[Path]:
    """Single frames of a cine as files of their own."""
    folder.mkdir()
    image, files = nib.load(scan), []
    for frame in frames:
        files.append(folder / f"frame{frame:02d}.nii.gz")
        nib.save(image.slicer[..., frame], files[-1])
    return files


def app_in(folder: Path) -> Path:
    """MONAI Label's app for bundles, with this bundle."""
    label = [sys.executable, "-m", "monailabel.main"]
    subprocess.run([*label, "apps", "--download", "--name", "monaibundle", "--output", str(folder)], check=True)
    shutil.copytree(BUNDLE, folder / "monaibundle" / "model" / MODEL)
    return folder / "monaibundle"


@contextmanager
def server(app: Path, studies: Path, log: Path):
    """The running server's address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["start_server", "--app", str(app), "--studies", str(studies), "--host", "127.0.0.1", "--port", str(port)]
    settings = {"models": MODEL, "zoo_source": "ngc", "sam2": "false", "skip_trainers": "true"}
    words += [word for item in settings.items() for word in ("--conf", *item)]
    with log.open("w") as lines:
        started = subprocess.Popen(
            [sys.executable, "-m", "monailabel.main", *words], stdout=lines, stderr=lines, cwd=app.parent
        )
        try:
            yield up(f"http://127.0.0.1:{port}", started, log)
        finally:
            started.terminate()
            started.wait(30)


def up(address: str, process: subprocess.Popen, log: Path) -> str:
    """The address, once somebody answers there."""
    end = time.monotonic() + START
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/info/") as answer:
                if MODEL in json.load(answer)["models"]:
                    return address
        except (urllib.error.URLError, ConnectionError):
            time.sleep(1)
    raise SystemExit(f"{log}: the server did not start; see there")


def asked(address: str, file: Path, target: Path) -> Path:
    """The label that the server gives of a file of its studies."""
    query = f"{address}/infer/{MODEL}?image={file.name.removesuffix('.nii.gz')}&output=image"
    form = '--part\r\nContent-Disposition: form-data; name=params\r\n\r\n{"device": "cpu"}\r\n--part--\r\n'
    head = {"Content-Type": "multipart/form-data; boundary=part"}
    request = urllib.request.Request(query, form.encode(), head, method="POST")
    with urllib.request.urlopen(request, timeout=ANSWER) as answer:
        target.write_bytes(answer.read())
    return target


def compared(name: str, theirs: Path, ours: Path) -> dict:
    """How far two label files agree."""
    label, expected = nib.load(theirs), nib.load(ours)
    values, wanted = np.asarray(label.dataobj), np.asarray(expected.dataobj)
    same_grid = values.shape == wanted.shape and np.allclose(label.affine, expected.affine, atol=1e-3)
    return {
        "scan": name,
        "voxels": int(wanted.size),
        "not background": int((wanted > 0).sum()),
        "same grid": bool(same_grid),
        "differing voxels": int((values != wanted).sum()) if same_grid else int(wanted.size),
    }


def main() -> None:
    """Prints a table, one row a frame."""
    parser = parser_of(__doc__)
    parser.add_argument("--scan", type=Path, default=BUNDLE / "examples" / "volunteer" / "sax.nii.gz")
    parser.add_argument("--frames", type=int, nargs="*", default=[0, 9])
    parser.add_argument("--log", type=Path, default=Path("output") / "label_server.log")
    parser.add_argument("--json", metavar="FILE", type=Path)
    options: argparse.Namespace = parser.parse_args()
    options.log.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        files = studies_of(options.scan, options.frames, work / "studies")
        with server(app_in(work / "app"), work / "studies", options.log) as address:
            labels = [asked(address, file, work / f"label_{file.name}") for file in files]
        segment = [sys.executable, "-m", "nisf.cli.main", "segment", *map(str, files), "-o", str(work / "out")]
        subprocess.run([*segment, "--device", "cpu"], check=True)
        rows = []
        for file, label in zip(files, labels):
            stem = file.name.removesuffix(".nii.gz")
            rows.append(compared(stem, label, work / "out" / stem / f"{stem}_seg.nii.gz"))
    print(", ".join(f"{name} {version(name)}" for name in PACKAGES))
    print("| " + " | ".join(rows[0]) + " |\n" + "|---" * len(rows[0]) + "|")
    for row in rows:
        print("| " + " | ".join(map(str, row.values())) + " |")
    if options.json:
        packages = {name: version(name) for name in PACKAGES}
        options.json.write_text(json.dumps({"packages": packages, "rows": rows}, indent=1) + "\n")
    if any(row["differing voxels"] for row in rows):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
