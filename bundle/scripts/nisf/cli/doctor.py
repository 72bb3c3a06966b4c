"""Checks of the machine and the installation: ``nisf doctor``."""

from __future__ import annotations

import json
import os
import platform
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib import metadata, util
from pathlib import Path

import psutil
import torch

from nisf.models.committee import members_of
from nisf.models.nisf import NISF
from nisf.models.slice_net import SliceNet
from nisf.models.weights import load_unet, load_weights
from nisf.sampling.fitted_scan import MODELS
from nisf.utils.compile import compiler_of, has_bf16, in_bf16
from nisf.utils.digest import digest_of_file
from nisf.utils.errors import InputError
from nisf.utils.extras import EXTRAS, missing_of
from nisf.utils.files import check_writable
from nisf.utils.machine import free_memory, processors
from nisf.utils.text import clock

OK, WARNING, PROBLEM = "ok", "warning", "problem"

#: Least number of bytes for the results of a scan and the store of a training.
LEAST_DISK = 2 * 2**30

#: Purpose of each extra of setup.cfg.
PURPOSES = {
    "train": "training",
    "mlflow": "tracking",
    "dicom": "compressed DICOM in",
    "dicom-seg": "DICOM SEG out",
    "slicer": "3D Slicer's files out",
    "itk": "MHA and NRRD in",
    "ray": "cohorts on Ray",
    "onnx": "ONNX files",
}

#: Floating-point operations of one network for a point, forward: 5 of 6 layers of 2 x 2 x 128 x 128 multiply-adds.
FLOP_A_POINT = 5 * 2 * 2 * 2 * 128 * 128

#: The scan that the estimate is for: a field of 160 x 160 mm at 1.5 mm, 12 slices, 30 frames, about a fifth of which
#: is evaluated; slices that the U-Net reads; a fit in evaluations of a point forward (10 steps, derivatives included);
#: seconds of the rest (start, reading, quality, writing).
POINTS, SLICES, FIT, START = 107 * 107 * 12 * 30 // 5, 12 * 30, 250_000, 4.0

#: Side of the windows that the U-Net reads, pixels.
WINDOW = 112


@dataclass
class Finding:
    """One check: ``name``, ``state`` (ok, warning, problem), its finding as text, and the numbers behind it."""

    name: str
    state: str
    text: str
    numbers: dict[str, object] = field(default_factory=dict)


def examine(folder: str = ".", device: str | None = None) -> list[Finding]:
    """Runs all checks; takes some seconds.

    Args:
        folder: where results are to be written.
        device: cpu, cuda or cuda:N; a GPU where there is one unless named.

    Raises:
        InputError: the device is unknown or missing.
    """
    where = _device(device)
    findings = [_versions(), _extras(), _weights(), _folder(folder), _of_device(where), _compiler(where), _bf16(where)]
    return [*findings, _threads(where), *_speed(where)]


def _device(name: str | None) -> torch.device:
    try:
        device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"the device {name} cannot be used ({str(error).splitlines()[0]}); name another") from error
    return device


def _versions(asked: list[str] | None = None) -> Finding:
    """The versions of the required packages (or ``asked``) against their ranges."""
    from packaging.requirements import Requirement

    try:
        wanted = [Requirement(text) for text in asked or metadata.requires("nisf") or []]
    except metadata.PackageNotFoundError:
        return Finding(
            "packages", WARNING, "nisf is not installed as a package, so no ranges are known (pip install .)"
        )
    found, wrong = {}, []
    for one in wanted:
        if one.marker is not None and not one.marker.evaluate({"extra": ""}):
            continue
        try:
            found[one.name] = metadata.version(one.name)
        except metadata.PackageNotFoundError:
            found[one.name] = None
        if found[one.name] is None or not one.specifier.contains(found[one.name], prereleases=True):
            wrong.append(f"{one.name} is {found[one.name] or 'missing'}, {one.specifier} is needed")
    if wrong:
        return Finding("packages", PROBLEM, f"{'; '.join(wrong)}: pip install the right ones", found)
    python = platform.python_version()
    text = f"Python {python}, torch {found['torch']}, MONAI {found['monai']}; all {len(found)} within their ranges"
    return Finding("packages", OK, text, {"python": python, **found})


def _extras() -> Finding:
    """Extras that are not installed, and what they are for; never a problem."""
    missing = {name: found for name in EXTRAS if (found := missing_of(name))}
    if not missing:
        return Finding("extras", OK, "all installed")
    text = "; ".join(f"no {PURPOSES[name]} without {' and '.join(found)}" for name, found in missing.items())
    return Finding("extras", OK, f"{text} (pip install 'nisf[{','.join(missing)}]')", {"missing": list(missing)})


def _weights(folder: Path = MODELS) -> Finding:
    """The shipped weights against the digests beside them (``SHA256SUMS``, as sha256sum writes it)."""
    try:
        listed = (line.split() for line in (folder / "SHA256SUMS").read_text(encoding="utf-8").splitlines())
        wanted = {name.lstrip("*"): digest for digest, name in listed}
    except (OSError, ValueError):
        return Finding("weights", PROBLEM, f"{folder / 'SHA256SUMS'}: is missing or damaged; copy the bundle again")
    found = {}
    for name in wanted:
        path = folder / name
        found[name] = digest_of_file(path) if path.is_file() else None
    wrong = [f"{name} is {'damaged' if found[name] else 'missing'}" for name in wanted if found[name] != wanted[name]]
    if wrong:
        return Finding("weights", PROBLEM, f"{', '.join(wrong)} in {folder}; copy the bundle again", found)
    return Finding("weights", OK, f"{len(found)} files, as shipped", found)


