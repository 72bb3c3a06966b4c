"""Images for transforms, without files."""

import numpy as np
import torch
from monai.data import MetaTensor


def tensor(array, affine=None, **meta):
    affine = np.diag([2.0, 2.0, 8.0, 1.0]) if affine is None else affine
    array = torch.as_tensor(array)
    times = [t / array.shape[-1] for t in range(array.shape[-1])]
    return MetaTensor(
        array, affine=torch.as_tensor(affine), meta={"times": times, "filename_or_obj": "scan.nii", **meta}
    )
