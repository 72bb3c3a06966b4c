"""Class evidence: what a small U-Net says of each voxel, slice by slice.

It gives a fit its start (the pose, see ``PoseOfd``) and something to fit besides the intensities. It sees intensities
alone, as the fit does.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import numpy as np
import torch
from monai.data import MetaTensor
from monai.inferers import Inferer
from monai.networks.nets import BasicUNet
from monai.transforms import (
    KeepLargestConnectedComponent,
    RandomizableTransform,
    ScaleIntensityRangePercentiles,
    Transform,
)
from torch import nn
from torch.nn import functional as F

from scripts.errors import InputError
from scripts.geometry import spacing_of
from scripts.transforms import as_intensity


class SliceNet(nn.Module):
    """MONAI's 2D U-Net on a slice and its two neighbours, resampled to one pixel size.

    Args:
        num_classes: K, background included.
        in_channels: image channels C.
        pixel: mm, in plane.
        features: channels of the U-Net's levels, and of its last layer.
    """

    #: slices of a stack evaluated at once
    BATCH = 8
    #: the U-Net halves its input four times
    MULTIPLE = 16

    def __init__(
        self,
        num_classes: int = 4,
        in_channels: int = 1,
        pixel: float = 1.5,
        features: Sequence[int] = (16, 32, 64, 96, 128, 16),
    ) -> None:
        super().__init__()
        self.num_classes, self.in_channels = num_classes, in_channels
        self.unet = BasicUNet(2, 3 * in_channels, num_classes, tuple(features))
        self.register_buffer("pixel", torch.tensor(float(pixel)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, 3 C, H, W] (slice below, slice, slice above) to class logits [B, K, H, W]."""
        return self.unet(x)

    @torch.no_grad()
    def probabilities(
        self, stack: torch.Tensor, spacing: Sequence[float], kept_slices: Sequence[int] | None = None
    ) -> torch.Tensor:
        """Class probabilities of a stack on its own grid.

        Args:
            stack: [C, X, Y, Z] in [0, 1].
            spacing: mm along x and y.
            kept_slices: slices that may be seen; the others are given the background.

        Returns:
            [K, X, Y, Z] float32.
        """
        kept = list(range(stack.shape[3])) if kept_slices is None else list(kept_slices)
        slices = to_pixel(stack[..., kept].permute(3, 0, 1, 2).float(), spacing, float(self.pixel))
        number = torch.arange(len(slices))
        below, above = slices[(number - 1).clamp(min=0)], slices[(number + 1).clamp(max=len(slices) - 1)]
        stacked = torch.cat([below, slices, above], dim=1).to(self.pixel.device)
        height, width = stacked.shape[-2:]
        stacked = F.pad(stacked, (0, -width % self.MULTIPLE, 0, -height % self.MULTIPLE))
        logits = torch.cat([self(part) for part in stacked.split(self.BATCH)])[..., :height, :width]
        size = tuple(stack.shape[1:3])
        found = F.interpolate(logits.float(), size=size, mode="bilinear", align_corners=False).softmax(dim=1)
        whole = torch.zeros((*stack.shape[1:], self.num_classes))
        whole[..., 0] = 1
        whole[:, :, kept] = found.cpu().permute(2, 3, 0, 1)
        return whole.permute(3, 0, 1, 2)


def to_pixel(slices: torch.Tensor, spacing: Sequence[float], pixel: float) -> torch.Tensor:
    """Slices [N, C, X, Y] resampled to ``pixel`` mm, the outer edges kept in place."""
    size = [max(SliceNet.MULTIPLE, round(n * s / pixel)) for n, s in zip(slices.shape[2:], spacing)]
    # coarser pixels are means, or thin structures would flicker
    return F.interpolate(slices, size=size, mode="bilinear", align_corners=False, antialias=pixel > min(spacing[:2]))


def evidence_frames(frames: int, count: int) -> list[int]:
    """Numbers of at most ``count`` of ``frames`` frames, spread evenly from the first."""
    if count < 1:
        raise InputError(f"evidence_frames is {count}; at least 1 is needed")
    return sorted({round(i * frames / count) for i in range(count)} & set(range(frames)))


def scaled(image: torch.Tensor) -> torch.Tensor:
    """A sequence [C, ...] to [0, 1] between its 1st and 99th percentile."""
    return ScaleIntensityRangePercentiles(1, 99, 0.0, 1.0, clip=True, channel_wise=True)(image)


