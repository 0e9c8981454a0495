"""From the sampled points back to every point of the cloud."""

import numpy as np
import torch
from numpy.typing import NDArray

from pointata.classes import UNLABELLED
from pointata.frame import Frame
from pointata.geometry.neighbours import cpu_nearest, interpolate_labels
from pointata.prediction import SemanticResult
from pointata.preprocessing.point_ops.cuda import spread_on_device
from pointata.preprocessing.sampling import SampledFrame


def upsample_labels(
    frame: Frame, sampled: SampledFrame, scores: NDArray[np.float32], jobs: int = 1, device: torch.device | None = None
) -> SemanticResult:
    """Spread the scores of the sampled points to all points within range: three nearest, weighted by distance.

    Points that share a thinning voxel share the label of its first point, far below the spacing of the samples.

    Args:
        frame: the whole frame, N points.
        sampled: its P sampled points.
        scores: (P, C) probabilities.
        jobs: threads of the neighbour search.
        device: a GPU searches by itself, by brute force.

    Returns:
        (N,) labels, UNLABELLED where a point was not used, and (N,) probabilities; of a merged frame, for its own
        points only.
    """
    everything = len(sampled.first) == len(frame.points)
    queries = frame.points if everything else np.take(frame.points, sampled.used[sampled.first], axis=0)
    support = np.take(frame.points, sampled.index, axis=0)
    if device is not None and device.type == "cuda":
        label, score = spread_on_device(queries, support, scores, device)
    else:
        nearest = (torch.from_numpy(found) for found in cpu_nearest(queries, support, 3, jobs=jobs))
        label, score = interpolate_labels(torch.from_numpy(scores), *nearest)
    if sampled.voxel is not None:
        label, score = label[sampled.voxel], score[sampled.voxel]
    own = frame.own_count
    if len(sampled.used) == len(frame.points):
        return SemanticResult(label[:own], score[:own])
    labels = np.full(len(frame.points), UNLABELLED, dtype=np.uint8)
    values = np.zeros(len(frame.points), dtype=np.float32)
    labels[sampled.used], values[sampled.used] = label, score
    return SemanticResult(labels[:own], values[:own])
