"""Surfaces of functions that are known, and of a fitted scan: where they are, closed, turned outwards, all there."""

import csv
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
import trimesh
from helpers.phantom_soft import CLASS_NAMES, SoftHeart, ellipsoid_depth
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from nisf.geometry.frame import CoordinateFrame
from nisf.level_sets.lattice import Box
from nisf.level_sets.surface import enclosed_classes, surfaces_at
from nisf.models.nisf import NISF
from nisf.models.weights import digest_of
from nisf.sampling.fitted_scan import FittedScan
from nisf.sampling.mesh import Surface, mesh_scan, times_of
from nisf.utils.errors import InputError
from nisf.utils.tensors import save_tensors

ONE = {"it": (1,)}


def two_classes(depth, width=2.5):
    """Class 1 where a depth [N] in mm is positive; from 10 to 90 % over ``width`` mm."""
    inside = 0.5 + 0.5 * np.tanh(depth * np.log(9) / width)
    return np.stack([1 - inside, inside])


def an_ellipsoid(half_axes, centre=(0, 0, 0), width=2.5):
    return lambda points, time: two_classes(ellipsoid_depth(points - np.array(centre), half_axes), width)


def a_box(half=30.0):
    """A cube about the origin, ``half`` mm to each side."""
    return Box(np.full(3, -half), np.eye(3), (2 * half, 2 * half, 2 * half))


def the_only(*arguments, **options):
    (surface,) = surfaces_at(*arguments, **options).surfaces
    return surface


def check_closed(surface):
    """Each edge in two triangles, once in either direction; volume by the divergence theorem."""
    edges = np.concatenate([surface.triangles[:, [i, (i + 1) % 3]] for i in range(3)])
    once = np.unique(edges, axis=0)
    assert surface.watertight and len(once) == len(edges) and np.array_equal(once, np.unique(edges[:, ::-1], axis=0))
    a, b, c = (surface.vertices[surface.triangles[:, i]] - surface.vertices.mean(axis=0) for i in range(3))
    assert surface.volume_ml == pytest.approx(np.einsum("ij,ij", a, np.cross(b, c)) / 6000) and surface.volume_ml > 0
    assert surface.area_mm2 == pytest.approx(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)


def farthest(one, other):
    """The greatest distance in mm of a vertex or triangle's middle of either mesh from the nearest of the other."""
    clouds = [np.concatenate([s.vertices, s.vertices[s.triangles].mean(axis=1)]) for s in (one, other)]
    return max(cKDTree(b).query(a)[0].max() for a, b in (clouds, clouds[::-1]))


@pytest.mark.parametrize("spacing, tolerance", [(1.0, 0.003), (2.5, 0.015)])
def test_volume_and_area_of_a_ball(spacing, tolerance):
    found = the_only(an_ellipsoid((20, 20, 20), (0.3, -0.2, 0.4)), 0.0, a_box(), ONE, spacing)
    check_closed(found)
    assert found.volume_ml == pytest.approx(4 / 3 * np.pi * 20**3 / 1000, rel=tolerance)
    assert found.area_mm2 == pytest.approx(4 * np.pi * 20**2, rel=tolerance)


@pytest.mark.parametrize("flip", [1, -1])
def test_an_ellipsoid_in_an_oblique_flipped_and_anisotropic_grid(flip):
    turn, centre, half_axes = (
        Rotation.from_euler("xyz", [25, -40, 70], degrees=True).as_matrix(),
        [40, -70, 95],
        [24, 15, 18],
    )
    affine, shape = np.eye(4), (40, 36, 6)
    affine[:3, :3] = turn @ np.diag([1.5 * flip, 1.8, 9.0])
    affine[:3, 3] = centre - affine[:3, :3] @ (np.array(shape) - 1) / 2
    box = Box.around(CoordinateFrame.relative(affine, shape, (0.0,)))
    found = the_only(an_ellipsoid(half_axes, centre), 0.0, box, ONE)
    check_closed(found)
    assert found.volume_ml == pytest.approx(4 / 3 * np.pi * np.prod(half_axes) / 1000, rel=0.004)
    assert np.abs(ellipsoid_depth(found.vertices - centre, half_axes)).max() < 0.05
    # counter-clockwise seen from outside: the right-hand rule's normal points away from the centre
    a, b, c = (found.vertices[found.triangles[:, corner]] - centre for corner in range(3))
    assert (np.einsum("ij,ij->i", np.cross(b - a, c - a), a + b + c) >= 0).all()


