"""One Gauss-Newton search, step by step."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from nisf.fit.linearize import Linearised, Targets, linearise
from nisf.fit.points import GridPoints
from nisf.fit.prior import initial_latent
from nisf.fit.variables import Variables
from nisf.models.nisf import NISF
from nisf.utils.errors import InputError


class GaussNewtonSearch:
    """State of a batch of fits: B whitened vectors, the loss linearised about them, dampings, step lengths."""

    #: a step that lowers the loss by less than this part of the prediction is not kept
    MIN_GAIN = 1e-3
    #: a predicted relative decrease that float32 sums cannot show
    ROUNDING = 1e-6
    MAX_DAMPING, MAX_LENGTH = 1e6, 2.0
    #: intensities for each point of U-Net probabilities, which costs as much as two
    UNET_SHARE = 2

    def __init__(
        self,
        network: NISF,
        scans: Sequence[GridPoints],
        prior_weight: float,
        final_points: int,
        start_points: int,
        chunk: int,
        damping: float,
        seed: int,
        pose: bool,
        unet_weight: float,
        acquisition: torch.Tensor | None = None,
    ) -> None:
        self.network, self.scans, self.weight, self.chunk = network, list(scans), prior_weight, chunk
        self.variables = Variables(network, pose, max(scan.frame.shape[2] for scan in scans), acquisition)
        self.unet_weight = unet_weight
        self.sources = self._sources()
        smallest = min(len(scan) for source in self.sources for scan in source)
        self.all_points, self.in_use = min(final_points, smallest), 0
        self.numbers = [
            [scan.spread(self.all_points, seed + 1000 * place)[: self.all_points] for scan in source]
            for place, source in enumerate(self.sources)
        ]
        self.chunks: list[Targets] = []
        self._take(min(start_points, self.all_points))
        self.points, self.history = 0, [[] for _ in self.scans]
        device = network.latent_mean.device
        count = len(self.scans)
        self.damping = torch.full((count,), damping, dtype=torch.double, device=device)
        self.raise_by = torch.full_like(self.damping, 2.0)
        self.length = torch.ones_like(self.damping)
        self.decrease = torch.full_like(self.damping, torch.inf)
        self.done = torch.zeros(count, dtype=torch.bool, device=device)
        self.reasons = [""] * count
        self.z, self.sums = self._start()

    def _sources(self) -> list[list[GridPoints]]:
        """The scans' intensities and, where every scan has it, their U-Net probabilities."""
        unet_prob = [scan.unet_prob for scan in self.scans]
        seen = self.unet_weight > 0 and all(found is not None for found in unet_prob)
        return [self.scans, unet_prob] if seen else [self.scans]

    def _start(self) -> tuple[torch.Tensor, Linearised]:
        """The initial latent, or the mean of the prior where that is nearer to the intensities."""
        z = self.variables.whitened(torch.stack([initial_latent(self.network, scan) for scan in self.scans]))
        here, there = self._linearise(z), self._linearise(torch.zeros_like(z))
        better = (here.loss <= there.loss).unsqueeze(1)
        z = torch.where(better, z, torch.zeros_like(z))
        sums = _choose(better[:, 0], here, there)
        if not bool(torch.isfinite(sums.loss).all() & torch.isfinite(sums.matrix).all()):
            raise InputError("the fit's loss is no number at the start; check the weights and the image")
        return z, sums

    def latents(self) -> torch.Tensor:
        """[B, L]."""
        return self.variables.latent(self.z)

    def poses(self) -> torch.Tensor:
        """Changes of the pose, [B, 6]."""
        return self.variables.pose(self.z)

    def effects(self) -> torch.Tensor:
        """Of the acquisition on each slice, [B, slices, 4]: gain, offset, shift x, shift y."""
        return self.variables.effects(self.z)[:, :-1]

    def _take(self, count: int) -> int:
        """Brings the points in use up to ``count``; returns the number of the first new chunk."""
        first = len(self.chunks)
        for start in range(self.in_use, count, self.chunk):
            stop = min(start + self.chunk, count)
            for place, source in enumerate(self.sources):
                share = self.UNET_SHARE if place == 1 else 1
                part = slice(start // share, stop // share)
                chosen = [(scan, number[part]) for scan, number in zip(source, self.numbers[place])]
                if part.stop > part.start:
                    self.chunks.append(self._targets(chosen, share * self.unet_weight if place == 1 else None))
        self.in_use = count
        return first

    def _targets(self, chosen: list[tuple[GridPoints, torch.Tensor]], weight: float | None) -> Targets:
        """Of numbered points of each scan: intensities, or with a weight of U-Net probabilities."""
        pairs = [scan.take(number) for scan, number in chosen]
        coords, wanted = (torch.stack(values).to(self.network.latent_mean) for values in zip(*pairs))
        fitted = self.variables
        # where nothing moves the coordinates their product is the same for every latent, so it is computed once
        projected = None if fitted.moves else self.network.project(coords)
        slices = torch.stack([scan.slices_of(number) for scan, number in chosen]) if fitted.has_acquisition else None
        return Targets(coords, wanted, weight is not None, 1.0 if weight is None else weight, projected, slices)

    def _linearise(self, z: torch.Tensor, first: int = 0) -> Linearised:
        """Sums about ``z`` [B, M] over the points in use, from the chunk ``first`` on."""
        parts = [linearise(self.network, chunk, self.variables, z)[0] for chunk in self.chunks[first:]]
        total = sum(parts[1:], start=parts[0])
        self.points += sum(chunk.coords.shape[2] for chunk in self.chunks[first:])
        return total

    def _objective(self, z: torch.Tensor, sums: Linearised) -> torch.Tensor:
        """Mean BCE and penalty, [B] float64."""
        return sums.loss / self._terms(sums) + self.weight / 2 * z.double().square().sum(dim=1)

    def _terms(self, sums: Linearised) -> int:
        return sums.points * self.network.in_channels

    def _system(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Gauss-Newton matrix [B, M, M] and gradient [B, M] of the objective, float64."""
        terms, z = self._terms(self.sums), self.z.double()
        eye = torch.eye(z.shape[1], dtype=torch.double, device=z.device)
        return self.sums.matrix.double() / terms + self.weight * eye, self.sums.gradient / terms + self.weight * z

    def step(self) -> None:
        """One trial step of every scan that is not done."""
        matrix, gradient = self._system()
        eye = torch.eye(matrix.shape[1], dtype=torch.double, device=matrix.device)
        factor, failed = torch.linalg.cholesky_ex(matrix + self.damping[:, None, None] * eye)
        factor = torch.where((failed > 0)[:, None, None], eye, factor)
        direction = -torch.cholesky_solve(gradient.unsqueeze(2), factor)[..., 0]
        slope = -(gradient * direction).sum(dim=1)
        curvature = torch.einsum("br,brs,bs->b", direction, matrix, direction)
        predicted = self.length * slope - self.length.square() / 2 * curvature
        before = self._objective(self.z, self.sums)
        excess = before - self.sums.floor / self._terms(self.sums)
        settled = (predicted <= self.ROUNDING * excess) & (failed == 0)
        trial = self.z + (self.length.unsqueeze(1) * direction).to(self.z)
        trial = torch.where(self.done.unsqueeze(1), self.z, trial)
        sums = self._linearise(trial)
        actual = before - self._objective(trial, sums)
        kept = (actual > self.MIN_GAIN * predicted) & (failed == 0) & ~self.done & ~settled
        self.decrease = torch.where(kept, actual / excess, torch.where(settled, 0.0, torch.inf))
        self._damp(kept, settled, actual, predicted, slope, curvature)
        self.z = torch.where(kept.unsqueeze(1), trial, self.z)
        self.sums = _choose(kept, sums, self.sums)
        self._note()

    def _damp(
        self,
        kept: torch.Tensor,
        settled: torch.Tensor,
        actual: torch.Tensor,
        predicted: torch.Tensor,
        slope: torch.Tensor,
        curvature: torch.Tensor,
    ) -> None:
        """Damping by the gain ratio; length of the next step by the curvature that the last one met. All [B]."""
        gain = actual / predicted.clamp_min(torch.finfo(torch.double).tiny)
        lower = (1 - (2 * gain - 1) ** 3).clamp(0.2, 1.0)
        met = 2 * (self.length * slope - actual) / (self.length.square() * curvature)
        self.length = torch.where(kept, (1 / met.clamp_min(0.1)).clamp(1.0, self.MAX_LENGTH), 1.0)
        raised = self.damping.clamp_min(self.weight) * self.raise_by
        self.damping = torch.where(kept, self.damping * lower, torch.where(settled, self.damping, raised))
        self.raise_by = torch.where(kept | settled, 2.0, self.raise_by * 2)

    def _note(self) -> None:
        losses = (self.sums.loss / self._terms(self.sums)).tolist()
        for history, loss, done in zip(self.history, losses, self.done.tolist()):
            if not done:
                history.append({"step": len(history) + 1, "loss": loss, "points": self.points})

    def update_state(self, tolerance: float, growth: float) -> bool:
        """Doubles the points once no step lowers the loss much; True when every scan is done."""
        if self.in_use < self.all_points:
            if bool((self.decrease < growth).all() | (self.damping > self.MAX_DAMPING).any()):
                first = self._take(min(2 * self.in_use, self.all_points))
                self.sums = self.sums + self._linearise(self.z, first)
                self.damping.clamp_(max=1.0)
            return False
        for scan, (small, stuck) in enumerate(zip(self.decrease < tolerance, self.damping > self.MAX_DAMPING)):
            if bool(small | stuck) and not self.done[scan]:
                self.done[scan] = True
                self.reasons[scan] = (
                    f"converged: the last step lowered the loss by less than {tolerance:g} of what is left of it"
                    if small
                    else "no step lowers the loss any further"
                )
        return bool(self.done.all())

    def covariances(self) -> torch.Tensor:
        """Posterior covariances of latents (and poses), [B, L, L] float64: the inverse of the objective's matrix.

        What the acquisition leaves unknown is in them.
        """
        factor, known = self.variables.factor().double(), self.variables.known
        covariance = self.weight * factor @ torch.linalg.inv(self._system()[0])[:, :known, :known] @ factor.t()
        return (covariance + covariance.transpose(1, 2)) / 2


def _choose(which: torch.Tensor, there: Linearised, here: Linearised) -> Linearised:
    """For each scan ``there`` where ``which`` [B], otherwise ``here``; both of the same points."""
    values = {}
    for name, value in vars(there).items():
        other = getattr(here, name)
        shaped = which.reshape(-1, *[1] * (value.ndim - 1)) if isinstance(value, torch.Tensor) else None
        values[name] = other if shaped is None else torch.where(shaped, value, other)
    return Linearised(**values)
