"""Labels found from coarse to fine against evaluating every voxel: of a heart that is known, and of a network."""

import nibabel as nib
import numpy as np
import pytest
import torch
from helpers.phantom_soft import SoftHeart
from scipy.spatial.transform import Rotation

from nisf.geometry.frame import CoordinateFrame
from nisf.geometry.grid import Grid
from nisf.level_sets.label_map import LabelMap, coarse_steps, margins_of
from nisf.models.nisf import NISF
from nisf.models.weights import digest_of
from nisf.sampling.fitted_scan import FittedScan
from nisf.sampling.resample import sample_to_files
from nisf.utils.tensors import save_tensors

LATENT = torch.tensor([0.2, -0.1, 0.1, 0.3])


def a_grid(spacing, shape, centre=(-12.0, 0.0, -16.0)):
    """An oblique grid about the heart."""
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", [20, -30, 50], degrees=True).as_matrix() * spacing
    affine[:3, 3] = np.array(centre) - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid(affine, shape)


def every_voxel(probabilities, grid, time=0.0):
    return probabilities(grid.world(), time).argmax(axis=0).reshape(grid.shape)


def share(found):
    return found.evaluated / found.labels.size


@pytest.mark.parametrize(
    "spacing, shape, steps, most",
    [
        ((1.0, 1.0, 1.0), (150, 131, 118), (4, 4, 4), 0.12),
        ((1.0, -1.0, 4.0), (151, 150, 30), (4, 4, 1), 0.2),
        ((1.0, 1.0, 1.0), (150, 147, 1), (4, 4, 1), 0.2),
        ((0.7, 1.4, 2.9), (180, 92, 41), (8, 4, 2), 0.25),
        ((1.5, 1.5, 8.0), (102, 103, 14), (4, 4, 1), 0.3),
    ],
)
def test_a_heart_takes_a_part_of_the_points_for_the_same_labels(spacing, shape, steps, most):
    heart, grid = SoftHeart(), a_grid(spacing, shape)
    found = LabelMap(heart, grid, 0.2)
    assert coarse_steps(grid) == steps
    expected = every_voxel(heart, grid, 0.2)
    assert len(np.unique(expected)) == 4
    np.testing.assert_array_equal(found.labels, expected)
    assert share(found) < most


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 1, 3), (3, 60, 2), (61, 1, 62), (5, 66, 7), (2, 2, 90), (1, 57, 1)])
def test_grids_of_any_size(shape):
    heart, grid = SoftHeart(), a_grid((1.0, 1.0, 1.5), shape, centre=(-24.0, 0.0, 0.0))
    np.testing.assert_array_equal(LabelMap(heart, grid, 0.0).labels, every_voxel(heart, grid))


def test_no_point_is_evaluated_twice():
    """Also what is evaluated is counted."""
    heart, asked = SoftHeart(), []

    def counted(points, time):
        asked.append(points)
        return heart(points, time)

    found = LabelMap(counted, a_grid((1.0, 1.0, 2.0), (70, 71, 30)), 0.0)
    points = np.concatenate(asked)
    assert len(points) == found.evaluated == len(np.unique(points.round(3), axis=0))


def sectors(points, time):
    """Four classes about a wavy line, each but a little likelier than the others in its quarter: none reaches half."""
    x, y = points[:, 0] - 3 * np.sin(points[:, 2] / 9), points[:, 1]
    scores = np.stack([x, y, -x, -y]) / 200
    return np.exp(scores) / np.exp(scores).sum(axis=0)


def test_where_classes_meet_and_none_has_half():
    grid = a_grid((1.0, 1.0, 1.0), (50, 51, 52), centre=(0.3, -0.2, 0.4))
    assert sectors(grid.world(), 0.0).max() < 0.5
    found = LabelMap(sectors, grid, 0.0)
    np.testing.assert_array_equal(found.labels, every_voxel(sectors, grid))
    assert share(found) < 0.5