class Evidenced(Transform):
    """Adds what a ``SliceNet`` says of a scan: class probabilities and the likeliest class, of some frames.

    ``evidence`` [K, X, Y, Z, T'] and ``evidence_class`` [1, X, Y, Z, T'], MetaTensors with the image's affine; the
    evidence's meta names its ``frames``. Slices that a fit may not see (``HoldOutSlicesd``) are not seen here either.

    Args:
        network: trained; run where its weights are. None adds nothing.
        frames: the most frames that are looked at.
        image_key: key of the image [C, X, Y, Z, T].
    """

    def __init__(self, network: SliceNet | None, frames: int = 10, image_key: str = "image") -> None:
        self.network, self.frames, self.image_key = network, frames, image_key

    def __call__(self, data: Mapping[Hashable, object]) -> dict[Hashable, object]:
        """The item with ``evidence`` and ``evidence_class``."""
        item = dict(data)
        if self.network is None:
            return item
        self.network.eval()
        image = item[self.image_key]
        frames = evidence_frames(image.shape[4], self.frames)
        plain = torch.as_tensor(scaled(image.as_tensor()[..., frames].float()))
        spacing, kept = spacing_of(np.asarray(image.affine)), image.meta.get("kept_slices")
        found = [self.network.probabilities(plain[..., t], spacing, kept) for t in range(len(frames))]
        probabilities = torch.stack(found, dim=-1)
        classes = largest_pieces(probabilities.argmax(dim=0)).unsqueeze(0)
        for key, values in (("evidence", probabilities), ("evidence_class", classes)):
            item[key] = MetaTensor(values, meta={**image.meta, "frames": frames})
        return item


class AttachEvidenced(Transform):
    """Moves ``evidence`` into the image's meta, where an inferer, which is given the image alone, finds it."""

    def __call__(self, data: Mapping[Hashable, object]) -> dict[Hashable, object]:
        """The item with the image's meta extended."""
        item = dict(data)
        evidence = item.pop("evidence", None)
        if evidence is not None:
            item["image"].meta["evidence"] = {"values": evidence.as_tensor(), "frames": evidence.meta["frames"]}
        return item


def largest_pieces(classes: torch.Tensor) -> torch.Tensor:
    """Classes [X, Y, Z, T] with the largest connected piece of all classes together kept in each frame."""
    keep = KeepLargestConnectedComponent(is_onehot=False, independent=False)
    return torch.stack([torch.as_tensor(keep(frame.unsqueeze(0)))[0] for frame in classes.unbind(dim=-1)], dim=-1)


# ---- training


class RandSliced(RandomizableTransform):
    """Draws a labelled frame and a slice of a stored stack: ``image`` [3 C, H, W] and ``label`` [1, H, W].

    Args:
        pixel: mm, to which the slice is resampled.
        alone: probability for each neighbour to be replaced by the slice itself, as at the ends of a stack.
    """

    def __init__(self, pixel: float = 1.5, alone: float = 0.15) -> None:
        super().__init__(1.0)
        self.pixel, self.alone = pixel, alone

    def __call__(self, data: Mapping[Hashable, object]) -> dict[str, torch.Tensor]:
        """The drawn slice."""
        image, label = (data[key].as_subclass(torch.Tensor) for key in ("image", "label"))
        frame = self.R.choice(labelled(label))
        place, last = int(self.R.randint(image.shape[3])), image.shape[3] - 1
        steps = [0 if self.R.rand() < self.alone else step for step in (-1, 1)]
        below, above = (min(max(place + step, 0), last) for step in steps)
        slices = as_intensity(image[..., [below, place, above], frame]).permute(3, 0, 1, 2)
        slices = to_pixel(slices, data["spacing"], self.pixel)
        classes = label[0, :, :, place, frame].long()
        shares = F.one_hot(classes).permute(2, 0, 1).float()
        found = to_pixel(shares.unsqueeze(0), data["spacing"], self.pixel)[0].argmax(dim=0, keepdim=True)
        return {"image": slices.flatten(0, 1), "label": found.float()}


def labelled(label: torch.Tensor) -> list[int]:
    """Frames of [1, X, Y, Z, T] that are labelled.

    Raises:
        InputError: none is.
    """
    frames = [t for t in range(label.shape[-1]) if bool((label[..., t] >= 0).all())]
    if not frames:
        raise InputError("a training subject has no labelled frame; leave it out of the data list")
    return frames


def prepare_stack(
    item: Mapping[str, torch.Tensor], device: torch.device, non_blocking: bool = False, **kwargs: object
) -> tuple:
    """A stored stack for validation: at most four labelled frames of image and label, and the spacing."""
    frames = labelled(item["label"])
    frames = [frames[i] for i in evidence_frames(len(frames), 4)]
    image, label = as_intensity(item["image"][..., frames]), item["label"][..., frames]
    return image.unsqueeze(0), label.unsqueeze(0), (item["spacing"],), {}


class StackInferer(Inferer):
    """Class probabilities [1, K, X, Y, Z, T] of a stack [1, C, X, Y, Z, T] on its own grid."""

    def __call__(
        self, inputs: torch.Tensor, network: SliceNet, spacing: Sequence[float], *args: object, **kwargs: object
    ) -> torch.Tensor:
        """The probabilities."""
        frames = [network.probabilities(frame, spacing) for frame in inputs[0].unbind(dim=-1)]
        return torch.stack(frames, dim=-1).unsqueeze(0)


def labelled_frames(output: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Predicted and true classes of a validated stack, one-hot, the frames as a batch: [T, K, X, Y, Z] each."""
    number = output["pred"].shape[1]
    predicted, true = output["pred"][0].argmax(dim=0), output["label"][0, 0].long()
    first, second = (F.one_hot(classes, number).permute(3, 4, 0, 1, 2) for classes in (predicted, true))
    return first, second
