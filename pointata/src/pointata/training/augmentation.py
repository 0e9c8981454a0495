"""Random changes of training clips that leave their meaning alone."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pointata.errors import ConfigError
from pointata.geometry.rigid import yaw


@dataclass(frozen=True)
class Augmentation:
    """Random changes of a training clip, the same for all of its frames."""

    turn_deg: float = 180.0
    """Turn about the vertical axis by up to this angle, either way."""
    mirror: bool = True
    """Mirror left and right in half of the clips; actions become those that the data set says their image shows."""
    scale: float = 0.1
    """Scale by 1 - scale to 1 + scale."""
    stretch: float = 0.0
    """Also scale each axis, by 1 - stretch to 1 + stretch."""
    shift: float = 0.0
    """Standard deviation of a shift, in units of the normalisation."""
    jitter: float = 0.0
    """Standard deviation of noise on every point, in units of the normalisation."""
    drop: float = 0.0
    """Up to this share of the points, drawn for each clip, is taken away; others of their frame stand in."""
    pace: float = 0.0
    """Play the recording 1 - pace to 1 + pace times as fast, by leaving out and repeating frames."""

    def __post_init__(self) -> None:
        amounts = (self.turn_deg, self.scale, self.stretch, self.shift, self.jitter, self.drop, self.pace)
        if min(amounts) < 0 or max(self.scale, self.stretch, self.drop, self.pace) >= 1:
            raise ConfigError(f"augmentation: no amount may be negative; scale, stretch, drop, pace below 1: {self}")

    def linear(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """A random linear map (3, 3); its determinant is negative where it mirrors."""
        matrix = yaw(np.deg2rad(rng.uniform(-self.turn_deg, self.turn_deg)))[:3, :3]
        if self.mirror and rng.random() < 0.5:
            matrix = matrix @ np.diag([1.0, -1.0, 1.0])
        if self.stretch:
            matrix = matrix @ np.diag(rng.uniform(1 - self.stretch, 1 + self.stretch, 3))
        return matrix * rng.uniform(1 - self.scale, 1 + self.scale)

    def frames(self, rng: np.random.Generator, total: int, wanted: int) -> tuple[NDArray[np.int64], float]:
        """Which frames of a recording of `total` frames make a clip of `wanted`, and how fast they play.

        Returns:
            (wanted,) int64 indices, not decreasing, and the pace: recorded seconds per second of the clip.
        """
        pace = min(rng.uniform(1 - self.pace, 1 + self.pace), (total - 1) / max(1, wanted - 1)) if self.pace else 1.0
        offsets = np.floor(np.arange(wanted) * pace + 0.5).astype(np.int64)
        return offsets + rng.integers(total - offsets[-1]), pace

    def thin_out(self, rng: np.random.Generator, frames: int, points: int) -> NDArray[np.int64]:
        """(frames, points) int64: the points to use of each frame, in their order; repeated where points are missing.

        The first point of every frame stays.
        """
        kept = rng.random((frames, points)) >= rng.uniform(0, self.drop)
        kept[:, 0] = True
        first = np.argsort(~kept, axis=1, kind="stable")  # the kept ones first
        place = np.arange(points)[None] % kept.sum(axis=1, keepdims=True)
        return np.take_along_axis(first, place, axis=1)
