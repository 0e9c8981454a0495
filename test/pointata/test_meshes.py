"""Mesh folders and points on surfaces, against closed forms and files written here."""

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree

from pointata import DataError
from pointata.data.shapes.meshes import mesh_files, read_mesh, seen_from, surface_points
from pointata.data.simulator.shapes import Mesh, box, cone, ellipsoid, torus
from pointata.pretraining.shapes import load_shapes

pytest.importorskip("open3d", reason="meshes are read with open3d (pip install open3d)")

TETRAHEDRON = Mesh(
    np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=np.float64),
    np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]], dtype=np.int64),
)


def lines(rows: np.ndarray, prefix: str = "") -> str:
    return "".join(f"{prefix}{' '.join(map(str, row))}\n" for row in rows.tolist())


def off(mesh: Mesh, header: str = "OFF\n") -> str:
    faces = np.hstack([np.full((len(mesh.faces), 1), 3), mesh.faces])
    return f"{header}{len(mesh.vertices)} {len(mesh.faces)} 0\n{lines(mesh.vertices)}{lines(faces)}"


def obj(mesh: Mesh) -> str:
    return lines(mesh.vertices, "v ") + lines(mesh.faces + 1, "f ")


def ply(mesh: Mesh) -> str:
    axes = "".join(f"property float {axis}\n" for axis in "xyz")
    faces = f"element face {len(mesh.faces)}\nproperty list uchar int vertex_indices\n"
    head = f"ply\nformat ascii 1.0\nelement vertex {len(mesh.vertices)}\n{axes}{faces}end_header\n"
    return head + lines(mesh.vertices) + lines(mesh.faces, "3 ")


def stl(mesh: Mesh) -> str:
    triangles = [
        f"facet normal 0 0 0\nouter loop\n{lines(mesh.vertices[face], 'vertex ')}endloop\nendfacet\n"
        for face in mesh.faces
    ]
    return f"solid t\n{''.join(triangles)}endsolid t\n"