@pytest.mark.parametrize("spacing", [1.0, 0.75])
def test_a_heart_takes_a_tenth_of_the_points_for_the_same_surfaces(spacing):
    """Over a field of view as scanners have it; the dense mesh over the heart alone, on the same samples."""
    heart, groups = SoftHeart(), enclosed_classes(CLASS_NAMES)
    wide = Box(np.array([-87.0, -75.0, -69.0]), np.eye(3), (150.0, 150.0, 120.0))
    tight = Box(np.array([-66.0, -45.0, -60.0]), np.eye(3), (105.0, 90.0, 93.0))
    coarse_to_fine = surfaces_at(heart, 0.2, wide, groups, spacing)
    assert coarse_to_fine.evaluated * 10 <= coarse_to_fine.dense
    dense = surfaces_at(heart, 0.2, tight, groups, spacing, coarsest=0)
    assert dense.evaluated >= dense.dense
    for one, other in zip(coarse_to_fine.surfaces, dense.surfaces, strict=True):
        check_closed(one)
        assert one.name == other.name and len(one.triangles) > 5000
        assert farthest(one, other) < 0.1


def test_thin_walls_are_kept():
    """The myocardium as a shell of its own, 3 mm thick, within samples of at first 6 mm."""
    heart, box = SoftHeart(wall=(3.0, 3.0), width=1.0), Box(
        np.array([-40.0, -40.0, -66.0]), np.eye(3), (81.0, 81.0, 105.0)
    )
    found, dense = (the_only(heart, 0.0, box, {"MYO": (2,)}, 0.75, coarsest=c) for c in (6.0, 0.0))
    check_closed(found)
    assert farthest(found, dense) < 0.1


def test_a_sheet_thinner_than_the_first_samples_is_followed_from_where_it_is_found():
    def ball_and_sheet(points, time):
        sheet = 1.0 - np.abs(points[:, 2] - 2.9), 25 - np.abs(points[:, 0]), 9 - np.abs(points[:, 1])
        return two_classes(np.maximum(ellipsoid_depth(points, (12, 12, 12)), np.min(sheet, axis=0)), 0.5)

    found, dense = (the_only(ball_and_sheet, 0.0, a_box(), ONE, 0.75, coarsest=c) for c in (6.0, 0.0))
    check_closed(found)
    assert np.abs(found.vertices[:, 0]).max() > 24 and farthest(found, dense) < 0.1


def test_a_piece_that_counts_is_found_wherever_it_lies():
    """1.2 mL with an edge so sharp that samples beside it know nothing of it."""
    for centre in np.random.default_rng(0).uniform(-8, 8, (25, 3)):
        found = the_only(an_ellipsoid((6.6, 6.6, 6.6), centre, 0.2), 0.0, a_box(20), ONE, 0.75)
        assert found.volume_ml == pytest.approx(1.2, rel=0.03)


def test_small_pieces_and_holes_are_dropped_and_others_kept():
    def pieces(points, time):
        """Balls of 14 and 0.5 mL, in the former holes of 1.8 and 0.5 mL."""
        balls = [((-8, 0, 0), 15), ((14, 12, 12), 5), ((-14, 0, 0), 7.5), ((1, 0, 0), 5)]
        depth = [ellipsoid_depth(points - np.array(c), (r, r, r)) for c, r in balls]
        return two_classes(np.minimum(np.maximum(depth[0], depth[1]), -np.maximum(depth[2], depth[3])))

    small, all_of_them = (the_only(pieces, 0.0, a_box(), ONE, least_ml=least) for least in (1.0, 0.0))
    volumes = [4 / 3 * np.pi * r**3 / 1000 for r in (15, 5, 7.5, 5)]
    check_closed(small)
    assert small.volume_ml == pytest.approx(volumes[0] - volumes[2], rel=0.01)
    assert all_of_them.volume_ml == pytest.approx(volumes[0] - volumes[2], rel=0.01)  # one hole as large as a piece
    assert len(all_of_them.vertices) > len(small.vertices)
    assert np.abs(small.vertices - (-8, 0, 0)).max() < 15.1


