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
from scripts.point_sets import as_intensity

#: Probability left to the other classes where a piece apart from the organ is taken for background.
DOUBT = 0.05


class SliceNet(nn.Module):
    """MONAI's 2D U-Net on a slice and its two neighbours, resampled to one pixel size.

    Args:
        num_classes: K, background included.
        in_channels: image channels C.
        pixel: mm, in plane.
        features: channels of the U-Net's levels, and of its last layer.
        patch: pixels along a side of the training's patches.
    """

    #: slices of a stack evaluated at once
    BATCH = 8
    #: logit of the background beyond the window
    SURE = 5.0
    #: the U-Net halves its input four times
    MULTIPLE = 16

    def __init__(
        self,
        num_classes: int = 4,
        in_channels: int = 1,
        pixel: float = 1.5,
        features: Sequence[int] = (16, 32, 64, 96, 128, 16),
        patch: int = 128,
    ) -> None:
        super().__init__()
        self.num_classes, self.in_channels = num_classes, in_channels
        self.unet = BasicUNet(2, 3 * in_channels, num_classes, tuple(features))
        self.register_buffer("pixel", torch.tensor(float(pixel)))
        self.register_buffer("patch", torch.tensor(int(patch)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, 3 C, H, W] (slice below, slice, slice above) to class logits [B, K, H, W]."""
        return self.unet(x)

    @torch.no_grad()
    def probabilities(
        self,
        stack: torch.Tensor,
        spacing: Sequence[float],
        kept_slices: Sequence[int] | None = None,
        center: tuple[float, float] | None = None,
    ) -> torch.Tensor:
        """Class probabilities of a stack on its own grid.

        Args:
            stack: [C, X, Y, Z] in [0, 1].
            spacing: mm along x and y.
            kept_slices: slices that may be seen; the others are given the background.
            center: voxel along x and y about which a window as large as the training's patches is looked at; beyond it
                lies background. None looks at the whole slices, which the network, whose normalisation takes in all
                that it sees, does less well.

        Returns:
            [K, X, Y, Z] float32.
        """
        kept = list(range(stack.shape[3])) if kept_slices is None else list(kept_slices)
        slices = to_pixel(stack[..., kept].permute(3, 0, 1, 2).float(), spacing, float(self.pixel))
        number = torch.arange(len(slices))
        below, above = slices[(number - 1).clamp(min=0)], slices[(number + 1).clamp(max=len(slices) - 1)]
        logits = self._logits(torch.cat([below, slices, above], dim=1).to(self.pixel.device), stack.shape[1:3], center)
        size = tuple(stack.shape[1:3])
        found = F.interpolate(logits, size=size, mode="bilinear", align_corners=False).softmax(dim=1)
        whole = torch.zeros((*stack.shape[1:], self.num_classes))
        whole[..., 0] = 1
        whole[:, :, kept] = found.cpu().permute(2, 3, 0, 1)
        return whole.permute(3, 0, 1, 2)

    def _logits(self, slices: torch.Tensor, size: Sequence[int], center: tuple[float, float] | None) -> torch.Tensor:
        """[Z, 3 C, H, W] at the pixel size to class logits [Z, K, H, W], of a window about ``center`` alone."""
        height, width = slices.shape[-2:]
        if center is None:
            padded = F.pad(slices, (0, -width % self.MULTIPLE, 0, -height % self.MULTIPLE))
            return torch.cat([self(part) for part in padded.split(self.BATCH)])[..., :height, :width].float()
        reach = int(self.patch) // 2
        x, y = (int((c + 0.5) * n / m + 0.5) for c, n, m in zip(center, (height, width), size))
        padded = F.pad(slices, (reach, reach, reach, reach))[..., x : x + 2 * reach, y : y + 2 * reach]
        found = torch.cat([self(part) for part in padded.split(self.BATCH)]).float()
        # far beyond doubt, and the same for all classes but the background
        whole = found.new_full((len(slices), self.num_classes, height + 2 * reach, width + 2 * reach), -self.SURE)
        whole[:, 0] = self.SURE
        whole[..., x : x + 2 * reach, y : y + 2 * reach] = found
        return whole[..., reach : reach + height, reach : reach + width]


@torch.no_grad()
def read_frames(
    network: SliceNet, frames: torch.Tensor, spacing: Sequence[float], kept_slices: Sequence[int] | None = None
) -> torch.Tensor:
    """Class probabilities [K, X, Y, Z, T] of the frames [C, X, Y, Z, T] of a stack.

    A first look at whole slices of two frames finds where the organ is; then a window about it is read in every frame.
    """
    count = frames.shape[-1]
    looks = [network.probabilities(frames[..., t], spacing, kept_slices) for t in evidence_frames(count, 2)]
    center = _middle(largest_pieces(likeliest(torch.stack(looks, dim=-1)), kept_slices))
    read = [network.probabilities(frames[..., t], spacing, kept_slices, center) for t in range(count)]
    return torch.stack(read, dim=-1)


def _middle(classes: torch.Tensor) -> tuple[float, float] | None:
    """Mean voxel along x and y of what is not background in [X, Y, Z, T]; None where all is."""
    inside = classes.nonzero()[:, :2].double()
    return tuple(inside.mean(dim=0).tolist()) if len(inside) else None


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
    evidence's meta names its ``frames``. Slices and frames that a fit may not see (``HoldOutd``) are not seen
    here either.

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
        seen = image.meta.get("kept_frames") or list(range(image.shape[4]))
        frames = [seen[i] for i in evidence_frames(len(seen), self.frames)]
        plain = torch.as_tensor(scaled(image.as_tensor()[..., frames].float()))
        spacing, kept = spacing_of(np.asarray(image.affine)), image.meta.get("kept_slices")
        probabilities = read_frames(self.network, plain, spacing, kept)
        raw = likeliest(probabilities)
        classes = largest_pieces(raw, kept)
        # what lies apart is taken for background, though not without doubt
        apart = torch.full((len(probabilities), 1), DOUBT / (len(probabilities) - 1))
        apart[0] = 1 - DOUBT
        probabilities[:, (raw != classes)] = apart
        classes = classes.unsqueeze(0)
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


def largest_pieces(classes: torch.Tensor, kept_slices: Sequence[int] | None = None) -> torch.Tensor:
    """Classes [X, Y, Z, T] with the largest connected piece of all classes together kept in each frame.

    Slices that may be seen count as neighbours also where others between them may not.
    """
    keep = KeepLargestConnectedComponent(is_onehot=False, independent=False)
    kept = list(range(classes.shape[2])) if kept_slices is None else list(kept_slices)
    out = torch.zeros_like(classes)
    for t in range(classes.shape[3]):
        # a copy, for MONAI changes its input
        out[:, :, kept, t] = torch.as_tensor(keep(classes[:, :, kept, t].unsqueeze(0).clone()))[0]
    return out


def likeliest(classes: torch.Tensor) -> torch.Tensor:
    """Numbers [...] of the largest of [K, ...]."""
    # argmax does the same, and over the first axis takes several times as long
    return classes.max(dim=0).indices


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
        found = likeliest(to_pixel(shares.unsqueeze(0), data["spacing"], self.pixel)[0])
        return {"image": slices.flatten(0, 1), "label": found.unsqueeze(0).float()}


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
        return read_frames(network, inputs[0], spacing).unsqueeze(0)


def labelled_frames(output: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Predicted and true classes of a validated stack, one-hot, the frames as a batch: [T, K, X, Y, Z] each."""
    number = output["pred"].shape[1]
    predicted, true = likeliest(output["pred"][0]), output["label"][0, 0].long()
    first, second = (F.one_hot(classes, number).permute(3, 4, 0, 1, 2) for classes in (predicted, true))
    return first, second
