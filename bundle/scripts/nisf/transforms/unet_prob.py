"""U-Net probabilities: class probabilities of each voxel from a small U-Net, slice by slice.

They give a fit its start (the pose, see ``PoseOfd``) and something to fit besides the intensities. The U-Net sees
intensities alone, as the fit does.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Transform
from monai.utils import convert_to_tensor

from nisf.geometry.orientation import has_orientation, spacing_of
from nisf.models.slice_net import APART, SliceNet, largest_pieces, mirror_ratio, read_frames, scaled, unet_frames
from nisf.transforms.scan import UNetProb, scan_of, with_scan
from nisf.transforms.slice_order import seems_mirrored, taper_of
from nisf.utils.tensors import likeliest


class AddUNetProbd(Transform):
    """Adds the class probabilities of a ``SliceNet`` and its likeliest classes, for some frames of a scan.

    The image's ``Scan`` gets ``unet_prob``, the item ``unet_class`` [1, X, Y, Z, T'], a MetaTensor with the image's
    affine. Slices and frames hidden from the fit (``HoldOutd``) are hidden here too.

    Args:
        network: trained U-Net, run on the device of its weights. None adds nothing.
        frames: maximum number of frames to read; None for all.
        bf16: as in ``SliceNet.probabilities``.
        turns_of: as in ``read_frames``.
        body: classes of an organ that may be mirrored; such a one is read in its mirror image. None reads all as it is.
        image_key: key of the image [C, X, Y, Z, T].
    """

    def __init__(
        self,
        network: SliceNet | None,
        frames: int | None = None,
        bf16: bool = True,
        turns_of: Callable[[np.ndarray, Sequence[float]], int] | None = None,
        body: Sequence[int] | None = None,
        image_key: str = "image",
    ) -> None:
        self.network, self.frames, self.bf16, self.image_key = network, frames, bf16, image_key
        self.turns_of, self.body = turns_of, body

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
        raw, classes = _classes_of(probabilities, kept)
        mirrored = not item.get("array_axes") and self._is_mirrored(image, plain, probabilities, classes, kept)
        if mirrored:
            probabilities = read_frames(self.network, plain.flip(2), spacing, kept, self.bf16, self.turns_of).flip(2)
            raw, classes = _classes_of(probabilities, kept)
        turns = self._turns((classes.flip(1) if mirrored else classes).numpy(), np.asarray(image.affine))
        # separate pieces are taken for background, though not with certainty
        apart = torch.full((len(probabilities), 1), APART / (len(probabilities) - 1))
        apart[0] = 1 - APART
        probabilities[:, (raw != classes)] = apart
        item[self.image_key] = with_scan(
            image, replace(scan, unet_prob=UNetProb(probabilities, frames, mirrored, turns))
        )
        item["unet_class"] = MetaTensor(classes.unsqueeze(0), meta=dict(image.meta))
        return item

    def _is_mirrored(
        self,
        image: MetaTensor,
        frames: torch.Tensor,
        probabilities: torch.Tensor,
        classes: torch.Tensor,
        kept: Sequence[int] | None,
    ) -> bool:
        if self.body is None:
            return False
        affine = np.asarray(image.affine)
        given = (self.network, frames, spacing_of(affine), probabilities, kept, self.bf16, self.turns_of)
        classes = classes.numpy()
        lies = taper_of(classes, self.body, kept), self._turns(classes, affine)
        return seems_mirrored(mirror_ratio(*given), *lies, has_orientation(affine))

    def _turns(self, classes: np.ndarray, affine: np.ndarray) -> int:
        return 0 if self.turns_of is None else self.turns_of(classes, spacing_of(affine))


def _classes_of(probabilities: torch.Tensor, kept: Sequence[int] | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Likeliest classes [X, Y, Z, T], and those of the largest pieces alone; in bytes, as a long cine has many."""
    raw = likeliest(probabilities).to(torch.uint8)
    return raw, largest_pieces(raw, kept)
