"""The data layouts by name."""

from __future__ import annotations

from nisf.io.layouts.acdc import read_acdc
from nisf.io.layouts.cohort import read_cohort
from nisf.io.layouts.frames import read_frames
from nisf.io.layouts.images import read_images
from nisf.io.layouts.mnms import read_mnms
from nisf.io.layouts.msd import read_msd
from nisf.io.layouts.ukbb import read_ukbb

READERS = {
    "acdc": read_acdc,
    "mnms": read_mnms,
    "ukbb": read_ukbb,
    "msd": read_msd,
    "cohort": read_cohort,
    "images": read_images,
    "frames": read_frames,
}

LOOKED_FOR = {
    "acdc": "patientNNN/patientNNN_frameFF.nii.gz or patientNNN_4d.nii.gz",
    "mnms": "<ID>/<ID>_sa.nii.gz or <ID>_sa_ED.nii.gz and <ID>_sa_ES.nii.gz",
    "ukbb": "<subject>/sa.nii.gz",
    "msd": "imagesTr/*.nii.gz or imagesTs/*.nii.gz",
    "cohort": "cohort.json with subjects in it",
    "images": "NIfTI, MetaImage or NRRD files, folders of DICOM files, or archives of these",
    "frames": "one 3D file per frame, in names that differ in a number alone, as frame_000.nii.gz",
}
