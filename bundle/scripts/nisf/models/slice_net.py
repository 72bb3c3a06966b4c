"""The U-Net that predicts the class of each voxel, slice by slice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from monai.networks.nets.basic_unet import BasicUNet, Down, UpCat
from monai.transforms import KeepLargestConnectedComponent, ScaleIntensityRangePercentiles
from torch import nn
from torch.nn import functional as F

from nisf.models.committee import MeanOf, members_in
from nisf.utils.compile import in_bf16
from nisf.utils.errors import InputError
from nisf.utils.tensors import likeliest

#: Probability of the other classes where a separate piece is taken for background.
APART = 0.05

#: Minimum number of slices of which every second one is enough to find the organ.
LEAST_HALVED = 6


class Halved(nn.MaxPool2d):
    """Maximum of each two by two pixels; on a CPU ten times as fast as PyTorch's kernel, with the same result."""

    def __init__(self) -> None:
        super().__init__(kernel_size=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, C, H, W] of even sizes to [B, C, H / 2, W / 2]."""
        if self.training or x.device.type != "cpu":
            return super().forward(x)
        rows = torch.maximum(x[..., ::2, :], x[..., 1::2, :])
        return torch.maximum(rows[..., ::2], rows[..., 1::2])


class SliceNet(nn.Module):
    """MONAI's 2D U-Net on a slice and its two neighbours, resampled to one pixel size.

    Args:
        num_classes: number of classes K, background included.
        in_channels: number of image channels C.
        pixel: pixel size in plane, mm.
        features: channels of the U-Net's levels and of its last layer.
        patch: side of the training patches, pixels.
        window: side of the window that is read about an organ once it is found, pixels, a multiple of 16; that of the
            training patches unless given.
        members: number of U-Nets whose logits are averaged.
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
        window: int | None = None,
        members: int = 1,
    ) -> None:
        super().__init__()
        if window is not None and (window < self.MULTIPLE or window % self.MULTIPLE):
            raise InputError(f"window of the U-Net is {window} pixels; a multiple of {self.MULTIPLE} is needed")
        self.num_classes, self.in_channels, self.window = num_classes, in_channels, window
        self.features = tuple(features)
        self.members = members
        unets = [_unet(3 * in_channels, num_classes, self.features) for _ in range(members)]
        self.unet = unets[0] if members == 1 else MeanOf(unets)
        self.register_buffer("pixel", torch.tensor(float(pixel)))
        self.register_buffer("patch", torch.tensor(int(patch)))

    @property
    def side(self) -> int:
        """Side of the window that is read about an organ, pixels."""
        return self.window or int(self.patch)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Class logits [B, K, H, W] of [B, 3 C, H, W] (slice below, slice, slice above)."""
        return self.unet(x)

    def shaped_as(self, state: Mapping[str, torch.Tensor]) -> SliceNet:
        """An untrained network like this one with as many U-Nets and channels as some weights have; itself if it has
        as many."""
        members = members_in(state, "unet.")
        within = "unet." if members == 1 else "unet.members.0."
        parts = ["conv_0.conv_0", *(f"down_{n}.convs.conv_0" for n in range(1, 5)), "upcat_1.convs.conv_1"]
        names = [f"{within}{part}.conv.weight" for part in parts]
        if not all(name in state for name in names):  # no U-Net; loading them says so
            return self
        features = tuple(len(state[name]) for name in names)
        if (features, members) == (self.features, self.members):
            return self
        sizes = float(self.pixel), features, int(self.patch), self.window, members
        return SliceNet(self.num_classes, self.in_channels, *sizes)

    @torch.no_grad()
    def probabilities(
        self,
        stack: torch.Tensor,
        spacing: Sequence[float],
        kept_slices: Sequence[int] | None = None,
        center: tuple[float, float] | None = None,
        bf16: bool = False,
        read: slice = slice(None),
    ) -> torch.Tensor:
        """Class probabilities of a stack on its own grid.

        Args:
            stack: intensities [C, X, Y, Z] in [0, 1].
            spacing: voxel size along x and y, mm.
            kept_slices: slices that may be seen; the others are background.
            center: voxel along x and y at the centre of the window that is read, outside which all is background.
                None reads whole slices, which is less accurate, as the network's normalisation depends on all that it
                sees.
            bf16: run the network in bfloat16 if the hardware has it.
            read: slices to read among those that may be seen; the others are background.

        Returns:
            [K, X, Y, Z] float32.
        """
        kept = list(range(stack.shape[3])) if kept_slices is None else list(kept_slices)
        slices = to_pixel(stack[..., kept].permute(3, 0, 1, 2).float(), spacing, float(self.pixel))
        number, last, device = torch.arange(len(slices))[read], len(slices) - 1, self.pixel.device
        parts = [slices[(number + away).clamp(0, last)] for away in (-1, 0, 1)]
        with in_bf16(device, bf16):
            logits = self._logits(torch.cat(parts, dim=1).to(device), stack.shape[1:3], center)
        size = tuple(stack.shape[1:3])
        found = F.interpolate(logits, size=size, mode="bilinear", align_corners=False).softmax(dim=1)
        whole = torch.zeros((*stack.shape[1:], self.num_classes))
        whole[..., 0] = 1
        whole[:, :, kept[read]] = found.cpu().permute(2, 3, 0, 1)
        return whole.permute(3, 0, 1, 2)

    def _logits(self, slices: torch.Tensor, size: Sequence[int], center: tuple[float, float] | None) -> torch.Tensor:
        """Class logits [Z, K, H, W] of [Z, 3 C, H, W] at the pixel size, from a window about ``center`` only."""
        height, width = slices.shape[-2:]
        if center is None:
            padded = F.pad(slices, (0, -width % self.MULTIPLE, 0, -height % self.MULTIPLE))
            return torch.cat([self(part) for part in padded.split(self.BATCH)])[..., :height, :width].float()
        reach = self.side // 2
        x, y = (int((c + 0.5) * n / m + 0.5) for c, n, m in zip(center, (height, width), size))
        # not channels last: instance normalisation would copy every layer back
        padded = F.pad(slices, (reach, reach, reach, reach))[..., x : x + 2 * reach, y : y + 2 * reach].contiguous()
        found = torch.cat([self(part) for part in padded.split(self.BATCH)]).float()
        # certain background; all other classes are equal
        whole = found.new_full((len(slices), self.num_classes, height + 2 * reach, width + 2 * reach), -self.SURE)
        whole[:, 0] = self.SURE
        whole[..., x : x + 2 * reach, y : y + 2 * reach] = found
        return whole[..., reach : reach + height, reach : reach + width]


def _unet(in_channels: int, num_classes: int, features: Sequence[int]) -> BasicUNet:
    """MONAI's 2D U-Net for inputs whose sizes are multiples of 16."""
    unet = BasicUNet(2, in_channels, num_classes, features)
    for part in unet.children():
        if isinstance(part, UpCat):
            part.is_pad = False  # a copy for nothing
        elif isinstance(part, Down):
            part.max_pooling = Halved()
    return unet


