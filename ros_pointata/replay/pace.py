"""When each frame of a replay is due; without ROS."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Pace:
    """How long after its predecessor a frame is due.

    Attributes:
        period_s: nominal time between frames, seconds; stands in where stamps jump backwards (a loop, a bag's reset).
        rate: speed as a multiple of the recorded one, above 0.
        hz: fixed frame rate in place of the recorded times; None for those.
        unpaced: send every frame as soon as it is ready.
    """

    period_s: float
    rate: float = 1.0
    hz: float | None = None
    unpaced: bool = False

    def interval_s(self, previous_ns: int, stamp_ns: int) -> float:
        """Seconds between two frames with these recorded stamps (ns); 0 where unpaced."""
        if self.unpaced:
            return 0.0
        if self.hz is not None:
            return 1.0 / self.hz
        recorded = (stamp_ns - previous_ns) / 1e9
        return (recorded if recorded > 0 else self.period_s) / self.rate


class Timetable:
    """Due times of a paced replay. A late frame moves all later ones: frames never come in a burst.

    Args:
        pace: intervals.
        clock: monotonic seconds.
    """

    def __init__(self, pace: Pace, clock: Callable[[], float]) -> None:
        """Start with no frame played."""
        self._pace = pace
        self._clock = clock
        self._previous_ns: int | None = None
        self._due = 0.0
        self.late_frames = 0

    def next_due(self, stamp_ns: int) -> tuple[float, float]:
        """(start, due) of the wait for the frame with this recorded stamp, on the clock; call once per frame.

        A frame that is ready more than half its interval (at least 5 ms) after its time counts as late and is due now.
        """
        now = self._clock()
        if self._previous_ns is None:
            start = due = now
        else:
            interval = self._pace.interval_s(self._previous_ns, stamp_ns)
            start, due = self._due, self._due + interval
            if self._pace.unpaced:
                due = now
            elif now - due > max(interval / 2, 0.005):
                self.late_frames += 1
                due = now
        self._previous_ns, self._due = stamp_ns, due
        return start, due
