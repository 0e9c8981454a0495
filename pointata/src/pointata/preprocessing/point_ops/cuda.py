"""Sampling, neighbours and label restoring where the network runs: for GPUs, in operations that never wait for one.

Nothing here asks the device for a value or gives a result whose shape depends on one (save the functions that return
NumPy arrays, at their end), so a CUDA graph can hold all of it. The CPU has faster ways: see `sampling` and
`neighbours`.
"""

import logging
from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pointata.geometry.neighbours import interpolate_labels
from pointata.preprocessing.point_ops.limits import MOST_CANDIDATES

# Distances held at a time by `nearest_on_device`: 64 MiB, and as much again while they are computed.
_MOST_DISTANCES = 2**24
# Cells of a voxel grid along an axis: three numbers of 21 bits fit one integer.
_AXIS_BITS = 21
_log = logging.getLogger(__name__)


def upload(array: NDArray[np.float32], device: torch.device) -> Tensor:
    """A copy of an array on a device; through pinned memory, and without waiting, where the device is a GPU."""
    staged = torch.empty(array.shape, dtype=torch.float32, pin_memory=device.type == "cuda")
    staged.numpy()[...] = array
    return staged.to(device, non_blocking=True)


def farthest_points(points: Tensor, count: int) -> Tensor:
    """Farthest point sampling as defined, pick for pick as `sampling.exact_farthest_points`.

    One Triton kernel for up to MOST_CANDIDATES points on a GPU that has Triton, else a loop.

    Args:
        points: (N, 3) float32, finite; duplicates allowed.
        count: 1 to N; the first pick is point 0, ties go to the lowest index.

    Returns:
        (count,) int64 distinct indices in order of picking.
    """
    if not 1 <= count <= len(points):
        raise ValueError(f"cannot pick {count} of {len(points)} points")
    if points.is_cuda and len(points) <= MOST_CANDIDATES:
        one_launch = _triton_farthest_points(points.device)
        if one_launch is not None:
            with torch.cuda.device(points.device):
                return one_launch(points, count)
    return _looped_farthest_points(points, count)


def sample(points: Tensor, count: int, voxel_m: float = 0.0, range_power: float = 0.0) -> tuple[Tensor, Tensor]:
    """Exactly `count` indices into a cloud, farthest points first; contract of `cpu.sample_indices`.

    Clouds of more than MOST_CANDIDATES points are reduced to so many, evenly spread, before farthest points are picked.

    Args:
        points: (N, 3) float32, finite, N >= 1, metres.
        count: number of indices.
        voxel_m: edge of the thinning voxels, metres; 0 for none.
        range_power: see `cpu.warp_by_range`.

    Returns:
        index: (count,) int64.
        owner: (N,) int64, for every point the first point in its voxel; itself where the cloud is not thinned.
    """
    size = len(points)
    candidates = owner = torch.arange(size, device=points.device)
    if voxel_m > 0 and size > count:
        order, rank = _spread(points, points.new_full((), voxel_m))
        thinned, occupied = _first_of_voxels(order, rank, size)
        enough = occupied >= count
        candidates = torch.where(enough, thinned, candidates)
        owner = torch.where(enough, _owners(order, rank), owner)
    warped = _favour_near(points[candidates], range_power)
    most = max(MOST_CANDIDATES, count)
    if size > most:
        order, rank = _spread(warped, warped.abs().amax().clamp_min(1e-6) / 2 ** (_AXIS_BITS - 1))
        kept = order[rank.topk(most, sorted=False).indices].sort().values
        candidates, warped = candidates[kept], warped[kept]
    found = min(count, size)
    picks = candidates[farthest_points(warped, found)]
    return picks[torch.arange(count, device=points.device) % found], owner


