"""U-Net probabilities: what a small U-Net says of each voxel, slice by slice.

It gives a fit its start (the pose, see ``PoseOfd``) and something to fit besides the intensities. It sees intensities
alone, as the fit does.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Transform

from nisf.geometry.orientation import spacing_of
from nisf.models.slice_net import DOUBT, SliceNet, largest_pieces, read_frames, scaled, unet_frames
from nisf.utils.tensors import likeliest


class AddUNetProbd(Transform):
    """Adds what a ``SliceNet`` says of a scan: class probabilities and the likeliest class, of some frames.

    ``unet_prob`` [K, X, Y, Z, T'] and ``unet_class`` [1, X, Y, Z, T'], MetaTensors with the image's affine; the
    U-Net's meta names its ``frames``. Slices and frames that a fit may not see (``HoldOutd``) are not seen
    here either.

    Args:
        network: trained; run where its weights are. None adds nothing.
        frames: the most frames that are looked at.
        image_key: key of the image [C, X, Y, Z, T].
    """

    def __init__(self, network: SliceNet | None, frames: int = 10, image_key: str = "image") -> None:
        self.network, self.frames, self.image_key = network, frames, image_key

    def __call__(self, data: Mapping[Hashable, object]) -> dict[Hashable, object]:
        """The item with ``unet_prob`` and ``unet_class``."""
        item = dict(data)
        if self.network is None:
            return item
        self.network.eval()
        image = item[self.image_key]
        seen = image.meta.get("kept_frames") or list(range(image.shape[4]))
        frames = [seen[i] for i in unet_frames(len(seen), self.frames)]
        plain = torch.as_tensor(scaled(image.as_tensor()[..., frames].float()))
        spacing, kept = spacing_of(np.asarray(image.affine)), image.meta.get("kept_slices")
        probabilities = read_frames(self.network, plain, spacing, kept)
        raw = likeliest(probabilities)
        classes = largest_pieces(raw, kept)
        # what lies apart is taken for background, though not without a doubt
        apart = torch.full((len(probabilities), 1), DOUBT / (len(probabilities) - 1))
        apart[0] = 1 - DOUBT
        probabilities[:, (raw != classes)] = apart
        classes = classes.unsqueeze(0)
        for key, values in (("unet_prob", probabilities), ("unet_class", classes)):
            item[key] = MetaTensor(values, meta={**image.meta, "frames": frames})
        return item


class AttachUNetProbd(Transform):
    """Moves ``unet_prob`` into the image's meta, where an inferer, which is given the image alone, finds it."""

    def __call__(self, data: Mapping[Hashable, object]) -> dict[Hashable, object]:
        """The item with the image's meta extended."""
        item = dict(data)
        unet_prob = item.pop("unet_prob", None)
        if unet_prob is not None:
            item["image"].meta["unet_prob"] = {"values": unet_prob.as_tensor(), "frames": unet_prob.meta["frames"]}
        return item
