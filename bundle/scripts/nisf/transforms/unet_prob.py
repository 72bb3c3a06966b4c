"""U-Net probabilities: class probabilities of each voxel from a small U-Net, slice by slice.

They give a fit its start (the pose, see ``PoseOfd``) and something to fit besides the intensities. The U-Net sees
intensities alone, as the fit does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Transform
from monai.utils import convert_to_tensor

from nisf.geometry.orientation import has_orientation, spacing_of
from nisf.models.slice_net import APART, SliceNet, largest_pieces, read_frames, scaled, unet_frames
from nisf.transforms.scan import UNetProb, scan_of, with_scan
from nisf.utils.tensors import likeliest

logger = logging.getLogger(__name__)


class AddUNetProbd(Transform):
    """Adds the class probabilities of a ``SliceNet`` and its likeliest classes, for some frames of a scan.

    The image's ``Scan`` gets ``unet_prob``, the item ``unet_class`` [1, X, Y, Z, T'], a MetaTensor with the image's
    affine. Slices and frames hidden from the fit (``HoldOutd``) are hidden here too.

    Args:
        network: trained U-Net, run on the device of its weights. None adds nothing.
        frames: maximum number of frames to read; None for all.
        bf16: as in ``SliceNet.probabilities``.
        turns_of: as in ``read_frames``.
        image_key: key of the image [C, X, Y, Z, T].
    """

    def __init__(
        self,
        network: SliceNet | None,
        frames: int | None = None,
        bf16: bool = True,
        turns_of: Callable[[np.ndarray, Sequence[float]], int] | None = None,
        image_key: str = "image",
    ) -> None:
        self.network, self.frames, self.bf16, self.image_key = network, frames, bf16, image_key
        self.turns_of = turns_of

    def __call__(self, data: Mapping[Hashable, object]) -> dict[Hashable, object]:
        """The item with U-Net probabilities and ``unet_class``."""
        item = dict(data)
        if self.network is None:
            return item
        self.network.eval()
        image, scan = item[self.image_key], scan_of(item[self.image_key])
        seen, kept = scan.kept_frames or list(range(image.shape[4])), scan.kept_slices
        frames = [seen[i] for i in unet_frames(len(seen), self.frames)]
        plain = convert_to_tensor(scaled(image.as_tensor()[..., frames].float()))  # MONAI's transforms make MetaTensors
        spacing = spacing_of(np.asarray(image.affine))
        probabilities = read_frames(self.network, plain, spacing, kept, self.bf16, self.turns_of)
        raw = likeliest(probabilities)
        classes = largest_pieces(raw, kept)
        self._tell(image, 0 if self.turns_of is None else self.turns_of(classes.numpy(), spacing))
        # separate pieces are taken for background, though not with certainty
        apart = torch.full((len(probabilities), 1), APART / (len(probabilities) - 1))
        apart[0] = 1 - APART
        probabilities[:, (raw != classes)] = apart
        item[self.image_key] = with_scan(image, replace(scan, unet_prob=UNetProb(probabilities, frames)))
        item["unet_class"] = MetaTensor(classes.unsqueeze(0), meta=dict(image.meta))
        return item

    def _tell(self, image: MetaTensor, turns: int) -> None:
        """One line about a heart that does not lie as the file says; a quarter turn may be the anatomy's."""
        known = has_orientation(np.asarray(image.affine))
        if turns == 2 or (turns and not known):
            logger.log(
                logging.WARNING if known else logging.INFO,
                "%s: the heart in the image is turned by about %d degrees in plane%s, and is read upright",
                image.meta.get("filename_or_obj", "image"),
                90 * turns if turns < 3 else -90,
                ", though its affine says otherwise" if known else "",
            )
