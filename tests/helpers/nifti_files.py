"""NIfTI files for tests."""

import nibabel as nib
import numpy as np

SHAPE = (7, 6, 4, 3)


def oblique_affine():
    """An oblique, sheared affine [4, 4] in mm whose values a header keeps."""
    affine = np.array([[-0.9, 0.7, -5.0, 80], [0.8, -1.1, 4.0, -30], [0.7, 0.8, 4.5, 12], [0, 0, 0, 1.0]])
    return affine.astype(np.float32).astype(float)  # values that a header keeps


def series(shape=SHAPE):
    """Random intensities int16, [X, Y, Z, T]."""
    return np.random.default_rng(0).integers(0, 900, shape).astype(np.int16)


def save(path, array, affine=None, seconds=0.05, units=("mm", "sec"), codes=(1, 1)):
    """Writes an array as NIfTI with seconds per frame, units and codes of the two forms."""
    affine = oblique_affine() if affine is None else affine
    image = nib.Nifti1Image(array, affine)
    image.set_sform(affine, codes[0])
    image.set_qform(affine, codes[1])
    image.header.set_xyzt_units(*units)
    if array.ndim == 4:
        image.header.set_zooms([*image.header.get_zooms()[:3], seconds])
    nib.save(image, path)
    return str(path)


def classes(shape=SHAPE):
    """Random classes from 0 to 3, uint8."""
    return np.random.default_rng(1).integers(0, 4, shape).astype(np.uint8)
