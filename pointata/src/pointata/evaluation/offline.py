"""A predictor measured on recordings, frame by frame, as it runs on the robot."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointata.classes import UNLABELLED, ClassInfo
from pointata.data.recording import Recording
from pointata.errors import DataError
from pointata.evaluation.confusion import ConfusionMatrix
from pointata.evaluation.metrics import accuracy, iou_per_class, mean_iou, percentiles
from pointata.evaluation.segment_metrics import SegmentScore
from pointata.evaluation.video_metrics import VideoVote
from pointata.frame import LabelledFrame
from pointata.prediction import Prediction
from pointata.predictor import Predictor


@dataclass
class OfflineScore:
    """Confusions by task and wall time per frame; "action" counts frames, "semantic" points.

    `segments` scores the newest frame's action segment, frame by frame, as a sequence, and `segments_compat` does so as
    HOI4D's script does; None without that task. `vote` scores videos of one action; None without the task "action".
    """

    confusions: dict[str, ConfusionMatrix]
    segments: SegmentScore | None = None
    segments_compat: SegmentScore | None = None
    vote: VideoVote | None = None
    unvoted: list[str] = field(default_factory=list)
    """Videos of one action without a frame that votes: all are before `min_frames`, or rejected."""
    frames: int = 0
    left_out: int = 0
    """Clouds of the recordings that could not be read."""
    rejected: list[str] = field(default_factory=list)
    step_ms: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, heads: Mapping[str, tuple[ClassInfo, ...]]) -> "OfflineScore":
        """Nothing counted yet, for a bundle's heads."""
        names = {task: [c.name for c in classes] for task, classes in heads.items()}
        score = cls({task: ConfusionMatrix(of_task) for task, of_task in names.items()})
        if "segments" in names:
            score.segments = SegmentScore(names["segments"])
            score.segments_compat = SegmentScore(names["segments"], compat=True)
        if "action" in names:
            score.vote = VideoVote(names["action"])
        return score

    def figures(self) -> dict[str, float]:
        """The figures a bundle's metadata states."""
        result: dict[str, float] = {}
        if "action" in self.confusions and self.confusions["action"].total:
            result["action_accuracy"] = accuracy(self.confusions["action"])
        if "segments" in self.confusions and self.confusions["segments"].total:
            result["segments_accuracy"] = accuracy(self.confusions["segments"])
        if "semantic" in self.confusions and self.confusions["semantic"].total:
            result["segmentation_miou"] = mean_iou(self.confusions["semantic"])
        return {name: round(value, 4) for name, value in result.items()}

    def published(self) -> dict[str, float]:
        """What published tables state besides: the video vote, and the mean IoU with absent classes counted as 0."""
        result: dict[str, float] = {}
        if self.vote is not None and self.vote.videos.total:
            result["video_accuracy"] = accuracy(self.vote.videos)
        if "semantic" in self.confusions and self.confusions["semantic"].total:
            result["segmentation_miou_absent_as_zero"] = mean_iou(self.confusions["semantic"], absent_as_zero=True)
        return {name: round(value, 4) for name, value in result.items()}

    def report(self) -> dict[str, Any]:
        """All figures, JSON-ready."""
        semantic = self.confusions.get("semantic")
        scored = semantic is not None and semantic.total > 0
        per_class = {} if semantic is None or not scored else dict(
            zip(semantic.names, (round(v, 4) for v in iou_per_class(semantic).tolist()), strict=True)
        )  # fmt: skip
        return {
            "frames": self.frames,
            "left_out": self.left_out,
            "rejected": self.rejected,
            **self.figures(),
            **self.published(),
            "videos": 0 if self.vote is None else self.vote.videos.total,
            "videos_without_vote": self.unvoted,
            "segments": _segment_figures(self.segments),
            "segments_compat": _segment_figures(self.segments_compat),
            "per_class_iou": per_class,
            "supports": {
                task: dict(zip(matrix.names, matrix.support.tolist(), strict=True))
                for task, matrix in self.confusions.items()
            },
            "confusion": {task: matrix.counts.tolist() for task, matrix in self.confusions.items()},
            "step_ms": percentiles(self.step_ms) if self.step_ms else {},
        }

    def save(self, path: Path) -> None:
        """Write the report as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.report(), indent=2) + "\n", encoding="utf-8")


def _segment_figures(score: SegmentScore | None) -> dict[str, float]:
    return score.figures() if score is not None and score.frames.total else {}


def _agree(mine: tuple[ClassInfo, ...], theirs: tuple[ClassInfo, ...] | None, where: str) -> bool:
    """Whether ground truth can be scored; classes of another list cannot."""
    if theirs is None:
        return False
    if [c.name for c in mine] != [c.name for c in theirs]:
        raise DataError(
            f"{where} is labelled with {', '.join(c.name for c in theirs)}, but the bundle predicts "
            f"{', '.join(c.name for c in mine)}: choose a bundle trained on these classes"
        )
    return True


def _tasks(heads: Mapping[str, tuple[ClassInfo, ...]], recording: Recording) -> frozenset[str]:
    """The bundle's tasks that a recording has ground truth for."""
    truths = {"action": recording.actions, "segments": recording.actions, "semantic": recording.classes}
    return frozenset(task for task in heads if _agree(heads[task], truths[task], recording.name))


