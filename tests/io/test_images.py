"""The same scan comes out of NIfTI, MetaImage, NRRD and DICOM, and what is made of it lies on its grid."""

import itk
import nibabel as nib
import numpy as np
import pytest
import torch
from helpers.dicom_help import change, examination
from helpers.nifti_files import oblique_affine, save, series

from nisf.inference.save import SaveCined
from nisf.io.datalist import find_subjects
from nisf.io.images import read_scan
from nisf.io.nifti import image_stem
from nisf.transforms.load import LoadCined
from nisf.transforms.scan import scan_of
from nisf.utils.errors import InputError

ENDINGS = ("mha", "mhd", "nrrd", "nhdr")


def rigid_affine():
    """Oblique and without shear: ITK keeps no other."""
    axes, _ = np.linalg.qr(oblique_affine()[:3, :3])
    affine = oblique_affine()
    affine[:3, :3] = axes * [1.25, 1.5, 8]
    return affine.astype(np.float32).astype(float)


def by_itk(folder, ending, array=None, **options):
    """A NIfTI file, and the same image as ITK writes it under another ending."""
    path = save(folder / "scan.nii.gz", series() if array is None else array, rigid_affine(), **options)
    target = str(folder / f"scan.{ending}")
    itk.imwrite(itk.imread(path), target)
    return path, target


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("shape", [(7, 6, 4, 3), (7, 6, 4)])
def test_metaimage_and_nrrd_give_what_nifti_gives(tmp_path, ending, shape):
    nifti, other = (read_scan(p) for p in by_itk(tmp_path, ending, series(shape)))
    assert np.array_equal(other.array, nifti.array) and other.array.dtype == np.float32
    np.testing.assert_allclose(other.affine, nifti.affine, atol=1e-5)
    assert other.frame_duration == pytest.approx(0.05 if len(shape) == 4 else 0)


@pytest.mark.parametrize("step, seconds", [(0.04, 0.04), (40.0, 0.04), (1.0, 0.0)])
def test_time_steps_of_no_stated_unit(tmp_path, step, seconds):
    image = itk.image_from_array(series().transpose(3, 2, 1, 0).astype(np.float32))
    image.SetSpacing([1.5, 1.5, 8.0, step])
    itk.imwrite(image, str(tmp_path / "a.mha"))
    assert read_scan(tmp_path / "a.mha").frame_duration == pytest.approx(seconds)


def test_frames_as_components_are_frames(tmp_path):
    """3D Slicer writes a sequence as an NRRD file whose first axis is a list."""
    lines = [
        *("NRRD0004", "type: short", "dimension: 4", "space: left-posterior-superior", "sizes: 3 7 6 4"),
        *("kinds: list domain domain domain", "space directions: none (1.5,0,0) (0,1.5,0) (0,0,8)"),
        *("space origin: (1,2,3)", "encoding: raw", "endian: little", "", ""),
    ]
    header = "\n".join(lines)
    (tmp_path / "cine.seq.nrrd").write_bytes(header.encode() + series().transpose(2, 1, 0, 3).tobytes())
    scan = read_scan(tmp_path / "cine.seq.nrrd")
    assert np.array_equal(scan.array, series()) and scan.frame_duration == 0
    np.testing.assert_allclose(scan.affine, [[-1.5, 0, 0, -1], [0, -1.5, 0, -2], [0, 0, 8, 3], [0, 0, 0, 1]])


