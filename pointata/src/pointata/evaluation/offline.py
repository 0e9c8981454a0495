"""A predictor measured on recordings, frame by frame, as it runs on the robot."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pointata.classes import ClassInfo
from pointata.data.recording import Recording
from pointata.errors import DataError, InferenceError
from pointata.evaluation.score import OfflineScore
from pointata.frame import LabelledFrame
from pointata.inference.predictor import Predictor
from pointata.prediction import Prediction
from pointata.preprocessing.rates import gaps_s, mean_rate_hz
from pointata.tasks.task import Measured

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


def _tasks(heads: Mapping[str, tuple[ClassInfo, ...]], recording: Recording) -> tuple[str, ...]:
    """The bundle's tasks that a recording has ground truth for."""
    return tuple(task for task in heads if _agree(heads[task], recording.classes_of(task), recording.name))


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
        counted = [score.evaluations[task] for task in tasks]
        stamps_ns: list[int] = []
        frames = watch(recording, recording.frames(part.start, part.count))
        try:
            for item, prediction in _steps(predictor, frames, score):
                stamps_ns.append(item.frame.stamp_ns)
                settled = prediction.frame_count >= predictor.options.min_frames
                for evaluation in counted:
                    evaluation.take(item, prediction, settled)
        except KeyboardInterrupt:
            score.complete = False
        for evaluation in counted:
            evaluation.end(Measured(recording.name, number, recording.action, score.complete))
        if gaps_s(stamps_ns).any():
            score.rates_hz[recording.name] = mean_rate_hz(stamps_ns)
        score.left_out += recording.left_out
        if not score.complete:
            break
    return score
