"""Network and fitted latents of a population without end, as the one module that a trainer trains."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from nisf.fit.implicit import ThroughFit
from nisf.fit.refine import FromEntry, refined
from nisf.models.nisf import NISF
from nisf.utils.compile import compiled, has_bf16
from nisf.utils.distributed import of_all, trained_together

#: Damping of the steps of a new subject's fit; the last is that of every later step.
DAMPINGS = (1e-2, 3e-3, 1e-3, 1e-3)


class FittedLatents(nn.Module):
    """The last fitted latents of a population, [N, L]; they are part of a checkpoint, not trained.

    Args:
        rows: number of latents N.
        latent_size: length of a latent L.
    """

    def __init__(self, rows: int, latent_size: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(rows, latent_size))


class FittedPopulation(nn.Module):
    """A network whose latents are those that a fit to the intensities finds, as they will be for a new scan.

    The latents are not trained: a new virtual subject gets a few Gauss-Newton steps from the mean of the prior, every
    later visit one more, on points of its own. The weights then take a step on labels and intensities at that latent,
    as in first-order meta-learning (Dupont et al., "From data to functa", ICML 2022), and on what the classes ask of
    the fit (``ThroughFit``). So the classes are learned from what intensities alone tell of a subject, whereas latents
    that are trained on labels too know more than a fit can. The prior over latents stays as it is.

    Args:
        network: network shared by all subjects.
        latents: where the fitted latents are kept.
        prior_weight: weight of the prior in the fits, see ``fit_gauss_newton``.
        through_fit: also change the weights so that the fits find latents with better classes (``ThroughFit``).
        compile: compile the network if the machine can.
        bf16: run it in bfloat16 if the hardware has it (CPU or GPU); losses and steps stay in float32.
    """

    def __init__(
        self,
        network: NISF,
        latents: FittedLatents,
        prior_weight: float = 1e-4,
        through_fit: bool = True,
        compile: bool = True,
        bf16: bool = True,
    ) -> None:
        super().__init__()
        device = network.latent_mean.device
        self.network, self.latents, self.prior_weight = network, latents, prior_weight
        self.bf16 = bf16 and has_bf16(device)
        self.through_fit = through_fit
        # outside the module tree, so that checkpoints contain only the plain network
        self.__dict__["plain"] = compiled(network, compile, device)
        self.__dict__["fast"] = trained_together(self.plain)
        self.__dict__["from_entry"] = compiled(FromEntry(network), compile, device)

    def forward(
        self,
        coords: torch.Tensor,
        index: torch.Tensor,
        fit_coords: torch.Tensor,
        fit_intensity: torch.Tensor,
        new: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits [B, C + K, N] at ``coords`` [B, D, N], and the latents [B, L] of the subjects ``index`` [B].

        The latents are first fitted to ``fit_intensity`` [B, C, M] at ``fit_coords`` [B, D, M].
        """
        latent = self.network.latent_mean.expand(len(index), -1) if bool(new) else self.latents.weight[index]
        for damping in DAMPINGS if bool(new) else DAMPINGS[-1:]:
            latent, matrix = refined(
                self.network,
                self.from_entry,
                fit_coords,
                fit_intensity,
                latent,
                self.prior_weight,
                damping,
                self.bf16,
            )
        self.latents.weight[of_all(index)] = of_all(latent)
        with torch.autocast(coords.device.type, dtype=torch.bfloat16, enabled=self.bf16):
            if not self.through_fit:
                return self.fast(coords, latent).float(), latent
            fit = (self.network, self.plain, fit_coords, fit_intensity, self.bf16)
            asked = ThroughFit.apply(latent, matrix, *fit, *self.network.parameters())
            # not for the intensities: these are what the fit itself is after, and the training diverges
            both = self.fast(torch.cat([coords, coords]), torch.cat([latent, asked])).float()
        (of_fit, of_asked), channels = both.chunk(2), self.network.in_channels
        return torch.cat([of_fit[:, :channels], of_asked[:, channels:]], dim=1), latent


def prepare_fitted(
    batch: Mapping[str, torch.Tensor], device: torch.device, non_blocking: bool = False, **kwargs: object
) -> tuple:
    """A batch of ``EndlessLoader`` as MONAI's trainer takes it; see ``prepare_points``."""
    # whether a group is new stays where it is known, so that no step waits for the device
    moved = {
        key: value if key == "new" else value.to(device, non_blocking=non_blocking) for key, value in batch.items()
    }
    targets = {key: moved[key] for key in ("intensity", "label")}
    return moved["coords"], targets, tuple(moved[key] for key in ("index", "fit_coords", "fit_intensity", "new")), {}
