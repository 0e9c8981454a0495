"""Whether the clouds of a stream continue each other, and whether some never came. Imports no ROS."""

from collections import deque
from typing import Any

#: So many clouds are looked back at, and so many of them empty the window before that is worth a warning.
_RECENT, _MANY = 10, 5


class Continuity:
    """Why the window was emptied at each of the last clouds."""

    def __init__(self) -> None:
        self._recent: deque[str] = deque(maxlen=_RECENT)

    def add(self, reason: str) -> None:
        """Take in a cloud that was answered; the reason is empty where it continued the window."""
        self._recent.append(reason)

    @property
    def warning(self) -> str:
        """What to do where nearly every cloud stands alone; empty where they do not."""
        reasons = [reason for reason in self._recent if reason]
        if len(reasons) < _MANY:
            return ""
        return (
            f"the window was emptied at {len(reasons)} of the last {len(self._recent)} clouds, last: {reasons[-1]}; "
            "let one driver alone publish the input, with one frame_id, one layout and rising stamps"
        )


class Repetition:
    """Clouds that come twice, byte for byte under one stamp, as from two bridges of one topic."""

    def __init__(self) -> None:
        self._last: Any = None
        self._repeats: deque[bool] = deque(maxlen=_RECENT)

    def add(self, msg: Any) -> bool:
        """Take in a sensor_msgs/PointCloud2; True where it repeats the one before."""
        last, self._last = self._last, msg
        repeats = last is not None and last.header == msg.header and last.data == msg.data
        self._repeats.append(repeats)
        return repeats

    @property
    def warning(self) -> str:
        """What to do about clouds that come again and again; empty where they do not."""
        repeated = sum(self._repeats)
        if repeated < 2:
            return ""
        return (
            f"{repeated} of the last {len(self._repeats)} clouds repeat another and are skipped: who sends them twice?"
        )


class Losses:
    """Clouds that a publisher sent and nobody saw, by the sequence numbers that the middleware gives them.

    With several publishers their numbers cannot be told apart, and nothing is counted.
    """

    def __init__(self) -> None:
        self._last: int | None = None

    def forget(self) -> None:
        """Another publisher may be at work from now on."""
        self._last = None

    def before(self, sequence: int | None, publishers: int) -> int:
        """Clouds that are missing before the one with this number; None where the middleware gives none."""
        last, self._last = self._last, sequence if publishers == 1 else None
        if last is None or self._last is None:
            return 0
        return max(self._last - last - 1, 0)
