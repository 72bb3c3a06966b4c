"""The phantom: labels exact, volumes true, files and directions right, cohorts reproducible."""

import json

import nibabel as nib
import numpy as np
import pytest

from nisf.phantom.anatomy import REFERENCE_AXES
from nisf.phantom.body import Tissue
from nisf.phantom.cohort import make_subject, write_cohort
from nisf.phantom.heart import Heart
from nisf.utils.errors import InputError

TINY = {"matrix": (20, 24), "voxel_mm": 8.0, "slices": (3, 4), "thickness_mm": 20.0, "frames": (3, 4), "subsamples": 1}
STRUCTURES = ("LV", "MYO", "RV")


def decompressed(folder):
    """Every file's content by name; images as raw voxels and header, because gzip stores the time of writing."""
    content = {}
    for path in sorted(folder.iterdir()):
        if path.name.endswith(".nii.gz"):
            image = nib.load(path)
            content[path.name] = image.header.binaryblock + np.asarray(image.dataobj).tobytes()
        else:
            content[path.name] = path.read_bytes()
    return content


def grid_volumes(heart, time, step):
    """Volumes in mL counted on a grid in the heart's own directions, shifted so that no symmetry helps."""
    ranges = [np.arange(low + 0.3, high, step) for low, high in ((-100, 65), (-70, 70), (-20, 120))]
    uvw = np.stack(np.meshgrid(*ranges, indexing="ij"), -1).reshape(-1, 3)
    labels = heart.label(uvw @ heart.axes + heart.centre, time)
    assert not labels.reshape([len(r) for r in ranges])[[0, -1]].any(), "the grid cuts the heart"
    return dict(zip(STRUCTURES, np.bincount(labels, minlength=4)[1:] * step**3 / 1000))


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("phase", ["ED", "ES"])
def test_labels_fill_the_true_volumes(seed, phase):
    heart = make_subject(seed).heart
    time = 0.0 if phase == "ED" else heart.end_systole
    counted, true = grid_volumes(heart, time, 1.25), heart.cavity_volumes(time)
    for structure in STRUCTURES:
        assert counted[structure] == pytest.approx(true[structure], rel=0.01), structure


@pytest.mark.parametrize("fraction", [0.25, 0.5, 0.75])
def test_ejection_fraction_is_a_parameter(fraction):
    heart = make_subject(3, heart={"lv_ejection_fraction": fraction}).heart
    full, empty = heart.cavity_volumes(0.0)["LV"], heart.cavity_volumes(heart.end_systole)["LV"]
    assert heart.ejection_fraction() == fraction
    assert 1 - empty / full == pytest.approx(fraction, abs=1e-9)


def test_cavities_are_largest_at_ed_and_smallest_at_es_and_the_wall_keeps_its_volume():
    heart = make_subject(4).heart
    times = np.linspace(0, 1, 33)
    volumes = [heart.cavity_volumes(t) for t in times]
    smallest = heart.cavity_volumes(heart.end_systole)
    for cavity in ("LV", "RV"):
        curve = np.array([v[cavity] for v in volumes])
        assert curve.max() == pytest.approx(curve[0]) and curve[-1] == pytest.approx(curve[0])
        assert smallest[cavity] <= curve.min()
    wall = np.array([v["MYO"] for v in volumes])
    assert np.ptp(wall) < 0.01 * wall.mean()
    # the grid sees it too: the wall is not conserved by definition alone
    seen = [grid_volumes(heart, t, 2.0)["MYO"] for t in (0.0, 0.15, heart.end_systole)]
    assert np.ptp(seen) < 0.03 * np.mean(seen)


def test_wall_thickens_and_base_descends_in_systole():
    heart = Heart()
    middle = heart.middle()
    line = middle + np.linspace(0, 60, 601)[:, None] * heart.axes[0]
    thickness = [(heart.label(line, t) == 2).sum() * 0.1 for t in (0.0, heart.end_systole)]
    assert thickness[1] > 1.2 * thickness[0]
    near_base = heart.centre + 5.0 * heart.axes[2]
    assert heart.label(near_base[None], 0.0)[0] == 1
    assert heart.label(near_base[None], heart.end_systole)[0] == 0


def test_right_ventricle_is_on_the_patients_right_of_the_left():
    subject = make_subject(5)
    points = subject.heart.middle() + np.random.default_rng(0).uniform(-80, 80, (40000, 3))
    label = subject.label_at(points, 0.0)
    left, right = points[label == 1].mean(0), points[label == 3].mean(0)
    assert right[0] > left[0] + 10  # RAS: x grows to the patient's right


