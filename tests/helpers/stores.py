"""A store of small subjects."""

from helpers.tiny import chain
from monai.transforms import Compose, ScaleIntensityRangePercentilesd

from nisf.training.store import MappedDataset
from nisf.transforms.load import LoadCined
from nisf.transforms.points import ToStored
from nisf.transforms.spatial import CanonicalOrientationd, CropToFieldd, PoseOfd


def loading(half_field=60.0):
    """The deterministic transforms of a store; ``half_field`` in mm."""
    return list(chain(half_field=half_field).transforms)


def store(subjects, folder, *random, half_field=60.0):
    """A store of subjects in ``folder``, with random transforms at its end."""
    return MappedDataset(subjects, Compose([*loading(half_field), ToStored(), *random]), str(folder))


def posed_store(subjects, folder, *random):
    """A filled store of hearts in their own frame, posed by their labels, with random transforms at its end."""
    keys = ("image", "label")
    steps = [
        LoadCined(keys),
        CanonicalOrientationd(keys),
        PoseOfd("label", unit=80.0, body=[1, 2], pointer=3, radius=22.0, length=24.0),
        CropToFieldd(keys, kind="posed"),
        ScaleIntensityRangePercentilesd("image", 1, 99, 0.0, 1.0, clip=True, channel_wise=True),
        ToStored(),
        *random,
    ]
    return MappedDataset(subjects, Compose(steps), str(folder)).fill()
