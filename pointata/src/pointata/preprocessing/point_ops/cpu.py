"""Choosing the points of a frame that the network sees: voxel thinning, then farthest point sampling (FPS)."""

import fpsample
import numpy as np
from numpy.typing import NDArray

from pointata.geometry.places import distinct, first_of_rows, first_of_same, representatives

# The picks of fpsample's bucket FPS depend on the tree height: one value, in training and on the robot.
_TREE_HEIGHT = 7
# Below this size the plain algorithm is as fast as building the tree.
_SMALL_CLOUD = 512


def first_in_voxel(points: NDArray[np.float32], voxel_m: float) -> NDArray[np.int64]:
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
        return first_of_rows(cells + np.float32(0))
    x, y, z = (cells[:, axis].astype(np.int64) - corner[axis] for axis in range(3))
    return first_of_same((x * extent[1] + y) * extent[2] + z)


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
    """Farthest point sampling of the places where points lie; all further points follow by index once these are used.

    Any prefix of the result is itself the farthest point sample of that length. Arguments and result as in
    `exact_farthest_points`, except that the first pick is fpsample's own.
    """
    if not 1 <= count <= len(points):
        raise ValueError(f"cannot pick {count} of {len(points)} points")
    points, owner = distinct(points)
    if owner is None:
        return _farthest_places(points, count)
    first = representatives(owner)[0]
    picks = first[_farthest_places(points[first], min(count, len(first)))]
    copies = np.flatnonzero(owner != np.arange(len(owner)))
    return np.concatenate([picks, copies[: count - len(picks)]])


def _farthest_places(points: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """`farthest_points` of distinct ones: by fpsample's bucket tree, by the plain algorithm where they are few."""
    if len(points) <= _SMALL_CLOUD:
        return exact_farthest_points(points, count)
    picks = fpsample.bucket_fps_kdline_sampling(points, count, h=_TREE_HEIGHT, start_idx=0)
    return np.asarray(picks, dtype=np.int64)


def warp_by_range(points: NDArray[np.float32], range_power: float) -> NDArray[np.float32]:
    """Coordinates in which near things are larger: p / |p| ** range_power, |p| at least 0.3 m."""
    if range_power == 0:
        return points
    reach = np.sqrt(np.einsum("nd,nd->n", points, points))
    factor: NDArray[np.float32] = np.exp(np.float32(-range_power) * np.log(np.maximum(reach, 0.3)))  # faster than **
    return points * factor[:, None]


def sample_indices(
    points: NDArray[np.float32], count: int, voxel_m: float = 0.0, range_power: float = 0.0
) -> NDArray[np.int64]:
    """Exactly `count` indices into a cloud, farthest points first; see `voxel_downsample` and `pick_indices`."""
    return pick_indices(points, count, voxel_downsample(points, count, voxel_m)[0], range_power)


def voxel_downsample(
    points: NDArray[np.float32], count: int, voxel_m: float
) -> tuple[NDArray[np.int64], NDArray[np.int32] | None]:
    """One point of every voxel; all points where there are no voxels, or fewer than `count` of them.

    Returns:
        first: (V,) int64 ascending indices of the first point in each voxel.
        voxel: (N,) int32, each point's voxel as an index into `first`; None where every point is its own.
    """
    if voxel_m > 0 and len(points) > count:
        first, voxel = representatives(first_in_voxel(points, voxel_m))
        if len(first) >= count:
            return first, voxel
    return np.arange(len(points)), None


def pick_indices(
    points: NDArray[np.float32], count: int, candidates: NDArray[np.int64], range_power: float = 0.0
) -> NDArray[np.int64]:
    """Farthest points of a thinned cloud; one of fewer points is repeated in order until `count` is reached.

    Args:
        points: (N, 3) float32, finite, N >= 1, metres.
        count: number of indices.
        candidates: (V,) int64 indices that may be picked, ascending, of `voxel_downsample`.
        range_power: see `warp_by_range`.

    Returns:
        (count,) int64.
    """
    thinned = points if len(candidates) == len(points) else np.take(points, candidates, axis=0)
    warped = warp_by_range(thinned, range_power)
    picks = candidates[farthest_points(warped, min(count, len(candidates)))]
    return np.resize(picks, count)
