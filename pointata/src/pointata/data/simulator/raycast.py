"""Nearest hits of rays on labelled triangle meshes, by open3d's RaycastingScene (Embree)."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pointata.classes import UNLABELLED
from pointata.data.simulator.shapes import Solid, merge
from pointata.system.optional import import_optional


class Hits(NamedTuple):
    """What (R,) rays met.

    Attributes:
        distance: (R,) float32, metres along the unit ray; inf where nothing was met.
        label: (R,) uint8 class of the surface; 255 where nothing was met.
        cosine: (R,) float32, |cos| of the angle between ray and surface normal; 0 where nothing was met.
        speed: (R,) float32, of the solid over the ground, m/s; 0 where nothing was met.
    """

    distance: NDArray[np.float32]
    label: NDArray[np.uint8]
    cosine: NDArray[np.float32]
    speed: NDArray[np.float32]


class RayScene:
    """Labelled solids, ready for ray casting.

    Args:
        solids: meshes with their class, world coordinates, metres. None of them: every ray misses.

    Raises:
        InstallationError: open3d is not installed.
    """

    def __init__(self, solids: Sequence[Solid]) -> None:
        open3d = import_optional("open3d", "training", "the simulator, which casts its rays with open3d,")
        mesh = merge([solid.mesh for solid in solids])
        faces_of = [len(solid.mesh.faces) for solid in solids]
        self._labels = np.repeat(np.array([solid.label for solid in solids], dtype=np.uint8), faces_of)
        self._speeds = np.repeat(np.array([solid.speed for solid in solids], dtype=np.float32), faces_of)
        self._tensor = open3d.core.Tensor
        self._scene = open3d.t.geometry.RaycastingScene(nthreads=1)
        if len(mesh.faces):
            vertices = np.ascontiguousarray(mesh.vertices, dtype=np.float32)
            faces = np.ascontiguousarray(mesh.faces, dtype=np.uint32)
            self._scene.add_triangles(self._tensor(vertices), self._tensor(faces))

    def cast(self, origin: NDArray[np.float64], directions: NDArray[np.float64]) -> Hits:
        """Nearest hit of every ray.

        Args:
            origin: (3,) metres, world.
            directions: (R, 3) unit vectors, world.
        """
        count = len(directions)
        if len(self._labels) == 0:
            return no_hits(count)
        rays = np.empty((count, 6), dtype=np.float32)
        rays[:, :3] = origin
        rays[:, 3:] = directions
        answer: dict[str, Any] = self._scene.cast_rays(self._tensor(rays), nthreads=1)
        distance = answer["t_hit"].numpy()
        met = np.isfinite(distance)
        label = np.full(count, UNLABELLED, dtype=np.uint8)
        speed = np.zeros(count, dtype=np.float32)
        face = answer["primitive_ids"].numpy()[met]
        label[met], speed[met] = self._labels[face], self._speeds[face]
        normals = answer["primitive_normals"].numpy()
        cosine = np.where(met, np.abs(np.einsum("ij,ij->i", normals, rays[:, 3:])), 0.0).astype(np.float32)
        return Hits(distance, label, cosine, speed)


def no_hits(count: int) -> Hits:
    """`count` rays that met nothing."""
    return Hits(
        np.full(count, np.inf, dtype=np.float32),
        np.full(count, UNLABELLED, dtype=np.uint8),
        np.zeros(count, dtype=np.float32),
        np.zeros(count, dtype=np.float32),
    )


def nearer(first: Hits, second: Hits, rays: NDArray[np.int64]) -> Hits:
    """`first` with those of its `rays` replaced for which `second` (one hit per entry of `rays`) lies nearer."""
    closer = second.distance < first.distance[rays]
    target = rays[closer]
    merged = Hits(*(part.copy() for part in first))
    merged.distance[target] = second.distance[closer]
    merged.label[target] = second.label[closer]
    merged.cosine[target] = second.cosine[closer]
    merged.speed[target] = second.speed[closer]
    return merged


def rays_towards(
    directions: NDArray[np.float64], origin: NDArray[np.float64], bodies: Sequence[NDArray[np.float64]]
) -> NDArray[np.int64]:
    """Indices of the rays that may meet one of `bodies` ((V, 3) vertices each), by their bounding spheres.

    Args:
        directions: (R, 3) unit vectors, world.
        origin: (3,) metres, world.
        bodies: vertices of each body, metres, world.
    """
    low = np.stack([vertices.min(axis=0) for vertices in bodies])
    high = np.stack([vertices.max(axis=0) for vertices in bodies])
    to_centre, radius = (low + high) / 2 - origin, np.linalg.norm(high - low, axis=1) / 2
    distance = np.linalg.norm(to_centre, axis=1)
    if np.any(distance <= radius):
        return np.arange(len(directions))
    # A hair wider than the cones, for the rounding of float32.
    cosine = np.sqrt(1.0 - (radius / distance) ** 2) - 1e-5
    aim = (to_centre / distance[:, None]).astype(np.float32)
    return np.flatnonzero(np.any(directions.astype(np.float32) @ aim.T >= cosine.astype(np.float32), axis=1))
