"""From a frame to what the network takes: range crop, sampling, rotation into world axes, normalisation.

The same function serves training, evaluation and the robot.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pointata.errors import ConfigError, DataError, TooFewPointsError
from pointata.frame import Frame, no_return_rows
from pointata.geometry.neighbours import cpu_nearest
from pointata.geometry.places import distinct, representatives
from pointata.geometry.rigid import rotate
from pointata.model.state import Clip
from pointata.preprocessing.point_ops.ops import ON_HOST, PointOps

_FARTHEST_M = 1e5
# Points on fewer places have no shape: one for every 256 sampled points, at most 4. A radar's network samples 64, and
# there a single point is what the sensor saw: every fiftieth frame of MARS has fewer than 4.
_FEWEST_PLACES, _SAMPLED_PER_PLACE = 4, 256
# Beyond what any channel of a sensor measures (16 bits of intensity, some 100 m/s of Doppler), and so small that in
# every layer of the network sums of their squares stay far below the largest float32.
_LARGEST_FEATURE = 1e6


@dataclass(frozen=True)
class SamplingConfig:
    """How a bundle's network wants its frames; stored in the bundle."""

    points: int = 2048
    """Points sampled from each frame."""
    voxel_m: float = 0.0
    """Edge of the thinning voxels, metres; 0 for none. The points of a voxel also share one label."""
    range_power: float = 0.0
    """Farthest points are picked in coordinates divided by range ** range_power: 0 covers surfaces evenly, above 0
    favours what is near the sensor."""
    scale_m: float = 1.0
    """Length of one unit of the network's coordinates, metres."""
    centre_m: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Place that becomes the origin of the network's coordinates, metres from the sensor in world-aligned axes: where a
    sensor that stands still looks at. Small coordinates are told apart best."""
    min_range_m: float = 0.0
    """Points nearer to the sensor are not used, metres."""
    max_range_m: float = 0.0
    """Points farther from the sensor are not used, metres; 0 for no limit."""
    point_neighbours: int = 16
    """Nearest sampled points listed for each point; 0 where no semantic head needs them."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "centre_m", tuple(float(value) for value in self.centre_m))  # a list, if from JSON
        if len(self.centre_m) != 3 or not all(abs(value) < _FARTHEST_M for value in self.centre_m):
            raise ConfigError(f"sampling.centre_m must be three numbers (x, y, z in metres), got {self.centre_m}")
        if self.points < 1 or self.scale_m <= 0 or self.voxel_m < 0 or not 0 <= self.range_power <= 2:
            raise ConfigError(
                f"sampling needs points >= 1, scale_m > 0, voxel_m >= 0 and range_power from 0 to 2: {self}"
            )
        if self.point_neighbours < 0:
            raise ConfigError(f"sampling.point_neighbours must not be negative, got {self.point_neighbours}")
        if self.min_range_m < 0 or 0 < self.max_range_m <= self.min_range_m:
            raise ConfigError(f"sampling needs 0 <= min_range_m < max_range_m (or max_range_m = 0): {self}")

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "SamplingConfig":
        """The inverse of `to_dict`."""
        return cls(**data)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for a bundle's metadata."""
        return asdict(self)


@dataclass(frozen=True)
class SampledFrame:
    """The points of a frame that the network sees.

    Attributes:
        index: (P,) int64 into `Frame.points`, farthest points first; repeats where the frame has fewer points.
        used: (U,) int64 into `Frame.points`, all points within range, less those left out as "no return".
        first: (V,) int64 into `used`, the first point of each thinning voxel.
        voxel: (U,) int32 into `first`: whose label each of the points takes; None where each takes its own.
        points: (P, 3) float32, world-aligned axes, origin at the sensor, units of `scale_m`.
        neighbours: (P, k) int64 into the P points, nearest first (the point itself included).
        features: (P, F) float32.
        origin: (3,) float64, the sensor's position in the world, units of `scale_m`.
        stamp_s: float, seconds.
        no_return: points of the frame's own message left out because they are (0, 0, 0).
    """

    index: NDArray[np.int64]
    used: NDArray[np.int64]
    first: NDArray[np.int64]
    voxel: NDArray[np.int32] | None
    points: NDArray[np.float32]
    neighbours: NDArray[np.int64]
    features: NDArray[np.float32]
    origin: NDArray[np.float64]
    stamp_s: float
    no_return: int


def in_range(points: NDArray[np.float32], min_range_m: float, max_range_m: float) -> NDArray[np.int64]:
    """Indices of the points (N, 3) whose distance from the sensor lies within the limits.

    An upper limit of 0 stands for 100 km: what some drivers write for "no return" is finite, but no place.
    """
    unlimited = min_range_m == max_range_m == 0 and len(points) > 0
    if unlimited and max(points.max(), -points.min()) < _FARTHEST_M / 2:
        return np.arange(len(points))  # as with most sensors; a fifth of the time
    upper = (min(max_range_m, _FARTHEST_M) if max_range_m > 0 else _FARTHEST_M) ** 2
    squared = np.einsum("nd,nd->n", points, points)
    return np.flatnonzero((squared >= min_range_m**2) & (squared <= upper))


