"""How a short-axis stack lies, found in a segmentation where the file does not tell it or tells it wrongly."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping, Sequence

import numpy as np
from monai.data import MetaTensor

from nisf.geometry import orientation
from nisf.geometry.wrong_affine import likely_change
from nisf.transforms.invertible import TurnTransform
from nisf.transforms.scan import scan_of

logger = logging.getLogger(__name__)

#: Taper from which slices count as reversed, for an affine without orientation and for one with it. On the labels of
#: 210 ACDC and M&Ms patients its amount is 0.1 or more in 209 and 0.6 or more in 204 (benchmarks/slice_order.py).
DOUBT, TRUST = 0.1, 0.6

#: Fewest slices that must show the organ for the same two kinds of affine. A stray voxel beyond the organ can turn the
#: taper of two or three, which must not overrule a file; where there is only a guess, they are right far more often.
FEWEST_LOST, FEWEST = 2, 4

#: What the taper of the staying part counts. Of stacks of two or three slices with heart it mends most of those that
#: the area alone gets wrong.
STAYING = 0.25

#: Times as much doubt as its mirror image from which a heart counts as mirrored, for the same two kinds of affine; set
#: so that none of 24 right ones does that the U-Net had not seen (benchmarks/mirrored.py).
MIRRORED_LOST, MIRRORED = 1.15, 1.3


def taper_of(
    classes: np.ndarray, body: Sequence[int], kept: Sequence[int] | None = None, fewest: int = FEWEST
) -> float:
    """How much wider the last slices of the organ are than the first, in units of the mean area.

    A slice's area is that of the frame in which it is largest, as the base leaves the first slices during contraction.
    So what stays of it in the frame in which the organ is smallest tells the order too, and counts by ``STAYING``. A
    taper is the median slope between any two slices that show the organ (Theil and Sen), so that a stray voxel in a
    slice beyond it changes little, times their number: negative for a left ventricle from base to apex, and 0 if fewer
    slices show it than ``fewest``.

    Args:
        classes: integer classes [X, Y, Z, T].
        body: classes that make up the organ (LV and myocardium).
        kept: slices that may be seen; None for all of them.
        fewest: number of slices, at least 2.
    """
    areas = np.isin(classes, list(body)).sum(axis=(0, 1)).astype(float)
    areas = areas[:, areas.any(axis=0)]  # a frame may have no label
    seen = np.arange(len(areas)) if kept is None else np.asarray(sorted(kept))
    places = seen[areas[seen].any(axis=1)]
    if len(places) < fewest:
        return 0.0
    largest, contracted = areas[places].max(axis=1), areas[places, areas[seen].sum(axis=0).argmin()]
    return _taper(largest, places) - STAYING * _taper(contracted / largest, places)


def _taper(values: np.ndarray, places: np.ndarray) -> float:
    """Theil and Sen's slope of values over places, times the number of places between the ends, by the mean value."""
    one, other = np.triu_indices(len(places), 1)
    slope = np.median((values[other] - values[one]) / (places[other] - places[one]))
    return float(slope * (places[-1] - places[0] + 1) / max(values.mean(), 1e-9))


def seems_mirrored(ratio: float, taper: float, turns: int, known: bool) -> bool:
    """Whether a heart counts as mirrored in plane.

    Where its slices or its half turn in plane show that the affine is wrong, the likelier of the two counts: where LPS
    was taken for RAS, the slices are reversed and the picture is mirrored.

    Args:
        ratio: how much more a U-Net doubts the heart than its mirror image, see ``slice_net.mirror_ratio``.
        taper: see ``taper_of``.
        turns: quarter turns in plane by which it lies turned, if it is not mirrored.
        known: whether the affine has an orientation.
    """
    if known and (taper >= TRUST or turns == 2):
        return ratio > 1.0
    return ratio > (MIRRORED if known and taper < DOUBT else MIRRORED_LOST)


