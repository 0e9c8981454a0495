"""Nearest neighbours, batched in torch and for single large clouds on the CPU."""

import numpy as np
import pynanoflann
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor


def nearest(query: Tensor, support: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k nearest support points of each query point, nearest first, by brute force.

    Exact differences instead of the matrix-product form: that one loses neighbours far from the origin.

    Args:
        query: (..., Q, 3) float.
        support: (..., S, 3) float, same leading dimensions, S >= k.
        k: number of neighbours.

    Returns:
        distances (..., Q, k) and int64 indices (..., Q, k).
    """
    distance = torch.cdist(query, support, compute_mode="donot_use_mm_for_euclid_dist")
    if k == 1:
        value, index = distance.min(dim=-1, keepdim=True)
        return value, index
    found = distance.topk(k, dim=-1, largest=False, sorted=True)
    return found.values, found.indices


def gather(values: Tensor, index: Tensor) -> Tensor:
    """Pick rows: values (..., S, C), index (..., Q, k) -> (..., Q, k, C)."""
    picked = values.reshape(-1, values.shape[-1]).index_select(0, _row_numbers(values, index).flatten())
    return picked.view(*index.shape, values.shape[-1])


def interpolate(values: Tensor, index: Tensor, weights: Tensor) -> Tensor:
    """Weighted sums of rows: values (..., S, C), index and weights (..., Q, k) -> (..., Q, C).

    One pass instead of gathering (..., Q, k, C) first.
    """
    table = values.reshape(-1, values.shape[-1])
    rows = _row_numbers(values, index).flatten(0, -2)
    total = F.embedding_bag(rows, table, per_sample_weights=weights.flatten(0, -2).to(table.dtype), mode="sum")
    return total.view(*index.shape[:-1], -1)


def _row_numbers(values: Tensor, index: Tensor) -> Tensor:
    """index (..., Q, k) into rows of values (..., S, C), as row numbers of all of values' rows, (..., Q, k)."""
    lead = index.shape[:-2]
    if lead.numel() == 1:
        return index
    start = torch.arange(0, lead.numel() * values.shape[-2], values.shape[-2], device=index.device)
    return index + start.view(*lead, 1, 1)


def inverse_distance_weights(distance: Tensor) -> Tensor:
    """Weights (..., k) proportional to 1/distance that sum to 1 (three-nearest interpolation of PointNet++)."""
    weight = 1.0 / (distance + 1e-6)
    return weight / weight.sum(dim=-1, keepdim=True)


def best_class(scores: Tensor, distance: Tensor, index: Tensor) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """(Q,) class and (Q,) probability: scores (S, C), C <= 255, of the nearest points (Q, k), weighted by distance."""
    best = interpolate(scores, index, inverse_distance_weights(distance)).max(dim=1)
    return best.indices.to(torch.uint8).cpu().numpy(), best.values.cpu().numpy()


def cpu_nearest(
    query: NDArray[np.float32], support: NDArray[np.float32], k: int, jobs: int = 1
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The k nearest support points of each query point of one cloud, exactly, by a k-d tree.

    Args:
        query: (Q, 3) float32.
        support: (S, 3) float32; where S < k the farthest found neighbour is repeated.
        k: number of neighbours.
        jobs: threads.

    Returns:
        distances (Q, k) float32 and indices (Q, k) int64, nearest first.
    """
    available = min(k, len(support))
    tree = pynanoflann.KDTree(n_neighbors=available, metric="L2", leaf_size=16)
    tree.fit(np.ascontiguousarray(support))
    distance, index = tree.kneighbors(np.ascontiguousarray(query), n_jobs=jobs)
    if available < k:
        distance = np.pad(distance, ((0, 0), (0, k - available)), mode="edge")
        index = np.pad(index, ((0, 0), (0, k - available)), mode="edge")
    return np.asarray(distance, dtype=np.float32), np.asarray(index, dtype=np.int64)
