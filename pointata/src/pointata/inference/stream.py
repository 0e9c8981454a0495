"""What a deployment remembers of one stream beside the network's state: its window, and the labels in force."""

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pointata.errors import ConfigError
from pointata.frame import Frame
from pointata.inference.decision import Hysteresis, merge_runs
from pointata.prediction import ActionResult, ActionSegment
from pointata.preprocessing.preprocessor import Crop
from pointata.text import cut


@dataclass(frozen=True)
class PredictorOptions:
    """Settings of a deployment, apart from what the bundle fixes."""

    min_frames: int = 4
    """Frames in the window before an action is reported; until then it is unknown."""
    max_gap_s: float = 1.0
    """A longer pause between two frames empties the window, seconds."""
    min_range_m: float = 0.0
    """Nearer points are left unlabelled, metres; the bundle's own limit holds where it is stricter."""
    max_range_m: float = 0.0
    """Farther points are left unlabelled, metres; 0 for the bundle's own limit."""
    drop_zeros: bool = True
    """Points at exactly (0, 0, 0) are left out and unlabelled: what drivers write where no echo came back."""
    unknown_score: float = 0.35
    """An action below this probability is reported as unknown, as is one in a window unlike the bundle's training,
    where the bundle says how unlike; 0 for neither."""
    hysteresis_frames: int = 2
    """Frames in a row for which a new action must lead before it is reported."""

    @property
    def crop(self) -> Crop:
        """What is left out of a frame."""
        return Crop(self.min_range_m, self.max_range_m, self.drop_zeros)

    def __post_init__(self) -> None:
        if self.min_frames < 1 or self.hysteresis_frames < 1 or self.max_gap_s <= 0:
            raise ConfigError(f"min_frames and hysteresis_frames must be >= 1 and max_gap_s > 0: {self}")
        if not 0 <= self.unknown_score <= 1 or self.min_range_m < 0 or self.max_range_m < 0:
            raise ConfigError(f"unknown_score must be 0 to 1 and ranges must not be negative: {self}")


class Stream:
    """One sensor's window.

    Args:
        window_frames: frames of a full window.
        options: settings of the deployment.
    """

    def __init__(self, window_frames: int, options: PredictorOptions) -> None:
        self._options = options
        self._window_frames = window_frames
        self.reset()

    def set_options(self, options: PredictorOptions) -> None:
        """Take other settings from the next frame on; the window stays."""
        self._options = options
        self._action.adjust(options.hysteresis_frames, options.unknown_score)

    def reset(self) -> None:
        """Forget the stream; the next frame starts a new window."""
        self._stamps: deque[int] = deque(maxlen=self._window_frames)
        self._segments: deque[tuple[int, NDArray[np.float32]]] = deque(maxlen=self._window_frames)
        self._action = Hysteresis(self._options.hysteresis_frames, self._options.unknown_score)
        self._frame_id: str | None = None
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
        """Why this frame cannot continue the window; None where it can."""
        if not self._stamps:
            return None
        gap = (frame.stamp_ns - self._stamps[-1]) * 1e-9
        if gap == 0:
            unset = "" if frame.stamp_ns else ", 0: the driver does not set it"
            return f"two clouds have the same stamp{unset}"
        if gap < 0:
            return f"time went back by {-gap:.3f} s"
        if gap > self._options.max_gap_s:
            return f"gap of {gap:.3f} s, more than {self._options.max_gap_s} s"
        if frame.frame_id != self._frame_id:
            return f"frame_id changed from {cut(self._frame_id or '')!r} to {cut(frame.frame_id)!r}"
        return None

    def append(self, frame: Frame) -> float:
        """Make the frame the newest of the window; returns its time since the window's first frame ever, seconds."""
        if not self._stamps:
            self._origin_ns = frame.stamp_ns
        self._frame_id = frame.frame_id
        self._stamps.append(frame.stamp_ns)
        return (frame.stamp_ns - self._origin_ns) * 1e-9

    def decide(self, scores: NDArray[np.float32], familiar: bool = True) -> ActionResult:
        """The action in force, given the newest window's probabilities (C,) and whether it is like the training."""
        class_id, confident = self._action.update(scores)
        enough = len(self._stamps) >= self._options.min_frames
        return ActionResult(class_id, float(scores[class_id]), scores, unknown=not (confident and enough and familiar))

    def segment(self, scores: NDArray[np.float32]) -> tuple[ActionSegment, ...]:
        """Runs of one action within the window, given the newest frame's probabilities (C,)."""
        self._segments.append((self._stamps[-1], scores))
        return merge_runs(list(self._segments))
