"""The settings that a run id uses: those that its config entry refers to."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Iterable, Mapping

from monai.bundle import ConfigParser, ReferenceResolver

from nisf.utils.errors import InputError

#: Ids that a run evaluates besides its run id.
BESIDES = ("imports", "initialize", "finalize")


def reached(config: Mapping, ids: Iterable[str]) -> set[str]:
    """Ids of a config's entries that ``ids`` reach by references, with the entries inside them."""
    parser = ConfigParser(copy.deepcopy(dict(config)))
    parser.parse()
    found: set[str] = set()
    waiting = list(ids)
    while waiting:
        one = waiting.pop()
        if one not in found and one in parser:
            found.add(one)
            waiting += ReferenceResolver.find_refs_in_config(parser[one], one)
    return found


class UsedSettings:
    """The settings that a run id uses.

    Args:
        run_id: for example ``inference``.
        config: merged config, see ``nisf.utils.bundle.settings_of``.
        given: values of settings; entries that a value refers to count as used.
        more: names used elsewhere.
        besides: ids that are run before and after it.
    """

    def __init__(
        self,
        run_id: str,
        config: Mapping,
        given: Mapping[str, object] = {},
        more: Iterable[str] = (),
        besides: Iterable[str] = BESIDES,
    ) -> None:
        ids = [run_id, *besides]
        self.config, self.given = config, given
        self.run_id, self.known = run_id, {*config, *more}
        self.ids = {*more} | reached(config, ids) | reached(_changed(config, given), ids)

    def __contains__(self, name: str) -> bool:
        """Whether an entry, a part of one (``train#trainer``) or something inside it is used."""
        id = ReferenceResolver.normalize_id(name)
        return any(one == id or one.startswith(f"{id}::") or id.startswith(f"{one}::") for one in self.ids)

    def check(self, names: Iterable[str]) -> None:
        """Raises ``InputError`` for a setting that is not used, which MONAI would accept without effect, and for text
        in place of a number or a truth value."""
        for name in names:
            if name in self:
                _check_kind(name, self.config.get(name), self.given.get(name))
                continue
            if name.split("#")[0] in self.known:
                raise InputError(f"--{name} is a setting that the run id {self.run_id} does not use; leave it out")
            near = difflib.get_close_matches(name, {one.split("::")[0] for one in self.ids}, 1, 0.75)
            hint = f"; did you mean --{near[0]}?" if near else ""
            raise InputError(f"--{name} is no setting of the run id {self.run_id}{hint}")


def _check_kind(name: str, usual: object, value: object) -> None:
    """Refuses text where the config has a number or a truth value, and negative numbers, of which no setting knows
    any; expressions and references may become anything."""
    if not isinstance(usual, (int, float)):
        return
    if isinstance(value, (int, float)) and value < 0 <= usual:
        raise InputError(f"--{name} is {value}; give 0 or more")
    if not isinstance(value, str) or value[:1] in ("$", "@", "%"):
        return
    wanted = "True or False" if isinstance(usual, bool) else f"a number, as {usual}"
    raise InputError(f"--{name} is '{value}'; give {wanted}")


def _changed(config: Mapping, given: Mapping[str, object]) -> dict:
    """A config with other values; unknown names are left out."""
    parser = ConfigParser(copy.deepcopy(dict(config)))
    for name, value in given.items():
        try:
            parser[name] = value
        except (KeyError, ValueError, IndexError, TypeError):
            continue
    return parser.config
