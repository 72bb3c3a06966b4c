"""Transforms of whole stacks that record how to invert them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import InvertibleTransform, MapTransform
from monai.utils import TraceKeys

from nisf.geometry.orientation import permuted_affine
from nisf.transforms.scan import SCAN, scan_of, turned, with_scan


class GridTransform(MapTransform, InvertibleTransform):
    """Base of transforms of [C, X, Y, Z, T] tensors that record how to invert them."""

    def noted(self, item: Mapping[Hashable, object]) -> list[Hashable]:
        """Keys to invert: the transform's own, and the point set made from the image later in the chain."""
        points = [POINTS] if isinstance(item.get(POINTS), MetaTensor) and POINTS not in self.keys else []
        return [*self.key_iterator(item), *points]

    def note(self, plain: torch.Tensor, before: MetaTensor, **extra: object) -> MetaTensor:
        out = MetaTensor(plain, meta=dict(before.meta), applied_operations=list(before.applied_operations))
        self.push_transform(out, extra_info={"affine": np.asarray(before.affine).tolist(), **extra})
        return out

    def restore(self, tensor: MetaTensor, plain: torch.Tensor, extra: dict) -> MetaTensor:
        meta = {key: value for key, value in tensor.meta.items() if key != SCAN}  # it describes the transformed grid
        out = MetaTensor(plain, meta=meta, applied_operations=list(tensor.applied_operations))
        out.affine = torch.as_tensor(extra["affine"], dtype=torch.float64)
        return out


class TurnTransform(GridTransform):
    """Base of transforms that swap and flip the array axes of the image, whose key is the first, and of other tensors.

    Its inverse brings them back.
    """

    def turn(
        self, data: Mapping[Hashable, object], order: Sequence[int], flips: Sequence[bool]
    ) -> dict[Hashable, object]:
        """The item with tensors, affines and the image's ``Scan`` turned, see ``scan.turned``."""
        item = dict(data)
        for key in self.key_iterator(item):
            before = item[key]
            affine = permuted_affine(np.asarray(before.affine), before.shape[1:4], order, flips)
            plain = turned(before.as_tensor(), order, flips)
            item[key] = self.note(plain, before, order=list(order), flips=list(flips))
            item[key].affine = torch.from_numpy(affine)
        image = item[self.keys[0]]
        item[self.keys[0]] = with_scan(image, scan_of(image).turned(order, flips, image.shape[3]))
        return item

    def inverse(self, data: Mapping[Hashable, object]) -> dict[Hashable, object]:
        """The item with its array axes as they were."""
        item = dict(data)
        for key in self.noted(item):
            extra = self.pop_transform(item[key])[TraceKeys.EXTRA_INFO]
            order, flips = extra["order"], extra["flips"]
            plain = turned(item[key].as_tensor(), (0, 1, 2), flips)
            item[key] = self.restore(item[key], turned(plain, np.argsort(order).tolist(), (False,) * 3), extra)
        return item


#: Key of the point set that ``GridToPointsd`` makes from the image.
POINTS = "intensity"
