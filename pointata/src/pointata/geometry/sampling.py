"""Choosing the points of a frame that the network sees: voxel thinning, then farthest point sampling (FPS)."""

import fpsample
import numpy as np
from numpy.typing import NDArray

# The picks of fpsample's bucket FPS depend on the tree height: one value, in training and on the robot.
_TREE_HEIGHT = 5
# Below this size the plain algorithm is as fast as building the tree.
_SMALL_CLOUD = 512


def voxel_representatives(points: NDArray[np.float32], voxel_m: float) -> NDArray[np.int64]:
    """Index of the first point in every occupied voxel.

    Args:
        points: (N, 3) finite, metres.
        voxel_m: edge of a voxel, metres, above 0.

    Returns:
        (V,) int64 ascending indices, V <= N.
    """
    if len(points) == 0:
        return np.zeros(0, dtype=np.int64)
    cells = np.floor(points / voxel_m).astype(np.int64)
    cells -= cells.min(axis=0)
    extent = cells.max(axis=0) + 1
    if float(extent[0]) * float(extent[1]) * float(extent[2]) < 2**62:
        keys = (cells[:, 0] * extent[1] + cells[:, 1]) * extent[2] + cells[:, 2]
        _, first = np.unique(keys, return_index=True)
    else:  # a stray point so far away that cell numbers overflow one integer
        _, first = np.unique(cells, axis=0, return_index=True)
    return np.sort(first)


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
    factor: NDArray[np.float32] = np.maximum(reach, 0.3) ** np.float32(-range_power)
    return points * factor[:, None]


def sample_indices(
    points: NDArray[np.float32], count: int, voxel_m: float = 0.0, range_power: float = 0.0
) -> NDArray[np.int64]:
    """Exactly `count` indices into a cloud, farthest points first.

    Voxel thinning is left out where it would leave fewer than `count` points; a cloud of fewer points is repeated
    in order until `count` is reached.

    Args:
        points: (N, 3) float32, finite, N >= 1, metres.
        count: number of indices.
        voxel_m: edge of the thinning voxels, metres; 0 for none.
        range_power: see `favour_near`.

    Returns:
        (count,) int64.
    """
    candidates = np.arange(len(points))
    if voxel_m > 0 and len(points) > count:
        thinned = voxel_representatives(points, voxel_m)
        if len(thinned) >= count:
            candidates = thinned
    warped = np.ascontiguousarray(favour_near(points[candidates], range_power))
    picks = candidates[farthest_points(warped, min(count, len(candidates)))]
    return np.resize(picks, count)
