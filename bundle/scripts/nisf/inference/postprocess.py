"""Transforms after the fit: from a prediction to label map, probabilities and reconstruction on the scan's grid."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import Transform

from nisf.transforms.scan import scan_of
from nisf.utils.errors import InputError
from nisf.utils.tensors import likeliest


class SplitPredictiond(Transform):
    """Splits an inferer's prediction.

    Reads ``pred`` [1, C + K, X, Y, Z, T], or without the batch axis, as label servers pass it. Adds ``recon`` [C, ...],
    ``prob`` [K, ...] and ``seg`` [1, ...] uint8 on the fitted grid; ``seg_fitted``, a copy of ``seg``, and
    ``pred_fitted`` [C + K, ...], which stay on that grid; and the prediction's ``scan``. Further channels of ``pred``
    become ``uncertainty`` (see ``sample_uncertainty``).

    Args:
        in_channels: number of image channels, C.
        num_classes: number of classes, K.
    """

    def __init__(self, in_channels: int = 1, num_classes: int = 4) -> None:
        self.in_channels, self.num_classes = in_channels, num_classes

    def __call__(self, data: Mapping[Hashable, object]) -> dict[Hashable, object]:
        """The item with the parts."""
        item = dict(data)
        prediction = item["pred"][0] if item["pred"].ndim == 6 else item["pred"]
        last = self.in_channels + self.num_classes
        classes = prediction[self.in_channels : last]
        if len(prediction) > last:
            item["uncertainty"] = prediction[last:]
        item["recon"], item["prob"] = prediction[: self.in_channels], classes
        item["seg"] = likeliest(classes).unsqueeze(0).to(torch.uint8)
        item["seg_fitted"], item["pred_fitted"] = np.asarray(item["seg"]), prediction
        item["scan"] = scan_of(item["pred"])
        return item


class BackgroundElsewhered(Transform):
    """Makes voxels outside the fitted field, zero in every class after ``Invertd``, background.

    Args:
        keys: keys of maps [K or more, X, Y, Z, T] that begin with class probabilities, background first.
        num_classes: number of classes, K.
    """

    def __init__(self, keys: KeysCollection = ("prob", "uncertainty"), num_classes: int = 4) -> None:
        self.keys, self.num_classes = (keys,) if isinstance(keys, str) else tuple(keys), num_classes

    def __call__(self, data: Mapping[Hashable, object]) -> dict[Hashable, object]:
        """The item, changed in place where nothing was predicted."""
        item = dict(data)
        for probability in (item[key] for key in self.keys if key in item):
            probability[0][probability[: self.num_classes].sum(dim=0) == 0] = 1
        return item


class OnlyClassesd(Transform):
    """Keeps some classes of the label map; the others become background. The labels keep their numbers.

    Args:
        only: names or numbers of the classes to keep; None or an empty list keeps all.
        class_names: inside class number (text) to name.
        key: key of the label map.

    Raises:
        InputError: a class is unknown.
    """

    def __init__(
        self, only: Sequence[str | int] | str | None, class_names: Mapping[str, str], key: str = "seg"
    ) -> None:
        self.key = key
        numbers = {name.lower(): int(number) for number, name in class_names.items()}
        numbers.update({str(number): int(number) for number in class_names})
        wanted = [str(one) for one in ([only] if isinstance(only, (str, int)) else only or [])]
        unknown = [one for one in wanted if one.lower() not in numbers]
        if unknown:
            raise InputError(f"the class '{unknown[0]}' of only is unknown; use {', '.join(class_names.values())}")
        self.kept = [numbers[one.lower()] for one in wanted]

    def __call__(self, data: Mapping[Hashable, object]) -> dict[Hashable, object]:
        """The item, with unwanted classes removed from its label map."""
        item = dict(data)
        if self.kept:
            label = item[self.key]
            unwanted = torch.isin(torch.as_tensor(label), torch.tensor(self.kept, dtype=label.dtype), invert=True)
            label[unwanted] = 0
        return item


class LabelAsPredictiond(Transform):
    """Puts the label map where label servers (MONAI Label) expect the result.

    ``pred`` becomes ``seg`` without its channel, [X, Y, Z] where the scan has one frame, else [X, Y, Z, T], with the
    affine of the scan's file.
    """

    def __call__(self, data: Mapping[Hashable, object]) -> dict[Hashable, object]:
        """The item with the new ``pred``."""
        label = data["seg"][0]
        return {**data, "pred": label[..., 0] if label.shape[-1] == 1 else label}
