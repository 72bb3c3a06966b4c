"""Files whose affine does not fit their array: how the array is stored, and the affine that is written with it."""

from dataclasses import dataclass

import nibabel as nib
import numpy as np

from nisf.geometry.orientation import permuted_affine, spacing_of


@dataclass(frozen=True)
class Wrong:
    """One way to store a scan [X, Y, Z, ...] wrongly.

    ``order`` and ``flips`` are those of the stored axes; ``world`` are the signs of the affine's rows; the affine fits
    the stored array (but for ``world``) if ``fits``, and has lost its directions if ``lost``.
    """

    order: tuple = (0, 1, 2)
    flips: tuple = (False, False, False)
    world: tuple = (1, 1, 1)
    fits: bool = False
    lost: bool = False

    def stored(self, array, affine):
        """The array and the affine of the file."""
        if self.fits:
            affine = permuted_affine(affine, array.shape[:3], self.order, self.flips)
        if self.lost:
            affine = np.diag([*spacing_of(affine), 1.0])
        return self._turned(array), np.diag([*self.world, 1.0]) @ affine

    def _turned(self, array):
        array = array.transpose(*self.order, *range(3, array.ndim))
        return np.flip(array, [axis for axis in range(3) if self.flips[axis]])

    def back(self, stored):
        """An array on the file's grid, on that of the right scan."""
        array = np.flip(stored, [axis for axis in range(3) if self.flips[axis]])
        return array.transpose(*np.argsort(self.order), *range(3, array.ndim))

    def write(self, path, array, affine, seconds=0.0):
        """The file; ``seconds`` from frame to frame."""
        image = nib.Nifti1Image(*self.stored(array, affine))
        image.header.set_xyzt_units("mm", "sec")
        if array.ndim > 3 and seconds:
            image.header["pixdim"][4] = seconds
        nib.save(image, path)
        return path


X, Y, Z = ((True, False, False), (False, True, False), (False, False, True))

WRONG = {
    "right": Wrong(),
    "LPS taken for RAS": Wrong(world=(-1, -1, 1)),
    "left and right exchanged": Wrong(world=(-1, 1, 1)),
    "front and back exchanged": Wrong(world=(1, -1, 1)),
    "head and feet exchanged": Wrong(world=(1, 1, -1)),
    "slices reversed": Wrong(flips=Z),
    "columns reversed": Wrong(flips=X),
    "rows reversed": Wrong(flips=Y),
    "stored as XZY, affine too": Wrong(order=(0, 2, 1), fits=True),
    "stored as ZYX, affine too": Wrong(order=(2, 1, 0), fits=True),
    "stored as XZY, affine not": Wrong(order=(0, 2, 1)),
    "stored as ZYX, affine not": Wrong(order=(2, 1, 0)),
    "stored as YXZ, affine not": Wrong(order=(1, 0, 2)),
    "orientation lost": Wrong(lost=True),
    "orientation lost, slices reversed": Wrong(flips=Z, lost=True),
    "orientation lost, rows reversed": Wrong(flips=Y, lost=True),
    "orientation lost, turned half round": Wrong(flips=(True, True, False), lost=True),
}
