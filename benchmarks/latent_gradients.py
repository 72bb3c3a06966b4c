"""Time for two processes to share the gradients of their latents, beside that of a training step.

    python benchmarks/latent_gradients.py [--repeats 20]

Two gloo processes of one thread each. Dense: ``all_reduce`` of a gradient as large as the table. Rows: the rows of the
step alone (``nisf.utils.distributed.mean_of_rows``), as in the training. The step is that of the shipped recipe:
6 layers, 16 subjects with 256 points each, half of them in each process; it includes the exchange of its latents' rows.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import ignite.distributed as idist
import torch

from nisf.models.losses import NISFLoss
from nisf.models.nisf import NISF, LatentTable
from nisf.training.population import Population, PopulationAdam, TrainingLoss
from nisf.utils.distributed import mean_of_rows

ROWS, SUBJECTS, POINTS, LATENT = (1_000, 10_000, 100_000, 800_000), 8, 256, 128


def seconds(call: Callable[[], object], repeats: int) -> float:
    """The shortest time of a call made by both processes; the first is not counted."""
    taken = []
    for _ in range(repeats + 1):
        idist.barrier()
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return min(taken[1:])


def training_step(rows: int) -> Callable[[], None]:
    """A training step of a population with ``rows`` latents."""
    torch.manual_seed(0)
    population = Population(NISF(num_layers=6), LatentTable(rows, LATENT))
    optimizer = PopulationAdam(population, lr=1e-3, latent_lr=1e-2, weight_decay=0.0)
    loss, coords = TrainingLoss(NISFLoss()), torch.rand(SUBJECTS, 4, POINTS)
    target = {"intensity": torch.rand(SUBJECTS, 1, POINTS), "label": torch.randint(4, (SUBJECTS, 1, POINTS))}

    def step() -> None:
        optimizer.zero_grad()
        loss(population(coords, torch.randint(rows, (SUBJECTS,))), target).backward()
        optimizer.step()

    return step


def measure(rank: int, repeats: int) -> None:
    """Prints a line for each size of the table."""
    torch.set_num_threads(1)
    say = print if rank == 0 else lambda *_: None
    say(f"{'rows':>8} {'table MB':>9} {'dense ms':>9} {'rows ms':>8} {'step ms':>8}")
    for rows in ROWS:
        dense, index = torch.rand(rows, LATENT), torch.randint(rows, (1, SUBJECTS))
        sparse = torch.sparse_coo_tensor(index, torch.rand(SUBJECTS, LATENT), dense.shape)
        whole = seconds(lambda: torch.distributed.all_reduce(dense), repeats)
        own, step = seconds(lambda: mean_of_rows(sparse), repeats), seconds(training_step(rows), repeats)
        size = dense.numel() * dense.element_size() / 1e6
        say(f"{rows:>8,} {size:>9.1f} {1e3 * whole:>9.2f} {1e3 * own:>8.2f} {1e3 * step:>8.1f}")


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=20)
    with idist.Parallel(backend="gloo", nproc_per_node=2) as both:
        both.run(measure, parser.parse_args().repeats)


if __name__ == "__main__":
    main()
