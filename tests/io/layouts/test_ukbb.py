"""UK Biobank as it lies on disk becomes the right subjects."""

from helpers.layout_files import save

from nisf.io.datalist import find_subjects


def test_ukbb(tmp_path):
    for name in ("1002", "1001"):
        save(tmp_path / name / "sa.nii.gz", (3, 3, 2, 4))
    label = save(tmp_path / "1002" / "seg_sa.nii.gz", (3, 3, 2, 4))
    subjects = find_subjects("ukbb", tmp_path)
    assert [(s["subject"], s["label"]) for s in subjects] == [("1001", None), ("1002", label)]
    assert subjects[1]["labelled_frames"] is None, "every frame of the label file carries labels"