def select_features(frame: Frame, names: Sequence[str], index: NDArray[np.int64]) -> NDArray[np.float32]:
    """(P, F) features of the points `index` (P,) in the order of `names`: 0 where not finite, -1e6 to 1e6.

    Raises:
        DataError: a feature is missing.
    """
    missing = [name for name in names if name not in frame.features]
    if missing:
        raise DataError(
            f"the model needs the point field(s) {', '.join(missing)}, but the cloud only has "
            f"{', '.join(frame.features) or 'x, y, z'}: choose a bundle trained without them, or publish them"
        )
    if not names:
        return np.zeros((len(index), 0), dtype=np.float32)
    chosen = np.stack([frame.features[name][index] for name in names], axis=1)
    # one absurd value of one point must not spread, as NaN, through the state of the whole stream
    np.nan_to_num(chosen, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    return np.clip(chosen, -_LARGEST_FEATURE, _LARGEST_FEATURE, out=chosen)


def _usable(frame: Frame, config: SamplingConfig, drop_zeros: bool) -> tuple[NDArray[np.int64], int]:
    """`SampledFrame.used` and `no_return`; see `sample_frame`."""
    used = in_range(frame.points, config.min_range_m, config.max_range_m)
    zeros = no_return_rows(frame.points) if drop_zeros else np.zeros(0, dtype=np.int64)
    if len(zeros) == len(frame.points) > 0:
        raise TooFewPointsError(
            f"frame at {frame.stamp_ns} ns: all {len(zeros)} points are (0, 0, 0), which is what drivers write for no "
            "return: is the sensor covered? Set crop.drop_zeros to false if the points are meant"
        )
    if len(zeros):
        kept = np.ones(len(frame.points), dtype=bool)
        kept[zeros] = False
        used = used[kept[used]]
    if len(used) == 0:
        raise TooFewPointsError(
            f"frame at {frame.stamp_ns} ns has no finite point within range {_limits(config)} among its "
            f"{frame.source_count} points ({len(zeros)} of them left out as (0, 0, 0), no return)"
        )
    return used, int(np.count_nonzero(zeros < frame.own_count))


def _require_places(frame: Frame, config: SamplingConfig, index: NDArray[np.int64]) -> None:
    """Refuse a frame whose sampled points `index` (P,), farthest first, lie on too few places."""
    fewest = min(max(config.points // _SAMPLED_PER_PLACE, 1), _FEWEST_PLACES)
    if distinct(frame.points[index[:fewest]])[1] is None:
        return
    owner = distinct(frame.points[index])[1]
    places = len(index) if owner is None else len(representatives(owner)[0])
    if places < fewest:
        raise TooFewPointsError(
            f"frame at {frame.stamp_ns} ns has points on {places} place(s) within range {_limits(config)}, where "
            f"{fewest} at least are needed: is the sensor covered, or the range too narrow?"
        )


def _limits(config: SamplingConfig) -> str:
    return f"({config.min_range_m} to {config.max_range_m or 'any'} m)"


def sample_frame(
    frame: Frame,
    config: SamplingConfig,
    features: Sequence[str] = (),
    ops: PointOps = ON_HOST,
    drop_zeros: bool = True,
) -> SampledFrame:
    """Sample one frame.

    Args:
        frame: the whole frame.
        config: how.
        features: channels that the network takes.
        ops: who picks the points.
        drop_zeros: leave out points at exactly (0, 0, 0): what drivers write where no echo came back.

    Raises:
        TooFewPointsError: no point within range, or points on fewer than 4 places (2 or 3 where fewer than 1,024 are
            sampled, 1 where fewer than 512).
        DataError: a feature that the network needs is missing.
    """
    used, no_return = _usable(frame, config, drop_zeros)
    candidates = frame.points if len(used) == len(frame.points) else np.take(frame.points, used, axis=0)
    picks, first, voxel = ops.sample(candidates, config.points, config.voxel_m, config.range_power)
    index = used[picks]
    _require_places(frame, config, index)
    points = rotate(frame.T_world_sensor, frame.points[index]) - np.asarray(config.centre_m, dtype=np.float32)
    points = np.ascontiguousarray(points / np.float32(config.scale_m))
    return SampledFrame(
        index=index,
        used=used,
        first=first,
        voxel=voxel,
        points=points,
        neighbours=cpu_nearest(points, points, config.point_neighbours)[1]
        if config.point_neighbours
        else np.zeros((len(points), 0), dtype=np.int64),
        features=select_features(frame, features, index),
        origin=frame.T_world_sensor[:3, 3] / config.scale_m,
        stamp_s=frame.stamp_ns * 1e-9,
        no_return=no_return,
    )


def to_clip(frames: Sequence[SampledFrame]) -> Clip:
    """One stream's frames, oldest first, as a batch of one: (1, T, ...). Stamps keep their origin."""

    def stack(arrays: Sequence[NDArray[Any]]) -> torch.Tensor:
        return torch.from_numpy(np.stack(arrays)).unsqueeze(0)

    first = frames[0]
    return Clip(
        points=stack([f.points for f in frames]),
        origins=stack([f.origin for f in frames]),
        stamps=torch.tensor([[f.stamp_s for f in frames]], dtype=torch.float64),
        neighbours=stack([f.neighbours for f in frames]) if first.neighbours.shape[1] else None,
        features=stack([f.features for f in frames]) if first.features.shape[1] else None,
    )