def test_margins_are_over_the_likeliest_other_class():
    found = margins_of(np.log([[0.5, 0.2], [0.3, 0.4], [0.2, 0.4]]))
    np.testing.assert_allclose(found, np.log([[5 / 3, 0.5], [0.6, 1.0], [0.4, 1.0]]), atol=1e-6)


def hard(inside):
    """Two classes by a mask of points, so sharp that samples beside a piece know nothing of it."""
    return lambda points, time: np.stack([1.0 - inside(points), 1.0 * inside(points)])


def test_a_thin_sheet_is_followed_from_where_it_is_found():
    def ball_and_sheet(points):
        sheet = (np.abs(points[:, 2] - 2.4) < 0.6) & (np.abs(points[:, 0]) < 29) & (np.abs(points[:, 1]) < 9)
        return sheet | (np.linalg.norm(points, axis=1) < 12)

    grid = Grid(np.diag([1.0, 1.0, 1.0, 1.0]) + np.array([[0, 0, 0, -32.0]] * 3 + [[0] * 4]), (65, 65, 65))
    expected = every_voxel(hard(ball_and_sheet), grid)
    assert expected[4].any()
    np.testing.assert_array_equal(LabelMap(hard(ball_and_sheet), grid, 0.0).labels, expected)


def test_a_piece_and_a_hole_of_more_than_the_coarsest_step_are_found_wherever_they_lie():
    for centre in np.random.default_rng(0).uniform(-4, 4, (20, 3)):
        inside = hard(lambda points: np.linalg.norm(points - centre, axis=1) < 5.3)
        outside = hard(lambda points: np.linalg.norm(points - centre, axis=1) >= 5.3)
        grid = a_grid((0.75, 0.75, 1.5), (40, 41, 21), centre=(0, 0, 0))
        for one in (inside, outside):
            np.testing.assert_array_equal(LabelMap(one, grid, 0.0).labels, every_voxel(one, grid))


def test_a_soft_piece_of_less_than_the_coarsest_step_shows_in_the_samples_beside_it():
    grid = a_grid((1.0, 1.0, 1.0), (30, 29, 28), centre=(0, 0, 0))
    for centre in np.random.default_rng(0).uniform(-4, 4, (20, 3)):

        def ball(points, time):
            inside = 1 / (1 + np.exp(np.linalg.norm(points - centre, axis=1) - 1.7))
            return np.stack([1 - inside, inside])

        found = LabelMap(ball, grid, 0.0)
        assert found.labels.any()
        np.testing.assert_array_equal(found.labels, every_voxel(ball, grid))


@pytest.mark.parametrize("thickness", [40.0, 2.0, -1.0])
def test_what_is_not_given_is_background_and_never_asked_for(thickness):
    """An oblique layer of the heart, one thinner than the coarsest step, none."""
    heart, grid = SoftHeart(), a_grid((1.0, 1.0, 1.0), (90, 91, 60))

    def depth(points):
        return thickness / 2 - np.abs(points @ np.array([0.6, 0.0, 0.8]) + 14)

    def checked(points, time):
        assert (depth(points) >= -1e-6).all()
        return heart(points, time)

    given = (depth(grid.world()) >= 0).reshape(grid.shape)
    found = LabelMap(checked, grid, 0.0, given)
    np.testing.assert_array_equal(found.labels, np.where(given, every_voxel(heart, grid), 0))
    assert (found.labels > 0).any() == (thickness > 0)


@pytest.mark.parametrize("first, last", [(1, 1), (2, 2), (1, 3), (0, 5), (21, 22), (10, 21)])
def test_layers_between_the_first_samples(first, last):
    """A class in one voxel, at either end of what is given."""
    grid = Grid(np.eye(4), (26, 27, 23))
    given = np.zeros(grid.shape, bool)
    given[:, :, first : last + 1] = True
    for height in (first, last):
        plate = hard(lambda points: (np.abs(points[:, 2] - height) < 0.5) & (np.abs(points[:, 0] - 12) < 7))
        found = LabelMap(plate, grid, 0.0, given)
        assert found.labels[:, :, height].any()
        np.testing.assert_array_equal(found.labels, every_voxel(plate, grid))


