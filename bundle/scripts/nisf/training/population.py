"""What the Ignite and MONAI workflows need beyond the stock engines."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sized

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
from torch.utils.data import RandomSampler

from nisf.models.losses import NISFLoss
from nisf.models.nisf import NISF, LatentTable
from nisf.utils.compile import compiled, has_bf16
from nisf.utils.distributed import mean_of_rows, of_all, trained_together
from nisf.utils.errors import InputError

logger = logging.getLogger(__name__)


class InChunks(nn.Module):
    """A network evaluated at no more than ``chunk`` points at a time; see ``Population``."""

    def __init__(self, network: nn.Module, chunk: int) -> None:
        super().__init__()
        self.network, self.chunk = network, chunk

    def forward(self, coords: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
        """The output of the network."""
        if coords.shape[2] <= self.chunk:
            return self.network(coords, latent)
        parts = coords.split(self.chunk, dim=2)
        return torch.cat([checkpoint(self.network, part, latent, use_reentrant=False) for part in parts], dim=2)


class Population(nn.Module):
    """Network and latents of the training subjects, as the one module that a trainer trains.

    Each of several processes has all of it; see ``PopulationAdam`` for the latents' gradients.

    Args:
        network: network shared by all subjects.
        latents: table with one row per subject.
        compile: compile the network if the machine can.
        bf16: run it in bfloat16 if the hardware has it (CPU or GPU); the losses stay in float32.
        chunk: points of a subject evaluated at once; with more, activations are recomputed in the backward pass, so
            that a step over all voxels of a frame (the paper's recipe) fits in memory.
    """

    def __init__(
        self, network: NISF, latents: LatentTable, compile: bool = True, bf16: bool = True, chunk: int = 16384
    ) -> None:
        super().__init__()
        self.network, self.latents = network, latents
        device = network.latent_mean.device
        self.bf16 = bf16 and has_bf16(device)
        # outside the module tree, so that checkpoints contain only the plain network
        self.__dict__["fast"] = trained_together(InChunks(compiled(network, compile, device), chunk))

    def forward(self, coords: torch.Tensor, index: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits [B, C + K, N] at ``coords`` [B, D, N], and the latents [B, L] of the subjects ``index`` [B]."""
        latent = self.latents(index)
        with torch.autocast(coords.device.type, dtype=torch.bfloat16, enabled=self.bf16):
            output = self.fast(coords, latent)
        return output.float(), latent


class DrawnSampler(RandomSampler):
    """PyTorch's RandomSampler, drawing a whole epoch at its start.

    Otherwise, if the epoch is a multiple of the subjects, it draws once more at its end, which Ignite asks for after
    the generator was seeded for the next epoch: a resumed training would go on differently.

    Raises:
        InputError: an epoch has no draw.
    """

    def __init__(self, data_source: Sized, num_samples: int | None = None, **options: object) -> None:
        if num_samples is not None and num_samples < 1:
            names = "subjects_per_step, steps_per_epoch or stacks_per_epoch"
            raise InputError(f"an epoch has {num_samples} draws; give 1 or more for {names}")
        super().__init__(data_source, num_samples=num_samples, **options)

    def __iter__(self) -> Iterator[int]:
        return iter(list(super().__iter__()))


def prepare_points(
    batch: Mapping[str, torch.Tensor], device: torch.device, non_blocking: bool = False, **kwargs: object
) -> tuple:
    """A batch of points as MONAI's trainer takes it: coordinates, targets, and the subjects' rows as an argument."""
    moved = {key: batch[key].to(device, non_blocking=non_blocking) for key in ("coords", "intensity", "label", "index")}
    return moved["coords"], {"intensity": moved["intensity"], "label": moved["label"]}, (moved["index"],), {}


class TrainingLoss(nn.Module):
    """``NISFLoss`` on what ``Population`` returns; keeps the parts of the last call in ``parts`` for the log.

    Each of several processes computes the loss over the subjects of all: Dice is one number for a whole step.
    """

    def __init__(self, loss: NISFLoss) -> None:
        super().__init__()
        self.loss = loss
        self.parts: dict[str, torch.Tensor] = {}

    def forward(self, output: tuple[torch.Tensor, torch.Tensor], target: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The loss, a scalar."""
        logits, latent = map(of_all, output)
        intensity, label = (of_all(target[name]) for name in ("intensity", "label"))
        parts = self.loss(logits, intensity, label, latent)
        self.parts = {name: value.detach() for name, value in parts.items()}
        return parts["loss"]


class PopulationAdam(torch.optim.Optimizer):
    """Adam for the weights, and for the latents an Adam that updates only the rows and moments of a step.

    With plain Adam the rows that a step does not touch drift on along old gradients, and there may be a hundred times
    more rows than subjects in a step. Several processes exchange only the rows of their step, however many subjects
    there are.

    Args:
        population: network and latents.
        lr: step size of the weights.
        latent_lr: step size of the latents.
        weight_decay: the paper's L2 penalty on the weights.
    """

    def __init__(self, population: Population, lr: float, latent_lr: float, weight_decay: float) -> None:
        weights, latents = list(population.network.parameters()), list(population.latents.parameters())
        super().__init__([{"params": weights, "lr": lr}, {"params": latents, "lr": latent_lr}], {})
        self.parts = [
            torch.optim.Adam(weights, lr=lr, weight_decay=weight_decay),
            torch.optim.SparseAdam(latents, lr=latent_lr),
        ]
        self._share_groups()

    def _share_groups(self) -> None:
        """Makes the groups of this optimiser, which schedules change, those of its parts."""
        self.param_groups = [group for part in self.parts for group in part.param_groups]

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """One step of both optimisers."""
        for latents in self.param_groups[1]["params"]:
            latents.grad = mean_of_rows(latents.grad)
        for part in self.parts:
            part.step()

    def state_dict(self) -> dict:
        """The state of both optimisers."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state: dict) -> None:
        """Restores the state of both optimisers."""
        for part, saved in zip(self.parts, state["parts"]):
            part.load_state_dict(saved)
        self._share_groups()


def build_schedule(
    optimizer: torch.optim.Optimizer, schedule: str, epochs: int
) -> torch.optim.lr_scheduler.LRScheduler:
    """Step size over the epochs: ``constant`` (the paper) or ``cosine`` down to zero, for weights and latents alike."""
    if schedule == "cosine":
        return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)
    if schedule == "constant":
        return torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0, total_iters=0)
    raise InputError(f"schedule is '{schedule}'; it can be 'cosine' or 'constant'")
