"""Meshes come back from their files: .vtp by the format's description, STL and PLY by trimesh and byte by byte."""

import base64
from xml.etree import ElementTree

import numpy as np
import pytest
import trimesh
from helpers.tiny import disk_full_after

from nisf.level_sets.mesh_files import save_collection, save_mesh
from nisf.utils.errors import InputError

#: A tetrahedron away from the origin.
VERTICES = np.array([[10.5, -20.25, 30.125], [12.5, -20.25, 30.125], [10.5, -17.0, 30.125], [10.5, -20.25, 34.3]])
TRIANGLES = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]])


def vtk_array(tree, name):
    """One array of a VTK XML file, by the format's description: a count of bytes, then the numbers, in base 64."""
    node = next(node for node in tree.iter("DataArray") if node.get("Name") == name)
    content = base64.b64decode(node.text)
    assert node.get("format") == "binary" and int.from_bytes(content[:4], "little") == len(content) - 4
    kind = {"Float32": "<f4", "Int32": "<i4"}[node.get("type")]
    return np.frombuffer(content[4:], kind).reshape(-1, int(node.get("NumberOfComponents")))


@pytest.mark.parametrize("ending", ["stl", "ply"])
def test_stl_and_ply_come_back(tmp_path, ending):
    found = trimesh.load(save_mesh(tmp_path / f"a.{ending}", VERTICES, TRIANGLES), process=False)
    np.testing.assert_allclose(found.triangles, VERTICES[TRIANGLES], atol=1e-5)
    assert found.merge_vertices() is None and found.is_watertight and found.volume > 0
    if ending == "ply":
        np.testing.assert_array_equal(found.faces, TRIANGLES)


def test_stl_has_the_normals_of_its_triangles(tmp_path):
    content = save_mesh(tmp_path / "a.stl", VERTICES, TRIANGLES).read_bytes()
    np.testing.assert_allclose(np.frombuffer(content[84:96], "<f4"), [0, 0, -1])


def test_vtp_comes_back(tmp_path):
    tree = ElementTree.parse(save_mesh(tmp_path / "a.vtp", VERTICES, TRIANGLES))
    piece = tree.find("PolyData/Piece")
    assert (piece.get("NumberOfPoints"), piece.get("NumberOfPolys")) == ("4", "4")
    np.testing.assert_allclose(vtk_array(tree, "Points"), VERTICES, atol=1e-5)
    np.testing.assert_array_equal(vtk_array(tree, "connectivity").reshape(-1, 3), TRIANGLES)
    np.testing.assert_array_equal(vtk_array(tree, "offsets").ravel(), [3, 6, 9, 12])


def test_every_format_says_that_it_is_in_ras(tmp_path):
    contents = [save_mesh(tmp_path / f"a.{e}", VERTICES, TRIANGLES).read_bytes() for e in ("stl", "ply", "vtp")]
    assert contents[0].startswith(b"SPACE=RAS") and b"\ncomment SPACE=RAS\n" in contents[1]
    (node,) = ElementTree.fromstring(contents[2]).iter("Array")
    assert node.get("Name") == "SPACE" and bytes(int(word) for word in node.text.split()) == b"RAS\0"


def test_a_collection_names_files_and_times(tmp_path):
    files = [tmp_path / "a & b_0.vtp", tmp_path / "a & b_1.vtp"]
    tree = ElementTree.parse(save_collection(tmp_path / "a.pvd", files, [0.0, 0.4]))
    rows = [(float(node.get("timestep")), node.get("file")) for node in tree.iter("DataSet")]
    assert rows == [(0.0, "a & b_0.vtp"), (0.4, "a & b_1.vtp")] and tree.getroot().get("type") == "Collection"


def test_unknown_ending_and_places_that_cannot_be_written(tmp_path):
    with pytest.raises(InputError, match="obj.*choose one of vtp, stl, ply"):
        save_mesh(tmp_path / "new" / "a.obj", VERTICES, TRIANGLES)
    assert not (tmp_path / "new").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        save_mesh(tmp_path / "file" / "a.stl", VERTICES, TRIANGLES)
    with disk_full_after(50), pytest.raises(InputError, match="cannot be written"):
        save_mesh(tmp_path / "a.ply", VERTICES, TRIANGLES)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