def _folder(folder: str) -> Finding:
    """Whether results can be written, and the free space."""
    try:
        path = check_writable(folder)
    except InputError as error:
        return Finding("folder", PROBLEM, str(error))
    free = shutil.disk_usage(path).free
    text = f"{path.resolve()} can be written to, {free / 2**30:.1f} GiB are free"
    state = OK if free >= LEAST_DISK else WARNING
    return Finding("folder", state, text + "; results may not fit" * (state == WARNING), {"free_bytes": free})


def _of_device(device: torch.device) -> Finding:
    memory = free_memory()
    if device.type == "cuda":
        memory = torch.cuda.mem_get_info(device)[0]
        name = torch.cuda.get_device_name(device)
    else:
        name = f"CPU, {platform.machine()}, {psutil.cpu_count(logical=False) or os.cpu_count()} cores, no GPU in use"
    state = OK if memory > 2 * 2**30 else WARNING
    text = f"{name}, {memory / 2**30:.1f} GiB of memory free"
    return Finding("device", state, text + "; a long cine takes about 1.5" * (state == WARNING), {"free_bytes": memory})


def _compiler(device: torch.device) -> Finding:
    if device.type == "cuda":
        found = util.find_spec("triton") is not None
        return Finding(
            "compiler", OK if found else WARNING, "triton" if found else "no triton: the network runs uncompiled"
        )
    path = compiler_of()
    if path is None:
        return Finding(
            "compiler", WARNING, "no C++ compiler: the network runs uncompiled, long cines slower (install g++)"
        )
    return Finding("compiler", OK, path)


def _bf16(device: torch.device) -> Finding:
    if has_bf16(device):
        return Finding("bfloat16", OK, "units found: sampling and training use them")
    return Finding("bfloat16", WARNING, "no bfloat16 units: float32 throughout, some three times slower than with them")


def _threads(device: torch.device) -> Finding:
    """Threads against the processors that this process may use, and how busy those are."""
    usable = processors()
    threads, load = torch.get_num_threads(), psutil.getloadavg()[0]
    numbers = {"threads": threads, "processors": usable, "load": load}
    text = f"{threads} for {usable} processors, load {load:.1f}"
    if threads > usable:
        return Finding(
            "threads", WARNING, f"{text}: too many, they wait for each other (OMP_NUM_THREADS={usable})", numbers
        )
    if load > usable + 0.5:
        return Finding("threads", WARNING, f"{text}: other work is running, everything takes longer", numbers)
    if device.type == "cpu" and threads < usable // 2:
        return Finding("threads", WARNING, f"{text}: processors stand idle (OMP_NUM_THREADS={usable})", numbers)
    return Finding("threads", OK, text, numbers)


def _rate(work: Callable[[], object], units: int, device: torch.device, seconds: float = 1.0) -> float:
    """Units per second of ``work``, after a call to warm up."""
    work()
    done, started = 0, time.perf_counter()
    while not done or time.perf_counter() - started < seconds:
        work()
        done += units
        if device.type == "cuda":
            torch.cuda.synchronize(device)
    return done / (time.perf_counter() - started)


@torch.no_grad()
def _speed(device: torch.device) -> list[Finding]:
    """Measured speed of matrix products, network and U-Net; estimated time of a usual scan."""
    if _weights().state == PROBLEM:
        return [Finding("speed", WARNING, "not measured, because weights are missing")]
    side = torch.randn(1024, 1024, device=device)
    flop = _rate(lambda: side @ side, 2 * 1024**3, device)
    network = load_weights(NISF(num_layers=6, closed_cycle=True), MODELS / "model.pt").to(device).eval()
    unet = load_unet(SliceNet(), MODELS / "unet.pt", device)
    coords, latent = torch.rand(1, 4, 8192, device=device), network.latent_mean.unsqueeze(0)
    windows = torch.rand(8, 3, WINDOW, WINDOW, device=device)
    with in_bf16(device):
        points = _rate(lambda: network(coords, latent), coords.shape[2], device)
        slices = _rate(lambda: unet(windows), len(windows), device)
    share = points * FLOP_A_POINT * len(members_of(network)) / flop
    seconds = START + SLICES / slices + (POINTS + FIT) / points
    slow = share < 0.15
    why = ": the rest goes to sines and memory, or to other work on the machine" if slow else ""
    return [
        Finding("products", OK, f"{flop / 1e9:.0f} GFLOP/s (float32, 1024 x 1024)", {"flop_per_second": flop}),
        Finding(
            "network",
            WARNING if slow else OK,
            f"{points:,.0f} points/s, {share:.0%} of what the products allow{why}",
            {"points_per_second": points, "share": share},
        ),
        Finding("U-Net", OK, f"{slices:.1f} slices/s", {"slices_per_second": slices}),
        Finding(
            "a scan",
            OK if seconds < 120 else WARNING,
            f"12 slices, 30 frames: about {clock(seconds)}" + "; --fast takes about half" * (seconds >= 120),
            {"seconds": seconds},
        ),
    ]


def as_lines(findings: list[Finding]) -> str:
    """The findings, one a line."""
    width = max(len(one.name) for one in findings)
    return "\n".join(f"{one.state:<8} {one.name:<{width}}  {one.text}" for one in findings)


def as_json(findings: list[Finding]) -> str:
    """The findings as JSON: ``{"ok": no problem was found, "findings": [...]}``."""
    fine = all(one.state != PROBLEM for one in findings)
    return json.dumps({"ok": fine, "findings": [asdict(one) for one in findings]}, indent=1)
