"""Nearest neighbours, batched in torch and for single large clouds on the CPU."""

from typing import Any

import numpy as np
import pynanoflann
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from pointata.geometry.places import distinct, representatives


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


def interpolate_labels(
    scores: Tensor, distance: Tensor, index: Tensor
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """(Q,) class and (Q,) probability: scores (S, C), C <= 255, of the nearest points (Q, k), weighted by distance."""
    best = interpolate(scores, index, inverse_distance_weights(distance)).max(dim=1)
    return best.indices.to(torch.uint8).cpu().numpy(), best.values.cpu().numpy()


def cpu_nearest(
    query: NDArray[np.float32], support: NDArray[np.float32], k: int, jobs: int = 1
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The k nearest support points of each query point of one cloud, exactly, by a k-d tree.

    The tree holds every place once: of equal points it would run out of bounds.

    Args:
        query: (Q, 3) float32.
        support: (S, 3) float32; where S < k the farthest found neighbour is repeated.
        k: number of neighbours.
        jobs: threads.

    Returns:
        distances (Q, k) float32 and indices (Q, k) int64, nearest first; points on one place ascending.
    """
    support, owner = distinct(support)
    if owner is None:
        found = _search(query, support, min(k, len(support)), jobs)
    else:
        first, place = representatives(owner)
        found = _with_copies(*_search(query, support[first], min(k, len(first)), jobs), place, min(k, len(support)))
    missing = ((0, 0), (0, k - found[0].shape[1]))
    distance, index = (np.pad(part, missing, mode="edge") if missing[1][1] else part for part in found)
    return np.asarray(distance, dtype=np.float32), np.asarray(index, dtype=np.int64)


def _search(
    query: NDArray[np.float32], support: NDArray[np.float32], k: int, jobs: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    tree = pynanoflann.KDTree(n_neighbors=k, metric="L2", leaf_size=16)
    tree.fit(support)
    distance, index = tree.kneighbors(np.ascontiguousarray(query), n_jobs=jobs)
    return distance, index


def _with_copies(
    distance: NDArray[Any], index: NDArray[Any], place: NDArray[np.int32], k: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    """The k nearest points, where distances and indices (Q, j) name places, and place (S,) that of each point."""
    points = np.argsort(place, kind="stable")  # place by place, ascending in each
    size = np.bincount(place)
    start = np.cumsum(size) - size
    rows = np.arange(len(index))
    taken = np.zeros(len(index), dtype=np.int64)  # which neighbour of a row is the present one,
    copy = np.zeros(len(index), dtype=np.int64)  # and how many of its points have been listed
    distances, indices = np.empty((len(index), k), distance.dtype), np.empty((len(index), k), np.int64)
    for column in range(k):
        spot = index[rows, taken]
        distances[:, column], indices[:, column] = distance[rows, taken], points[start[spot] + copy]
        copy += 1
        done = copy == size[spot]
        taken[done] += 1
        copy[done] = 0
    return distances, indices
