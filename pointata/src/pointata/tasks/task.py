"""What a task is: how points or frames are scored, learnt, reported and measured, in one object."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from pointata.classes import UNLABELLED
from pointata.frame import LabelledFrame
from pointata.metrics.confusion import ConfusionMatrix
from pointata.prediction import Prediction
from pointata.tasks.encoded import Encoded
from pointata.tasks.reporting import Heads, Options, Reporter
from pointata.tasks.scope import Scope


@dataclass(frozen=True)
class HeadSizes:
    """Sizes of what a head sees.

    Attributes:
        width: D, channels of a token.
        pooled: F, channels of a pooled frame.
        channels: input channels of a point besides x, y, z.
        window: W, frames that a window holds.
    """

    width: int
    pooled: int
    channels: int
    window: int


@dataclass(frozen=True)
class Measured:
    """A recording that is measured.

    Attributes:
        name: of the recording.
        number: among those of the measurement, from 0.
        action: class of it as a whole; -1 where it has none.
        complete: whether all frames were measured that were to be.
    """

    name: str
    number: int
    action: int
    complete: bool


class Evaluation(ABC):
    """Counts how right a task's results are over recordings.

    Attributes:
        matrix: confusion of what the task scores.
    """

    def __init__(self, task: "Task", names: Sequence[str]) -> None:
        """Args: names: C class names; none where a bundle does not have the task."""
        self._task = task
        self.matrix = ConfusionMatrix(names)

    @abstractmethod
    def take(self, truth: LabelledFrame, prediction: Prediction, settled: bool) -> None:
        """Add a frame; `settled` where the window holds the frames that an action needs."""

    def end(self, recording: Measured) -> None:
        """The frames since the last call were those of a recording."""
        return

    def figures(self) -> dict[str, float]:
        """The figure that a bundle states; none where nothing was counted that it could be of."""
        figure = self._task.figure(self.matrix) if self.matrix.total else math.nan
        return {} if math.isnan(figure) else {self._task.figure_name: figure}

    def details(self) -> dict[str, float]:
        """Figures shown beside it."""
        return {}

    def published(self) -> dict[str, float]:
        """Further figures, as published tables state them."""
        return {}

    def listed(self) -> dict[str, Mapping[str, float]]:
        """Further figures in percent, by what they are."""
        return {}

    def remarks(self) -> list[str]:
        """What whoever reads the figures must know."""
        return []

    def report(self) -> dict[str, Any]:
        """Further entries of the file of figures: always the same names, empty where there is nothing."""
        return {}


class Task(ABC):
    """What a head is for.

    Attributes:
        name: by which networks, bundles and data sets call it.
        scope: what it gives a class to.
        figure_name: of the figure that says how good it is, in training and evaluation.
    """

    name: str
    scope: Scope
    figure_name: str

    @abstractmethod
    def figure(self, matrix: ConfusionMatrix) -> float:
        """The figure, 0 to 1, the larger the better; NaN where nothing was counted."""

    @abstractmethod
    def make_head(self, sizes: HeadSizes, classes: int) -> nn.Module:
        """A fresh head."""

    def memory(self, sizes: HeadSizes) -> int:
        """Numbers that the head remembers of a stream."""
        return 0

    @abstractmethod
    def score(self, head: nn.Module, seen: Encoded, memory: Tensor, first: int) -> tuple[Tensor, Tensor]:
        """Apply the head.

        Args:
            head: what `make_head` gave.
            seen: a chunk of T frames.
            memory: (B, M) what the head remembers of the frames before; zeros at first.
            first: frame of the chunk from which on windows and frames are scored; all are remembered.

        Returns:
            Logits (B, T - first, C) of the windows or frames; or (B, S, N, C) of the points of the newest S frames. And
            the memory after the chunk.
        """

    def loss(self, logits: Tensor, truth: Tensor, smoothing: float = 0.0, weights: Tensor | None = None) -> Tensor:
        """Mean cross entropy of what has a known class; 0 where nothing has.

        Args:
            logits: (..., C).
            truth: (...) int64 class ids; 255 and -1 stand for unknown.
            smoothing: of the labels.
            weights: (C,) of the classes.
        """
        target = truth.where(truth >= 0, UNLABELLED).flatten()
        if not (target != UNLABELLED).any():
            return logits.sum() * 0.0
        scores = logits.flatten(0, -2)
        return F.cross_entropy(scores, target, weights, ignore_index=UNLABELLED, label_smoothing=smoothing)

    @abstractmethod
    def reporter(self, heads: Heads, window_frames: int, options: Options) -> Reporter:
        """For a stream whose window is empty, of a bundle with these tasks and classes."""

    @abstractmethod
    def evaluation(self, names: Sequence[str], window_frames: int, recordings: int) -> Evaluation:
        """Nothing counted yet, for a bundle with these classes and window, on so many recordings."""
