"""Labels of frames that nobody labelled, for training."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Transform

from nisf.geometry.orientation import spacing_of
from nisf.models.slice_net import SliceNet, largest_pieces, read_frames, scaled
from nisf.transforms.scan import Box, scan_of
from nisf.utils.tensors import likeliest


class LabelFramesd(Transform):
    """Labels the unlabelled frames of an item with the classes of a U-Net; labels that are there stay as they are.

    Frames that were acquired in the same part of the grid are read together, as one series.

    Args:
        unet: trained U-Net; None leaves the item as it is, as does an item without any label.
    """

    def __init__(self, unet: SliceNet | None) -> None:
        self.unet = unet

    def __call__(self, data: Mapping[Hashable, object]) -> dict[Hashable, object]:
        """The item with a label in every frame, where the frame was acquired."""
        item = dict(data)
        if self.unet is None or "label" not in item:
            return item
        image, label = item["image"], item["label"]
        spacing, filled = spacing_of(np.asarray(image.affine)), label.as_tensor().clone()
        for box, frames in _series(image).items():
            inside = (slice(None), *(slice(low, high) for low, high in box))
            missing = [place for place, t in enumerate(frames) if not bool((filled[inside][..., t] >= 0).all())]
            if missing:
                plain = torch.as_tensor(scaled(image.as_tensor()[inside][..., frames].float()))[..., missing]
                classes = largest_pieces(likeliest(read_frames(self.unet.eval(), plain, spacing)))
                filled[(*inside, [frames[place] for place in missing])] = classes.unsqueeze(0).to(filled)
        item["label"] = MetaTensor(filled, meta=dict(label.meta), applied_operations=label.applied_operations)
        return item


def _series(image: torch.Tensor) -> dict[Box, list[int]]:
    """Frames of an image by the part of the grid in which they were acquired."""
    whole: Box = tuple((0, n) for n in image.shape[1:4])
    found: dict[Box, list[int]] = {}
    for frame, box in enumerate(scan_of(image).seen or (whole,) * image.shape[-1]):
        found.setdefault(box, []).append(frame)
    return found
