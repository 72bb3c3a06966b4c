"""UK Biobank: a folder for each subject."""

from __future__ import annotations

import os

from nisf.io.layouts.common import make_subject, niftis_by_folder


def read_ukbb(folder, strict=True) -> list[dict]:
    """<subject>/sa.nii.gz and <subject>/seg_sa.nii.gz (4D), as the authors' code has them."""
    places = niftis_by_folder(folder).items()
    return [make_subject(os.path.basename(d), f["sa"], f.get("seg_sa")) for d, f in places if "sa" in f]