FORMATS = {
    "plain.off": off(TETRAHEDRON),
    "joined.off": off(TETRAHEDRON, "OFF"),
    "t.obj": obj(TETRAHEDRON),
    "t.ply": ply(TETRAHEDRON),
    "t.STL": stl(TETRAHEDRON),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_triangles(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(FORMATS[name])
    mesh = read_mesh(mesh_files(tmp_path)[0].path)
    corners, expected = mesh.vertices[mesh.faces], TETRAHEDRON.vertices[TETRAHEDRON.faces]
    assert len(corners) == 4
    for triangle in expected:
        assert any(np.allclose(np.roll(triangle, turn, axis=0), found) for found in corners for turn in range(3))


FLAT = Mesh(np.zeros((3, 3)), np.array([[0, 1, 2]]))
BROKEN = {
    "text.off": ("hello", "no readable triangle"),
    "cut.ply": (ply(TETRAHEDRON)[:150], "no readable triangle"),
    "empty.obj": ("", "no readable triangle"),
    "flat.off": (off(FLAT), "no area"),
    "nan.off": (off(TETRAHEDRON).replace("1.0 0.0 0.0", "nan 0.0 0.0"), "not finite|no readable triangle"),
    "wild.obj": (obj(TETRAHEDRON) + "f 1 2 900\n", "without vertices|no readable triangle"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_mesh_is_named(tmp_path: Path, name: str) -> None:
    content, words = BROKEN[name]
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=words) as caught:
        read_mesh(tmp_path / name)
    assert name in str(caught.value)


def test_classes_are_the_first_folders_and_splits_are_stable(tmp_path: Path) -> None:
    for path in ("a/train/1.off", "a/test/2.off", "b/x/3.obj", "b/4.off", "5.ply"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    (tmp_path / "b" / "notes.txt").touch()
    found = mesh_files(tmp_path)
    assert [(f.path.name, f.class_name) for f in found] == [
        ("5.ply", ""), ("2.off", "a"), ("1.off", "a"), ("4.off", "b"), ("3.obj", "b")
    ]  # fmt: skip
    assert [f.split for f in found if f.class_name == "a"] == ["test", "train"]
    for number in range(400):
        (tmp_path / "b" / f"m{number}.off").touch()
    many = [f.split for f in mesh_files(tmp_path) if f.path.name.startswith("m")]
    assert many == [f.split for f in mesh_files(tmp_path) if f.path.name.startswith("m")]
    assert 50 < many.count("test") < 110  # one in five of 400; five standard deviations are 40


@pytest.mark.parametrize(("make", "words"), [(False, "not a folder"), (True, "no meshes")])
def test_a_folder_without_meshes_is_refused(tmp_path: Path, make: bool, words: str) -> None:
    folder = tmp_path / "meshes"
    if make:
        folder.mkdir()
    with pytest.raises(DataError, match=words):
        load_shapes(str(folder), 16)


def test_points_spread_over_the_surface_by_area() -> None:
    points = surface_points(box((0, 0, 0), (1, 2, 3)), 22_000, np.random.default_rng(0))
    assert points.shape == (22_000, 3)
    for axis, (size, area) in enumerate(zip((1, 2, 3), (6, 3, 2), strict=True)):
        for side in (0, size):
            on_side = np.isclose(points[:, axis], side, atol=1e-9).sum()
            assert on_side == pytest.approx(area * 1000, abs=5 * np.sqrt(area * 1000))  # of 22 square units in all
    again = surface_points(box((0, 0, 0), (1, 2, 3)), 22_000, np.random.default_rng(0))
    np.testing.assert_array_equal(points, again)


def test_of_a_sphere_the_cap_towards_the_viewpoint_is_seen() -> None:
    mesh = ellipsoid((1, 1, 1), 48, 31)
    points = surface_points(mesh, 3000, np.random.default_rng(1))
    seen = seen_from(mesh, points, np.array([3.0, 0, 0]))
    height = points[:, 0]  # the horizon of a viewpoint at distance d lies at 1 / d
    assert seen[height > 1 / 3 + 0.06].all()
    assert not seen[height < 1 / 3 - 0.06].any()


def test_a_box_hides_what_lies_behind_it() -> None:
    near, far = box((1, -1, -1), (2, 1, 1)), box((4, -1, -1), (5, 1, 1))
    both = Mesh(np.concatenate([near.vertices, far.vertices]), np.concatenate([near.faces, far.faces + 8]))
    points = np.array([[1.0, 0.2, 0.3], [4.0, 0.2, 0.3]])
    assert seen_from(both, points, np.zeros(3)).tolist() == [True, False]
    assert seen_from(far, points[1:], np.zeros(3)).tolist() == [True]


def test_cone_and_torus_are_closed_and_have_their_areas() -> None:
    radius, height = 0.6, 1.1
    pairs = [
        (cone(radius, height, 200), np.pi * radius * (radius + np.hypot(radius, height))),
        (torus(1.0, 0.3, 120, 60), 4 * np.pi**2 * 0.3),
    ]
    for mesh, area in pairs:
        corners = mesh.vertices[mesh.faces]
        cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        assert np.linalg.norm(cross, axis=1).sum() / 2 == pytest.approx(area, rel=2e-3)
        np.testing.assert_allclose(cross.sum(axis=0), 0, atol=1e-9)  # closed, and its faces look the same way
        edges = np.sort(mesh.faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
        used = edges[edges[:, 0] != edges[:, 1]]
        _, times = np.unique(used, axis=0, return_counts=True)
        assert (times == 2).all()


def test_a_folder_gives_whole_and_partial_shapes_and_leaves_broken_ones_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("balls", "boxes"):
        (tmp_path / name / "train").mkdir(parents=True)
    (tmp_path / "balls" / "train" / "ball.off").write_text(off(ellipsoid((2, 2, 2), 48, 31).moved((5, 5, 5))))
    (tmp_path / "boxes" / "train" / "box.obj").write_text(obj(box((0, 0, 0), (1, 2, 3))))
    (tmp_path / "boxes" / "train" / "bad.ply").write_text("ply")
    shapes = load_shapes(str(tmp_path), 256)
    assert shapes.classes == ("balls", "boxes")
    assert shapes.labels.tolist() == [0, 0, 1, 1]
    assert shapes.points.shape == (4, 256, 3)
    assert "bad.ply" in caplog.text
    np.testing.assert_allclose(np.linalg.norm(shapes.points, axis=-1).max(axis=1), 1, atol=0.05)
    whole, part = shapes.points[0], shapes.points[1]
    assert np.linalg.norm(whole, axis=1).min() > 0.9  # a sphere about its middle
    assert np.linalg.norm(part, axis=1).min() < 0.7  # a cap about its own
    gap = [cKDTree(whole[:count]).query(whole, k=1)[0].max() for count in (16, 64, 256)]
    assert gap[0] < 0.75, "farthest points first: sixteen of them cover a sphere"
    assert gap[0] > gap[1] > gap[2]
    again = load_shapes(str(tmp_path), 256)
    np.testing.assert_array_equal(shapes.points, again.points)


def test_a_folder_of_broken_meshes_is_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "bad.off").write_text("OFF")
    with pytest.raises(DataError, match=r"no usable mesh for train: .*bad\.off"):
        load_shapes(str(tmp_path), 64)


def test_real_meshes_of_nineteen_classes_are_read(data_root: Path, tmp_path: Path) -> None:
    source = data_root / "princeton_segmentation_benchmark" / "meshes.npz"
    if not source.exists():
        pytest.skip(f"{source} is absent")
    with np.load(source) as data:
        names = sorted(name.removesuffix("_vertices") for name in data.files if name.endswith("_vertices"))
        for name in names[::9]:
            path = tmp_path / name.split("_", 1)[1] / f"{name}.off"
            path.parent.mkdir(exist_ok=True)
            path.write_text(off(Mesh(data[f"{name}_vertices"].astype(float), data[f"{name}_triangles"].astype(int))))
    shapes = load_shapes(str(tmp_path), 64, split="all")
    assert len(shapes) == 2 * len(names[::9])
    assert len(shapes.classes) == 19
    assert np.isfinite(shapes.points).all()
