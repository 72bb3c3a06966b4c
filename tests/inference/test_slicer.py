"""Segmentations for 3D Slicer, read back by the library of Slicer's authors, by ITK and by nisf itself."""

import itk
import nibabel as nib
import numpy as np
import pytest
import slicerio
from matplotlib.colors import to_hex
from nibabel.affines import apply_affine

from nisf.inference.slicer import write_slicer
from nisf.io.images import read_image
from nisf.io.layouts.images import read_images
from nisf.plots.style import class_colour
from nisf.utils.errors import InputError

NAMES = {"1": "LV", "2": "MYO", "3": "RV"}
TITLES = ["LV blood pool", "LV myocardium", "RV blood pool"]
#: An oblique grid, RAS mm.
AFFINE = nib.affines.from_matvec([[1.1, 0.5, -4.2], [-0.3, 1.3, 5.5], [-0.8, 0.6, 6.9]], [10.0, -20.0, 30.0])
TIMES, CYCLE = (0.0, 0.3, 0.65), 0.8
LPS = np.diag([-1, -1, 1, 1])


@pytest.fixture
def labels():
    """A heart [X, Y, Z, T] whose LV is largest in the second frame and smallest in the last."""
    made = np.zeros((9, 8, 4, 3), np.uint8)
    made[1:6, 1:6], made[6:8, 2:5, 1:] = 2, 3
    for frame, size in enumerate((2, 3, 1)):
        made[2 : 2 + size, 2:5, :, frame] = 1
    return made


def saved(path, array):
    nib.save(nib.Nifti1Image(array, AFFINE), path)
    return path


@pytest.fixture
def written(labels, tmp_path):
    files = write_slicer([saved(tmp_path / "a_seg.nii.gz", labels)], tmp_path / "a", TIMES, CYCLE, NAMES)
    assert [file.name for file in files] == ["a_ED.seg.nrrd", "a_ES.seg.nrrd", "a_seg.seq.nrrd"]
    return files


def test_slicer_shows_each_class_of_ed_and_es_by_its_name_and_colour(labels, written):
    for file, phase, frame, time in zip(written, ("ED", "ES"), (1, 2), ("0.2400 s", "0.5200 s")):
        read = slicerio.read_segmentation(str(file))
        np.testing.assert_allclose(LPS @ read["ijkToLPS"], AFFINE, atol=1e-6)
        assert [segment["name"] for segment in read["segments"]] == TITLES
        assert read["containedRepresentationNames"] == ["Binary labelmap", "Closed surface"]
        for number, segment in enumerate(read["segments"], 1):
            mask = slicerio.segment_mask(read, segment["name"])
            np.testing.assert_array_equal(mask, labels[..., frame] == number)
            assert to_hex(segment["color"]) == class_colour(number)
            assert segment["tags"] == {"Phase": phase, "Time": time}
            assert segment["extent"] == [0, 8, 0, 7, 0, 3]
        codes = [segment["terminology"]["type"][:2] for segment in read["segments"]]
        assert codes == [["SCT", "87878005"], ["SCT", "49848007"], ["SCT", "53085002"]]


def test_the_voxels_lie_where_itk_finds_them(labels, written):
    image = itk.imread(str(written[0]))
    assert set(np.unique(labels[..., 1])) == {0, 1, 2, 3}
    np.testing.assert_array_equal(itk.array_from_image(image).T, labels[..., 1])
    for index in ([0, 0, 0], [8, 7, 3], [2, 5, 1]):
        place = LPS[:3, :3] @ image.TransformIndexToPhysicalPoint(index)
        np.testing.assert_allclose(place, apply_affine(AFFINE, index), atol=1e-4)


def test_the_sequence_has_all_frames_at_their_times(labels, written):
    read = slicerio.read_volume(str(written[2]))
    np.testing.assert_array_equal(read["voxels"], labels)
    np.testing.assert_allclose(LPS @ read["ijkToLPS"], AFFINE, atol=1e-6)
    index = read["sequence"]
    assert (index["indexName"], index["indexUnit"], index["indexType"]) == ("time", "s", "numeric")
    np.testing.assert_allclose([float(value) for value in index["indexValues"]], np.multiply(TIMES, CYCLE))
    assert read["DataNodeClassName"] == "vtkMRMLLabelMapVolumeNode"
    array, grid = read_image(written[2])  # and nisf takes it for what it is
    np.testing.assert_array_equal(array, labels)
    np.testing.assert_allclose(grid.affine, AFFINE, atol=1e-5)


def test_without_a_known_cycle_the_index_is_its_fraction(labels, tmp_path):
    files = [saved(tmp_path / f"a_{frame}_seg.nii.gz", labels[..., frame]) for frame in range(3)]  # a file each
    written = write_slicer(files, tmp_path / "a", TIMES, 0.0, NAMES)
    index = slicerio.read_volume(str(written[2]))["sequence"]
    assert (index["indexName"], index["indexUnit"]) == ("fraction of the cycle", None)
    assert index["indexValues"] == ["0.0000", "0.3000", "0.6500"]
    assert slicerio.read_segmentation(str(written[0]))["segments"][0]["tags"]["Time"] == "0.3000 of the cycle"


def test_a_still_is_one_segmentation_of_any_anatomy(labels, tmp_path):
    file = saved(tmp_path / "h_seg.nii.gz", labels[..., 0] % 3)
    (one,) = write_slicer([file], tmp_path / "h", (0.0,), 0.0, {"1": "anterior", "2": "posterior"})
    assert one.name == "h.seg.nrrd"
    segments = slicerio.read_segmentation(str(one))["segments"]
    assert [(segment["name"], "terminology" in segment) for segment in segments] == [
        *[("anterior", False), ("posterior", False)]
    ]


def test_a_cine_that_shows_no_lv_has_its_sequence_alone(labels, tmp_path):
    file = saved(tmp_path / "a_seg.nii.gz", np.where(labels == 1, 0, labels).astype(np.uint8))
    assert [one.name for one in write_slicer([file], tmp_path / "a", TIMES, CYCLE, NAMES)] == ["a_seg.seq.nrrd"]


def test_none_of_them_is_taken_for_a_scan(written, tmp_path):
    saved(tmp_path / "scan.nii.gz", np.zeros((4, 4, 4), np.uint8))
    assert [subject["subject"] for subject in read_images(tmp_path)] == ["scan"]


def test_a_folder_that_cannot_be_written_is_named(labels, tmp_path):
    file = saved(tmp_path / "a_seg.nii.gz", labels)
    with pytest.raises(InputError, match="a_ED.seg.nrrd: cannot be written"):
        write_slicer([file], file / "a", TIMES, CYCLE, NAMES)
