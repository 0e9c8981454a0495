"""What a deployment remembers of one stream beside the network's state: its window, and what is reported."""

from collections import deque
from collections.abc import Callable, Hashable, Mapping
from typing import NamedTuple

from pointata.frame import Frame
from pointata.inference.options import PredictorOptions
from pointata.prediction import PointLabels, Result
from pointata.tasks import get
from pointata.tasks.reporting import Heads, Moment, Scores
from pointata.text import cut


class _Last(NamedTuple):
    """What of the newest frame decides whether another one continues the window."""

    stamp_ns: int
    frame_id: str
    layout: Hashable
    pose_known: bool


class Stream:
    """One sensor's window.

    Args:
        window_frames: frames of a full window.
        options: settings of the deployment.
        heads: classes by task, of the tasks that are reported.
    """

    def __init__(self, window_frames: int, options: PredictorOptions, heads: Heads) -> None:
        self._options = options
        self._heads = heads
        self._window_frames = window_frames
        self.reset()

    def set_options(self, options: PredictorOptions) -> None:
        """Take other settings from the next frame on; the window stays."""
        self._options = options
        for reporter in self._reporters.values():
            reporter.adjust(options)

    def reset(self) -> None:
        """Forget the stream; the next frame starts a new window."""
        self._stamps: deque[int] = deque(maxlen=self._window_frames)
        self._reporters = {
            task: get(task).reporter(self._heads, self._window_frames, self._options) for task in self._heads
        }
        self._last: _Last | None = None
        self._origin_ns = 0

    @property
    def frame_count(self) -> int:
        """Frames in the window."""
        return len(self._stamps)

    @property
    def window_start_ns(self) -> int:
        """Stamp of the oldest frame in the window."""
        return self._stamps[0]

    def discontinuity(self, frame: Frame) -> str | None:
        """Why this frame cannot continue the window; None where it can. All rules are here."""
        last = self._last
        if last is None:
            return None
        if frame.pose_known != last.pose_known:
            return "ego motion became known" if frame.pose_known else "ego motion was lost"
        if frame.layout != last.layout:
            return "the point layout of the clouds changed"
        gap = (frame.stamp_ns - last.stamp_ns) * 1e-9
        if gap == 0:
            unset = "" if frame.stamp_ns else ", 0: the driver does not set it"
            return f"two clouds have the same stamp{unset}"
        if gap < 0:
            return f"time went back by {-gap:.3f} s"
        if gap > self._options.max_gap_s:
            return f"gap of {gap:.3f} s, more than {self._options.max_gap_s} s"
        if frame.frame_id != last.frame_id:
            return f"frame_id changed from {cut(last.frame_id)!r} to {cut(frame.frame_id)!r}"
        return None

    def append(self, frame: Frame) -> float:
        """Make the frame the newest of the window; returns the seconds since the first one after a reset."""
        if not self._stamps:
            self._origin_ns = frame.stamp_ns
        self._last = _Last(frame.stamp_ns, frame.frame_id, frame.layout, frame.pose_known)
        self._stamps.append(frame.stamp_ns)
        return (frame.stamp_ns - self._origin_ns) * 1e-9

    def report(
        self, scores: Scores, familiar: Callable[[], bool], labels: Mapping[str, PointLabels]
    ) -> dict[str, Result]:
        """The results of all tasks at the newest frame.

        Args:
            scores: probabilities by task.
            familiar: whether the window is like those that the bundle was trained on.
            labels: of all points, by task that scores points.
        """
        now = Moment(self._stamps[-1], self.frame_count, familiar, labels)
        return {task: reporter.report(scores, now) for task, reporter in self._reporters.items()}
