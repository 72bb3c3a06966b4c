"""A store of small subjects."""

from helpers.tiny import chain
from monai.transforms import Compose

from nisf.training.store import MappedDataset
from nisf.transforms.points import ToStored


def loading(half_field=60.0):
    """The deterministic transforms of a store; ``half_field`` in mm."""
    return list(chain(half_field=half_field).transforms)


def store(subjects, folder, *random, half_field=60.0):
    """A store of subjects in ``folder``, with random transforms at its end."""
    return MappedDataset(subjects, Compose([*loading(half_field), ToStored(), *random]), str(folder))
