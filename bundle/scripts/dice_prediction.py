"""The Dice that an expert's labels would give a fit, predicted from the numbers of ``quality.assess``.

A monotone logistic regression: ``Dice = sigmoid(b + sum_i c_i x_i)``, each ``x_i`` one number, transformed and turned
so that more of it is better, and no ``c_i`` below zero. A handful of coefficients, kept as JSON beside the weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, logit

#: Numbers that tell, how each is transformed, and whether more of it is better (1) or worse (-1).
TERMS = {
    "evidence_doubt": ("log", -1),
    "disagreement": ("log", -1),
    "worst_disagreement": ("log", -1),
    "expected_dice": ("logit", 1),
    "doubt": ("log", -1),
    "likeness": ("plain", 1),
    "noise": ("log", -1),
    "prior_distance": ("plain", -1),
    "slice_shift": ("plain", -1),
    "empty_slices": ("plain", -1),
    "volume": ("shortfall", -1),
    "least_share": ("log", 1),
}
#: Standard deviations beyond which a number counts no more: nothing was learned there.
REACH = 4.0
#: Of the residuals' pseudo-Huber loss, which is close to their absolute value.
SOFT = 0.02


@dataclass(frozen=True)
class Term:
    """One number's part in the regression.

    Attributes:
        name: of the number.
        transform: ``plain``, ``log``, ``logit`` or ``shortfall``: how far the logarithm lies below ``start``'s.
        mean, scale: of the transformed number, turned so that more is better.
        coefficient: zero or more.
        sign: 1 where more of the number is better, -1 where it is worse.
        start: of a shortfall.
    """

    name: str
    transform: str
    sign: int
    mean: float = 0.0
    scale: float = 1.0
    coefficient: float = 0.0
    start: float = 1.0

    def raw(self, value: float | None) -> float:
        """The transformed number; NaN where it is not known."""
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
        """In standard deviations from the mean; 0 where the number is not known."""
        raw = (self.raw(value) - self.mean) / self.scale
        return 0.0 if math.isnan(raw) else min(max(raw, -REACH), REACH)


@dataclass(frozen=True)
class DicePrediction:
    """The regression: ``terms`` and the intercept b."""

    terms: tuple[Term, ...]
    intercept: float

    def __call__(self, numbers: Mapping[str, float]) -> float:
        """Predicted mean Dice over classes, ED and ES."""
        return float(expit(self.intercept + sum(t.coefficient * t.of(numbers.get(t.name)) for t in self.terms)))

    def to_dict(self) -> dict:
        """Plain, for JSON."""
        return {"intercept": self.intercept, "terms": [asdict(term) for term in self.terms]}

    @classmethod
    def from_dict(cls, plain: Mapping) -> DicePrediction:
        """What ``to_dict`` gave."""
        return cls(tuple(Term(**term) for term in plain["terms"]), float(plain["intercept"]))

    @classmethod
    def fitted(
        cls, numbers: Sequence[Mapping[str, float]], dice: Sequence[float], start: float, ridge: float = 1e-3
    ) -> DicePrediction:
        """From scans with known Dice.

        Args:
            numbers: of ``quality.assess``, a scan each.
            dice: true mean Dice of each.
            start: mL, the volume below which an organ is too small.
            ridge: weight of the squared coefficients against the mean absolute error.
        """
        terms = []
        for name, (transform, sign) in TERMS.items():
            term = Term(name, transform, sign, start=start)
            raw = np.array([term.raw(one.get(name)) for one in numbers])
            raw = raw[np.isfinite(raw)]
            scale = float(raw.std()) if len(raw) else 0.0
            if scale > 1e-6:
                terms.append(Term(name, transform, sign, float(raw.mean()), scale, 0.0, start))
        x = np.array([[term.of(one.get(term.name)) for term in terms] for one in numbers])
        y = np.asarray(dice, dtype=float)

        def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
            said = expit(w[0] + x @ w[1:])
            root = np.sqrt((said - y) ** 2 + SOFT**2)
            slope = (said - y) / root * said * (1 - said) / len(y)
            gradient = np.concatenate([[slope.sum()], x.T @ slope + 2 * ridge * w[1:]])
            return float(root.mean() + ridge * np.square(w[1:]).sum()), gradient

        first = np.full(1 + len(terms), 0.3)
        found = minimize(loss, first, jac=True, method="L-BFGS-B", bounds=[(None, None)] + [(0, None)] * len(terms)).x
        whole = tuple(Term(**{**asdict(term), "coefficient": float(c)}) for term, c in zip(terms, found[1:]))
        return cls(whole, float(found[0]))
