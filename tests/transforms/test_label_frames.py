"""Frames that nobody labelled have the U-Net's classes in the training of the prior, and there alone."""

from dataclasses import replace
from itertools import takewhile

import numpy as np
import pytest
import torch
from helpers.acdc_like import acdc_like
from helpers.configs import parser_of
from helpers.tiny import phantom_scans
from monai.transforms import Compose, Randomizable

from nisf.io.datalist import find_subjects
from nisf.models.slice_net import SliceNet
from nisf.training.slice_net import labelled
from nisf.transforms.label_frames import LabelFramesd
from nisf.transforms.load import LoadCined
from nisf.transforms.scan import scan_of, with_scan
from nisf.transforms.spatial import CanonicalOrientationd


class Halves(torch.nn.Module):
    """Stands for a U-Net: class 1 where the slice is bright."""

    def forward(self, x):
        return 60 * torch.stack([torch.full_like(x[:, 1], 0.5), x[:, 1], 0 * x[:, 1], 0 * x[:, 1]], dim=1)


@pytest.fixture(scope="module")
def acdc(tmp_path_factory):
    """Folder of two patients as ACDC stores them, cines of four frames; the first and third of one are labelled."""
    folder = tmp_path_factory.mktemp("cohort")
    phantom_scans(folder, 1, frames=4)
    return acdc_like(folder, folder / "acdc", cine=True)


@pytest.fixture(scope="module")
def subject(acdc):
    return find_subjects("acdc", acdc)[0]


@pytest.fixture(scope="module")
def loaded(subject):
    return Compose([LoadCined(), CanonicalOrientationd()])(subject)


@pytest.fixture(scope="module")
def bright():
    net = SliceNet(4, pixel=6.0, features=(4,) * 6)
    net.unet = Halves()
    return LabelFramesd(net)


def test_labels_stay_and_the_unet_gives_the_others(loaded, bright):
    true, found = loaded["label"].as_tensor(), bright(loaded)["label"].as_tensor()
    assert labelled(true) == [0, 2] and set(true[..., 0].unique().tolist()) == {0, 1, 2, 3}
    assert torch.equal(found[..., [0, 2]], true[..., [0, 2]])
    assert all(set(found[..., t].unique().tolist()) == {0, 1} for t in (1, 3))
    assert found.dtype == true.dtype and labelled(true) == [0, 2]  # the item given is as it was


def test_a_frame_is_labelled_where_it_was_acquired(loaded, bright):
    whole, box = tuple((0, n) for n in loaded["image"].shape[1:4]), ((4, 20), (3, 19), (1, 4))
    scan = replace(scan_of(loaded["image"]), seen=(whole, whole, box, box))
    found = bright({**loaded, "image": with_scan(loaded["image"], scan)})["label"].as_tensor()
    inside = (slice(None), *(slice(low, high) for low, high in box), 3)
    assert set(found[inside].unique().tolist()) == {0, 1}
    found[inside] = -1
    assert (found[..., 3] == -1).all() and labelled(found) == [0, 1, 2]


def test_without_a_unet_or_a_label_nothing_is_added(loaded, bright):
    assert torch.equal(LabelFramesd(None)(loaded)["label"], loaded["label"])
    assert "label" not in bright({"image": loaded["image"]})


def test_a_whole_acdc_cine_trains_the_prior_in_every_frame_and_the_unet_in_those_labelled(acdc, subject):
    prior = parser_of("train.json", ["acdc.json"], dataset_dir=str(acdc)).get_parsed_content("train#preprocessing")
    steps = takewhile(lambda step: not isinstance(step, Randomizable), prior.transforms)
    stored = Compose(list(steps))(subject)
    assert labelled(stored["label"]) == [0, 1, 2, 3] and np.allclose(stored["frame"]["times"], [0, 0.25, 0.5, 0.75])
    unet = parser_of("unet.json", ["acdc.json"], dataset_dir=str(acdc)).get_parsed_content("loading")
    assert labelled(Compose(unet)(subject)["label"]) == [0, 2]
