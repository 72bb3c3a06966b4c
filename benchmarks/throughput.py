"""Points per second of a training step, a fit step and dense sampling, beside the machine's own matmul rate in the
same run.

    python benchmarks/throughput.py [--json FILE] [--seconds 5] [--device cpu]

The network is the paper's form (configs plain.json). Every row runs the same work for about ``seconds`` after a
warm-up; the share is the row's arithmetic (0.46 MFLOP a point forward, twice that for a latent's gradient, three
times for training) against the best float32 (or bfloat16) product of the same run. Run it alone on the machine.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable

import psutil
import torch

from nisf.fit.adam import fit_adam
from nisf.fit.gauss_newton import fit_gauss_newton
from nisf.fit.points import GridPoints
from nisf.geometry.frame import CoordinateFrame
from nisf.models.losses import NISFLoss
from nisf.models.nisf import NISF, LatentTable
from nisf.sampling.on_grid import sample_grid
from nisf.training.population import Population, PopulationAdam, TrainingLoss
from nisf.utils.bundle import PRIOR, settings_of
from nisf.utils.compile import has_bf16
from nisf.utils.files import write_text
from nisf.utils.provenance import provenance


def rate(work: Callable[[], int], seconds: float, device: torch.device) -> float:
    """Units per second of ``work``, which returns how many units it did."""
    work()
    work()
    done, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        done += work()
        if device.type == "cuda":
            torch.cuda.synchronize()
    return done / (time.perf_counter() - started)


def matmul_rate(device: torch.device, dtype: torch.dtype, seconds: float) -> float:
    """The best rate in FLOP/s of a large square product and of one layer's product."""
    best = 0.0
    for rows, inner, columns in ((2048, 2048, 2048), (8192, 128, 256)):
        a = torch.randn(rows, inner, device=device).to(dtype)
        b = torch.randn(inner, columns, device=device).to(dtype)

        def product(a: torch.Tensor = a, b: torch.Tensor = b, flop: int = 2 * rows * inner * columns) -> int:
            torch.mm(a, b)
            return flop

        best = max(best, rate(product, seconds / 2, device))
    return best


def build(config: dict, device: torch.device) -> NISF:
    """The default recipe's network with random weights."""
    torch.manual_seed(0)
    sizes = {key: config[key] for key in ("latent_size", "hidden_size", "num_layers", "in_channels", "coord_dims")}
    return NISF(num_classes=1 + len(config["class_names"]), **sizes).to(device)


def flop_per_point(config: dict) -> float:
    """Multiply-adds of the hidden layers, forward, as two operations each."""
    return (config["num_layers"] - 1) * 2 * 2 * config["hidden_size"] ** 2


def training_step(config: dict, device: torch.device, compile: bool, bf16: bool) -> Callable[[], int]:
    """One step of the default recipe on random points."""
    subjects, points = config["subjects_per_step"], config["points_per_subject"]
    network = build(config, device)
    population = Population(network, LatentTable(subjects, config["latent_size"]).to(device), compile, bf16)
    loss = TrainingLoss(NISFLoss(config["alpha"], config["latent_l2"]))
    optimizer = PopulationAdam(population, config["lr"], config["latent_lr"], config["weight_decay"])
    coords = torch.rand(subjects, config["coord_dims"], points, device=device)
    target = {
        "intensity": torch.rand(subjects, 1, points, device=device),
        "label": torch.randint(network.num_classes, (subjects, 1, points), device=device),
    }
    index = torch.arange(subjects, device=device)

    def step() -> int:
        optimizer.zero_grad()
        loss(population(coords, index), target).backward()
        optimizer.step()
        return subjects * points

    return step


def phantom_points(frames: int = 10) -> GridPoints:
    """A random scan: the cost of a fit depends on its size alone."""
    frame = CoordinateFrame.relative(torch.eye(4).numpy(), (96, 96, 10), tuple(i / frames for i in range(frames)))
    return GridPoints(frame, torch.rand(1, 96, 96, 10, frames))


def fit_steps(config: dict, device: torch.device, points_per_step: int = 4096) -> Callable[[], int]:
    """Ten Adam steps of a latent."""
    network, points = build(config, device), phantom_points()
    return lambda: fit_adam(network, points, steps=10, points_per_step=points_per_step).points


def newton_steps(config: dict, device: torch.device) -> Callable[[], int]:
    """Five Gauss-Newton steps of a latent on 8,192 points."""
    network, points = build(config, device), phantom_points()
    forced = {"start_points": 8192, "iterations": 5, "tolerance": 0.0}
    return lambda: fit_gauss_newton(network, points, **forced).points


def sampling(config: dict, device: torch.device, frames: int = 1) -> Callable[[], int]:
    """Dense sampling of 92,160 points a frame; compiled from ``COMPILE_FROM`` points on."""
    network, frame = build(config, device), phantom_points(frames).frame

    def work() -> int:
        sample_grid(network, network.latent_mean, frame)
        return frame.size

    return work


def main() -> None:
    """Prints the table and writes it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", metavar="FILE", help="also write the rows there")
    parser.add_argument("--seconds", type=float, default=5.0, help="time of each measurement")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    device, config = torch.device(options.device), settings_of([*PRIOR, "plain"])
    forward = flop_per_point(config)
    fast = has_bf16(device)
    matmul = {"float32": matmul_rate(device, torch.float32, options.seconds)}
    if fast:
        matmul["bfloat16"] = matmul_rate(device, torch.bfloat16, options.seconds)
    works = [
        ("training step, eager float32", "float32", 3, training_step(config, device, False, False)),
        ("training step, compiled float32", "float32", 3, training_step(config, device, True, False)),
        *(
            [("training step, compiled bfloat16", "bfloat16", 3, training_step(config, device, True, True))]
            if fast
            else []
        ),
        ("fit step (Adam, latent alone)", "float32", 2, fit_steps(config, device)),
        ("fit step (Gauss-Newton)", "float32", 2, newton_steps(config, device)),
        ("dense sampling, short scan, eager", "float32", 1, sampling(config, device)),
        ("dense sampling, long cine, compiled", "float32", 1, sampling(config, device, frames=22)),
    ]
    rows = []
    for name, kind, passes, work in works:
        points = rate(work, options.seconds, device)
        share = points * passes * forward / matmul[kind]
        memory = psutil.Process().memory_info().rss / 2**30
        rows.append({"what": name, "points_per_s": points, "share_of_matmul": share, "resident_gib": memory})
    print(
        f"machine: {platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, {device}, "
        f"torch {torch.__version__}"
    )
    print("matmul: " + ", ".join(f"{kind} {value / 1e9:.0f} GFLOP/s" for kind, value in matmul.items()))
    for row in rows:
        print(
            f"{row['what']:<36}{row['points_per_s'] / 1e3:9.1f}k points/s  {row['share_of_matmul']:6.1%} of matmul  "
            f"{row['resident_gib']:.2f} GiB resident"
        )
    if options.json:
        content = {
            "rows": rows,
            "matmul_flop_per_s": matmul,
            "threads": torch.get_num_threads(),
            "made_with": provenance({"device": str(device)}),
        }
        write_text(options.json, json.dumps(content, indent=1))


if __name__ == "__main__":
    main()
