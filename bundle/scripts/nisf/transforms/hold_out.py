"""Slices and frames hidden from a fit."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import replace

from monai.config import KeysCollection
from monai.transforms import MapTransform

from nisf.transforms.scan import scan_of, with_scan
from nisf.utils.errors import InputError


class HoldOutd(MapTransform):
    """Records in the ``Scan`` of each image which slices and frames a fit may see; the voxels stay as they are.

    Args:
        keys: images [C, X, Y, Z, T].
        slices: numbers (from the base, 0-based; negative ones from the apex), ``every_K`` (each K-th, beginning with
            the K-th), ``basal_K`` or ``apical_K`` (K at that end of the stack); None keeps all.
        frames: numbers or ``every_K``; None keeps all.

    Raises:
        InputError: the value has none of these forms, names what the scan does not have, or leaves nothing.
    """

    WORDS = {"slices": ("every", "basal", "apical"), "frames": ("every",)}

    def __init__(
        self,
        keys: KeysCollection,
        slices: str | int | list[int] | None = None,
        frames: str | int | list[int] | None = None,
    ) -> None:
        super().__init__(keys, allow_missing_keys=True)
        self.held = {"slices": slices, "frames": frames}
        for what, held in self.held.items():
            self._held_of(what, held, 10**6)  # an unknown word is reported before a scan is read

    def _held_of(self, what: str, held: str | int | list[int] | None, number: int) -> list[int]:
        """Which of ``number`` slices or frames are held out."""
        if held is None or isinstance(held, int) or not isinstance(held, str):
            found = [held] if isinstance(held, int) else list(held or ())
            if all(isinstance(k, int) for k in found):
                return found
        word, _, count = str(held).partition("_")
        if word not in self.WORDS[what] or not count.isdigit() or int(count) < 1:
            words = " or ".join(f"'{word}_2'" for word in self.WORDS[what])
            raise InputError(f"{what} to hold out: {held!r} is unknown; give numbers as [1, 3], or {words}")
        count = int(count)
        if word == "every":
            return list(range(count - 1, number, count))
        return list(range(min(count, number))) if word == "basal" else list(range(-min(count, number), 0))

    def kept_of(self, what: str, number: int) -> list[int]:
        """Which of ``number`` slices or frames may be seen."""
        held = self._held_of(what, self.held[what], number)
        missing = [k for k in held if not -number <= k < number]
        if missing:
            raise InputError(
                f"{what} to hold out: {missing[0]} is named, but the scan has {number} {what}; correct the list"
            )
        kept = sorted(set(range(number)) - {k % number for k in held})
        if not kept:
            raise InputError(f"{what} to hold out: none of the {number} would remain; hold out fewer")
        return kept

    def __call__(self, data: Mapping[Hashable, object]) -> dict[Hashable, object]:
        """The item, with the kept slices and frames in the Scans."""
        item = dict(data)
        for key in self.key_iterator(item):
            before = item[key]
            kept = {"kept_slices": ("slices", before.shape[3]), "kept_frames": ("frames", before.shape[4])}
            found = {name: self.kept_of(*what) for name, what in kept.items() if self.held[what[0]] is not None}
            missing = scan_of(before).kept_slices  # slices that the files lack
            if missing is not None and "kept_slices" in found:
                found["kept_slices"] = sorted(set(found["kept_slices"]) & set(missing))
            held_out = bool(found) or scan_of(before).held_out
            item[key] = with_scan(before, replace(scan_of(before), held_out=held_out, **found))
        return item
