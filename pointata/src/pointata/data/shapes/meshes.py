"""Folders of triangle meshes (.off .obj .ply .stl), and points on the surface of a mesh."""

import re
import tempfile
import zlib
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pointata.data.simulator.shapes import Mesh
from pointata.errors import DataError
from pointata.system.optional import import_optional

SUFFIXES = (".off", ".obj", ".ply", ".stl")


class MeshFile(NamedTuple):
    """One mesh of a folder.

    Attributes:
        path: the file.
        class_name: first folder level below the root; "" for a file in the root itself.
        split: by a folder named train or test, else by the file's name: one in five is test, always the same ones.
    """

    path: Path
    class_name: str
    split: Literal["train", "test"]


def mesh_files(root: Path) -> list[MeshFile]:
    """All meshes below a folder, in the order of their paths.

    Raises:
        DataError: no such folder, or no mesh in it.
    """
    if not root.is_dir():
        raise DataError(f"{root} is not a folder: give a folder of meshes ({' '.join(SUFFIXES)}), one folder per class")
    paths = sorted(path for path in root.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise DataError(f"{root} contains no meshes: expected files {' '.join(SUFFIXES)}, in one folder per class")
    return [_described(root, path) for path in paths]


def _described(root: Path, path: Path) -> MeshFile:
    inner = path.relative_to(root)
    folders = inner.parts[:-1]
    test = "test" in folders or ("train" not in folders and zlib.crc32(inner.as_posix().encode()) % 5 == 0)
    return MeshFile(path, folders[0] if folders else "", "test" if test else "train")


def read_mesh(path: Path) -> Mesh:
    """The triangles of a file.

    Raises:
        DataError: not a mesh, or one without a surface.
    """
    open3d = import_optional("open3d", "training", "reading meshes")
    with open3d.utility.VerbosityContextManager(open3d.utility.VerbosityLevel.Error):
        found = _read_off(path) if path.suffix.lower() == ".off" else open3d.io.read_triangle_mesh(str(path))
    mesh = Mesh(np.asarray(found.vertices, dtype=np.float64), np.asarray(found.triangles, dtype=np.int64))
    if not len(mesh.faces):
        raise DataError(f"{path} contains no readable triangles: repair or remove it")
    if not np.isfinite(mesh.vertices).all() or mesh.faces.min() < 0 or mesh.faces.max() >= len(mesh.vertices):
        raise DataError(f"{path} has vertices that are not finite, or triangles without vertices: repair or remove it")
    corners = mesh.vertices[mesh.faces]
    doubled = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    if doubled.sum() <= 0:
        raise DataError(f"the triangles of {path} have no area: repair or remove it")
    return mesh


def _read_off(path: Path) -> Any:
    """ModelNet writes the counts of some files on the line of the keyword ("OFF490 518 0"), which open3d refuses."""
    open3d = import_optional("open3d", "training", "reading meshes")
    content = path.read_bytes()
    parted = re.sub(rb"\AOFF[ \t]*(?=\d)", b"OFF\n", content)
    if parted == content:
        return open3d.io.read_triangle_mesh(str(path))
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "mesh.off"
        copy.write_bytes(parted)
        return open3d.io.read_triangle_mesh(str(copy))


def surface_points(mesh: Mesh, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """(count, 3) points, uniform on the surface."""
    open3d = import_optional("open3d", "training", "reading meshes")
    open3d.utility.random.seed(int(rng.integers(2**31)))
    vertices, faces = open3d.utility.Vector3dVector(mesh.vertices), open3d.utility.Vector3iVector(mesh.faces)
    return np.asarray(open3d.geometry.TriangleMesh(vertices, faces).sample_points_uniformly(count).points)


def seen_from(mesh: Mesh, points: NDArray[np.float64], viewpoint: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which points on the surface of a mesh are seen from a place outside of it: no triangle lies before them.

    Args:
        mesh: what hides.
        points: (N, 3) on its surface.
        viewpoint: (3,).

    Returns:
        (N,) bool.
    """
    open3d = import_optional("open3d", "training", "reading meshes")
    scene = open3d.t.geometry.RaycastingScene(nthreads=1)
    scene.add_triangles(
        open3d.core.Tensor(np.ascontiguousarray(mesh.vertices, dtype=np.float32)),
        open3d.core.Tensor(np.ascontiguousarray(mesh.faces, dtype=np.uint32)),
    )
    # a direction as long as the way to its point: a first hit at 1 is the point itself
    rays = np.concatenate([np.broadcast_to(viewpoint, points.shape), points - viewpoint], axis=1).astype(np.float32)
    hit = scene.cast_rays(open3d.core.Tensor(rays), nthreads=1)["t_hit"].numpy()
    return np.asarray(hit > 1.0 - 1e-3)
