"""Fitted scans that hold the true heart."""

import numpy as np
import torch
from monai.data import MetaTensor

from nisf.geometry.frame import CoordinateFrame
from nisf.models.nisf import NISF
from nisf.phantom.cohort import make_subject
from nisf.sampling.fitted_scan import FittedScan
from nisf.transforms.spatial import CanonicalOrientationd


class TrueScan(FittedScan):
    """A scan that reads a synthetic heart in place of a network."""

    def read(self, points, time=0.0, compile=False):
        label = torch.from_numpy(self.heart.label(points, time).astype(np.int64))
        classes = torch.nn.functional.one_hot(label, 4).t().float()
        return torch.cat([torch.zeros(1, len(points)), classes])


def true_scan(seed):
    """A heart in its canonical stack."""
    subject = make_subject(seed)
    affine = torch.from_numpy(subject.acquisition.affine)
    image = MetaTensor(torch.zeros(1, *subject.acquisition.shape, 1), affine=affine)
    turned = CanonicalOrientationd("image")({"image": image})["image"]
    frame = CoordinateFrame.relative(np.asarray(turned.affine), tuple(turned.shape[1:4]), (0.0, 0.5))
    names = {1: "LV", 2: "MYO", 3: "RV"}
    scan = TrueScan(NISF(hidden_size=8, latent_size=8, num_layers=2), torch.zeros(8), frame, class_names=names)
    scan.heart = subject.heart
    return scan