@pytest.mark.parametrize("kind", [*ENDINGS, "dicom"])
def test_results_lie_on_the_grid_of_the_scan(tmp_path, kind):
    path = examination(tmp_path / "scan.d")[1] if kind == "dicom" else by_itk(tmp_path, kind)[1]
    scan = read_scan(path)
    item = LoadCined()({"subject": "scan", "image": str(path)})
    item["seg"] = torch.from_numpy(np.random.default_rng(1).integers(0, 4, scan.array.shape).astype(np.uint8))[None]
    (saved,) = SaveCined("seg", str(tmp_path / "out"))({**item, "scan": scan_of(item["image"])})["saved"]
    stem = "scan.d" if kind == "dicom" else "scan"
    assert saved == str(tmp_path / "out" / stem / f"{stem}_seg.nii.gz")
    written = nib.load(saved)
    assert np.array_equal(np.asarray(written.dataobj), item["seg"][0]) and written.get_data_dtype() == np.uint8
    np.testing.assert_allclose(written.affine, scan.affine, atol=1e-5)
    assert written.header.get_zooms()[3] == pytest.approx(scan.frame_duration) and scan.frame_duration > 0
    assert written.header.get_xyzt_units() == ("mm", "sec")
    assert (int(written.header["sform_code"]), int(written.header["qform_code"])) == (1, 1)
    np.testing.assert_allclose(written.header.get_qform(), scan.affine, atol=1e-3)


def test_what_the_header_tells_reaches_the_image(tmp_path):
    _, folder = examination(tmp_path)
    person = scan_of(LoadCined()({"image": str(folder)})["image"]).person
    assert person == {"heart_rate": 65.0, "sex": "F", "height_cm": 168.0, "weight_kg": 64.0}
    path = save(tmp_path / "a.nii.gz", series())
    assert scan_of(LoadCined()({"image": path})["image"]).person == {}


def test_scans_of_every_kind_in_one_data_list(tmp_path):
    (tmp_path / "files").mkdir()
    nifti, meta = by_itk(tmp_path / "files", "mha")
    _, first = examination(tmp_path / "exams" / "1.2.840")
    _, second = examination(tmp_path / "exams" / "b")
    change(second, lambda data: setattr(data, "StudyInstanceUID", "1.2.3"))
    found = {s["subject"]: s["image"] for s in find_subjects("images", tmp_path / "exams")}
    assert found == {"1.2.840": str(first), "b": str(second)}, "a scan a study"
    found = find_subjects("images", [meta, str(first)])
    assert {s["subject"]: s["image"] for s in found} == {"scan": meta, "1.2.840": str(first)}
    (single,) = find_subjects("images", first)
    assert single["image"] == str(first), "one study is one scan, in whatever folders its files lie"


@pytest.mark.parametrize("ending", ENDINGS)
def test_damaged_and_missing_files_get_one_sentence(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    with pytest.raises(InputError, match=f"a.{ending}: there is no such file; check"):
        read_scan(path)
    path.write_bytes(b"hello" * 40)
    with pytest.raises(InputError, match=f"a.{ending}: is empty, cut off or no image; give a whole MetaImage or NRRD"):
        read_scan(path)


def test_colours_are_refused(tmp_path):
    image = itk.image_from_array(np.zeros((4, 6, 7, 3), np.uint8), ttype=itk.Image[itk.RGBPixel[itk.UC], 3])
    itk.imwrite(image, str(tmp_path / "a.nrrd"))
    with pytest.raises(InputError, match="a.nrrd: holds colours or complex numbers"):
        read_scan(tmp_path / "a.nrrd")


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int32, np.float64])
def test_numbers_of_any_kind(tmp_path, kind):
    _, path = by_itk(tmp_path, "mha", (series() % 200).astype(kind))
    assert np.array_equal(read_scan(path).array, series() % 200)


def test_a_cut_off_metaimage_is_refused(tmp_path):
    _, path = by_itk(tmp_path, "mha")
    content = open(path, "rb").read()
    open(path, "wb").write(content[: len(content) - 300])
    with pytest.raises(InputError, match="scan.mha: is empty, cut off"):
        read_scan(path)


@pytest.mark.parametrize(
    "name, stem",
    [("a/b.c.nii.gz", "b.c"), ("x.mha", "x"), ("x.seq.nrrd", "x"), ("x.nrrd", "x"), ("x.dcm", None), (".x.nii", None)],
)
def test_stem_of_an_image_file(name, stem):
    assert image_stem(name) == stem
