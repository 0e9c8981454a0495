"""Frames of a recording as messages ready to be published, built ahead in a thread."""

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from pointata import DataError
from pointata.data.formats.bag import BagRecording
from pointata.data.recording import Recording
from pointata.data.served import served_frames
from pointata.frame import LabelledFrame
from pointata.preprocessing.picking import FramePicker
from ros_pointata.io.cloud import to_message, to_pointcloud2

if TYPE_CHECKING:
    from sensor_msgs.msg import PointCloud2

Item = TypeVar("Item")

#: Longest wait for the frame that is being made, seconds.
PATIENCE_S = 2.0


@dataclass(frozen=True)
class OutgoingFrame:
    """One frame to publish.

    Attributes:
        index: its number in the recording.
        stamp_ns: its recorded stamp, nanoseconds.
        cloud: the message; its stamp is set when it is sent.
        T_world_sensor: (4, 4) float64; None where the recording has no poses.
        action: class id of the action; None where unknown.
    """

    index: int
    stamp_ns: int
    cloud: "PointCloud2"
    T_world_sensor: NDArray[np.float64] | None
    action: int | None


@dataclass(frozen=True)
class Selection:
    """Which frames to play: `count` (None: all) from `start`, again and again if `loop`; frame_id None: recorded.

    `merge` of them become one.
    """

    start: int = 0
    count: int | None = None
    loop: bool = False
    frame_id: str | None = None
    merge: int = 1


def outgoing_frames(recording: Recording, selection: Selection) -> Iterator[OutgoingFrame]:
    """The selected frames in order; DataError where there is none."""
    while True:
        played = False
        for frame in _one_pass(recording, selection):
            played = True
            yield frame
        if not played:
            raise DataError(f"no frame from {selection.start} on: {recording.name} has {len(recording)} frames")
        if not selection.loop:
            return


def _one_pass(recording: Recording, selection: Selection) -> Iterator[OutgoingFrame]:
    if selection.merge > 1:
        yield from _merged_pass(recording, selection)
        return
    if isinstance(recording, BagRecording):
        for index, cloud in enumerate(recording.clouds(selection.start, selection.count), selection.start):
            message = to_message(cloud.message)
            if selection.frame_id is not None:
                message.header.frame_id = selection.frame_id
            yield OutgoingFrame(index, cloud.stamp_ns, message, cloud.T_world_sensor, None)
        return
    for index, item in enumerate(recording.frames(selection.start, selection.count), selection.start):
        yield _outgoing(index, item, recording, selection)


def _merged_pass(recording: Recording, selection: Selection) -> Iterator[OutgoingFrame]:
    """One pass with `merge` frames in each; its number is that of the newest of them."""
    index = selection.start - 1

    def counted() -> Iterator[LabelledFrame]:
        nonlocal index
        for item in recording.frames(selection.start, selection.count):
            index += 1
            yield item

    for item in served_frames(counted(), FramePicker(selection.merge, 0.0), selection.merge):
        yield _outgoing(index, item, recording, selection)


def _outgoing(index: int, item: LabelledFrame, recording: Recording, selection: Selection) -> OutgoingFrame:
    message = to_pointcloud2(item.frame, item.labels, selection.frame_id)
    pose = item.frame.T_world_sensor if recording.has_poses else None
    return OutgoingFrame(index, item.frame.stamp_ns, message, pose, item.action)


class Prefetched(Generic[Item]):
    """The same items in the same order, up to `depth` of them made ahead by a thread that starts at once.

    An error in the thread is raised in the iteration, after the items that came before it.
    """

    def __init__(self, items: Iterator[Item], depth: int) -> None:
        """Start making items; depth at least 1."""
        self._items = items
        self._ready: queue.Queue[tuple[str, Any]] = queue.Queue(depth)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name="replay-prefetch", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[Item]:
        """The items; to be iterated over once."""
        while True:
            kind, value = self._ready.get()
            if kind == "error":
                raise value
            if kind == "end":
                return
            yield value

    def close(self) -> None:
        """Stop the thread and wait for it, at most PATIENCE_S; items made ahead are dropped."""
        self._stopped.set()
        self._thread.join(PATIENCE_S)

    def _work(self) -> None:
        try:
            for item in self._items:
                self._put("item", item)
                if self._stopped.is_set():
                    return
        except BaseException as error:  # handed to the thread that iterates
            self._put("error", error)
        else:
            self._put("end", None)

    def _put(self, kind: str, value: Any) -> None:
        while not self._stopped.is_set():
            try:
                self._ready.put((kind, value), timeout=0.1)
                return
            except queue.Full:
                continue
