"""Action segmentation: the action of each frame, and the runs of one action that the window holds."""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from pointata.classes import UNLABELLED
from pointata.frame import LabelledFrame
from pointata.metrics.confusion import ConfusionMatrix
from pointata.metrics.segments import SegmentScore
from pointata.metrics.summary import accuracy
from pointata.prediction import ActionSegment, Prediction
from pointata.tasks.encoded import Encoded
from pointata.tasks.reporting import Heads, Moment, Options, Reporter, Scores
from pointata.tasks.scope import Scope
from pointata.tasks.task import Evaluation, HeadSizes, Measured, Task


class SegmentsHead(nn.Module):
    """Class of each frame: its pooled tokens -> causal recurrent layer -> linear."""

    def __init__(self, inputs: int, width: int, classes: int) -> None:
        super().__init__()
        self.recurrent = nn.GRU(inputs, width, batch_first=True)
        self.out = nn.Linear(width, classes)

    def forward(self, frames: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Scores of the frames of a chunk.

        Args:
            frames: (B, T, F) pooled features.
            state: (B, D) recurrent state before the chunk.

        Returns:
            (B, T, C) logits and the new state (B, D).
        """
        features, last = self.recurrent(frames, state.unsqueeze(0).contiguous())
        return self.out(features), last.squeeze(0)


class Segments(Task):
    """The action of each frame."""

    name = "segments"
    scope = Scope.FRAME
    figure_name = "segments_accuracy"

    def figure(self, matrix: ConfusionMatrix) -> float:
        """Share of the frames whose action is right."""
        return accuracy(matrix)

    def make_head(self, sizes: HeadSizes, classes: int) -> nn.Module:
        """See `Task`."""
        return SegmentsHead(sizes.pooled, sizes.width, classes)

    def memory(self, sizes: HeadSizes) -> int:
        """The recurrent state."""
        return sizes.width

    def score(self, head: nn.Module, seen: Encoded, memory: Tensor, first: int) -> tuple[Tensor, Tensor]:
        """See `Task`."""
        logits, memory = head(seen.frames, memory)
        return logits[:, first:], memory

    def reporter(self, heads: Heads, window_frames: int, options: Options) -> Reporter:
        """See `Task`."""
        return _SegmentsReporter(window_frames)

    def evaluation(self, names: Sequence[str], window_frames: int, recordings: int) -> Evaluation:
        """See `Task`."""
        return _SegmentsEvaluation(self, names)


class _SegmentsReporter(Reporter):
    def __init__(self, window_frames: int) -> None:
        self._frames: deque[tuple[int, NDArray[np.float32]]] = deque(maxlen=window_frames)

    def report(self, scores: Scores, now: Moment) -> tuple[ActionSegment, ...]:
        """Runs of one action within the window, oldest first."""
        self._frames.append((now.stamp_ns, scores["segments"]))
        return merge_runs(list(self._frames))


def merge_runs(frames: Sequence[tuple[int, NDArray[np.float32]]]) -> tuple[ActionSegment, ...]:
    """Merge consecutive frames with the same leading class.

    Args:
        frames: (stamp_ns, (C,) probabilities), oldest first.
    """
    runs: list[tuple[int, list[tuple[int, float]]]] = []
    for stamp, scores in frames:
        leader = int(scores.argmax())
        if not runs or runs[-1][0] != leader:
            runs.append((leader, []))
        runs[-1][1].append((stamp, float(scores[leader])))
    return tuple(
        ActionSegment(run[0][0], run[-1][0], class_id, float(np.mean([score for _, score in run])))
        for class_id, run in runs
    )


class _SegmentsEvaluation(Evaluation):
    """Scores the newest frame's action, frame by frame: as a sequence, exactly and as HOI4D's script does."""

    def __init__(self, task: Task, names: Sequence[str]) -> None:
        super().__init__(task, names)
        self._exact, self._compat = SegmentScore(names), SegmentScore(names, compat=True)
        self._truth: list[int] = []
        self._given: list[int] = []

    def take(self, truth: LabelledFrame, prediction: Prediction, settled: bool) -> None:
        """See `Evaluation`."""
        if settled:
            self._truth.append(UNLABELLED if truth.action is None else truth.action)
            self._given.append(prediction.segments[-1].class_id if prediction.segments else UNLABELLED)

    def end(self, recording: Measured) -> None:
        """See `Evaluation`."""
        truth, given = np.array(self._truth, np.int64), np.array(self._given, np.int64)
        self._truth, self._given = [], []
        self.matrix.update(truth, given)
        if len(truth):
            self._exact.update(truth, given)
            self._compat.update(truth, given)

    def listed(self) -> dict[str, Mapping[str, float]]:
        """Acc, Edit and F1."""
        if not self.matrix.total:
            return {}
        return {
            "action segments, percent": self._exact.figures(),
            "as HOI4D's script counts (the last ends a frame early)": self._compat.figures(),
        }

    def report(self) -> dict[str, Any]:
        """Acc, Edit and F1 in percent."""
        exact, compat = (score.figures() if self.matrix.total else {} for score in (self._exact, self._compat))
        return {"segments": exact, "segments_compat": compat}


TASK = Segments()
