"""Rays of a depth camera and of a spinning LiDAR, and the faults of their measurements."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pointata.data.simulator.raycast import Hits


@dataclass(frozen=True)
class DepthCamera:
    """A time-of-flight or stereo depth camera.

    Attributes:
        width: pixels across.
        height: pixels down.
        field_of_view: horizontal, radians.
        near: least depth, metres.
        far: greatest depth, metres.
        noise: (a, b): the depth noise has standard deviation a + b z^2, metres.
        step: depths are rounded in 1/z with this step (1/m), as by a disparity of whole sub-pixels.
        dropout: share of pixels lost anywhere.
        edge_dropout: share of pixels lost beside a jump in depth.
    """

    width: int
    height: int
    field_of_view: float = np.deg2rad(70.0)
    near: float = 0.4
    far: float = 6.0
    noise: tuple[float, float] = (0.001, 0.0015)
    step: float = 0.001
    dropout: float = 0.01
    edge_dropout: float = 0.4

    def directions(self) -> NDArray[np.float64]:
        """(height * width, 3) unit rays in optical axes, row by row; square pixels."""
        focal = self.width / 2 / np.tan(self.field_of_view / 2)
        u, v = np.meshgrid(np.arange(self.width) + 0.5, np.arange(self.height) + 0.5)
        x, y = (u - self.width / 2) / focal, (v - self.height / 2) / focal
        rays = np.stack([x, y, np.ones_like(x)], axis=-1).reshape(-1, 3)
        unit: NDArray[np.float64] = rays / np.linalg.norm(rays, axis=1, keepdims=True)
        return unit

    def measure(
        self, hits: Hits, directions: NDArray[np.float64], rng: np.random.Generator
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Points (N, 3) in optical axes, metres, and the (N,) rays they belong to."""
        ratio = directions[:, 2]
        depth = np.where(np.isfinite(hits.distance), hits.distance, 0.0) * ratio
        kept = (depth > self.near) & (depth < self.far)
        kept &= rng.random(len(depth)) >= self.dropout
        kept &= ~(self._edges(depth) & (rng.random(len(depth)) < self.edge_dropout))
        kept &= rng.random(len(depth)) < grazing_return(hits.cosine)
        noisy = depth + rng.normal(size=len(depth)) * (self.noise[0] + self.noise[1] * depth**2)
        rays = np.flatnonzero(kept & (noisy > self.near))
        rounded = 1.0 / (np.round(1.0 / noisy[rays] / self.step) * self.step)
        return directions[rays] * (rounded / ratio[rays])[:, None], rays

    def _edges(self, depth: NDArray[np.float64]) -> NDArray[np.bool_]:
        """(R,) pixels that differ from a neighbour by more than 5 cm + 3 % of the depth."""
        image = depth.reshape(self.height, self.width)
        edge = np.zeros(image.shape, dtype=bool)
        limit = 0.05 + 0.03 * image
        down = np.abs(np.diff(image, axis=0)) > limit[1:]
        across = np.abs(np.diff(image, axis=1)) > limit[:, 1:]
        edge[1:] |= down
        edge[:-1] |= down
        edge[:, 1:] |= across
        edge[:, :-1] |= across
        return edge.reshape(-1)


@dataclass(frozen=True)
class SpinningLidar:
    """A multi-beam LiDAR that measures one full turn per frame, all of it from one place.

    The motion of the sensor during a turn is left out: every frame is a sweep as it looks after motion compensation.

    Attributes:
        beams: lasers above one another.
        azimuth_steps: measurements of each laser per turn.
        elevation: (lowest, highest) beam, degrees.
        near: least range, metres.
        far: greatest range, metres.
        noise: standard deviation of the range, metres.
        dropout: share of returns lost at zero range.
        far_dropout: further share lost at the greatest range, growing with its square.
    """

    beams: int
    azimuth_steps: int
    elevation: tuple[float, float] = (-25.0, 3.0)
    near: float = 1.0
    far: float = 80.0
    noise: float = 0.02
    dropout: float = 0.01
    far_dropout: float = 0.3

    def directions(self) -> NDArray[np.float64]:
        """(azimuth_steps * beams, 3) unit rays, x forward, y left, z up; one column of beams after the other."""
        azimuth = np.linspace(np.pi, -np.pi, self.azimuth_steps, endpoint=False)
        elevation = np.deg2rad(np.linspace(self.elevation[1], self.elevation[0], self.beams))
        a, e = np.meshgrid(azimuth, elevation, indexing="ij")
        return np.stack([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)], axis=-1).reshape(-1, 3)

    def measure(
        self, hits: Hits, directions: NDArray[np.float64], rng: np.random.Generator
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Points (N, 3) in sensor axes, metres, and the (N,) rays they belong to."""
        distance = hits.distance
        kept = (distance > self.near) & (distance < self.far)
        with np.errstate(invalid="ignore", over="ignore"):
            lost = self.dropout + self.far_dropout * (distance / self.far) ** 2
        kept &= rng.random(len(distance)) >= lost
        # A laser's return from a wet or smooth road fades only very close to grazing.
        kept &= rng.random(len(distance)) < grazing_return(4.0 * hits.cosine)
        noise = rng.normal(scale=self.noise, size=len(distance))
        rays = np.flatnonzero(kept)
        return directions[rays] * (distance[rays] + noise[rays])[:, None], rays


def grazing_return(cosine: NDArray[np.float32]) -> NDArray[np.float32]:
    """(R,) probability of a return: 1 for |cos| of the incidence angle above 0.2, falling to 0 at grazing."""
    result: NDArray[np.float32] = np.clip(cosine / np.float32(0.2), 0.0, 1.0)
    return result
