"""Images for transforms, without files."""

import numpy as np
import torch
from monai.data import MetaTensor

from nisf.transforms.scan import Scan, with_scan


def tensor(array, affine=None):
    """An image [C, X, Y, Z, T] as MetaTensor with a Scan; 2 x 2 x 8 mm voxels unless an affine is given."""
    affine = np.diag([2.0, 2.0, 8.0, 1.0]) if affine is None else affine
    array = torch.as_tensor(array)
    times = tuple(t / array.shape[-1] for t in range(array.shape[-1]))
    image = MetaTensor(array, affine=torch.as_tensor(affine), meta={"filename_or_obj": "scan.nii"})
    return with_scan(image, Scan(times))
