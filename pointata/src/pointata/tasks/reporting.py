"""From the scores of a stream to what is reported of it. Imports no torch."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pointata.classes import ClassInfo
from pointata.prediction import PointLabels, Result

#: Probabilities (..., C) by task.
Scores = Mapping[str, NDArray[np.float32]]
#: Classes by task.
Heads = Mapping[str, Sequence[ClassInfo]]


class Options(Protocol):
    """Settings of a deployment that results depend on; see `pointata.inference.options.PredictorOptions`."""

    @property
    def min_frames(self) -> int: ...
    @property
    def unknown_score(self) -> float: ...
    @property
    def hysteresis_frames(self) -> int: ...


@dataclass(frozen=True)
class Moment:
    """The newest frame of a stream, for what is reported of it.

    Attributes:
        stamp_ns: its stamp.
        frame_count: frames in the window, it included.
        familiar: whether the window is like those that the bundle was trained on.
        labels: of all points, by task that scores points.
    """

    stamp_ns: int
    frame_count: int
    familiar: Callable[[], bool]
    labels: Mapping[str, PointLabels]


class Reporter(ABC):
    """Makes a task's results of the scores of one stream, frame by frame; an emptied window starts a new one."""

    def adjust(self, options: Options) -> None:
        """Take other settings; what is remembered stays."""
        return

    @abstractmethod
    def report(self, scores: Scores, now: Moment) -> Result:
        """The result at the newest frame, given the probabilities of all tasks."""
