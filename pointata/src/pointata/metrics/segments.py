"""Action segmentation scored by frames and by segments: Acc, Edit and F1@{10,25,50} as HOI4D reports them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pointata.classes import UNLABELLED
from pointata.errors import DataError
from pointata.metrics.confusion import ConfusionMatrix
from pointata.metrics.summary import accuracy

#: Least intersection over union of a found segment, in percent.
OVERLAPS = (10, 25, 50)


@dataclass(frozen=True)
class Segment:
    """A run of frames of one class: frames start to stop - 1."""

    class_id: int
    start: int
    stop: int

    def iou(self, other: "Segment") -> float:
        """Frames in both over frames in either, whatever the classes; 0 for two empty segments."""
        common = max(0, min(self.stop, other.stop) - max(self.start, other.start))
        either = (self.stop - self.start) + (other.stop - other.start) - common
        return common / either if either else 0.0


def segments_of(labels: NDArray[np.integer]) -> tuple[Segment, ...]:
    """Cut (T,) class ids into runs of equal ids, in order of time; frames of 255 belong to none."""
    edges = np.flatnonzero(np.diff(labels)) + 1
    bounds = [0, *edges.tolist(), len(labels)] if len(labels) else []
    runs = (Segment(int(labels[start]), start, stop) for start, stop in pairwise(bounds))
    return tuple(run for run in runs if run.class_id != UNLABELLED)


def edit_distance(first: Sequence[int], second: Sequence[int]) -> int:
    """Fewest insertions, deletions and replacements that turn one sequence into the other (Levenshtein)."""
    row = list(range(len(second) + 1))
    for done, left in enumerate(first, start=1):
        diagonal, row[0] = row[0], done
        for j, right in enumerate(second, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (left != right))
    return row[-1]


def edit_score(truth: Sequence[Segment], predicted: Sequence[Segment]) -> float:
    """100 (1 - distance / longer length) of the segments' classes: 100 where order and number are right.

    Args:
        truth: segments of a video; at least one here or in `predicted`.
        predicted: segments of the same video.
    """
    ours, theirs = [s.class_id for s in truth], [s.class_id for s in predicted]
    return 100.0 * (1.0 - edit_distance(ours, theirs) / max(len(ours), len(theirs)))


def hits(truth: Sequence[Segment], predicted: Sequence[Segment], overlap: int) -> int:
    """Predicted segments that find a true one.

    Each goes to the true segment of its class with the best IoU (the first of equal ones) and finds it if the IoU is at
    least `overlap` percent and no earlier one has found it; there is no second choice.
    """
    found: set[int] = set()
    for segment in predicted:
        ious = [segment.iou(other) if segment.class_id == other.class_id else 0.0 for other in truth]
        best = max(range(len(ious)), key=ious.__getitem__, default=None)
        if best is not None and ious[best] >= overlap / 100:
            found.add(best)
    return len(found)


class SegmentScore:
    """Action segmentation of a set of videos. All figures are percentages.

    Every class counts: HOI4D has no background class. A frame without truth (255) belongs to no segment of the truth,
    nor of the prediction; a frame without prediction to no predicted segment.

    Attributes:
        frames: confusion of the frames.
    """

    def __init__(self, names: Sequence[str], *, compat: bool = False) -> None:
        """Start empty.

        Args:
            names: C class names, by class id.
            compat: end a segment that reaches the end of its video one frame early, as the reference script does; for
                comparison with published figures.
        """
        self.frames = ConfusionMatrix(names)
        self._compat = compat
        self._edits: list[float] = []
        self._true = self._predicted = 0
        self._hits = dict.fromkeys(OVERLAPS, 0)

    def update(self, truth: NDArray[np.integer], predicted: NDArray[np.integer]) -> None:
        """Add one video.

        Args:
            truth: (T,) class id of each frame, 255 where unknown; T at least 1.
            predicted: (T,) class id of each frame, 255 where not predicted.

        Raises:
            DataError: the video is empty, the lengths differ, or an id names no class. Nothing is counted then.
        """
        if truth.ndim != 1 or truth.shape != predicted.shape:
            raise DataError(f"a video needs (T,) truth and (T,) prediction, got {truth.shape} and {predicted.shape}")
        if not len(truth):
            raise DataError("a video without frames has no segments to score; leave it out")
        self.frames.update(truth, predicted)
        wanted = self._segments(truth)
        given = self._segments(np.where(truth == UNLABELLED, UNLABELLED, np.asarray(predicted, np.int64)))
        if not wanted:
            return
        self._edits.append(edit_score(wanted, given))
        self._true += len(wanted)
        self._predicted += len(given)
        for overlap in OVERLAPS:
            self._hits[overlap] += hits(wanted, given, overlap)

    def _segments(self, labels: NDArray[np.integer]) -> tuple[Segment, ...]:
        segments = segments_of(labels)
        if self._compat and segments and segments[-1].stop == len(labels):
            return (*segments[:-1], replace(segments[-1], stop=len(labels) - 1))
        return segments

    def f1(self, overlap: int) -> float:
        """F1 at an overlap of 10, 25 or 50 percent: true and false positives and misses of all videos together."""
        either = self._true + self._predicted  # 2 TP + FP + FN
        return 100.0 * 2 * self._hits[overlap] / either if either else float("nan")

    def edit(self) -> float:
        """Mean edit score of the videos; NaN without any."""
        return float(np.mean(self._edits)) if self._edits else float("nan")

    def figures(self) -> dict[str, float]:
        """Acc over all frames, Edit, and F1 at the three overlaps, as HOI4D tables list them."""
        f1 = {f"f1_{overlap}": self.f1(overlap) for overlap in OVERLAPS}
        return {"accuracy": 100.0 * accuracy(self.frames), "edit": self.edit(), **f1}
