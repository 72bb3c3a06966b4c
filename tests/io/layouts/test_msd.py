"""The Medical Segmentation Decathlon as it lies on disk becomes the right subjects."""

from helpers.layout_files import save

from nisf.io.datalist import find_subjects


def test_msd(tmp_path):
    for name in ("organ_002", "organ_001", "._organ_001"):
        save(tmp_path / "imagesTr" / f"{name}.nii.gz")
    label = save(tmp_path / "labelsTr" / "organ_001.nii.gz")
    subjects = find_subjects("msd", tmp_path)
    assert [(s["subject"], s["label"], s["times"]) for s in subjects] == [
        ("organ_001", label, [0.0]),
        ("organ_002", None, [0.0]),
    ]
    save(tmp_path / "test" / "imagesTs" / "organ_003.nii.gz")
    assert find_subjects("msd", tmp_path / "test")[0]["subject"] == "organ_003"
