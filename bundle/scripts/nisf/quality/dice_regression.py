"""The Dice that an expert's labels would give a fit, predicted from the numbers of ``quality.assess``.

A product of two monotone logistic regressions, ``Dice = sigmoid(a + sum_i g_i x_i) sigmoid(b + sum_i c_i x_i)``: the
first says whether the organ was found at all, the second how well it was outlined. Each ``x_i`` is one number,
transformed and signed so that more is better, and no coefficient is negative. One regression alone cannot do both: it
would have to fall from 0.9 to 0 over the numbers' whole range. Saved as JSON beside the weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from scipy.special import expit, logit

#: Numbers used, how each is transformed, and whether more of it is better (1) or worse (-1).
TERMS = {
    "unet_uncertainty": ("log", -1),
    "disagreement": ("log", -1),
    "worst_disagreement": ("log", -1),
    "expected_dice": ("logit", 1),
    "uncertainty": ("log", -1),
    "ncc": ("plain", 1),
    "noise": ("log", -1),
    "prior_distance": ("plain", -1),
    "slice_shift": ("plain", -1),
    "empty_slices": ("plain", -1),
    "volume": ("shortfall", -1),
    "least_share": ("log", 1),
}

#: Standard deviations at which a number is clipped: nothing was learned beyond.
REACH = 4.0

#: Ridge weights, chosen by cross-validation on the validation subjects of the phantom and ACDC.
RIDGE = (3e-4, 3e-3)

#: Width of the pseudo-Huber loss of the residuals, which is close to their absolute value.
SOFT = 0.02


@dataclass(frozen=True)
class Term:
    """One number's part in the regression.

    Attributes:
        name: name of the number.
        transform: ``plain``, ``log``, ``logit`` or ``shortfall``: how far the logarithm is below that of ``start``.
        sign: 1 where more of the number is better, -1 where it is worse.
        mean, scale: mean and standard deviation of the transformed number, signed so that more is better.
        gate, level: coefficients in the first and the second regression, zero or more.
        start: start of a shortfall.
    """

    name: str
    transform: str
    sign: int
    mean: float = 0.0
    scale: float = 1.0
    gate: float = 0.0
    level: float = 0.0
    start: float = 1.0

    def raw(self, value: float | None) -> float:
        """The transformed number; NaN if it is not known."""
        if value is None or math.isnan(value):
            return math.nan
        if self.transform == "log":
            return self.sign * math.log(max(value, 1e-3))
        if self.transform == "logit":
            return self.sign * float(logit(min(max(value, 0.01), 0.999)))
        if self.transform == "shortfall":
            return self.sign * max(0.0, math.log(self.start / max(value, 1e-2)))
        return self.sign * value

    def of(self, value: float | None) -> float:
        """The number in standard deviations from the mean; 0 if it is not known."""
        raw = (self.raw(value) - self.mean) / self.scale
        return 0.0 if math.isnan(raw) else min(max(raw, -REACH), REACH)


@dataclass(frozen=True)
class DicePrediction:
    """The regressions: ``terms`` and the intercepts a and b."""

    terms: tuple[Term, ...]
    gate: float
    level: float

    def __call__(self, numbers: Mapping[str, float]) -> float:
        """Predicted mean Dice over classes, ED and ES."""
        x = [term.of(numbers.get(term.name)) for term in self.terms]
        gate = self.gate + sum(term.gate * value for term, value in zip(self.terms, x))
        return float(expit(gate) * expit(self.level + sum(t.level * value for t, value in zip(self.terms, x))))

    def to_dict(self) -> dict:
        """Plain types, for JSON."""
        return {"gate": self.gate, "level": self.level, "terms": [asdict(term) for term in self.terms]}

    @classmethod
    def from_dict(cls, plain: Mapping) -> DicePrediction:
        """The inverse of ``to_dict``."""
        return cls(tuple(Term(**term) for term in plain["terms"]), float(plain["gate"]), float(plain["level"]))

    @classmethod
    def fitted(
        cls,
        numbers: Sequence[Mapping[str, float]],
        dice: Sequence[float],
        start: float,
        ridge: tuple[float, float] = RIDGE,
    ) -> DicePrediction:
        """Fitted to scans with known Dice.

        Args:
            numbers: numbers of ``quality.assess`` for each scan.
            dice: true mean Dice of each.
            start: mL, the volume below which an organ is too small.
            ridge: weights of the two regressions' squared coefficients against the mean absolute error.
        """
        terms = [
            term
            for name, (transform, sign) in TERMS.items()
            if (term := _scaled(Term(name, transform, sign, start=start), numbers)) is not None
        ]
        x = np.array([[term.of(one.get(term.name)) for term in terms] for one in numbers])
        gate, level = _regressions(x, np.asarray(dice, dtype=float), ridge)
        found = [replace(t, gate=float(g), level=float(c)) for t, g, c in zip(terms, gate[1:], level[1:])]
        return cls(tuple(found), float(gate[0]), float(level[0]))


def _scaled(term: Term, numbers: Sequence[Mapping[str, float]]) -> Term | None:
    """The term with its mean and scale in these scans; None if it does not vary."""
    raw = np.array([term.raw(one.get(term.name)) for one in numbers])
    raw = raw[np.isfinite(raw)]
    scale = float(raw.std()) if len(raw) else 0.0
    return replace(term, mean=float(raw.mean()), scale=scale) if scale > 1e-6 else None


def _regressions(x: np.ndarray, y: np.ndarray, ridge: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Intercept and coefficients [1 + M] of both, for numbers [N, M] and Dice [N], by least soft absolute error."""
    size = 1 + x.shape[1]
    from scipy.optimize import minimize  # here, as only calibration needs it and it takes long to import

    design = np.column_stack([np.ones(len(x)), x])
    weight = np.concatenate([[0.0], np.full(size - 1, ridge[0]), [0.0], np.full(size - 1, ridge[1])])

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        gate, level = expit(design @ w[:size]), expit(design @ w[size:])
        miss = gate * level - y
        root = np.sqrt(miss**2 + SOFT**2)
        slope = miss / root / len(y) * gate * level
        gradient = np.concatenate([design.T @ (slope * (1 - gate)), design.T @ (slope * (1 - level))])
        return float(root.mean() + weight @ w**2), gradient + 2 * weight * w

    first = np.concatenate([[3.0], np.full(size - 1, 0.5), [2.0], np.full(size - 1, 0.1)])
    bounds = ([(None, None)] + [(0, None)] * (size - 1)) * 2
    found = minimize(loss, first, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 2000}).x
    return found[:size], found[size:]
