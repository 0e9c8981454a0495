"""The last n clouds of a sparse sensor as one frame: denser, with the sensor's own motion taken out."""

from collections import deque
from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from pointata.classes import UNLABELLED
from pointata.errors import DataError
from pointata.frame import Frame, LabelledFrame, no_return_rows
from pointata.geometry.rigid import rotate

Cloud = TypeVar("Cloud")

#: Most clouds that are joined into one frame.
MOST = 64


class RecentClouds(Generic[Cloud]):
    """The last n clouds of a stream, as long as nothing separates them.

    Args:
        count: n.
        max_gap_s: a longer time between two clouds separates them, seconds.
    """

    def __init__(self, count: int, max_gap_s: float) -> None:
        self.count = count
        self._clouds: deque[Cloud] = deque(maxlen=count)
        self.max_gap_s = max_gap_s
        self._stamp_ns = 0
        self._kind: Hashable = None

    def add(self, cloud: Cloud, stamp_ns: int, kind: Hashable) -> tuple[Cloud, ...]:
        """Take the next cloud in.

        Args:
            cloud: any object.
            stamp_ns: its stamp, nanoseconds; one before the last cloud's separates.
            kind: sensor frame and point layout; another one separates.

        Returns:
            At most n clouds, oldest first; this one is the last.
        """
        if kind != self._kind or not 0 <= (stamp_ns - self._stamp_ns) / 1e9 <= self.max_gap_s:
            self._clouds.clear()
        self._stamp_ns, self._kind = stamp_ns, kind
        self._clouds.append(cloud)
        return tuple(self._clouds)

    def clear(self) -> None:
        """Forget all."""
        self._clouds.clear()


def merge_frames(frames: Sequence[Frame]) -> Frame:
    """One frame of the points of several: those of the newest first, then those before it, moved into its axes.

    Args:
        frames: oldest first, at least one; all have the features of the newest.

    Returns:
        The newest frame, whose last `context_count` points are the older frames', newest frame first.
    """
    newest, older = frames[-1], frames[-2::-1]
    if not older:
        return newest
    missing = sorted({name for frame in older for name in newest.features if name not in frame.features})
    if missing:
        raise DataError(f"frames to be merged lack the point channel {', '.join(missing)} that the newest one has")
    everything = (newest, *older)
    return replace(
        newest,
        points=np.concatenate([newest.points, *(_moved(frame, newest.T_world_sensor) for frame in older)]),
        features={name: np.concatenate([frame.features[name] for frame in everything]) for name in newest.features},
        context_count=newest.context_count + sum(len(frame.points) for frame in older),
    )


def _moved(frame: Frame, T_world_newest: NDArray[np.float64]) -> NDArray[np.float32]:
    """(N, 3) the frame's points in the axes of the sensor at its newest pose."""
    if np.array_equal(frame.T_world_sensor, T_world_newest):
        return frame.points
    T_newest_sensor = np.linalg.inv(T_world_newest) @ frame.T_world_sensor
    moved = rotate(T_newest_sensor, frame.points) + T_newest_sensor[:3, 3].astype(np.float32)
    moved[no_return_rows(frame.points)] = 0  # not a place that could move: it still says "no return"
    return moved


def merge_labelled(items: Sequence[LabelledFrame]) -> LabelledFrame:
    """As `merge_frames`, with the labels of all points; those of frames without labels are unlabelled."""
    newest = items[-1]
    frame = merge_frames([item.frame for item in items])
    labels = {}
    for task in dict.fromkeys(task for item in items for task in item.point_labels):
        parts = [
            item.point_labels.get(task, np.full(len(item.frame.points), UNLABELLED, np.uint8))
            for item in reversed(items)
        ]
        labels[task] = np.concatenate(parts)
    return replace(newest, frame=frame, labels=labels.pop("semantic", None), other_labels=labels)
