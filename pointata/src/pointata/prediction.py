"""What the predictor gives for one frame."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ActionResult:
    """Action recognised over the window that ends at the newest frame.

    Attributes:
        class_id: index of the reported class (after hysteresis); meaningless where `unknown`.
        score: probability of `class_id`, 0 to 1.
        scores: (C,) float32 softmax probabilities of all classes.
        unknown: True where no class is confident enough or the window is still too short.
    """

    class_id: int
    score: float
    scores: NDArray[np.float32]
    unknown: bool


@dataclass(frozen=True)
class ActionSegment:
    """A run of frames with one action: [start_ns, end_ns] are the stamps of its first and last frame."""

    start_ns: int
    end_ns: int
    class_id: int
    score: float


@dataclass(frozen=True)
class PointLabels:
    """Class of every point of `Frame.points`.

    Attributes:
        labels: (N,) uint8, 255 = unlabelled.
        scores: (N,) float32 probability of the label, 0 to 1; 0 where unlabelled.
    """

    labels: NDArray[np.uint8]
    scores: NDArray[np.float32]


#: What a task gives for a frame: its window's action, the window's segments (oldest first), or its points' classes.
Result = ActionResult | tuple[ActionSegment, ...] | PointLabels


@dataclass(frozen=True)
class Prediction:
    """Result of one `Predictor.step`.

    Attributes:
        stamp_ns: stamp of the newest frame.
        window_start_ns: stamp of the oldest frame that the window still holds.
        frame_count: frames in the window, 1 to `window.frames`.
        results: by task (see `pointata.tasks`), of every task that the bundle has a head for.
        timings_ms: wall time per stage ("sample", "model", "restore", ...), milliseconds.
        reset_reason: why the window was emptied before this frame; None where it was not.
        no_return: points of this frame left out because they are (0, 0, 0); see `PredictorOptions.drop_zeros`.
    """

    stamp_ns: int
    window_start_ns: int
    frame_count: int
    results: Mapping[str, Result] = field(default_factory=dict)
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    reset_reason: str | None = None
    no_return: int = 0

    @property
    def action(self) -> ActionResult | None:
        """Result of the task "action"; None where the bundle does not have it."""
        return cast(ActionResult | None, self.results.get("action"))

    @property
    def segments(self) -> tuple[ActionSegment, ...] | None:
        """Result of the task "segments", oldest first, covering the window; None where the bundle does not have it."""
        return cast(tuple[ActionSegment, ...] | None, self.results.get("segments"))

    @property
    def semantic(self) -> PointLabels | None:
        """Result of the task "semantic"; None where the bundle does not have it."""
        return cast(PointLabels | None, self.results.get("semantic"))
