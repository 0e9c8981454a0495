"""Scores computed from a confusion matrix, and the truth a window of frames is scored against."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pointata.classes import UNLABELLED
from pointata.metrics.confusion import ConfusionMatrix


def accuracy(matrix: ConfusionMatrix) -> float:
    """Share of labelled samples whose prediction is right; NaN without samples. Not predicted counts as wrong."""
    return float(np.trace(matrix.counts) / matrix.total) if matrix.total else float("nan")


def iou_per_class(matrix: ConfusionMatrix) -> NDArray[np.float64]:
    """Intersection over union TP / (TP + FP + FN) of each class.

    Returns:
        (C,) float64 in [0, 1]; NaN for a class that occurs neither in the truth nor in the predictions.
    """
    hit = np.diagonal(matrix.counts).astype(np.float64)
    union = matrix.support + matrix.counts[:, :-1].sum(axis=0) - hit
    iou = np.full(len(hit), np.nan)
    np.divide(hit, union, out=iou, where=union > 0)
    return iou


def mean_iou(matrix: ConfusionMatrix, *, absent_as_zero: bool = False) -> float:
    """Mean intersection over union.

    Args:
        matrix: accumulated over the whole set (not averaged over frames).
        absent_as_zero: a class without ground truth counts as 0, as some published tables do; otherwise it is left out
            (its false positives still lower the classes they were taken from).

    Returns:
        Mean in [0, 1]; NaN where no class has ground truth.
    """
    present = matrix.support > 0
    if not present.any():
        return float("nan")
    total = float(iou_per_class(matrix)[present].sum())
    return total / (len(present) if absent_as_zero else int(present.sum()))


def recall_per_class(matrix: ConfusionMatrix) -> NDArray[np.float64]:
    """(C,) float64 share of each true class that was found; NaN without support."""
    return np.diagonal(matrix.normalised()).copy()


def majority(labels: Sequence[int] | NDArray[np.integer]) -> int:
    """Most frequent label; of equally frequent ones that which occurs last. 255 (unlabelled) does not vote.

    Args:
        labels: in order of time; may be empty.

    Returns:
        The label; 255 where none is labelled.
    """
    voters = [int(label) for label in labels if label != UNLABELLED]
    if not voters:
        return UNLABELLED
    return max(reversed(voters), key=voters.count)


def window_labels(
    truth: NDArray[np.integer], probabilities: NDArray[np.floating], frames: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """True and predicted class of the windows that a recording falls into: each `frames` long, none overlapping.

    A window shows the action that most of its frames have; predicted is the class whose mean probability over these
    frames is largest. What is left at the end counts as a window if it holds at least half as many frames.

    Args:
        truth: (T,) class id of each frame, 255 where unknown.
        probabilities: (T, C).
        frames: of a window.

    Returns:
        (W,) and (W,) class ids; the truth is 255 where no frame of a window has a class.
    """
    starts = [start for start in range(0, len(truth), frames) if 2 * (len(truth) - start) >= frames]
    true = [majority(truth[start : start + frames]) for start in starts]
    given = [int(probabilities[start : start + frames].mean(axis=0).argmax()) for start in starts]
    return np.array(true, np.int64), np.array(given, np.int64)


def percentiles(values: Sequence[float] | NDArray[np.floating], ranks: Sequence[float] = (50, 99)) -> dict[str, float]:
    """Percentiles by linear interpolation, named p50, p99, ...; NaN without values."""
    if len(values) == 0:
        return {f"p{rank:g}": float("nan") for rank in ranks}
    return {f"p{rank:g}": float(np.percentile(values, rank)) for rank in ranks}
