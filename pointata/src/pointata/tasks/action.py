"""Action recognition: the action that the window shows."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from pointata.classes import UNLABELLED
from pointata.frame import LabelledFrame
from pointata.metrics.confusion import ConfusionMatrix
from pointata.metrics.summary import accuracy, window_labels
from pointata.metrics.vote import VideoVote
from pointata.prediction import ActionResult, Prediction
from pointata.tasks.encoded import Encoded
from pointata.tasks.reporting import Heads, Moment, Options, Reporter, Scores
from pointata.tasks.scope import Scope
from pointata.tasks.task import Evaluation, HeadSizes, Measured, Task

Probabilities = TypeVar("Probabilities", NDArray[np.float32], Tensor)


class ActionHead(nn.Module):
    """Class of the window: its pooled frames -> convolution over time -> mean, maximum and newest -> MLP."""

    def __init__(self, inputs: int, width: int, classes: int, window: int) -> None:
        super().__init__()
        self.window = window
        hidden = max(64, width // 3)
        self.time = nn.Sequential(
            nn.Conv1d(inputs, hidden, kernel_size=1), nn.GELU(), nn.Conv1d(hidden, hidden, kernel_size=5, padding=2)
        )
        self.mlp = nn.Sequential(nn.Linear(3 * hidden, width), nn.GELU(), nn.Dropout(0.2), nn.Linear(width, classes))

    def forward(self, pooled: Tensor, valid: Tensor) -> Tensor:
        """Scores of every window that ends in the chunk.

        Args:
            pooled: (B, W - 1 + T, F), pooled tokens of each frame; history first.
            valid: (B, W - 1 + T) bool, frames that belong to the stream.

        Returns:
            (B, T, C) logits.
        """
        mask = valid.unfold(1, self.window, 1).unsqueeze(2)  # (B, T, 1, W)
        frames = torch.where(mask, pooled.unfold(1, self.window, 1), 0.0)  # (B, T, F, W)
        seen = F.gelu(self.time(frames.flatten(0, 1))).reshape(*mask.shape[:2], -1, self.window)  # (B, T, h, W)
        mean = torch.where(mask, seen, 0.0).sum(-1) / mask.sum(-1)
        largest = torch.where(mask, seen, -torch.inf).amax(-1)
        logits: Tensor = self.mlp(torch.cat([mean, largest, seen[..., -1]], dim=-1))
        return logits


class Action(Task):
    """The action that the window shows."""

    name = "action"
    scope = Scope.WINDOW
    figure_name = "action_accuracy"

    def figure(self, matrix: ConfusionMatrix) -> float:
        """Share of the frames whose action is right; unknown is wrong."""
        return accuracy(matrix)

    def make_head(self, sizes: HeadSizes, classes: int) -> nn.Module:
        """See `Task`."""
        return ActionHead(sizes.pooled, sizes.width, classes, sizes.window)

    def score(self, head: nn.Module, seen: Encoded, memory: Tensor, first: int) -> tuple[Tensor, Tensor]:
        """See `Task`."""
        return head(seen.pooled[:, first:], seen.valid[:, first:]), memory

    def reporter(self, heads: Heads, window_frames: int, options: Options) -> Reporter:
        """See `Task`."""
        return _ActionReporter(heads, options)

    def evaluation(self, names: Sequence[str], window_frames: int, recordings: int) -> Evaluation:
        """See `Task`."""
        return _ActionEvaluation(self, names, window_frames, recordings)


def reported(scores: Mapping[str, Probabilities], heads: Heads) -> Probabilities:
    """Probabilities (..., C) of the action: the mean of those of "segments", too, where it has the same classes.

    Args:
        scores: probabilities by task.
        heads: classes by task; "action" is one of them.
    """
    action = scores["action"]
    if heads["action"] != heads.get("segments"):
        return action
    mean: Probabilities = (action + scores["segments"]) / 2  # type: ignore[assignment]  # float32 stays float32
    return mean


class Hysteresis:
    """Holds the reported class until another one has led for some frames in a row."""

    def __init__(self, frames: int, unknown_score: float) -> None:
        """Args: frames: leads in a row that a new class needs. unknown_score: least probability of a known class."""
        self._frames = frames
        self._unknown_score = unknown_score
        self._reported: int | None = None
        self._challenger: int | None = None
        self._leads = 0

    def adjust(self, frames: int, unknown_score: float) -> None:
        """Take other settings; what is reported, and what challenges it, stays."""
        self._frames, self._unknown_score = frames, unknown_score

    def update(self, scores: NDArray[np.float32]) -> tuple[int, bool]:
        """Take the (C,) probabilities of a frame; returns the reported class and whether it is confident enough."""
        leader = int(scores.argmax())
        if self._reported is None:
            self._reported = leader
        if leader == self._reported:
            self._challenger, self._leads = None, 0
        else:
            self._leads = self._leads + 1 if leader == self._challenger else 1
            self._challenger = leader
            if self._leads >= self._frames:
                self._reported, self._challenger, self._leads = leader, None, 0
        return self._reported, bool(scores[self._reported] >= self._unknown_score)


class _ActionReporter(Reporter):
    def __init__(self, heads: Heads, options: Options) -> None:
        self._heads = heads
        self._min_frames = options.min_frames
        self._hysteresis = Hysteresis(options.hysteresis_frames, options.unknown_score)

    def adjust(self, options: Options) -> None:
        """See `Reporter`."""
        self._min_frames = options.min_frames
        self._hysteresis.adjust(options.hysteresis_frames, options.unknown_score)

    def report(self, scores: Scores, now: Moment) -> ActionResult:
        """The action in force; unknown in a short window, or in one unlike the training."""
        probabilities = reported(scores, self._heads)
        class_id, confident = self._hysteresis.update(probabilities)
        unknown = not (confident and now.frame_count >= self._min_frames and now.familiar())
        return ActionResult(class_id, float(probabilities[class_id]), probabilities, unknown)


class _ActionEvaluation(Evaluation):
    """Counts frames, windows that do not overlap, and videos of one action, whose frames vote."""

    def __init__(self, task: Task, names: Sequence[str], window_frames: int, recordings: int) -> None:
        super().__init__(task, names)
        self._window_frames = window_frames
        self._windows = ConfusionMatrix(names)
        self._vote = VideoVote(names, recordings)
        self._unvoted: list[str] = []
        self._truth: list[int] = []
        self._given: list[int] = []
        self._scores: list[NDArray[np.float32]] = []

    def take(self, truth: LabelledFrame, prediction: Prediction, settled: bool) -> None:
        """See `Evaluation`."""
        action = prediction.action
        if settled and action is not None:
            self._truth.append(UNLABELLED if truth.action is None else truth.action)
            self._given.append(UNLABELLED if action.unknown else action.class_id)
            self._scores.append(action.scores)

    def end(self, recording: Measured) -> None:
        """See `Evaluation`."""
        truth, given, scores = np.array(self._truth, np.int64), np.array(self._given, np.int64), self._scores
        self._truth, self._given, self._scores = [], [], []
        if scores:
            self.matrix.update(truth, given)
            self._windows.update(*window_labels(truth, np.stack(scores), self._window_frames))
        if not recording.complete or recording.action < 0:
            return
        if scores:
            votes = np.full(len(scores), recording.number)
            self._vote.update(votes, np.full(len(scores), recording.action), np.stack(scores))
        else:
            self._unvoted.append(recording.name)

    def details(self) -> dict[str, float]:
        """Share of the windows whose action is right, and of the frames whose action is reported as unknown."""
        result: dict[str, float] = {}
        if self._windows.total:
            result["window_accuracy"] = accuracy(self._windows)
        if self.matrix.total:
            result["action_unknown"] = float(self.matrix.counts[:, -1].sum() / self.matrix.total)
        return result

    def published(self) -> dict[str, float]:
        """The video vote."""
        videos = self._vote.videos
        return {"video_accuracy": accuracy(videos)} if videos.total else {}

    def remarks(self) -> list[str]:
        """Videos of one action without a frame that votes: all are before `min_frames`, or rejected."""
        if not self._unvoted:
            return []
        return [f"{len(self._unvoted)} videos gave no vote and do not count in video_accuracy: too few frames"]

    def report(self) -> dict[str, Any]:
        """What the accuracies of windows and videos are shares of."""
        videos = self._vote.videos.total
        return {"windows": self._windows.total, "videos": videos, "videos_without_vote": self._unvoted}


TASK = Action()
