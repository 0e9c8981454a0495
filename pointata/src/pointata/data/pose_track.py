"""Sensor poses between odometry messages, and fixed transforms between the frames of a robot."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pointata.errors import DataError
from pointata.geometry.pose import Pose, interpolate


class PoseTrack:
    """Timed poses, interpolated: positions linearly, rotations on the shortest arc.

    Beyond either end the outermost pose holds for `max_gap_s`.
    """

    def __init__(
        self,
        stamps_ns: Sequence[int],
        positions: Sequence[Sequence[float]],
        quaternions: Sequence[Sequence[float]],
        max_gap_s: float = 1.0,
    ) -> None:
        """Poses in any order.

        Args:
            stamps_ns: (K,) times, nanoseconds, K at least 1; of equal ones the first counts.
            positions: (K, 3) metres.
            quaternions: (K, 4) x, y, z, w, not zero.
            max_gap_s: how far from the nearest pose a time may lie, seconds.
        """
        self._stamps_ns, order = np.unique(np.array(stamps_ns, dtype=np.int64), return_index=True)
        self._poses = [Pose.of(positions[index], quaternions[index]) for index in order]
        self._max_gap_s = max_gap_s

    def gap_s(self, stamp_ns: int) -> float:
        """Seconds to the nearest pose, before or after."""
        return int(np.abs(self._stamps_ns - stamp_ns).min()) / 1e9

    def pose(self, stamp_ns: int) -> NDArray[np.float64] | None:
        """(4, 4) pose at a time; None where the nearest pose is more than max_gap_s away."""
        if self.gap_s(stamp_ns) > self._max_gap_s:
            return None
        right = int(np.searchsorted(self._stamps_ns, stamp_ns))
        if right in (0, len(self._poses)):
            return self._poses[max(0, right - 1)].matrix()
        start, end = self._stamps_ns[right - 1 : right + 1]
        fraction = float((stamp_ns - start) / (end - start))
        return interpolate(self._poses[right - 1], self._poses[right], fraction).matrix()


def fixed_transform(
    edges: Mapping[str, tuple[str, NDArray[np.float64]]], target: str, source: str
) -> NDArray[np.float64] | None:
    """T_target_source (4, 4) through a tree of fixed transforms; None where the two are not connected.

    Args:
        edges: child frame -> (parent frame, T_parent_child).
        target, source: frame names.
    """
    from_target, from_source = _ancestors(edges, target), _ancestors(edges, source)
    for ancestor, T_ancestor_source in from_source.items():
        if ancestor in from_target:
            return np.linalg.inv(from_target[ancestor]) @ T_ancestor_source
    return None


def _ancestors(edges: Mapping[str, tuple[str, NDArray[np.float64]]], frame: str) -> dict[str, NDArray[np.float64]]:
    """T_ancestor_frame of the frame itself and every frame above it, nearest first."""
    result = {frame: np.eye(4)}
    transform = np.eye(4)
    while frame in edges:
        parent, T_parent_child = edges[frame]
        if parent in result:
            raise DataError(f"the fixed transforms of the recording form a loop through {parent!r}")
        transform = T_parent_child @ transform
        result[parent] = transform
        frame = parent
    return result
