"""A predictor measured on recordings, frame by frame, as it runs on the robot."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pointata.classes import ClassInfo
from pointata.data.recording import Recording
from pointata.errors import DataError, InferenceError, PointataError
from pointata.evaluation.observer import Observer
from pointata.evaluation.score import OfflineScore
from pointata.frame import LabelledFrame
from pointata.inference.predictor import Predictor
from pointata.prediction import Prediction
from pointata.preprocessing.rates import gaps_s, mean_rate_hz
from pointata.tasks.task import Evaluation, Measured


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


def _tasks(heads: Mapping[str, tuple[ClassInfo, ...]], recording: Recording) -> tuple[str, ...]:
    """The bundle's tasks that a recording has ground truth for."""
    return tuple(task for task in heads if _agree(heads[task], recording.classes_of(task), recording.name))


class Scores(Observer):
    """Counts how right a predictor is, and how fast.

    Attributes:
        score: of what was seen so far.
    """

    def __init__(self, predictor: Predictor, recordings: Sequence[Recording]) -> None:
        """Nothing seen yet.

        Raises:
            DataError: a recording is labelled with other classes than the bundle's.
        """
        heads: Mapping[str, tuple[ClassInfo, ...]] = predictor.metadata.heads
        self.score = OfflineScore.of(heads, predictor.metadata.window_frames, len(recordings))
        self._min_frames = predictor.options.min_frames
        self._tasks = [_tasks(heads, recording) for recording in recordings]
        self._number = -1
        self._counted: list[Evaluation] = []
        self._stamps_ns: list[int] = []

    def begin(self, recording: Recording) -> None:
        """See `Observer`."""
        self._number += 1
        self._counted = [self.score.evaluations[task] for task in self._tasks[self._number]]
        self._stamps_ns = []

    def take(self, item: LabelledFrame, prediction: Prediction, step_ms: float) -> None:
        """See `Observer`."""
        self.score.frames += 1
        self.score.step_ms.append(step_ms)
        self._stamps_ns.append(item.frame.stamp_ns)
        for evaluation in self._counted:
            evaluation.take(item, prediction, prediction.frame_count >= self._min_frames)

    def reject(self, item: LabelledFrame, error: PointataError) -> None:
        """See `Observer`."""
        self.score.rejected.append(str(error))

    def end(self, recording: Recording, complete: bool) -> None:
        """See `Observer`."""
        for evaluation in self._counted:
            evaluation.end(Measured(recording.name, self._number, recording.action, complete))
        if gaps_s(self._stamps_ns).any():
            self.score.rates_hz[recording.name] = mean_rate_hz(self._stamps_ns)
        self.score.left_out += recording.left_out
        self.score.complete = complete


def evaluate(
    predictor: Predictor, recordings: Sequence[Recording], part: Part = WHOLE, observers: Sequence[Observer] = ()
) -> OfflineScore:
    """Run a predictor over recordings, each from an empty window; Ctrl-C ends it with what is counted so far.

    Actions are scored once the window holds `min_frames`; unknown counts as wrong, as does an unlabelled point. The
    same frames vote for the class of a video of one action with their probabilities, those reported as unknown, too.

    Raises:
        DataError: a recording is labelled with other classes than the bundle's; nothing has run then.
    """
    scores = Scores(predictor, recordings)
    everyone = (scores, *observers)
    for recording in recordings:
        predictor.reset()
        for observer in everyone:
            observer.begin(recording)
        complete = _run(predictor, recording.frames(part.start, part.count), everyone)
        for observer in everyone:
            observer.end(recording, complete)
        if not complete:
            break
    return scores.score


def _run(predictor: Predictor, frames: Iterable[LabelledFrame], observers: Sequence[Observer]) -> bool:
    """Predict at every frame, with the observers watching; False where Ctrl-C came before the end."""
    try:
        for item in frames:
            start = time.perf_counter()
            try:
                prediction = predictor.step(item.frame)
            except (DataError, InferenceError) as error:
                for observer in observers:
                    observer.reject(item, error)
                continue
            step_ms = (time.perf_counter() - start) * 1e3
            for observer in observers:
                observer.take(item, prediction, step_ms)
    except KeyboardInterrupt:
        return False
    return True