@pytest.fixture(scope="module")
def latent(tmp_path_factory):
    """A latent file of a small random network, oblique, [20, 18, 5] voxels of 4 x 4 x 10 mm, and its weights."""
    affine, folder = np.eye(4), tmp_path_factory.mktemp("fit")
    affine[:3, :3] = Rotation.from_euler("xz", [30, 50], degrees=True).as_matrix() * (4.0, -4.0, 10.0)
    frame = CoordinateFrame.relative(affine, (20, 18, 5), (0.0, 0.4))
    torch.manual_seed(5)
    network = NISF(num_classes=4, hidden_size=16, latent_size=4, num_layers=3, omega0=4.0, sigma0=1.0).eval()
    with torch.no_grad():
        network.class_head.weight.mul_(8)  # surer of its classes, and each of them somewhere
        logits = network(frame.points(torch.arange(frame.size)).unsqueeze(0), LATENT.unsqueeze(0))[0, 1:]
        network.class_head.bias.sub_(logits.mean(dim=1))
    torch.save(network.state_dict(), folder / "model.pt")
    made = {"options": network.options(), "weights": "model.pt", "digest": digest_of(network)}
    content = {"latent": LATENT, "frame": frame.to_dict(), "network": made}
    names = {"class_names": {"1": "a", "2": "b", "3": "c"}, "subject": "x", "duration": 0.8, "correction": None}
    return save_tensors({**content, **names}, folder / "x_latent.pt")


def labels_of(latent, name, capsys, **words):
    """What was written, and the printed summary."""
    target = latent.with_name(name)
    sample_to_files(latent, target, latent.with_name("model.pt"), **words)
    return np.asarray(nib.load(target).dataobj), capsys.readouterr().out


@pytest.mark.parametrize(
    "where", [{"spacing": 1.0}, {"spacing": [1.0, 1.0, 5.0]}, {"plane": [[0, 9, 9], [60, 9, 9], [0, 60, 40]]}]
)
def test_sampled_labels_are_those_of_every_voxel(latent, capsys, where):
    outputs = ["seg", "extrapolated"]
    found, said = labels_of(latent, "fast.nii.gz", capsys, outputs=outputs, times=[0.3, 0.7], **where)
    exact, said_exact = labels_of(
        latent, "exact.nii.gz", capsys, outputs=outputs, times=[0.3, 0.7], exact=True, **where
    )
    assert (found == exact).mean() > 0.999 and len(np.unique(exact)) == 4
    maps = [np.asarray(nib.load(latent.with_name(f"{n}_extrapolated.nii.gz")).dataobj) for n in ("fast", "exact")]
    np.testing.assert_array_equal(*maps)
    assert not found[maps[0] == 2].any()
    taken, all_given = (int(text.split(" of ")[-2].split()[-1].replace(",", "")) for text in (said, said_exact))
    assert all_given == 2 * (maps[0] < 2).sum() and taken < all_given / 2


def test_probabilities_thick_voxels_and_exact_take_every_voxel(latent, capsys):
    for words in ({"outputs": ["prob"], "spacing": 2.0}, {"exact": True, "spacing": 2.0}, {"spacing": [4.0, 4.0, 5.0]}):
        assert "points evaluated (100%)" in labels_of(latent, "all.nii.gz", capsys, times=0.0, **words)[1]


def test_the_classes_of_a_fitted_scan(latent):
    fitted = FittedScan.load(latent, latent.with_name("model.pt"))
    points = np.random.default_rng(0).uniform(0, 40, (50, 3))
    np.testing.assert_array_equal(fitted.classes(points, 0.3), fitted.read(points, 0.3)[1:].numpy())
