"""One Gauss-Newton search, step by step."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from nisf.fit.linearize import Linearised, Targets, linearise
from nisf.fit.targets import GrowingTargets
from nisf.fit.variables import Variables
from nisf.models.nisf import NISF
from nisf.utils.errors import InputError


class GaussNewtonSearch:
    """State of a fit: the whitened variables v, the loss linearised about them, damping and length of the next step.

    It starts from the initial latent, or from the mean of the prior if that has the lower loss.

    Args:
        network: frozen network.
        variables: meaning of v.
        targets: points to compare.
        prior_weight: weight of the prior against the mean loss of a point.
        damping: initial damping.
        initial: initial latent [L].

    Attributes:
        v: whitened variables [M].
        points: number of point evaluations so far.
        history: history as in ``LatentFit``.
        reason: why the fit stopped; empty until then.

    Raises:
        InputError: the loss is not finite at the start.
    """

    #: a step that lowers the loss by less than this fraction of the prediction is not kept
    MIN_GAIN = 1e-3
    #: a predicted relative decrease that float32 sums cannot show
    ROUNDING = 1e-6
    MAX_DAMPING, MAX_LENGTH = 1e6, 2.0

    def __init__(
        self,
        network: NISF,
        variables: Variables,
        targets: GrowingTargets,
        *,
        prior_weight: float,
        damping: float,
        initial: torch.Tensor,
    ) -> None:
        self.network, self.variables, self.targets = network, variables, targets
        self.prior_weight, self.damping = prior_weight, damping
        self.raise_by, self.length, self.decrease = 2.0, 1.0, float("inf")
        self.points, self.history, self.reason = 0, [], ""
        v = variables.whitened(initial)
        guess, mean = ((start, self._linearise(start, targets.chunks)) for start in (v, torch.zeros_like(v)))
        self.v, self.sums = guess if guess[1].loss <= mean[1].loss else mean
        if not bool(torch.isfinite(self.sums.loss) & torch.isfinite(self.sums.matrix).all()):
            raise InputError("the fit's loss is not a number at the start; check the weights and the image")

    @property
    def latent(self) -> torch.Tensor:
        """Current latent, [L]."""
        return self.variables.latent(self.v)

    @property
    def pose(self) -> torch.Tensor:
        """Change of the pose, [6]."""
        return self.variables.pose(self.v)

    @property
    def effects(self) -> torch.Tensor:
        """Effects of the acquisition on each slice, [slices, 4]: gain, offset, shift x, shift y."""
        return self.variables.effects(self.v)[:-1]

    def _linearise(self, v: torch.Tensor, chunks: Sequence[Targets]) -> Linearised:
        """Sums about ``v`` [M] over some points."""
        first, *others = (linearise(self.network, chunk, self.variables, v) for chunk in chunks)
        self.points += sum(chunk.coords.shape[1] for chunk in chunks)
        return sum(others, start=first)

    def _terms(self, sums: Linearised) -> int:
        return sums.points * self.network.in_channels

    def _objective(self, v: torch.Tensor, sums: Linearised) -> float:
        """Mean loss and prior penalty at v."""
        return float(sums.loss / self._terms(sums) + self.prior_weight / 2 * v.double().square().sum())

    def _system(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Gauss-Newton matrix G [M, M] and gradient [M] of the objective, float64."""
        terms, v = self._terms(self.sums), self.v.double()
        eye = torch.eye(len(v), dtype=torch.double, device=v.device)
        matrix = self.sums.matrix.double() / terms + self.prior_weight * eye
        return matrix, self.sums.gradient / terms + self.prior_weight * v

    def step(self) -> None:
        """Tries one step and keeps it if it lowers the objective."""
        matrix, gradient = self._system()
        damped = matrix + self.damping * torch.eye(len(gradient), dtype=torch.double, device=matrix.device)
        factor, failed = torch.linalg.cholesky_ex(damped)
        if failed:
            self._refuse()
        else:
            direction = -torch.cholesky_solve(gradient[:, None], factor)[:, 0]
            self._try(direction, slope=-float(gradient @ direction), curvature=float(direction @ matrix @ direction))
        loss = float(self.sums.loss) / self._terms(self.sums)
        self.history.append({"step": len(self.history) + 1, "loss": loss, "points": self.points})

    def _try(self, direction: torch.Tensor, slope: float, curvature: float) -> None:
        """Tries a step along ``direction`` [M], in which the objective initially falls by ``slope``."""
        before = self._objective(self.v, self.sums)
        excess = before - float(self.sums.floor) / self._terms(self.sums)
        predicted = self.length * slope - self.length**2 / 2 * curvature
        if predicted <= self.ROUNDING * excess:
            self.decrease, self.length, self.raise_by = 0.0, 1.0, 2.0
            return
        trial = self.v + (self.length * direction).to(self.v)
        sums = self._linearise(trial, self.targets.chunks)
        actual = before - self._objective(trial, sums)
        if not actual > self.MIN_GAIN * predicted:  # also if it is NaN
            self._refuse()
            return
        self.v, self.sums = trial, sums
        self.decrease = actual / excess if excess > 0 else 0.0
        # damping from the gain ratio; length of the next step from the curvature along this one
        self.damping *= min(max(1 - (2 * actual / predicted - 1) ** 3, 0.2), 1.0)
        met = 2 * (self.length * slope - actual) / (self.length**2 * curvature)
        self.length = min(max(1 / max(met, 0.1), 1.0), self.MAX_LENGTH)
        self.raise_by = 2.0

    def _refuse(self) -> None:
        """Rejects the step and raises the damping."""
        self.damping = max(self.damping, self.prior_weight) * self.raise_by
        self.raise_by *= 2
        self.length, self.decrease = 1.0, float("inf")

    def update_state(self, tolerance: float, growth: float) -> bool:
        """Doubles the points once no step lowers the loss much; True when the fit is done, with its ``reason``."""
        stuck = self.damping > self.MAX_DAMPING
        if not self.targets.complete:
            if self.decrease < growth or stuck:
                self.sums = self.sums + self._linearise(self.v, self.targets.grow())
                self.damping = min(self.damping, 1.0)
            return False
        if self.decrease < tolerance:
            self.reason = f"converged: the last step lowered the excess loss by a fraction below {tolerance:g}"
        elif stuck:
            self.reason = "no step lowers the loss any further"
        return bool(self.reason)

    def covariance(self) -> torch.Tensor:
        """Posterior covariance of latent (and pose), float64: the inverse of the objective's matrix.

        It includes the uncertainty about the acquisition.
        """
        factor, known = self.variables.factor().double(), self.variables.known
        covariance = self.prior_weight * factor @ torch.linalg.inv(self._system()[0])[:known, :known] @ factor.t()
        return (covariance + covariance.t()) / 2
