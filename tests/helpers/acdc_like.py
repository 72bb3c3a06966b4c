"""A phantom cohort in the layout of ACDC."""

from pathlib import Path

import nibabel as nib
import numpy as np


def acdc_like(cohort: Path, folder: Path, cine: bool = False) -> Path:
    """A phantom subject as ACDC stores its own: 3D frames, reversed labels, lost affine; one patient without labels.

    With ``cine`` the 4D file is beside them.
    """
    from nisf.cli.demo import canonical

    image, spacing = canonical(cohort / "test000_sa.nii.gz")
    label, _ = canonical(cohort / "test000_sa_gt.nii.gz")
    affine = np.diag([*spacing, 1.0])
    reverse = np.array([0, 3, 2, 1], np.uint8)
    for patient, labelled in (("patient001", True), ("patient010", False)):
        (folder / patient).mkdir(parents=True)
        (folder / patient / "Info.cfg").write_text("ED: 1\nES: 3\nGroup: NOR\nHeight: 180\nNbFrame: 4\nWeight: 80\n")
        if cine:
            nib.save(nib.Nifti1Image(image.astype(np.uint8), affine), folder / patient / f"{patient}_4d.nii.gz")
        for number in (1, 3):
            stem = folder / patient / f"{patient}_frame{number:02d}"
            nib.save(nib.Nifti1Image(image[..., number - 1].astype(np.uint8), affine), f"{stem}.nii.gz")
            if labelled:
                nib.save(nib.Nifti1Image(reverse[label[..., number - 1]], affine), f"{stem}_gt.nii.gz")
    return folder