def sample_indices_on_device(
    points: NDArray[np.float32], count: int, voxel_m: float, range_power: float, device: torch.device
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """`sample` of an array on a device: other indices than the host's, that cover the cloud alike; the same owners.

    Up to MOST_CANDIDATES of them, no candidate is left out. Above, the point farthest from all picks was 4 to 11 %
    farther away than with the host's picks (512 of 60,000 points of a made-up street).
    """
    with torch.inference_mode():
        index, owner = sample(upload(points, device), count, voxel_m, range_power)
        return index.cpu().numpy(), owner.cpu().numpy()


def nearest_on_device(query: Tensor, support: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k nearest support points of each query point of one cloud, by brute force, some query points at a time.

    Exact differences, as in `neighbours.nearest`; by coordinate, because torch.cdist on a GPU starts one block of
    threads for every single distance.

    Args:
        query: (Q, 3) float32.
        support: (S, 3) float32; where S < k the farthest found neighbour is repeated.
        k: number of neighbours.

    Returns:
        distances (Q, k) float32 and indices (Q, k) int64, nearest first.
    """
    available = min(k, len(support))
    found = [
        _squared_distances(part, support).topk(available, largest=False, sorted=True)
        for part in query.chunk(1 + len(query) * len(support) // _MOST_DISTANCES)
    ]
    column = torch.arange(k, device=query.device).clamp_max(available - 1)
    distance = torch.cat([part.values for part in found]).sqrt()
    return distance[:, column], torch.cat([part.indices for part in found])[:, column]


def spread_on_device(
    query: NDArray[np.float32], support: NDArray[np.float32], scores: NDArray[np.float32], device: torch.device
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """The best class of each query point: scores of the three nearest support points, weighted by distance.

    Args:
        query: (Q, 3) float32, metres.
        support: (S, 3) float32, metres.
        scores: (S, C) float32 probabilities, C <= 255.
        device: where it is computed.

    Returns:
        (Q,) uint8 classes and (Q,) float32 probabilities.
    """
    with torch.inference_mode():
        distance, index = nearest_on_device(upload(query, device), upload(support, device), 3)
        return interpolate_labels(upload(scores, device), distance, index)


@cache
def _triton_farthest_points(device: torch.device) -> Callable[[Tensor, int], Tensor] | None:
    """The one-launch sampling, compiled; None, and one line in the log, where it cannot be had."""
    try:
        from pointata.preprocessing.point_ops import triton_fps

        with torch.cuda.device(device):
            triton_fps.farthest_points(torch.zeros(2, 3, device=device), 2)
    except Exception as error:  # no triton, no C compiler, a GPU too old, registers too few: each has errors of its own
        _log.warning("farthest points are picked by a loop, slower than by Triton, which cannot be used: %r", error)
        return None
    return triton_fps.farthest_points


def _looped_farthest_points(points: Tensor, count: int) -> Tensor:
    planes = points.T.contiguous()  # (3, N)
    picks = torch.zeros(count, dtype=torch.int64, device=points.device)
    distance = torch.full_like(planes[0], torch.inf)  # (N,) squared
    for i in range(1, count):
        last = picks[i - 1 : i]
        square = (planes - planes.index_select(1, last)).square_()  # (3, N)
        torch.minimum(distance, square[0].add_(square[1]).add_(square[2]), out=distance)
        distance.index_fill_(0, last, -1.0)  # a pick is never picked again, not even among duplicates
        picks[i : i + 1] = distance.argmax()
    return picks


def _spread(points: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """Sort points along a Z-curve, and rank them so that the best m, for any m, are spread evenly.

    In Z-order the cells of every coarser grid are runs too, and how far two neighbours' keys differ tells the coarsest
    grid in which the second one is first of its cell. Equals are told apart by multiples of the golden ratio, of which
    any number lie evenly.

    Args:
        points: (N, 3) float32.
        cell: () edge of the finest cells; a tensor, because GPUs multiply by the inverse of a number.

    Returns:
        order: (N,) int64 into the points; in a cell of the finest grid, ascending.
        rank: (N,) int64 by position in `order`; its upper half is 0 where a point is not first of any cell.
    """
    half = 2 ** (_AXIS_BITS - 1)
    cells = (points / cell).floor().clamp(-half, half - 1).long() + half  # (N, 3)
    x, y, z = _every_third_bit(cells).unbind(1)
    key, order = (x << 2 | y << 1 | z).sort(stable=True)
    changed = torch.nn.functional.pad(key[1:] ^ key[:-1], (1, 0), value=2**62)
    grid = (torch.frexp(changed.double()).exponent.long() + 2) // 3  # 0: same cell, 1: finest grid, ...
    golden = torch.arange(len(points), device=points.device) * 2654435761 & 0xFFFFFFFF
    return order, grid << 32 | golden


def _first_of_voxels(order: Tensor, rank: Tensor, limit: int) -> tuple[Tensor, Tensor]:
    """The first point of every occupied voxel; evenly spread ones of them where they are more than `limit`.

    Space is divided as by `cpu.first_in_voxel`, up to 2**20 voxels from the origin. Above the limit, every
    voxel of the finest coarser grid (edges times 2, 4, 8, ...) that fits keeps a point, the rest goes to others.

    Args:
        order, rank: the result of `_spread`.
        limit: number M of indices.

    Returns:
        (M,) int64 indices: `occupied` distinct ones, ascending, then the same again until M is reached.
        occupied: () int64, at most M.
    """
    size = len(order)
    best = rank.topk(min(limit, size), sorted=False)
    first = best.values >> 32 > 0
    chosen = torch.where(first, order[best.indices], size).sort().values  # others stand last, as N
    occupied = first.sum()
    return chosen[torch.arange(limit, device=order.device) % occupied], occupied


def _owners(order: Tensor, rank: Tensor) -> Tensor:
    """(N,) int64: for every point the first point in its cell, from the result of `_spread`."""
    place = torch.arange(len(order), device=order.device)
    first = torch.where(rank >> 32 > 0, place, 0).cummax(0).values
    return torch.empty_like(order).scatter_(0, order, order[first])


def _every_third_bit(values: Tensor) -> Tensor:
    """Bits 0, 1, 2, ... of integers below 2**21 moved to places 0, 3, 6, ..."""
    for shift, mask in (
        (32, 0x001F00000000FFFF), (16, 0x001F0000FF0000FF), (8, 0x100F00F00F00F00F),
        (4, 0x10C30C30C30C30C3), (2, 0x1249249249249249),
    ):  # fmt: skip
        values = (values | values << shift) & mask
    return values


def _favour_near(points: Tensor, range_power: float) -> Tensor:
    """`cpu.warp_by_range` for a tensor."""
    if range_power == 0:
        return points
    return points * torch.linalg.vector_norm(points, dim=1, keepdim=True).clamp_min(0.3) ** -range_power


def _squared_distances(query: Tensor, support: Tensor) -> Tensor:
    """(Q, 3) and (S, 3) -> (Q, S)."""
    squared = query.new_zeros(len(query), len(support))
    for axis in range(3):
        difference = query[:, axis, None] - support[:, axis]
        squared.addcmul_(difference, difference)
    return squared