def test_what_leaves_the_box_ends_on_its_face():
    found = the_only(an_ellipsoid((20, 20, 20), (0, 0, 22.3)), 0.0, a_box(), ONE)
    check_closed(found)
    cap = 30 - 22.3
    assert found.vertices[:, 2].max() == pytest.approx(30, abs=1e-3)
    assert found.volume_ml == pytest.approx(np.pi * (20 + cap) ** 2 * (60 - 20 - cap) / 3 / 1000, rel=0.004)


def test_open_and_inverted_meshes_are_told_from_closed_ones():
    whole = the_only(an_ellipsoid((9, 9, 9)), 0.0, a_box(12), ONE, 2.0)
    assert whole.watertight
    assert not Surface("open", whole.vertices, whole.triangles[1:], 0.0).watertight
    assert not Surface("twice", whole.vertices, np.concatenate([whole.triangles] * 2), 0.0).watertight
    one_turned = np.concatenate([whole.triangles[:1, ::-1], whole.triangles[1:]])
    assert not Surface("twisted", whole.vertices, one_turned, 0.0).watertight
    assert Surface("inverted", whole.vertices, whole.triangles[:, ::-1], 0.0).volume_ml == pytest.approx(
        -whole.volume_ml
    )


def test_classes_of_surfaces():
    assert enclosed_classes(CLASS_NAMES) == {"LV_endocardium": (1,), "LV_epicardium": (1, 2), "RV": (3,)}
    assert enclosed_classes({1: "anterior", 2: "posterior"}) == {"anterior": (1,), "posterior": (2,)}
    assert enclosed_classes(CLASS_NAMES, {"heart": ("RV", "MYO", "LV")}) == {"heart": (3, 2, 1)}
    for wrong in (("LA",), (), "LV"):
        with pytest.raises(InputError, match="surfaces: atrium must list some of the classes"):
            enclosed_classes(CLASS_NAMES, {"atrium": wrong})


def test_moments_of_a_series():
    assert times_of(None, (0.0, 0.3)) == [0.0, 0.3] and times_of(4, (0.0,)) == [0, 0.25, 0.5, 0.75]
    assert times_of([0.1, 1], (0.0,)) == [0.1, 1.0]
    for wrong in (0, -2, 2.5, "a few", [], [float("nan")], True):
        with pytest.raises(InputError, match="frames"):
            times_of(wrong, (0.0,))


@pytest.mark.parametrize("spacing", [0, -1.0, float("nan"), 0.01])
def test_spacing_that_is_none_or_fills_the_memory(spacing):
    with pytest.raises(InputError, match="spacing"):
        surfaces_at(an_ellipsoid((9, 9, 9)), 0.0, a_box(), ONE, spacing)


def a_scan():
    """A small random network's scan, oblique, [8, 7, 3] voxels of 5 x 5 x 10 mm."""
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xz", [30, 50], degrees=True).as_matrix() @ np.diag([5.0, -5.0, 10.0])
    frame = CoordinateFrame.relative(affine, (8, 7, 3), (0.0, 0.4))
    torch.manual_seed(5)
    network = NISF(num_classes=3, hidden_size=16, latent_size=4, num_layers=2, omega0=3.0, sigma0=1.0).eval()
    with torch.no_grad():
        network.class_head.weight.mul_(8)  # surer of its classes
    return FittedScan(network, torch.tensor([0.2, -0.1, 0.1, 0.3]), frame)


