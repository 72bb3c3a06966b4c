"""The labels of a DICOM SEG on the grid of a NIfTI image, by two readers."""

import highdicom
import itk
import numpy as np
import pydicom

from nisf.io.dicom_cine import RAS


def places(data):
    """Segment number and world (RAS) of the first voxel of each frame of a SEG."""
    for group in data.PerFrameFunctionalGroupsSequence:
        position = np.array([*group.PlanePositionSequence[0].ImagePositionPatient, 1], float)
        yield group.SegmentIdentificationSequence[0].ReferencedSegmentNumber, (RAS @ position)[:3]


def by_itk(path, image):
    """The label of every voxel of a SEG on the grid of a NIfTI image: pixels by ITK, places by the header."""
    pixels, out = itk.array_from_image(itk.imread(str(path))), np.zeros(image.shape[:3], np.uint8)
    for frame, (number, place) in zip(pixels, places(pydicom.dcmread(path)), strict=True):
        x, y, z = np.rint(np.linalg.inv(image.affine) @ [*place, 1])[:3].astype(int)
        assert (x, y) == (0, 0)
        out[:, :, z][frame.T > 0] = number
    return out


def by_highdicom(path, image):
    """The same by highdicom alone."""
    volume = highdicom.seg.segread(path).get_volume(combine_segments=True)
    affine, out = RAS @ volume.affine, np.zeros(image.shape[:3], np.uint8)
    index = np.stack(np.meshgrid(*map(np.arange, volume.array.shape), indexing="ij"), axis=-1).reshape(-1, 3)
    voxel = (np.linalg.inv(image.affine) @ affine @ np.c_[index, np.ones(len(index))].T)[:3].T
    np.testing.assert_allclose(voxel, np.rint(voxel), atol=1e-3)
    out[tuple(np.rint(voxel).astype(int).T)] = volume.array.ravel()
    return out