def test_labels_and_tissues_agree():
    heart = make_subject(6).heart
    points = heart.middle() + np.random.default_rng(0).uniform(-90, 90, (40000, 3))
    for time in (0.0, 0.3):
        label, tissue = heart.label(points, time), heart.tissue(points, time)
        assert set(np.unique(tissue[label == 1])) <= {Tissue.LV_BLOOD, Tissue.PAPILLARY}
        assert set(np.unique(tissue[label == 2])) == {Tissue.MYOCARDIUM}
        assert set(np.unique(tissue[label == 3])) == {Tissue.RV_BLOOD}
        outside = np.unique(tissue[label == 0])
        assert not {Tissue.LV_BLOOD, Tissue.RV_BLOOD, Tissue.MYOCARDIUM} & set(outside)
        assert {Tissue.LUNG, Tissue.HEART_FAT, Tissue.ATRIUM_BLOOD, Tissue.LIVER} <= set(outside)


def test_blood_is_bright_muscle_dark_and_lung_black_in_the_image():
    subject = make_subject(7, frames=2, noise=0.0, bias=0.0)
    image, label = subject.render(), subject.labels()
    assert image.shape == label.shape == (*subject.acquisition.shape, 2)
    assert image.dtype == np.float32 and label.dtype == np.uint8
    blood, muscle, right = (np.median(image[label == k]) for k in (1, 2, 3))
    lung = np.percentile(image, 5)
    assert min(blood, right) > 1.6 * muscle and muscle > 2 * lung


def test_noise_has_the_size_asked_for():
    quiet = make_subject(8, frames=2, noise=0.0)
    noisy = make_subject(8, frames=2, noise=0.05)
    assert np.array_equal(quiet.labels(), noisy.labels())
    bright = quiet.labels() == 1
    difference = (noisy.render() - quiet.render())[bright] / quiet.acquisition.scale
    assert difference.std() == pytest.approx(0.05, rel=0.1)


def test_breath_hold_shifts_move_slices_in_image_and_labels():
    still, shifted = make_subject(9, frames=1), make_subject(9, frames=1, shift_slices=6.0)
    assert np.array_equal(still.acquisition.affine, shifted.acquisition.affine)
    assert (still.labels() != shifted.labels()).mean() > 0.005
    image, label = shifted.render(), shifted.labels()
    assert np.median(image[label == 1]) > 1.5 * np.median(image[label == 2])
    world = shifted.acquisition.world()
    assert np.array_equal(shifted.label_at(world, 0.0), still.label_at(world, 0.0))


def test_written_files_say_what_the_subject_is(tmp_path):
    listing = write_cohort(tmp_path / "cohort", n_training=2, n_validation=1, n_test=2, seed=5, **TINY)
    cohort = json.loads(listing.read_text())
    assert cohort["labels"] == {"0": "background", "1": "LV", "2": "MYO", "3": "RV"}
    for number, split in enumerate(("training", "validation", "test")):
        for index, entry in enumerate(cohort[split]):
            subject = make_subject([5, number, index], **TINY)
            image, label = (nib.load(listing.parent / entry[key]) for key in ("image", "label"))
            assert image.get_data_dtype() == np.int16 and label.get_data_dtype() == np.uint8
            assert np.abs(np.asarray(image.dataobj) - subject.render()).max() <= 0.51
            for nifti in (image, label):
                assert nifti.header.get_xyzt_units() == ("mm", "sec")
                assert nifti.header.get_zooms()[3] == pytest.approx(subject.acquisition.frame_duration)
                assert nifti.get_sform(coded=True)[1] == nifti.get_qform(coded=True)[1] == 1
                np.testing.assert_allclose(nifti.get_qform(), nifti.affine, atol=1e-3)
            written = np.asarray(label.dataobj)
            index3 = np.argwhere(np.ones(written.shape[:3], bool))
            world = nib.affines.apply_affine(label.affine, index3)
            for frame in range(written.shape[3]):
                exact = subject.label_at(world, frame / written.shape[3])
                assert np.array_equal(written[..., frame].ravel(), exact)
            assert written.any()
            assert entry["phases"] == subject.phases()
            assert entry["true_volumes_ml"]["ES"]["LV"] < entry["true_volumes_ml"]["ED"]["LV"]