class SliceOrderd(TurnTransform):
    """Brings a short-axis stack whose heart lies otherwise than its file says into the usual order of axes.

    Slices that a segmentation shows to run from apex to base are reversed; a heart that the U-Net found mirrored or
    upside down is mirrored or turned back, one that lies on its side only where the affine is lost or wrong. Stacks
    whose ``array_axes`` are stated are left as they are. One with an orientation in its affine is only changed where
    the segmentation leaves no doubt.

    Args:
        keys: tensors [C, X, Y, Z, T] to turn; the first is the image, whose ``Scan`` is turned with it.
        classes: key of the segmentation [1, X, Y, Z, T]; without one, nothing is changed.
        body: classes whose areas are compared; None leaves the item as it is.
    """

    def __init__(
        self,
        keys: Sequence[str] = ("image", "label", "unet_class"),
        classes: str = "unet_class",
        body: Sequence[int] | None = (1, 2),
    ) -> None:
        super().__init__(keys, allow_missing_keys=True)
        self.classes, self.body = classes, body

    def __call__(self, data: Mapping[Hashable, object]) -> dict[Hashable, object]:
        """The item with its slices from base to apex and its heart upright and unmirrored."""
        image = data[self.keys[0]]
        read = scan_of(image).unet_prob if self.classes in data else None
        mirrored, turns = (False, 0) if read is None or data.get("array_axes") else (read.mirrored, read.turns)
        if turns % 2 and orientation.has_orientation(np.asarray(image.affine)) and not mirrored:
            turns = 0  # some hearts lie so
        is_reversed = self._is_reversed(data, mirrored)
        order, flips = _back(mirrored, turns)
        change, why = (order, (*flips, is_reversed)), ""
        if mirrored:
            change, why = likely_change(np.asarray(image.affine), *change)
        self._tell(image, mirrored, is_reversed, turns, why)
        return self.turn(data, *change)

    def _is_reversed(self, item: Mapping[Hashable, object], mirrored: bool) -> bool:
        if self.body is None or self.classes not in item or item.get("array_axes"):
            return False
        image = item[self.keys[0]]
        believed = orientation.has_orientation(np.asarray(image.affine)) and not mirrored
        classes, kept = item[self.classes].as_tensor()[0].numpy(), scan_of(image).kept_slices
        taper = taper_of(classes, self.body, kept, FEWEST if believed else FEWEST_LOST)
        return taper >= (TRUST if believed else DOUBT)

    @staticmethod
    def _tell(image: MetaTensor, mirrored: bool, is_reversed: bool, turns: int, why: str) -> None:
        """One line about a heart that does not lie as the file says."""
        known = orientation.has_orientation(np.asarray(image.affine))
        held = scan_of(image).kept_slices is not None
        degrees = 90 * turns if turns < 3 else -90
        told = {
            f"lies {why}, though its affine says otherwise, so it is read as it lies": why,
            "is mirrored in plane, so it is read in its mirror image": mirrored and not why,
            f"is turned by about {degrees} degrees in plane, and is read upright": turns and not why,
            "tapers towards the first slice, so slices are read from apex to base": is_reversed and not why,
        }
        if not any(told.values()):
            return
        logger.log(
            logging.WARNING if known else logging.INFO,
            "%s: the heart in the image %s%s%s; if that is wrong, state --orientation, or array_axes in the data list",
            image.meta.get("filename_or_obj", "image"),
            "; it ".join(words for words, right in told.items() if right),
            ", though its affine says otherwise" if known and not why else "",
            ", and held-out slices were counted from the apex" if held and is_reversed else "",
        )


def _back(mirrored: bool, turns: int) -> tuple[tuple[int, int, int], tuple[bool, bool]]:
    """Axis order and in-plane flips that mirror back along y and then turn back by quarter turns."""
    if turns % 2 == 0:
        return (0, 1, 2), (turns == 2, (turns == 2) != mirrored)
    return (1, 0, 2), (mirrored, True) if turns == 1 else (not mirrored, False)