def _newest_action(prediction: Prediction, task: str) -> int:
    """Class that a task gives the newest frame; 255 where it gives none."""
    if task == "segments":
        return prediction.segments[-1].class_id if prediction.segments else UNLABELLED
    action = prediction.action
    return UNLABELLED if action is None or action.unknown else action.class_id


@dataclass
class _Actions:
    """Actions of a recording's frames from `min_frames` on.

    Attributes:
        truth: class of each frame, 255 where unknown.
        given: class that each task gives it, 255 where none.
        scores: (C,) probabilities of the window's action; only where there are any.
    """

    truth: list[int] = field(default_factory=list)
    given: dict[str, list[int]] = field(default_factory=lambda: {"action": [], "segments": []})
    scores: list[NDArray[np.float32]] = field(default_factory=list)

    def take(self, action: int | None, prediction: Prediction) -> None:
        """Add a frame."""
        self.truth.append(UNLABELLED if action is None else action)
        for task, classes in self.given.items():
            classes.append(_newest_action(prediction, task))
        if prediction.action is not None:
            self.scores.append(prediction.action.scores)


def _steps(
    predictor: Predictor, recording: Recording, score: OfflineScore
) -> Iterator[tuple[LabelledFrame, Prediction]]:
    """Frames and their predictions, timed and counted; rejected frames are noted and passed over."""
    for item in recording:
        start = time.perf_counter()
        try:
            prediction = predictor.step(item.frame)
        except DataError as error:
            score.rejected.append(str(error))
            continue
        score.step_ms.append((time.perf_counter() - start) * 1e3)
        score.frames += 1
        yield item, prediction


def _count(score: OfflineScore, tasks: frozenset[str], actions: _Actions) -> None:
    """Add a recording's actions to the frames' confusions and to the segments."""
    truth = np.array(actions.truth, np.int64)
    for task in tasks & actions.given.keys():
        score.confusions[task].update(truth, np.array(actions.given[task], np.int64))
    for segments in (score.segments, score.segments_compat):
        if "segments" in tasks and segments is not None and len(truth):
            segments.update(truth, np.array(actions.given["segments"], np.int64))


def _vote(score: OfflineScore, video: Recording, number: int, actions: _Actions) -> None:
    """Let the frames of a video of one action vote; its number tells it from others of its name."""
    if score.vote is None or not actions.scores:
        score.unvoted.append(video.name)
        return
    probabilities = np.stack(actions.scores).astype(np.float64)  # (T, C)
    votes = len(probabilities)
    logits = np.log(np.maximum(probabilities, np.finfo(np.float64).tiny))
    score.vote.update([f"{number} ({video.name})"] * votes, np.full(votes, video.action), logits)


def evaluate(
    predictor: Predictor,
    recordings: Sequence[Recording],
    progress: Callable[[str, int], None] = lambda name, frames: None,
) -> OfflineScore:
    """Run a predictor over recordings, each from an empty window.

    Actions are scored once the window holds `min_frames`; unknown counts as wrong, as does an unlabelled point. The
    same frames vote for the class of a video of one action with their probabilities, those reported as unknown, too.

    Raises:
        DataError: a recording is labelled with other classes than the bundle's; nothing has run then.
    """
    heads: Mapping[str, tuple[ClassInfo, ...]] = predictor.metadata.heads
    scored = [_tasks(heads, recording) for recording in recordings]
    score = OfflineScore.of(heads)
    for number, (recording, tasks) in enumerate(zip(recordings, scored, strict=True)):
        predictor.reset()
        actions = _Actions()
        for item, prediction in _steps(predictor, recording, score):
            if "semantic" in tasks and item.labels is not None and prediction.semantic is not None:
                truth = item.labels[: item.frame.own_count]
                score.confusions["semantic"].update(truth, prediction.semantic.labels)
            if prediction.frame_count >= predictor.options.min_frames:
                actions.take(item.action, prediction)
        _count(score, tasks, actions)
        if "action" in tasks and recording.action >= 0:
            _vote(score, recording, number, actions)
        score.left_out += recording.left_out
        progress(recording.name, score.frames)
    return score
