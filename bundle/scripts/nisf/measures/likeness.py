"""How much a scan differs from those on which the intervals were calibrated; its own are wider in proportion.

The quality features of a fit (``quality.assess``) have a natural zero, and more of each is worse. A scan that has more
of one than any scan of the calibration by a good margin is outside of what the calibration knows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

#: The numbers that are compared, and what they are called on a page.
FEATURES = {
    "disagreement": "the outlines of heart and slices differ more",
    "uncertainty": "its outlines are less certain",
    "reconstruction_error": "its image is drawn less well",
    "prior_distance": "its heart is less like those learned",
    "noise": "it is noisier",
    "slice_distance": "its slices are farther apart",
}

#: Ratio to the worst scan of the calibration from which a scan is unlike, and the largest factor of the interval.
MARGIN, LARGEST = 1.25, 4.0


#: Number of the fit that an interval is in proportion to, by its root, and bounds of the factor.
UNSURE, FACTORS = "unet_uncertainty", (0.6, 1.7)


@dataclass(frozen=True)
class Unlike:
    """How a scan differs from those of the calibration.

    Attributes:
        factor: factor of its intervals, 1 for a scan like them.
        features: names of the numbers that are worse, the worst first.
    """

    factor: float = 1.0
    features: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """What a page says; empty for a scan like those of the calibration."""
        if not self.features:
            return ""
        words = "; ".join(FEATURES[name] for name in self.features)
        return (
            f"This scan is unlike those on which intervals were calibrated ({words}), so its own are "
            f"{self.factor:.1f} times as wide."
        )


def unlike(numbers: Mapping[str, float], limits: Mapping[str, float]) -> Unlike:
    """The comparison of a scan's ``numbers`` with ``limits``, the largest of the calibration's scans by name."""
    ratios = {
        name: numbers[name] / limits[name]
        for name in FEATURES
        if limits.get(name, 0) > 0 and not math.isnan(numbers.get(name, math.nan))
    }
    far = sorted((name for name, ratio in ratios.items() if ratio > MARGIN), key=lambda name: -ratios[name])
    return Unlike(min(ratios[far[0]], LARGEST), tuple(far)) if far else Unlike()


def unsure(numbers: Mapping[str, float], usual: float) -> float:
    """Factor of a scan's intervals: the root of how uncertain its U-Net probabilities are, relative to the usual."""
    own = numbers.get(UNSURE, math.nan)
    if math.isnan(own) or usual <= 0:
        return 1.0
    return min(max(math.sqrt(own / usual), FACTORS[0]), FACTORS[1])


def usual_of(scans: Sequence[Mapping[str, float]]) -> float:
    """The median uncertainty of the U-Net among the scans of a calibration; 0 if unknown."""
    known = [one[UNSURE] for one in scans if not math.isnan(one.get(UNSURE, math.nan))]
    return median(known) if known else 0.0


def limits_of(scans: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The largest of each number among the scans of a calibration."""
    known = {name: [one[name] for one in scans if not math.isnan(one.get(name, math.nan))] for name in FEATURES}
    return {name: max(values) for name, values in known.items() if values}
