"""A minimal latent file."""

import numpy as np
import torch

from nisf.geometry.frame import CoordinateFrame


def write_latent(path, **content):
    """Writes the latent file of a fit of four numbers on two voxels a side, with ``content`` replaced."""
    frame = CoordinateFrame.relative(np.eye(4), (2, 2, 2), (0.0,)).to_dict()
    network = {"options": {}, "weights": "model.pt", "digest": ""}
    made = {"latent": torch.zeros(4), "frame": frame, "network": network, "class_names": {"1": "LV"}, "subject": "one"}
    torch.save({**made, **content}, path)
    return path
