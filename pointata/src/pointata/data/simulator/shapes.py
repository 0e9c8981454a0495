"""Triangle meshes of simple solids, from which rooms, streets and people are put together."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Mesh(NamedTuple):
    """Triangles: vertices (V, 3) float64, metres; faces (F, 3) int64 into them."""

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]

    def moved(self, offset: ArrayLike, yaw: float = 0.0) -> "Mesh":
        """The mesh turned by `yaw` (radians) about z, then shifted by `offset` (3,) metres."""
        return Mesh(self.vertices @ rotation_z(yaw).T + np.asarray(offset, dtype=np.float64), self.faces)


class Solid(NamedTuple):
    """A mesh whose whole surface carries one class id, and moves over the ground at a speed, m/s."""

    mesh: Mesh
    label: int
    speed: float = 0.0


def rotation_x(angle: ArrayLike) -> NDArray[np.float64]:
    """(..., 3, 3) right-handed rotations about x by angles (...), radians."""
    return _rotation(angle, 1, 2)


def rotation_y(angle: ArrayLike) -> NDArray[np.float64]:
    """(..., 3, 3) right-handed rotations about y by angles (...), radians: a positive angle tips z towards x."""
    return _rotation(angle, 2, 0)


def rotation_z(angle: ArrayLike) -> NDArray[np.float64]:
    """(..., 3, 3) right-handed rotations about z by angles (...), radians."""
    return _rotation(angle, 0, 1)


def _rotation(angle: ArrayLike, first: int, second: int) -> NDArray[np.float64]:
    """Rotations that turn the `first` axis towards the `second`."""
    turn = np.asarray(angle, dtype=np.float64)
    matrix = np.zeros((*turn.shape, 3, 3))
    matrix[..., range(3), range(3)] = 1.0
    matrix[..., first, first] = matrix[..., second, second] = np.cos(turn)
    matrix[..., second, first] = np.sin(turn)
    matrix[..., first, second] = -np.sin(turn)
    return matrix


def merge(meshes: Sequence[Mesh]) -> Mesh:
    """One mesh that holds all triangles of `meshes`, in their order."""
    if not meshes:
        return Mesh(np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64))
    starts = np.cumsum([0] + [len(mesh.vertices) for mesh in meshes[:-1]])
    faces = [mesh.faces + start for mesh, start in zip(meshes, starts, strict=True)]
    return Mesh(np.concatenate([mesh.vertices for mesh in meshes]), np.concatenate(faces))


def box(lower: ArrayLike, upper: ArrayLike) -> Mesh:
    """Axis-aligned box between the corners `lower` and `upper` (3,), metres: 12 triangles."""
    corners = np.array(np.meshgrid([0, 1], [0, 1], [0, 1], indexing="ij")).reshape(3, 8).T
    low, high = np.asarray(lower, dtype=np.float64), np.asarray(upper, dtype=np.float64)
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = [face for a, b, c, d in quads for face in ((a, b, c), (a, c, d))]
    return Mesh(low + corners * (high - low), np.array(faces, dtype=np.int64))


def frustum(lower_half: tuple[float, float], upper_half: tuple[float, float], z: tuple[float, float]) -> Mesh:
    """Box whose top differs from its bottom: half sizes (x, y) below and above, and the two heights, metres."""
    mesh = box((-1.0, -1.0, 0.0), (1.0, 1.0, 1.0))
    top = mesh.vertices[:, 2:] > 0.5
    half = np.where(top, np.array(upper_half), np.array(lower_half))
    height = np.where(top, z[1], z[0])
    return Mesh(np.hstack([mesh.vertices[:, :2] * half, height]), mesh.faces)


def quad_strip(left: NDArray[np.float64], right: NDArray[np.float64]) -> Mesh:
    """Ribbon between two polylines (n, 3): 2 (n - 1) triangles."""
    count = len(left)
    a = np.arange(count - 1)
    faces = np.concatenate([np.stack([a, a + 1, a + count], 1), np.stack([a + 1, a + count + 1, a + count], 1)])
    return Mesh(np.concatenate([left, right]), faces)


def _revolve(profile: NDArray[np.float64], segments: int) -> Mesh:
    """Turn an (n, 2) profile of (radius, z), from bottom pole to top pole, about the z axis."""
    angle = np.linspace(0.0, 2.0 * np.pi, segments, endpoint=False)
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    inner = profile[1:-1]
    rings = np.concatenate([np.column_stack([r * ring, np.full(segments, z)]) for r, z in inner])
    vertices = np.concatenate([[[0.0, 0.0, profile[0, 1]]], rings, [[0.0, 0.0, profile[-1, 1]]]])
    here = np.arange(segments)
    after = (here + 1) % segments
    faces = [np.stack([np.zeros(segments, dtype=np.int64), 1 + after, 1 + here], 1)]
    for row in range(len(inner) - 1):
        low, high = 1 + row * segments, 1 + (row + 1) * segments
        faces.append(np.stack([low + here, low + after, high + here], 1))
        faces.append(np.stack([low + after, high + after, high + here], 1))
    top = 1 + (len(inner) - 1) * segments
    faces.append(np.stack([top + here, top + after, np.full(segments, len(vertices) - 1)], 1))
    return Mesh(vertices, np.concatenate(faces))


def cylinder(radius: float, height: float, segments: int = 12) -> Mesh:
    """Closed cylinder on the z axis from z = 0 to `height`, metres."""
    return _revolve(np.array([[0.0, 0.0], [radius, 0.0], [radius, height], [0.0, height]]), segments)


def ellipsoid(radii: ArrayLike, segments: int = 12, rings: int = 7) -> Mesh:
    """Ellipsoid at the origin with half axes `radii` (3,), metres; its vertices lie on the true surface."""
    angle = np.linspace(-np.pi / 2, np.pi / 2, rings + 2)
    unit = _revolve(np.stack([np.cos(angle), np.sin(angle)], axis=1), segments)
    return Mesh(unit.vertices * np.asarray(radii, dtype=np.float64), unit.faces)


def capsule(length: float, start_radius: float, end_radius: float, segments: int = 10) -> Mesh:
    """Tapered capsule along +z: half spheres about z = 0 and z = `length`, metres."""
    rings = 3 if segments < 8 else 4
    low = np.linspace(-np.pi / 2, 0.0, rings)
    high = np.linspace(0.0, np.pi / 2, rings)
    bottom = np.stack([start_radius * np.cos(low), start_radius * np.sin(low)], axis=1)
    top = np.stack([end_radius * np.cos(high), length + end_radius * np.sin(high)], axis=1)
    return _revolve(np.concatenate([bottom, top]), segments)


def leaves(rng: np.random.Generator, count: int, radii: ArrayLike, size: float, shell: float = 0.5) -> Mesh:
    """Loose triangles scattered in an ellipsoid, through which rays partly pass: the crown of a tree.

    Args:
        rng: source of the random numbers.
        count: triangles.
        radii: (3,) half axes, metres.
        size: edge length of a triangle, metres.
        shell: 0 to 1, the inner share of the radius that stays empty.
    """
    direction = rng.normal(size=(count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    centre = direction * rng.uniform(shell, 1.0, (count, 1)) * np.asarray(radii, dtype=np.float64)
    corners = centre[:, None, :] + rng.normal(scale=size / 2, size=(count, 3, 3))
    return Mesh(corners.reshape(-1, 3), np.arange(3 * count).reshape(-1, 3))


def cone(radius: float, height: float, segments: int = 16) -> Mesh:
    """Closed cone on the z axis, its base at z = 0 and its tip at `height`, metres."""
    return _revolve(np.array([[0.0, 0.0], [radius, 0.0], [0.0, height]]), segments)


def torus(ring: float, tube: float, segments: int = 24, around: int = 12) -> Mesh:
    """Ring about the z axis: radius of its centre line and of its tube, metres; its vertices lie on the surface."""
    u, v = np.meshgrid(np.arange(segments), np.arange(around), indexing="ij")
    long, short = 2 * np.pi * u / segments, 2 * np.pi * v / around
    reach = ring + tube * np.cos(short)
    vertices = np.stack([reach * np.cos(long), reach * np.sin(long), tube * np.sin(short)], axis=-1).reshape(-1, 3)
    here, right = u * around + v, (u + 1) % segments * around + v
    up, both = u * around + (v + 1) % around, (u + 1) % segments * around + (v + 1) % around
    faces = np.concatenate([np.stack([here, right, both], -1), np.stack([here, both, up], -1)]).reshape(-1, 3)
    return Mesh(vertices, faces.astype(np.int64))
