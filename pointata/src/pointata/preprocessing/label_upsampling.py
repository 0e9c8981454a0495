"""From the sampled points back to every point of the cloud."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pointata.classes import UNLABELLED
from pointata.frame import Frame
from pointata.prediction import PointLabels
from pointata.preprocessing.point_ops.ops import ON_HOST, PointOps
from pointata.preprocessing.sampling import SampledFrame


def upsample_labels(
    frame: Frame, sampled: SampledFrame, scores: Mapping[str, NDArray[np.float32]], ops: PointOps = ON_HOST
) -> dict[str, PointLabels]:
    """Spread the scores of the sampled points to all points within range: three nearest, weighted by distance.

    Points that share a thinning voxel share the label of its first point, far below the spacing of the samples.

    Args:
        frame: the whole frame, N points.
        sampled: its P sampled points.
        scores: (P, C) probabilities, by task.
        ops: who searches, once for all tasks.

    Returns:
        By task (N,) labels, UNLABELLED where a point was not used, and (N,) probabilities; of a merged frame, for its
        own points only.
    """
    everything = len(sampled.first) == len(frame.points)
    queries = frame.points if everything else np.take(frame.points, sampled.used[sampled.first], axis=0)
    support = np.take(frame.points, sampled.index, axis=0)
    best = ops.spread(queries, support, list(scores.values()))
    return {task: _on_all_points(frame, sampled, *of_task) for task, of_task in zip(scores, best, strict=True)}


def _on_all_points(
    frame: Frame, sampled: SampledFrame, label: NDArray[np.uint8], score: NDArray[np.float32]
) -> PointLabels:
    """From one point of each voxel to all points of the frame's own message."""
    if sampled.voxel is not None:
        label, score = label[sampled.voxel], score[sampled.voxel]
    own = frame.own_count
    if len(sampled.used) == len(frame.points):
        return PointLabels(label[:own], score[:own])
    labels = np.full(len(frame.points), UNLABELLED, dtype=np.uint8)
    values = np.zeros(len(frame.points), dtype=np.float32)
    labels[sampled.used], values[sampled.used] = label, score
    return PointLabels(labels[:own], values[:own])
