"""Settings and weights that a result was made with, compared with those of another run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nisf.utils.digest import digest_of_input
from nisf.utils.provenance import provenance

#: Settings that name weight files; their content counts, not their path.
WEIGHTS = ("model", "unet_model")

#: Settings that name files which are part of a scan's ``Source``.
OF_SOURCE = ("series", "mask")


@dataclass(frozen=True)
class Recipe:
    """What a run makes of a scan.

    Attributes:
        settings: settings as plain types.
        versions: versions of the packages.
        weights: digest of the weight file by setting, ``model`` and ``unet_model``; empty where they are not known.
    """

    settings: Mapping[str, object] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    weights: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: Mapping[str, object]) -> Recipe:
        """The recipe of a run, whose ``settings`` name the weight files."""
        named = {name: settings[name] for name in WEIGHTS if settings.get(name)}
        return cls(**provenance(settings), weights={name: _digest(path) for name, path in named.items()})

    @classmethod
    def from_dict(cls, plain: Mapping[str, object]) -> Recipe:
        """The inverse of ``to_dict``; earlier versions have no digests of the weights."""
        return cls(**{name: dict(plain.get(name) or {}) for name in ("settings", "versions", "weights")})

    def to_dict(self) -> dict[str, dict]:
        """As plain types."""
        return {"settings": dict(self.settings), "versions": dict(self.versions), "weights": dict(self.weights)}

    def changes(self, earlier: Recipe) -> list[str]:
        """Names of the settings and weights with which an ``earlier`` recipe gives another result.

        What the earlier one does not know counts as equal. The number of uncertainty draws counts only where there
        are to be some: they change no other file.
        """
        passed = {*WEIGHTS, *OF_SOURCE, *["uncertainty_draws"] * (not self.settings.get("uncertainty_draws"))}
        names = [name for name in self.settings if name in earlier.settings and name not in passed]
        changed = [name for name in names if _meant(name, self.settings[name]) != _meant(name, earlier.settings[name])]
        return sorted(changed) + [name for name in WEIGHTS if self._has_other(name, earlier)]

    def _has_other(self, name: str, earlier: Recipe) -> bool:
        if earlier.weights:
            return self.weights.get(name) != earlier.weights.get(name)
        if name not in self.settings or name not in earlier.settings:
            return False
        ours, theirs = (Path(str(one.settings[name])).name for one in (self, earlier))  # all that is known
        return ours != theirs


def _digest(path: object) -> str:
    """Digest of a weight file; empty where it cannot be read, which loading the weights will say."""
    try:
        return digest_of_input(str(path))
    except OSError:
        return ""


def _meant(name: str, value: object) -> object:
    """A setting's value without differences of spelling: the classes of ``only`` have no order, case or quotes."""
    return frozenset(re.findall(r"[^\[\]',\s]+", str(value or "").lower())) if name == "only" else value
