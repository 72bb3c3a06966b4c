"""Example of a reader's own data: static organs of two classes."""

from pathlib import Path

import nibabel as nib
import numpy as np


def write_organs(folder: Path, count: int = 8, size: int = 24, spacing: float = 5.0) -> None:
    """``scans/sNN.nii.gz`` and ``labels/sNN.nii.gz``: bright ellipsoids with a brighter shell, off the middle."""
    for number in range(1, count + 1):
        draw = np.random.default_rng(number)
        grid = np.stack(np.meshgrid(*[np.arange(size) * spacing] * 3, indexing="ij"))
        centre = size * spacing / 2 + draw.normal(0, 4, 3)
        away = np.sqrt(
            (
                ((grid - centre[:, None, None, None]) / draw.uniform([30, 22, 40], [34, 26, 46])[:, None, None, None])
                ** 2
            ).sum(0)
        )
        label = ((away < 1).astype(np.uint8) + (away < 0.6)).astype(np.uint8)
        image = np.array([50.0, 300.0, 500.0])[label] + draw.normal(0, 10, label.shape)
        for name, array in (("scans", image.astype(np.float32)), ("labels", label)):
            (folder / name).mkdir(exist_ok=True)
            nib.save(nib.Nifti1Image(array, np.diag([spacing] * 3 + [1])), folder / name / f"s{number:02d}.nii.gz")
