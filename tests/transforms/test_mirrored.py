"""A heart that the U-Net doubts less in its mirror image is read so."""

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from nisf.geometry.orientation import SHORT_AXIS
from nisf.models.slice_net import SliceNet
from nisf.transforms.scan import Scan, scan_of, with_scan
from nisf.transforms.slice_order import seems_mirrored
from nisf.transforms.unet_prob import AddUNetProbd

KNOWN = np.eye(4)
KNOWN[:3, :3] = SHORT_AXIS * np.array([2.0, 2.0, 8.0])


class Rising(torch.nn.Module):
    """Stands for a U-Net that is surer of hearts that grow brighter along y, as all it has learned from."""

    def forward(self, x):
        here = x[:, 1]
        body, rising = (here > 0.8).float(), (here >= here.roll(1, dims=-1)).float()
        none = torch.zeros_like(here)
        return torch.stack([4 * (1 - body), body * (2 + 8 * rising), none, none], dim=1)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("stated", [None, ["lateral", "inferior", "apex"]])
def test_a_mirrored_heart_is_read_in_its_mirror_image(mirrored, stated):
    net, heart = SliceNet(4, pixel=2.0, features=(4,) * 6).eval(), torch.zeros(1, 64, 48, 5, 2)
    net.unet = Rising()
    heart[:, 22:42, 14:34] = torch.linspace(0.85, 1, 20)[:, None, None]
    heart = heart.flip(2) if mirrored else heart
    image = with_scan(MetaTensor(heart, affine=torch.from_numpy(KNOWN)), Scan((0.0, 0.5)))
    read = AddUNetProbd(net, body=(1, 2))({"image": image, "array_axes": stated})
    found = scan_of(read["image"]).unet_prob
    assert found.mirrored == (mirrored and stated is None)
    as_it_is = scan_of(AddUNetProbd(net)({"image": image})["image"]).unet_prob.values
    upright = AddUNetProbd(net)({"image": with_scan(image.flip(2), Scan((0.0, 0.5)))})
    wanted = scan_of(upright["image"]).unet_prob.values.flip(2) if found.mirrored else as_it_is
    torch.testing.assert_close(found.values, wanted)


@pytest.mark.parametrize(
    "ratio, taper, turns, known, mirrored",
    [
        (1.2, -0.8, 0, True, False),  # an affine is believed before a little doubt
        (1.4, -0.8, 1, True, True),
        (1.1, 0.8, 0, True, True),  # but not where the slices show it to be wrong
        (1.1, -0.8, 2, True, True),  # nor a heart on its head
        (0.9, 0.8, 2, True, False),
        (1.2, 0.3, 0, True, True),
        (1.1, 0.3, 0, True, False),
        (1.2, -0.8, 2, False, True),
        (1.1, 0.8, 2, False, False),
    ],
)
def test_when_a_heart_counts_as_mirrored(ratio, taper, turns, known, mirrored):
    assert seems_mirrored(ratio, taper, turns, known) == mirrored