def test_affines_are_oblique_short_axis_and_arrays_come_in_many_orders():
    orders = set()
    for seed in range(25):
        acquisition = make_subject([seed]).acquisition
        assert np.array_equal(acquisition.affine, acquisition.affine.astype(np.float32)), "files keep float32"
        affine = acquisition.affine[:3, :3]
        along = REFERENCE_AXES @ (affine / np.linalg.norm(affine, axis=0))
        assert abs(along[2, 2]) > np.cos(np.deg2rad(25))
        rows = np.abs(along).argmax(1)
        assert sorted(rows) == [0, 1, 2], "an axis permutation must be decidable"
        assert np.abs(along)[range(3), rows].min() > np.cos(np.deg2rad(40))
        orders.add((*rows, *np.sign(along[range(3), rows])))
    assert len(orders) > 8


def test_cohort_is_reproducible_and_splits_do_not_touch_each_other(tmp_path):
    first = write_cohort(tmp_path / "a", 2, 1, 1, seed=3, **TINY).parent
    again = write_cohort(tmp_path / "b", 2, 1, 1, seed=3, **TINY).parent
    assert decompressed(first) == decompressed(again)
    larger = decompressed(write_cohort(tmp_path / "c", 3, 0, 1, seed=3, **TINY).parent)
    small = decompressed(first)
    shared = [name for name in small if name in larger and name.endswith(".nii.gz")]
    assert len(shared) == 6 and all(small[name] == larger[name] for name in shared)
    images = [small[name] for name in small if name.endswith("_sa.nii.gz")]
    assert len(set(images)) == 4
    other = decompressed(write_cohort(tmp_path / "d", 1, 0, 0, seed=4, **TINY).parent)
    assert other["training000_sa.nii.gz"] != small["training000_sa.nii.gz"]


def test_complete_cohort_is_reused_and_a_broken_or_different_one_made_again(tmp_path):
    made = []
    options = {**TINY, "progress": lambda done, total, name: made.append((done, total, name))}
    listing = write_cohort(tmp_path, 1, 0, 1, **options)
    assert made == [(1, 2, "training000"), (2, 2, "test000")]
    write_cohort(tmp_path, 1, 0, 1, **options)
    assert len(made) == 2
    (tmp_path / "test000_sa.nii.gz").unlink()
    write_cohort(tmp_path, 1, 0, 1, **options)
    assert len(made) == 4 and (tmp_path / "test000_sa.nii.gz").is_file()
    write_cohort(tmp_path, 1, 0, 1, **{**options, "frames": 2})
    assert len(made) == 6
    assert nib.load(tmp_path / "test000_sa.nii.gz").shape[3] == 2
    assert json.loads(listing.read_text())["made_with"]["options"]["frames"] == 2
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("text", ['{"name": "ours", "training": []}', '{"cut off', "[]"])
def test_a_data_list_of_someone_else_is_not_overwritten(text, tmp_path):
    (tmp_path / "cohort.json").write_text(text)
    with pytest.raises(InputError, match="cohort.json: is no list of a phantom cohort .* choose another folder"):
        write_cohort(tmp_path, 1, 0, 0, **TINY)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("cohort.json", text)]


def test_an_interrupted_run_leaves_no_list(tmp_path):
    listing = write_cohort(tmp_path, 1, 0, 0, **TINY)

    def stop(done, total, name):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_cohort(tmp_path, 2, 0, 0, progress=stop, **TINY)
    assert not listing.exists()


def test_the_heart_is_near_the_middle_of_the_stack():
    offsets = []
    for seed in range(40):
        subject = make_subject([seed])
        index = (np.array(subject.acquisition.shape) - 1) / 2
        middle = subject.heart.to_heart(subject.acquisition.world(index[None]))[:, 0]
        offsets.append(middle - [-14, 0, 0.5 * subject.heart.lv_length])
    assert np.abs(np.mean(offsets, 0)).max() < 6
    assert (np.std(offsets, 0)[:2] > 3).all() and (np.std(offsets, 0)[:2] < 10).all()


@pytest.mark.parametrize(
    "options, words",
    [
        ({"marix": 80}, "marix"),
        ({"heart": {"volume": 3}}, "volume"),
        ({"frames": (9, 3)}, "frames"),
        ({"frames": "abc"}, "frames = abc is not a positive number"),
        ({"frames": (1, 2, 3)}, "frames"),
        ({"n_test": -1}, "negative"),
    ],
)
def test_bad_options_are_one_clear_sentence(tmp_path, options, words):
    with pytest.raises(InputError, match=words):
        write_cohort(tmp_path, **{"n_training": 1, **options})
