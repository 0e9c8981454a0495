"""What the frames of a data set hold: a sample of them is read, for the settings that suit them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, pairwise

import numpy as np
from numpy.typing import NDArray

from pointata.data.dataset import Video
from pointata.frame import Frame, no_return_rows
from pointata.geometry.rigid import rotate
from pointata.preprocessing.rates import mean_rate_hz

#: Recordings and frames of each that are read, and points of each frame that are looked at.
VIDEOS, FRAMES, POINTS = 24, 100, 256


@dataclass(frozen=True)
class Survey:
    """A sample of frames in figures.

    Attributes:
        points: points of a frame, median; (0, 0, 0), "no return", is none.
        most_points: points of a frame, 95th percentile.
        period_s: time between two frames, seconds; median over the recordings.
        centre_m: (3,) median place of the points, metres from the sensor, world-aligned axes.
        reach_m: half of what 90 % of the points take up along the longest axis, metres.
        moving: whether the sensor moves in any recording.
        channels: for each feature, what 95 % of its values stay below, signs apart.
    """

    points: int
    most_points: int
    period_s: float
    centre_m: tuple[float, float, float]
    reach_m: float
    moving: bool
    channels: dict[str, float]


def survey(videos: Sequence[Video]) -> Survey:
    """Read the first frames of recordings spread evenly over a set; errors as of the readers."""
    chosen = [videos[i] for i in np.unique(np.linspace(0, len(videos) - 1, VIDEOS).astype(int))]
    read = [[item.frame for item in islice(iter(video.source()), FRAMES)] for video in chosen]
    read = [frames for frames in read if frames]
    frames = [frame for one in read for frame in one if len(frame.points)]
    returns = [_returns(frame) for frame in frames]
    counts = [len(points) for points in returns]
    places = np.concatenate([points[:: max(1, len(points) // POINTS)] for points in returns])
    low, high = np.percentile(places, (5, 95), axis=0)
    x, y, z = np.median(places, axis=0).tolist()
    channels = {
        name: float(np.percentile(np.abs(np.concatenate([frame.features[name] for frame in frames])), 95))
        for name in frames[0].features
    }
    return Survey(
        points=int(np.median(counts)),
        most_points=int(np.percentile(counts, 95)),
        period_s=float(np.median([1 / mean_rate_hz([frame.stamp_ns for frame in one]) for one in read])),
        centre_m=(x, y, z),
        reach_m=float((high - low).max() / 2),
        moving=any(not np.array_equal(a.T_world_sensor, b.T_world_sensor) for one in read for a, b in pairwise(one)),
        channels=channels,
    )


def _returns(frame: Frame) -> NDArray[np.float32]:
    """(N, 3) points of a frame in world-aligned axes, those that say "no return" left out."""
    return rotate(frame.T_world_sensor, np.delete(frame.points, no_return_rows(frame.points), axis=0))