@torch.no_grad()
def read_frames(
    network: SliceNet,
    frames: torch.Tensor,
    spacing: Sequence[float],
    kept_slices: Sequence[int] | None = None,
    bf16: bool = False,
    turns_of: Callable[[np.ndarray, Sequence[float]], int] | None = None,
) -> torch.Tensor:
    """Class probabilities [K, X, Y, Z, T] of the frames [C, X, Y, Z, T] of a stack.

    Whole slices show where the organ is, every second one in each of two frames; then a window about it is read in
    every frame.

    Args:
        network: the U-Net.
        frames: intensities [C, X, Y, Z, T] in [0, 1].
        spacing: voxel sizes, mm.
        kept_slices, bf16: as in ``SliceNet.probabilities``.
        turns_of: quarter turns, from the first axis to the second, by which classes [X, Y, Z, T] of a spacing are
            turned, as ``geometry.pose.quarter_turns``; the frames are read turned back by them, if what is then read
            bears them out. None reads the frames as they are.
    """
    count, kept = frames.shape[-1], list(range(frames.shape[3])) if kept_slices is None else list(kept_slices)
    looks = []
    for place, t in enumerate(unet_frames(count, 2)):
        part = slice(place, None, 2) if count > 1 and len(kept) >= LEAST_HALVED else slice(None)
        found = likeliest(network.probabilities(frames[..., t], spacing, kept, bf16=bf16, read=part))
        looks.append(largest_pieces(found.unsqueeze(-1), kept[part]))
    classes = torch.cat(looks, dim=-1)
    turns = 0 if turns_of is None else turns_of(classes.numpy(), spacing)
    found = _read_turned(network, frames, spacing, kept, bf16, classes, turns)
    if turns:
        again = largest_pieces(likeliest(found[..., unet_frames(count, 2)]), kept)
        if turns_of(again.numpy(), spacing) != turns:
            return _read_turned(network, frames, spacing, kept, bf16, classes, 0)
    return found


def _read_turned(
    network: SliceNet,
    frames: torch.Tensor,
    spacing: Sequence[float],
    kept: Sequence[int],
    bf16: bool,
    classes: torch.Tensor,
    turns: int,
) -> torch.Tensor:
    """As ``read_frames``, in a window about the ``classes`` that a first look found, turned back by quarter turns."""
    if turns:  # `rot90` copies even what it does not turn
        frames, classes = frames.rot90(-turns, (1, 2)), classes.rot90(-turns, (0, 1))
    center = _middle(classes)
    if turns % 2:
        spacing = (spacing[1], spacing[0], *spacing[2:])
    found = torch.empty((frames.shape[-1], network.num_classes, *frames.shape[1:-1]))
    for t, frame in enumerate(frames.unbind(-1)):
        found[t] = network.probabilities(frame, spacing, kept, center, bf16)
    found = found.movedim(0, -1)
    return found.rot90(turns, (1, 2)) if turns else found


