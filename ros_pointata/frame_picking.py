"""Which clouds of a stream the model sees, to match the frame period that it was trained at. Imports no ROS."""

from collections import deque
from statistics import median

#: A frame period farther off than this fraction is worth a warning.
TOLERANCE = 0.25
#: Stamp differences that make a median worth trusting.
SETTLED = 5


class FramePicker:
    """Takes every n-th cloud; with n = 0 the n that comes nearest to the bundle's frame period.

    The sensor period is the median of the last stamp differences, so single lost clouds do not disturb it. In
    automatic mode clouds are picked by time: after a loss the next cloud is taken when it is due.

    Args:
        stride: n, or 0 for automatic.
        frame_period_s: the bundle's frame period, seconds; 0 where it states none.
    """

    def __init__(self, stride: int, frame_period_s: float) -> None:
        self._fixed = stride
        self._wanted_s = frame_period_s
        self._periods: deque[float] = deque(maxlen=15)
        self._last_ns: int | None = None
        self._picked_ns = 0
        self._countdown = 0

    @property
    def sensor_period_s(self) -> float | None:
        """Measured period of the sensor, seconds; None before the second cloud."""
        if len(self._periods) < SETTLED:  # too few for a median: rather too long, which leaves out too little
            return max(self._periods, default=None)
        return median(self._periods)

    @property
    def stride(self) -> int:
        """Clouds of the sensor per cloud taken."""
        period = self.sensor_period_s
        if self._fixed or period is None or self._wanted_s <= 0:
            return max(self._fixed, 1)
        return max(round(self._wanted_s / period), 1)

    @property
    def warning(self) -> str:
        """What is wrong with the period of the taken frames; empty where nothing is."""
        period = self.sensor_period_s
        if period is None or len(self._periods) < SETTLED or self._wanted_s <= 0:
            return ""
        taken = period * self.stride
        if abs(taken - self._wanted_s) <= TOLERANCE * self._wanted_s:
            return ""
        return (
            f"frame period {taken:.3g} s (every {self.stride}. cloud of a sensor with {period:.3g} s) does not match "
            f"the {self._wanted_s:.3g} s that the bundle was trained at"
        )

    def pick(self, stamp_ns: int) -> bool:
        """Whether the model takes the cloud with this stamp; to be asked once for every cloud."""
        fresh = self._last_ns is None or stamp_ns < self._last_ns
        if self._last_ns is not None and stamp_ns > self._last_ns:
            self._periods.append((stamp_ns - self._last_ns) / 1e9)
        self._last_ns = stamp_ns
        if fresh:
            self._countdown = 0
        taken = fresh or (self._due_by_count() if self._fixed else self._due_by_time(stamp_ns))
        if taken:
            self._picked_ns = stamp_ns
            self._countdown = self._fixed
        self._countdown -= 1
        return taken

    def _due_by_count(self) -> bool:
        return self._countdown <= 0

    def _due_by_time(self, stamp_ns: int) -> bool:
        stride, period = self.stride, self.sensor_period_s
        return stride == 1 or period is None or (stamp_ns - self._picked_ns) / 1e9 >= (stride - 0.5) * period
