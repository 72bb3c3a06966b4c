"""Published reference ranges of healthy adults, by sex."""

from __future__ import annotations

from dataclasses import dataclass

#: Publication from which the numbers are taken.
SOURCE = (
    "Petersen et al., Reference ranges for cardiac structure and function using cardiovascular magnetic resonance "
    "(CMR) in Caucasians from the UK Biobank population cohort, J Cardiovasc Magn Reson 2017;19:18"
)

DOI = "10.1186/s12968-017-0327-9"

NOTE = (
    "mean ± 1.96 standard deviations of 368 healthy men and 432 healthy women of 45 to 74 years, papillary muscles "
    "counted to the cavity; there are none here for the right ventricle and for single segments of the wall"
)

SEXES = {"F": "women", "M": "men"}


@dataclass(frozen=True)
class Reference:
    """Mean and standard deviation of healthy people of one sex, in the measure's unit."""

    mean: float
    deviation: float

    @property
    def low(self) -> float:
        """Low end of the range that contains 95% of a normal distribution."""
        return self.mean - 1.96 * self.deviation

    @property
    def high(self) -> float:
        """High end of that range."""
        return self.mean + 1.96 * self.deviation


#: Name of a measure (mL, %) to its reference by sex.
ABSOLUTE = {
    "LVEDV": {"M": Reference(166, 32), "F": Reference(124, 21)},
    "LVESV": {"M": Reference(69, 16), "F": Reference(49, 11)},
    "LVSV": {"M": Reference(96, 20), "F": Reference(75, 14)},
    "LVEF": {"M": Reference(58, 5), "F": Reference(61, 5)},
}

#: The same for values divided by the body surface area (mL/m2, g/m2).
INDEXED = {
    "LVSV": {"M": Reference(49, 10), "F": Reference(45, 8)},
    "LVM": {"M": Reference(53, 9), "F": Reference(42, 7)},
}


def references(name: str, sex: str | None = None, indexed: bool = False) -> dict[str, Reference]:
    """References of a measure by sex, both if the sex is unknown; empty if there are none.

    Args:
        name: name of the measure, as ``LVEDV``.
        sex: sex, ``F``, ``M`` or None.
        indexed: whether the value is divided by the body surface area.
    """
    found = (INDEXED if indexed else ABSOLUTE).get(name, {})
    return {key: value for key, value in found.items() if sex not in SEXES or key == sex}


def outside(value: float, name: str, sex: str | None = None, indexed: bool = False) -> str:
    """``low`` or ``high`` if a value is outside the range, or outside both sexes' ranges if the sex is unknown."""
    ranges = references(name, sex, indexed).values()
    if not ranges:
        return ""
    if value < min(one.low for one in ranges):
        return "low"
    return "high" if value > max(one.high for one in ranges) else ""
