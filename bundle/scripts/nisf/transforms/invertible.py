"""Transforms of whole stacks that record how to invert them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import InvertibleTransform, MapTransform

from nisf.transforms.scan import SCAN


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


#: Key of the point set that ``GridToPointsd`` makes from the image.
POINTS = "intensity"
