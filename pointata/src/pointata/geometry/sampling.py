"""Choosing the points of a frame that the network sees: voxel thinning, then farthest point sampling (FPS)."""

import fpsample
import numpy as np
from numpy.typing import NDArray

# The picks of fpsample's bucket FPS depend on the tree height: one value, in training and on the robot.
_TREE_HEIGHT = 7
# Below this size the plain algorithm is as fast as building the tree.
_SMALL_CLOUD = 512
# Of `first_of_same`: size of the table (some ten places for every occupied voxel), and how a key gets its place.
_TABLE_BITS = 21
_SHIFT = np.uint64(64 - _TABLE_BITS)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def voxel_owners(points: NDArray[np.float32], voxel_m: float) -> NDArray[np.int64]:
    """For every point, the first point in its voxel.

    Args:
        points: (N, 3) finite, metres.
        voxel_m: edge of a voxel, metres, above 0.

    Returns:
        (N,) int64 indices; a point that is first in its voxel has its own.
    """
    if len(points) == 0:
        return np.zeros(0, dtype=np.int64)
    cells = np.floor(points / np.float32(voxel_m))
    corner = [int(cells[:, axis].min()) for axis in range(3)]  # column by column: min(axis=0) is twenty times slower
    extent = [int(cells[:, axis].max()) - corner[axis] + 1 for axis in range(3)]
    if extent[0] * extent[1] * extent[2] > 2**62:  # a stray point so far away that cell numbers overflow one integer
        _, first, cell = np.unique(cells, axis=0, return_index=True, return_inverse=True)
        return first[cell.reshape(-1)]
    x, y, z = (cells[:, axis].astype(np.int64) - corner[axis] for axis in range(3))
    return first_of_same((x * extent[1] + y) * extent[2] + z)


def first_of_same(keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """For every key, the first index at which the same value stands: what `np.unique` finds by sorting, by hashing.

    Each round writes indices into a table in which the lowest one wins; keys that lost their place to another value
    come again, hashed otherwise.

    Args:
        keys: (N,) int64.

    Returns:
        (N,) int64.
    """
    owner = np.empty(len(keys), dtype=np.int64)
    table = np.empty(1 << _TABLE_BITS, dtype=np.int32)
    rest = np.arange(len(keys), dtype=np.int32)
    hashes = keys.view(np.uint64)
    while len(rest):
        hashes = hashes * _GOLDEN  # again in every round: other products, other places
        place = (hashes >> _SHIFT).astype(np.int64)
        table[place[::-1]] = rest[::-1]  # of several writes to one place, numpy keeps the last: the lowest index
        winner = table[place]
        owner[rest] = winner
        lost = keys[winner] != keys[rest]
        rest, hashes = rest[lost], hashes[lost]
    return owner


def exact_farthest_points(points: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Farthest point sampling as defined: each pick is the point farthest from all picks so far.

    Args:
        points: (N, 3) finite; duplicates allowed.
        count: 1 to N; the first pick is point 0, ties go to the lowest index.

    Returns:
        (count,) int64 distinct indices in order of picking.
    """
    picks = np.zeros(count, dtype=np.int64)
    distance = np.full(len(points), np.inf, dtype=np.float32)
    for i in range(1, count):
        offset = points - points[picks[i - 1]]
        np.minimum(distance, np.einsum("nd,nd->n", offset, offset), out=distance)
        distance[picks[i - 1]] = -1.0  # a pick is never picked again, not even among duplicates
        picks[i] = distance.argmax()
    return picks


def farthest_points(points: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Farthest point sampling by fpsample's bucket tree, by the plain algorithm where the tree cannot serve.

    Any prefix of the result is itself the farthest point sample of that length. Arguments and result as in
    `exact_farthest_points`, except that the first pick is fpsample's own.
    """
    if not 1 <= count <= len(points):
        raise ValueError(f"cannot pick {count} of {len(points)} points")
    if len(points) <= _SMALL_CLOUD:
        return exact_farthest_points(points, count)
    picks: NDArray[np.int64] = fpsample.bucket_fps_kdline_sampling(points, count, h=_TREE_HEIGHT, start_idx=0).astype(
        np.int64
    )
    if len(np.unique(picks)) < count:  # clouds with many duplicates
        return exact_farthest_points(points, count)
    return picks


def favour_near(points: NDArray[np.float32], range_power: float) -> NDArray[np.float32]:
    """Coordinates in which near things are larger: p / |p| ** range_power, |p| at least 0.3 m."""
    if range_power == 0:
        return points
    reach = np.sqrt(np.einsum("nd,nd->n", points, points))
    factor: NDArray[np.float32] = np.exp(np.float32(-range_power) * np.log(np.maximum(reach, 0.3)))  # faster than **
    return points * factor[:, None]


def sample_indices(
    points: NDArray[np.float32], count: int, voxel_m: float = 0.0, range_power: float = 0.0
) -> NDArray[np.int64]:
    """Exactly `count` indices into a cloud, farthest points first; see `thin` and `pick_indices`."""
    return pick_indices(points, count, thin(points, count, voxel_m)[0], range_power)


def thin(points: NDArray[np.float32], count: int, voxel_m: float) -> tuple[NDArray[np.int64], NDArray[np.int32] | None]:
    """One point of every voxel; all points where there are no voxels, or fewer than `count` of them.

    Returns:
        first: (V,) int64 ascending indices of the first point in each voxel.
        voxel: (N,) int32, each point's voxel as an index into `first`; None where every point is its own.
    """
    if voxel_m > 0 and len(points) > count:
        first, voxel = by_owner(voxel_owners(points, voxel_m))
        if len(first) >= count:
            return first, voxel
    return np.arange(len(points)), None


def by_owner(owner: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """The owners (V,) int64 among (N,) owners, ascending, and for everyone the place of its owner in that list."""
    first = np.flatnonzero(owner == np.arange(len(owner)))
    place = np.empty(len(owner), dtype=np.int32)
    place[first] = np.arange(len(first), dtype=np.int32)
    return first, place[owner]


def pick_indices(
    points: NDArray[np.float32], count: int, candidates: NDArray[np.int64], range_power: float = 0.0
) -> NDArray[np.int64]:
    """Farthest points of a thinned cloud; one of fewer points is repeated in order until `count` is reached.

    Args:
        points: (N, 3) float32, finite, N >= 1, metres.
        count: number of indices.
        candidates: (V,) int64 indices that may be picked, of `thin`.
        range_power: see `favour_near`.

    Returns:
        (count,) int64.
    """
    warped = np.ascontiguousarray(favour_near(np.take(points, candidates, axis=0), range_power))
    picks = candidates[farthest_points(warped, min(count, len(candidates)))]
    return np.resize(picks, count)
