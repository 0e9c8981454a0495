"""What `pointata evaluate` shows: how far it is, then the figures, the headline first."""

import logging
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from pointata.data.dataset import VideoRecording
from pointata.data.recording import Recording
from pointata.errors import PointataError
from pointata.evaluation.observer import Observer
from pointata.evaluation.offline import Part
from pointata.evaluation.score import OfflineScore, reasons
from pointata.frame import LabelledFrame
from pointata.metrics.summary import iou_per_class, recall_per_class
from pointata.prediction import Prediction

_log = logging.getLogger(__name__)

#: Seconds between two lines of the log where there is no terminal for a bar.
_PERIOD_S = 30.0
#: Kinds of rejection that are shown; the file of figures has all.
_REASONS = 5
_KEY = (
    "action_accuracy and segments_accuracy: share of the frames, unknown is wrong. action_unknown: share reported as "
    "unknown. window_accuracy: share of the windows, as long as the bundle's and one after the other, whose class of "
    "largest mean probability is that of most of their frames. - : the class is absent."
)


class FrameCount:
    """Frames done and to be done; of a data set's videos the length is guessed from those that were read."""

    def __init__(self, recordings: Sequence[Recording], part: Part) -> None:
        """Args: recordings: to be measured, in this order. part: which frames of each."""
        stated = [None if isinstance(one, VideoRecording) else len(one) for one in recordings]
        most = math.inf if part.count is None else part.count
        self._lengths = [None if n is None else int(min(max(n - part.start, 0), most)) for n in stated]
        self._number, self._before = -1, 0
        self.done = 0

    def begin(self) -> None:
        """The next recording begins."""
        self._settle()
        self._number += 1
        self._before = self.done

    def _settle(self) -> None:
        if self._number >= 0:
            self._lengths[self._number] = self.done - self._before

    @property
    def total(self) -> int | None:
        """All frames, as far as known: None before the first video of a data set was read."""
        known = [length for length in self._lengths if length is not None]
        if not known:
            return None
        mean = sum(known) / len(known)
        return max(self.done, round(sum(mean if length is None else length for length in self._lengths)))


class _Watch(Observer):
    """Moves a bar, or writes a line of the log now and then where it is disabled."""

    def __init__(self, bar: Progress, count: FrameCount) -> None:
        self._bar, self._count = bar, count
        self._task = bar.add_task("", total=count.total, pace=0.0)
        self._started = self._told = time.monotonic()
        self._name = ""

    def begin(self, recording: Recording) -> None:
        """See `Observer`."""
        self._count.begin()
        self._name = recording.name

    def take(self, item: LabelledFrame, prediction: Prediction, step_ms: float) -> None:
        """See `Observer`."""
        self._move()

    def reject(self, item: LabelledFrame, error: PointataError) -> None:
        """See `Observer`."""
        self._move()

    def _move(self) -> None:
        self._count.done += 1
        done, total, now = self._count.done, self._count.total, time.monotonic()
        pace = (now - self._started) / done * 1e3
        self._bar.update(self._task, completed=done, total=total, pace=pace, description=self._name)
        if self._bar.disable and now - self._told >= _PERIOD_S:
            self._told = now
            _log.info("%d of %s frames, %.1f ms a frame, now %s", done, total or "?", pace, self._name)


@contextmanager
def progress(console: Console, recordings: Sequence[Recording], part: Part) -> Iterator[Observer]:
    """A bar on a terminal, a line of the log now and then elsewhere, inside the `with` block."""
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("frames,"), TimeRemainingColumn(), TextColumn("left,"))
    with Progress(
        *columns, TextColumn("{task.fields[pace]:.1f} ms a frame"), TextColumn("{task.description}"),
        console=console, transient=True, disable=not console.is_terminal,
    ) as bar:  # fmt: skip
        yield _Watch(bar, FrameCount(recordings, part))


def show(console: Console, score: OfflineScore) -> None:
    """Print the figures: the headline, warnings, rejections, tables, and what the figures mean."""
    figures = _listed({**score.figures(), **score.details()}, 3) or "no ground truth to score"
    _say(console, f"{score.frames} frames, {len(score.rejected)} rejected: {figures}")
    if not score.complete:
        _say(console, "partial: stopped before the end")
    for warning in score.warnings:
        _say(console, f"warning: {warning}")
    _show_rejected(console, score)
    if any(matrix.total for matrix in score.confusions.values()):
        console.print(_table(score))
        _show_more(console, score)
        _say(console, _KEY)


def _show_rejected(console: Console, score: OfflineScore) -> None:
    kinds = reasons(score.rejected)
    for reason, times in kinds[:_REASONS]:
        _say(console, f"rejected {times}: {reason}")
    if len(kinds) > _REASONS:
        _say(console, f"rejected for {len(kinds) - _REASONS} other reasons: {sum(n for _, n in kinds[_REASONS:])}")
    if score.left_out:
        _say(console, f"{score.left_out} clouds could not be read and were left out (the log says why)")


def _table(score: OfflineScore) -> Table:
    table = Table("task", "class", "support", "recall", "IoU")
    for task, matrix in score.confusions.items():
        if matrix.total:
            rows = zip(matrix.names, matrix.support, recall_per_class(matrix), iou_per_class(matrix), strict=True)
            for name, support, recall, iou in rows:
                table.add_row(task, name, f"{support:,}", _number(recall, 3), _number(iou, 3))
    return table


def _show_more(console: Console, score: OfflineScore) -> None:
    """Further figures, as published tables state them."""
    evaluations = score.evaluations.values()
    for what, figures in ((what, figures) for one in evaluations for what, figures in one.listed().items()):
        _say(console, f"{what}: {_listed(figures, 1)}")
    published = score.published()
    if published:
        _say(console, f"as published tables count: {_listed(published, 3)}")
    for remark in (remark for one in evaluations for remark in one.remarks()):
        _say(console, remark)


def _say(console: Console, text: str) -> None:
    """A line, wrapped by the terminal alone."""
    console.print(text, soft_wrap=True, markup=False, highlight=False)


def _number(value: float, digits: int) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


def _listed(figures: Mapping[str, float], digits: int) -> str:
    return ", ".join(f"{name} {_number(value, digits)}" for name, value in figures.items())
