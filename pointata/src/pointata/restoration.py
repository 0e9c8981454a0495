"""From the sampled points back to every point of the cloud."""

import numpy as np
import torch
from numpy.typing import NDArray

from pointata.classes import UNLABELLED
from pointata.frame import Frame
from pointata.geometry.neighbours import cpu_nearest, inverse_distance_weights
from pointata.prediction import SemanticResult
from pointata.sampling import SampledFrame


def restore(frame: Frame, sampled: SampledFrame, scores: NDArray[np.float32], jobs: int = 1) -> SemanticResult:
    """Spread the scores of the sampled points to all points within range: three nearest, weighted by distance.

    Args:
        frame: the whole frame, N points.
        sampled: its P sampled points.
        scores: (P, C) probabilities.
        jobs: threads of the neighbour search.

    Returns:
        (N,) labels, UNLABELLED out of range, and (N,) probabilities.
    """
    count = len(frame.points)
    labels = np.full(count, UNLABELLED, dtype=np.uint8)
    values = np.zeros(count, dtype=np.float32)
    distance, index = cpu_nearest(frame.points[sampled.used], frame.points[sampled.index], 3, jobs=jobs)
    weight = inverse_distance_weights(torch.from_numpy(distance)).numpy()
    spread = np.einsum("nk,nkc->nc", weight, scores[index], optimize=False)
    best = spread.argmax(axis=1)
    labels[sampled.used] = best
    values[sampled.used] = np.take_along_axis(spread, best[:, None], axis=1)[:, 0]
    return SemanticResult(labels, values)
