"""Published values of healthy adults, by sex, against which a measure can be held."""

from __future__ import annotations

from dataclasses import dataclass

#: Where the numbers come from, and of whom they are.
SOURCE = (
    "Petersen et al., Reference ranges for cardiac structure and function using cardiovascular magnetic resonance "
    "(CMR) in Caucasians from the UK Biobank population cohort, J Cardiovasc Magn Reson 2017;19:18"
)


DOI = "10.1186/s12968-017-0327-9"


NOTE = (
    "mean ± 1.96 standard deviations of 368 healthy men and 432 healthy women of 45 to 74 years, papillary muscles "
    "counted to the cavity; measures without a range have none here"
)


SEXES = {"F": "women", "M": "men"}


@dataclass(frozen=True)
class Reference:
    """What healthy people of one sex have: mean and standard deviation in the measure's unit."""

    mean: float
    deviation: float

    @property
    def low(self) -> float:
        """End of the range that holds 95% of a normal distribution."""
        return self.mean - 1.96 * self.deviation

    @property
    def high(self) -> float:
        """As ``low``."""
        return self.mean + 1.96 * self.deviation


#: Name of a measure (mL, %) to its reference by sex.
ABSOLUTE = {
    "LVEDV": {"M": Reference(166, 32), "F": Reference(124, 21)},
    "LVESV": {"M": Reference(69, 16), "F": Reference(49, 11)},
    "LVSV": {"M": Reference(96, 20), "F": Reference(75, 14)},
    "LVEF": {"M": Reference(58, 5), "F": Reference(61, 5)},
}


#: The same of values divided by the body surface area (mL/m2, g/m2).
INDEXED = {
    "LVSV": {"M": Reference(49, 10), "F": Reference(45, 8)},
    "LVM": {"M": Reference(53, 9), "F": Reference(42, 7)},
}


def references(name: str, sex: str | None = None, indexed: bool = False) -> dict[str, Reference]:
    """References of a measure: ``F`` or ``M`` to its numbers, both where the sex is not known; empty where none are.

    Args:
        name: of the measure, as ``LVEDV``.
        sex: ``F``, ``M`` or None.
        indexed: of the value divided by the body surface area.
    """
    found = (INDEXED if indexed else ABSOLUTE).get(name, {})
    return {key: value for key, value in found.items() if sex not in SEXES or key == sex}


def outside(value: float, name: str, sex: str | None = None, indexed: bool = False) -> str:
    """``low`` or ``high`` where a value lies outside the range, or outside both sexes' where the sex is not known."""
    ranges = references(name, sex, indexed).values()
    if not ranges:
        return ""
    if value < min(one.low for one in ranges):
        return "low"
    return "high" if value > max(one.high for one in ranges) else ""
