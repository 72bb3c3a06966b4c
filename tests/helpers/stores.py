"""A store of small subjects."""

import torch
from helpers.tiny import chain
from monai.transforms import Compose, ScaleIntensityRangePercentilesd

from nisf.models.slice_net import SliceNet
from nisf.training.store import MappedDataset
from nisf.transforms.label_frames import LabelFramesd
from nisf.transforms.load import LoadCined
from nisf.transforms.points import ToStored
from nisf.transforms.spatial import CanonicalOrientationd, CropToFieldd, PoseOfd


def loading(half_field=60.0):
    """The deterministic transforms of a store; ``half_field`` in mm."""
    return list(chain(half_field=half_field).transforms)


def store(subjects, folder, *random, half_field=60.0):
    """A store of subjects in ``folder``, with random transforms at its end."""
    return MappedDataset(subjects, Compose([*loading(half_field), ToStored(), *random]), str(folder))


class Halves(torch.nn.Module):
    """Stands for a trained U-Net: class 1 where the slice is bright."""

    def forward(self, x):
        return 60 * torch.stack([torch.full_like(x[:, 1], 0.5), x[:, 1], 0 * x[:, 1], 0 * x[:, 1]], dim=1)


def bright_unet():
    """A ``SliceNet`` with ``Halves``."""
    net = SliceNet(4, pixel=6.0, features=(4,) * 6)
    net.unet = Halves()
    return net


def posed_store(subjects, folder, *random, unet=None):
    """A filled store of hearts in their own frame, posed by their labels, with random transforms at its end, and the
    probabilities of a U-Net if there is one."""
    keys = ("image", "label")
    steps = [
        LoadCined(keys),
        CanonicalOrientationd(keys),
        PoseOfd("label", unit=80.0, body=[1, 2], pointer=3, radius=22.0, length=24.0),
        LabelFramesd(unet, keep=True),
        CropToFieldd(keys, kind="posed"),
        ScaleIntensityRangePercentilesd("image", 1, 99, 0.0, 1.0, clip=True, channel_wise=True),
        ToStored(),
        *random,
    ]
    return MappedDataset(subjects, Compose(steps), str(folder)).fill()