@torch.no_grad()
def mirror_ratio(
    network: SliceNet,
    frames: torch.Tensor,
    spacing: Sequence[float],
    found: torch.Tensor,
    kept_slices: Sequence[int] | None = None,
    bf16: bool = False,
    turns_of: Callable[[np.ndarray, Sequence[float]], int] | None = None,
) -> float:
    """How much more a network that has never seen a mirrored organ doubts the frames than their mirror images.

    Doubt is the entropy of the probabilities per voxel of the organ, in two of the frames.

    Args:
        found: class probabilities of the frames as they are, from ``read_frames``.
        network, frames, spacing, kept_slices, bf16, turns_of: as in ``read_frames``.

    Returns:
        above 1 if the mirror images leave less doubt; 0 if they show no organ, 1 if the frames show none.
    """
    kept = list(range(frames.shape[3])) if kept_slices is None else list(kept_slices)
    shown = unet_frames(frames.shape[-1], 2)
    classes = largest_pieces(likeliest(found[..., shown]), kept)
    if not classes.any():
        return 1.0
    mirrored = classes.flip(1)
    turns = 0 if turns_of is None else turns_of(mirrored.numpy(), spacing)
    other = _read_turned(network, frames[..., shown].flip(2), spacing, kept, bf16, mirrored, turns)
    return _doubt(found[..., shown], classes) / _doubt(other, largest_pieces(likeliest(other), kept))


def _doubt(probabilities: torch.Tensor, classes: torch.Tensor) -> float:
    """Entropy of probabilities [K, X, Y, Z, T] per voxel of the organ in ``classes`` [X, Y, Z, T]; inf without one."""
    entropy = -torch.xlogy(probabilities, probabilities).sum()
    return float(entropy) / int((classes > 0).sum()) if classes.any() else float("inf")


def _middle(classes: torch.Tensor) -> tuple[float, float] | None:
    """Mean position along x and y of the voxels [X, Y, Z, T] that are not background; None if all are."""
    inside = classes.nonzero()[:, :2].double()
    return tuple(inside.mean(dim=0).tolist()) if len(inside) else None


def to_pixel(slices: torch.Tensor, spacing: Sequence[float], pixel: float) -> torch.Tensor:
    """Slices [N, C, X, Y] resampled to ``pixel`` mm, with the outer edges in place."""
    size = [max(SliceNet.MULTIPLE, round(n * s / pixel)) for n, s in zip(slices.shape[2:], spacing)]
    # average into coarser pixels, or thin structures would be aliased
    return F.interpolate(slices, size=size, mode="bilinear", align_corners=False, antialias=pixel > min(spacing[:2]))


def unet_frames(frames: int, count: int | None) -> list[int]:
    """Numbers of at most ``count`` of ``frames`` frames, spread evenly from the first; None for all."""
    if count is None:
        return list(range(frames))
    if count < 1:
        raise InputError(f"unet_frames is {count}; at least 1 is needed")
    return sorted({round(i * frames / count) for i in range(count)} & set(range(frames)))


def scaled(image: torch.Tensor) -> torch.Tensor:
    """A sequence [C, ...] scaled to [0, 1] from its 1st to its 99th percentile."""
    return ScaleIntensityRangePercentiles(1, 99, 0.0, 1.0, clip=True, channel_wise=True)(image)


def largest_pieces(classes: torch.Tensor, kept_slices: Sequence[int] | None = None) -> torch.Tensor:
    """Classes [X, Y, Z, T] with only the largest connected piece of all classes together in each frame.

    Slices that may be seen count as neighbours even if slices between them may not be seen.
    """
    out, kept = torch.zeros_like(classes), list(range(classes.shape[2])) if kept_slices is None else list(kept_slices)
    keep, box = KeepLargestConnectedComponent(is_onehot=False, independent=False), _box(classes)
    for t in range(classes.shape[3]):
        here = (*box, kept, t)
        # a copy, as MONAI changes its input
        out[here] = torch.as_tensor(keep(classes[here].unsqueeze(0).clone()))[0]
    return out


def _box(classes: torch.Tensor) -> tuple[slice, slice]:
    """The part along x and y of classes [X, Y, Z, T] outside which all are background."""
    inside = (classes != 0).flatten(2).any(dim=2)
    places = [inside.any(dim=1 - axis).nonzero()[:, 0] for axis in (0, 1)]
    return tuple(slice(int(one[0]), int(one[-1]) + 1) if len(one) else slice(0, 0) for one in places)
