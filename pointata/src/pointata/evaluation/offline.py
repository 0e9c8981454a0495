"""A predictor measured on recordings, frame by frame, as it runs on the robot."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pointata.classes import UNLABELLED, ClassInfo
from pointata.data.recording import Recording
from pointata.errors import DataError, InferenceError
from pointata.evaluation.score import OfflineScore
from pointata.frame import LabelledFrame
from pointata.inference.predictor import Predictor
from pointata.metrics.summary import window_labels
from pointata.prediction import Prediction
from pointata.preprocessing.rates import gaps_s, mean_rate_hz

#: Takes a recording and its frames and hands the frames on, as they are asked for: to see how far it is.
Watch = Callable[[Recording, Iterable[LabelledFrame]], Iterable[LabelledFrame]]


@dataclass(frozen=True)
class Part:
    """Which frames of each recording are measured."""

    start: int = 0
    """Frames left out before the first."""
    count: int | None = None
    """Most frames; None for all."""

    def __str__(self) -> str:
        """As a bundle states it; empty for whole recordings."""
        if self.start == 0 and self.count is None:
            return ""
        return f"frames from {self.start}" + ("" if self.count is None else f", at most {self.count}")


WHOLE = Part()


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
    predictor: Predictor, frames: Iterable[LabelledFrame], score: OfflineScore
) -> Iterator[tuple[LabelledFrame, Prediction]]:
    """Frames and their predictions, timed and counted; rejected frames, and scores that are not finite, are noted."""
    for item in frames:
        start = time.perf_counter()
        try:
            prediction = predictor.step(item.frame)
        except (DataError, InferenceError) as error:
            score.rejected.append(str(error))
            continue
        score.step_ms.append((time.perf_counter() - start) * 1e3)
        score.frames += 1
        yield item, prediction


def _count(score: OfflineScore, tasks: frozenset[str], actions: _Actions) -> None:
    """Add a recording's actions to the frames' and windows' confusions and to the segments."""
    truth = np.array(actions.truth, np.int64)
    for task in tasks & actions.given.keys():
        score.confusions[task].update(truth, np.array(actions.given[task], np.int64))
    if "action" in tasks and score.windows is not None and actions.scores:
        score.windows.update(*window_labels(truth, np.stack(actions.scores), score.window_frames))
    for segments in (score.segments, score.segments_compat):
        if "segments" in tasks and segments is not None and len(truth):
            segments.update(truth, np.array(actions.given["segments"], np.int64))


def _vote(score: OfflineScore, video: Recording, number: int, actions: _Actions) -> None:
    """Let the frames of a video of one action vote; its number tells it from others of its name."""
    if score.vote is None or not actions.scores:
        score.unvoted.append(video.name)
        return
    votes = len(actions.scores)
    score.vote.update(np.full(votes, number), np.full(votes, video.action), np.stack(actions.scores))


def evaluate(
    predictor: Predictor,
    recordings: Sequence[Recording],
    part: Part = WHOLE,
    watch: Watch = lambda recording, frames: frames,
) -> OfflineScore:
    """Run a predictor over recordings, each from an empty window; Ctrl-C ends it with what is counted so far.

    Actions are scored once the window holds `min_frames`; unknown counts as wrong, as does an unlabelled point. The
    same frames vote for the class of a video of one action with their probabilities, those reported as unknown, too.

    Raises:
        DataError: a recording is labelled with other classes than the bundle's; nothing has run then.
    """
    heads: Mapping[str, tuple[ClassInfo, ...]] = predictor.metadata.heads
    scored = [_tasks(heads, recording) for recording in recordings]
    score = OfflineScore.of(heads, predictor.metadata.window_frames, len(recordings))
    for number, (recording, tasks) in enumerate(zip(recordings, scored, strict=True)):
        predictor.reset()
        actions = _Actions()
        stamps_ns: list[int] = []
        frames = watch(recording, recording.frames(part.start, part.count))
        try:
            for item, prediction in _steps(predictor, frames, score):
                stamps_ns.append(item.frame.stamp_ns)
                if "semantic" in tasks and item.labels is not None and prediction.semantic is not None:
                    truth = item.labels[: item.frame.own_count]
                    score.confusions["semantic"].update(truth, prediction.semantic.labels)
                if prediction.frame_count >= predictor.options.min_frames:
                    actions.take(item.action, prediction)
        except KeyboardInterrupt:
            score.complete = False
        _count(score, tasks, actions)
        if gaps_s(stamps_ns).any():
            score.rates_hz[recording.name] = mean_rate_hz(stamps_ns)
        score.left_out += recording.left_out
        if not score.complete:
            break
        if "action" in tasks and recording.action >= 0:
            _vote(score, recording, number, actions)
    return score
