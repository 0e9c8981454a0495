"""The loop of a replay: wait until a frame is due, publish it, keep count."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pointata import DataError
from ros_pointata.replay.pace import Pace, Timetable
from ros_pointata.replay.publishers import ReplayPublishers
from ros_pointata.replay.source import OutgoingFrame

CLOCK_PERIOD_S = 0.01
DELIVERY_TIMEOUT_S = 10.0


@dataclass
class Statistics:
    """What was sent.

    Attributes:
        stamps_ns: stamp of each cloud in the order sent, nanoseconds.
        frame_indices: number of each in the recording.
        duration_s: first to last cloud, seconds.
        late_frames: those that missed their time by more than half an interval.
    """

    stamps_ns: list[int] = field(default_factory=list)
    frame_indices: list[int] = field(default_factory=list)
    duration_s: float = 0.0
    late_frames: int = 0

    @property
    def achieved_hz(self) -> float:
        """Mean rate at which clouds were sent; 0 for fewer than two."""
        return (len(self.stamps_ns) - 1) / self.duration_s if self.duration_s > 0 else 0.0

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "frames_sent": len(self.stamps_ns),
            "duration_s": self.duration_s,
            "achieved_hz": self.achieved_hz,
            "late_frames": self.late_frames,
            "stamps_ns": self.stamps_ns,
            "frame_indices": self.frame_indices,
        }


class Player:
    """Plays frames once; `statistics` stays valid where the loop was interrupted."""

    def __init__(self, publishers: ReplayPublishers, pace: Pace, recorded_stamps: bool) -> None:
        """Prepare a replay.

        Args:
            publishers: where frames go.
            pace: when they go.
            recorded_stamps: keep the recorded stamps (which jump back when a recording starts again) instead of
                stamping each frame with the system time at which it is sent.
        """
        self._publishers = publishers
        self._pace = pace
        self._recorded_stamps = recorded_stamps
        self._timetable = Timetable(pace, time.monotonic)
        self._last_stamp_ns: int | None = None
        self.statistics = Statistics()

    def play(self, frames: Iterable[OutgoingFrame]) -> None:
        """Publish every frame at its time.

        Raises:
            DataError: reliable subscribers stopped acknowledging.
        """
        first_sent = None
        for frame in frames:
            self._wait(frame)
            stamp_ns = frame.stamp_ns if self._recorded_stamps else self._system_stamp()
            self._publishers.publish(frame, stamp_ns)
            sent = time.monotonic()
            first_sent = sent if first_sent is None else first_sent
            self._last_stamp_ns = stamp_ns
            self.statistics.stamps_ns.append(stamp_ns)
            self.statistics.frame_indices.append(frame.index)
            self.statistics.duration_s = sent - first_sent
            self.statistics.late_frames = self._timetable.late_frames
            if self._pace.unpaced:
                self._deliver()  # or the publisher's queue would drop what is not yet acknowledged
        self._deliver()

    def _deliver(self) -> None:
        if not self._publishers.wait_for_delivery(DELIVERY_TIMEOUT_S):
            raise DataError(
                f"a subscriber did not acknowledge the clouds within {DELIVERY_TIMEOUT_S:.0f} s; is it alive? "
                "--reliability best_effort plays without acknowledgement"
            )

    def _system_stamp(self) -> int:
        """System time, strictly after the last stamp."""
        now = time.time_ns()
        return now if self._last_stamp_ns is None else max(now, self._last_stamp_ns + 1)

    def _wait(self, frame: OutgoingFrame) -> None:
        """Sleep until the frame is due, with /clock running on from the last stamp towards the frame's."""
        start, due = self._timetable.next_due(frame.stamp_ns)
        while (remaining := due - time.monotonic()) > 0:
            time.sleep(min(remaining, CLOCK_PERIOD_S))
            if self._last_stamp_ns is not None and due - time.monotonic() > 0:
                target = frame.stamp_ns if self._recorded_stamps else self._last_stamp_ns + round((due - start) * 1e9)
                progress = (time.monotonic() - start) / (due - start)
                ahead = max(0, target - self._last_stamp_ns)
                self._publishers.publish_clock(self._last_stamp_ns + round(ahead * progress))
