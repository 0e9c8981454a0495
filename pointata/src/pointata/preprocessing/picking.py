"""Which clouds of a stream the model sees, to match the frame period that it was trained at; node and evaluation."""

from collections import deque

import numpy as np

from pointata.preprocessing.rates import gaps_s

#: A frame period farther off than this fraction is worth a warning.
TOLERANCE = 0.25
#: Gaps that make the measured period worth a warning.
SETTLED = 5
#: Stamps that the sensor's period is measured over.
HISTORY = 129
#: Gaps between bursts are longer than this share of all, in percent; lost clouds make fewer.
LONG_PERCENT = 90
#: How far the wanted stride may lie from the one in force: beyond a half, or one between two numbers would flutter.
HELD = 0.55


class FramePicker:
    """Takes every n-th cloud; with n = 0 the n that comes nearest to the bundle's frame period.

    The sensor's period is the time over the number of clouds, so that clouds may come in bursts. Clouds are counted; in
    automatic mode one is also taken when so much time has passed that clouds must have been lost.

    Args:
        stride: n, or 0 for automatic.
        frame_period_s: the bundle's frame period, seconds; 0 where it states none.
    """

    def __init__(self, stride: int, frame_period_s: float) -> None:
        self._fixed = stride
        self._wanted_s = frame_period_s
        self._stamps_ns: deque[int] = deque(maxlen=HISTORY)
        self._picked_ns = 0
        self._since = 0
        self._period_s: float | None = None
        self._long_gap_s = 0.0
        self._gaps = 0
        self._stride = max(stride, 1)

    @property
    def stride(self) -> int:
        """Clouds of the sensor per cloud taken."""
        return self._stride

    @property
    def warning(self) -> str:
        """What is wrong with the period of the taken frames; empty where nothing is."""
        period = self._period_s
        if period is None or self._gaps < SETTLED or self._wanted_s <= 0:
            return ""
        taken = period * self._stride
        if abs(taken - self._wanted_s) <= TOLERANCE * self._wanted_s:
            return ""
        return (
            f"frame period {taken:.3g} s (every {self._stride}. cloud of a sensor with {period:.3g} s) does not match "
            f"the {self._wanted_s:.3g} s that the bundle was trained at"
        )

    def pick(self, stamp_ns: int) -> bool:
        """Whether the model takes the cloud with this stamp; to be asked once for every cloud."""
        fresh = not self._stamps_ns or stamp_ns < self._stamps_ns[-1]
        overdue = not self._fixed and self._overdue(stamp_ns)
        self._stamps_ns.append(stamp_ns)
        self._measure()
        self._since += 1
        taken = fresh or overdue or self._since >= self._stride
        if taken:
            self._picked_ns, self._since = stamp_ns, 0
        return taken

    def _measure(self) -> None:
        """Time over clouds. The newest burst counts as if a long gap followed it: a burst that is cut off says nothing,
        and a period that is rather too long leaves out too little.
        """
        gaps = gaps_s(self._stamps_ns)
        self._gaps = len(gaps)
        if not gaps.any():
            return
        self._long_gap_s = float(np.percentile(gaps, LONG_PERCENT, method="higher"))
        self._period_s = (float(gaps.sum()) + self._long_gap_s) / (len(gaps) + 1)
        wanted = self._wanted_s / self._period_s
        if not self._fixed and self._wanted_s > 0 and abs(wanted - self._stride) > HELD:
            self._stride = max(round(wanted), 1)

    def _overdue(self, stamp_ns: int) -> bool:
        """Whether more time has passed than `stride` clouds take, late as bursts may make them, and half a period."""
        period = self._period_s
        if period is None:
            return False
        return (stamp_ns - self._picked_ns) / 1e9 >= (self._stride - 0.5) * period + self._long_gap_s