def test_a_fitted_scan_is_closed_one_slice_beyond_its_stack():
    fitted = a_scan()
    groups = {"all": (0, 1, 2), "likeliest": (int(fitted.read(np.zeros((1, 3)))[1:].argmax()),)}
    everything, some = surfaces_at(fitted.classes, 0.0, Box.around(fitted.frame), groups, 2.0, 0.0).surfaces
    assert everything.volume_ml == pytest.approx(40 * 35 * 50 / 1000, rel=0.01)
    for surface in (everything, some):
        check_closed(surface)
        assert fitted.beyond(surface.vertices).max() < 10 + 1e-3
    assert fitted.beyond(everything.vertices).max() > 10 - 1e-3
    value = fitted.classes(some.vertices, 0.0)[groups["likeliest"]]
    voxels = fitted.voxels(some.vertices)
    inner = ((voxels > 0) & (voxels < np.array(fitted.frame.shape) - 1)).all(axis=1)  # off the box's faces
    assert inner.sum() >= 10 and np.abs(value[inner] - 0.5).max() < 0.02


@pytest.fixture(scope="module")
def latent(tmp_path_factory):
    """A latent file, as the workflow writes it, of a scan that is class ``a`` everywhere and ``b`` nowhere."""
    fitted, folder = a_scan(), tmp_path_factory.mktemp("fit")
    with torch.no_grad():
        fitted.network.class_head.bias[1] += 30
    torch.save(fitted.network.state_dict(), folder / "model.pt")
    network = {"options": fitted.network.options(), "weights": "model.pt", "digest": digest_of(fitted.network)}
    content = {"latent": fitted.latent, "frame": fitted.frame.to_dict(), "network": network, "correction": None}
    names = {"class_names": {"1": "a", "2": "b"}, "subject": "x", "duration": 0.8}
    return save_tensors({**content, **names}, folder / "x_latent.pt")


def test_a_scan_becomes_a_series_and_a_table(latent, tmp_path):
    files = mesh_scan(latent, tmp_path / "out", 4.0, model=latent.with_name("model.pt"))
    assert [f.name for f in files] == ["x_a_000.vtp", "x_a_001.vtp", "x_a.pvd", "x_meshes.csv"]
    assert sorted(files) == sorted((tmp_path / "out").iterdir())
    series = [(float(n.get("timestep")), n.get("file")) for n in ElementTree.parse(files[2]).iter("DataSet")]
    assert series == [(0.0, "x_a_000.vtp"), (pytest.approx(0.32), "x_a_001.vtp")]
    rows = list(csv.DictReader(files[3].open()))
    assert [(row["name"], row["time"]) for row in rows] == [("a", "0"), ("b", "0"), ("a", "0.32"), ("b", "0.32")]
    assert float(rows[0]["volume_ml"]) == pytest.approx(70, rel=0.02) and rows[0]["watertight"] == "True"
    assert float(rows[1]["volume_ml"]) == 0 and int(rows[0]["points_evaluated"]) > 0


def test_moments_surfaces_and_formats_can_be_chosen(latent, tmp_path):
    wanted = {"frames": 3, "surfaces": {"both": ("a", "b")}, "ending": "stl", "model": latent.with_name("model.pt")}
    files = mesh_scan(latent, tmp_path, 4.0, **wanted)
    assert [f.name for f in files] == ["x_both_000.stl", "x_both_001.stl", "x_both_002.stl", "x_meshes.csv"]
    assert trimesh.load(files[0]).volume / 1000 == pytest.approx(70, rel=0.02)


def test_wrong_format_and_folder_get_one_sentence(latent, tmp_path):
    with pytest.raises(InputError, match="format: 'obj'"):
        mesh_scan(tmp_path / "not_even_there_latent.pt", tmp_path / "out", ending="obj")
    assert not (tmp_path / "out").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file.*cannot be written"):
        mesh_scan(latent, tmp_path / "file", 4.0, model=latent.with_name("model.pt"))
