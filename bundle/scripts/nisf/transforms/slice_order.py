"""The order of a short-axis stack's slices, found in a segmentation where the file does not tell it."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping, Sequence

import numpy as np

from nisf.geometry import orientation
from nisf.transforms.invertible import TurnTransform
from nisf.transforms.scan import scan_of

logger = logging.getLogger(__name__)

#: Taper from which slices count as reversed, for an affine without orientation and for one with it. On the labels of
#: 210 ACDC and M&Ms patients its amount is 0.1 or more in 207 and 0.6 or more in 165 (benchmarks/slice_order.py).
DOUBT, TRUST = 0.1, 0.6


def taper_of(classes: np.ndarray, body: Sequence[int], kept: Sequence[int] | None = None) -> float:
    """How much wider the last slices of the organ are than the first, in units of the mean area.

    It is the slope of a line through the areas over the slices that show the organ, times their number: negative for
    a left ventricle from base to apex, and 0 if fewer than four slices show it.

    Args:
        classes: integer classes [X, Y, Z, T].
        body: classes that make up the organ (LV and myocardium).
        kept: slices that may be seen; None for all of them.
    """
    area = np.isin(classes, list(body)).sum(axis=(0, 1, 3)).astype(float)
    seen = np.arange(len(area)) if kept is None else np.asarray(sorted(kept))
    places = seen[area[seen] > 0]
    if len(places) < 4:
        return 0.0
    slope = np.polyfit(places, area[places], 1)[0]
    return float(slope * (places[-1] - places[0] + 1) / area[places].mean())


class SliceOrderd(TurnTransform):
    """Reverses the slices of a short-axis stack that a segmentation shows to run from apex to base.

    Stacks whose ``array_axes`` are stated are left as they are. One with an orientation in its affine is
    only reversed where the segmentation leaves no doubt.

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
        """The item with its slices from base to apex."""
        return self.turn(data, (0, 1, 2), (False, False, self._is_reversed(data)))

    def _is_reversed(self, item: Mapping[Hashable, object]) -> bool:
        if self.body is None or self.classes not in item or item.get("array_axes"):
            return False
        image = item[self.keys[0]]
        known = orientation.has_orientation(np.asarray(image.affine))
        taper = taper_of(item[self.classes].as_tensor()[0].numpy(), self.body, scan_of(image).kept_slices)
        if taper < (TRUST if known else DOUBT):
            return False
        logger.log(
            logging.WARNING if known else logging.INFO,
            "%s: the heart in the image tapers towards the first slice, so slices are read from apex to base%s%s; "
            "if that is wrong, state --array_axes, or array_axes in the data list",
            image.meta.get("filename_or_obj", "image"),
            ", though its affine says otherwise" if known else "",
            "" if scan_of(image).kept_slices is None else ", and held-out slices were counted from the apex",
        )
        return True
