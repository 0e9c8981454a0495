"""Poses as they arrive: a buffer that interpolates, and that says so when it cannot. Imports no ROS."""

import threading
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from pointata.geometry.pose import Pose, interpolate
from pointata.geometry.rigid import rigid

#: Poses older than this, against the newest, are forgotten; a step back in time by more than JUMP_NS forgets all.
KEEP_NS = 10_000_000_000
JUMP_NS = 1_000_000_000
#: Between neighbours further apart an interpolated pose is doubtful.
GAP_NS = 200_000_000


@dataclass(frozen=True)
class PoseEstimate:
    """The sensor's pose at one stamp.

    Attributes:
        T_world_sensor: (4, 4) float64; identity where `known` is False.
        known: False where there is no pose at all.
        warning: what is wrong with the pose; empty where nothing is.
    """

    T_world_sensor: NDArray[np.float64]
    known: bool = True
    warning: str = ""


def mounting_matrix(xyz_rpy: Sequence[float]) -> NDArray[np.float64]:
    """(4, 4) transform of x y z (m) and roll pitch yaw (rad) about the fixed axes x, y, z, as in URDF and REP-103."""
    return rigid(Rotation.from_euler("xyz", xyz_rpy[3:]).as_matrix(), np.asarray(xyz_rpy[:3], dtype=np.float64))


class PoseBuffer:
    """Poses of the last seconds by stamp; one thread adds, another asks and may wait for the next to come."""

    def __init__(self) -> None:
        self._stamps: list[int] = []
        self._poses: list[Pose] = []
        self._changed = threading.Condition()
        self._asked = 0
        self._silent = False  # the last wait ended without any new pose: no use in waiting again before one comes

    def add(self, stamp_ns: int, pose: Pose) -> None:
        """Insert in order of time; a jump back (a bag that starts over) forgets what was there."""
        with self._changed:
            self._forget_if_past(stamp_ns)
            index = bisect_left(self._stamps, stamp_ns)
            if index < len(self._stamps) and self._stamps[index] == stamp_ns:
                self._poses[index] = pose
            else:
                self._stamps.insert(index, stamp_ns)
                self._poses.insert(index, pose)
            stale = bisect_left(self._stamps, self._stamps[-1] - KEEP_NS)
            del self._stamps[:stale], self._poses[:stale]
            self._silent = False
            self._changed.notify_all()

    def at(self, stamp_ns: int, timeout_s: float) -> PoseEstimate:
        """Pose at a stamp: interpolated between its neighbours, else the nearest one, with a warning.

        Waits at most `timeout_s` for poses on both sides of the stamp, and not at all while the source is silent.
        Neighbours further apart than GAP_NS, or than `timeout_s` where that is longer, are used with a warning.
        More than JUMP_NS before the first pose it is unknown. A stamp that jumps back forgets the poses as `add` does.
        """
        with self._changed:
            if stamp_ns < self._asked - JUMP_NS:
                self._forget_if_past(stamp_ns)
            self._asked = stamp_ns
            if timeout_s > 0 and not self._silent and not self._covers(stamp_ns):
                self._silent = True
                self._changed.wait_for(lambda: self._covers(stamp_ns), timeout_s)
            if not self._stamps:
                return PoseEstimate(np.eye(4), known=False, warning="no odometry has arrived: the pose is unknown")
            return self._estimate(stamp_ns, timeout_s)

    def _covers(self, stamp_ns: int) -> bool:
        return bool(self._stamps) and self._stamps[0] <= stamp_ns <= self._stamps[-1]

    def _forget_if_past(self, stamp_ns: int) -> None:
        if self._stamps and stamp_ns < self._stamps[-1] - JUMP_NS:
            self._stamps.clear()
            self._poses.clear()
            self._silent = False

    def _estimate(self, stamp_ns: int, timeout_s: float) -> PoseEstimate:
        right = bisect_left(self._stamps, stamp_ns)
        if right == len(self._stamps):
            late_s = (stamp_ns - self._stamps[-1]) / 1e9
            warning = f"the latest odometry is {late_s:.3f} s older than the cloud"
            return PoseEstimate(self._poses[-1].matrix(), warning=warning)
        end, after = self._stamps[right], self._poses[right]
        if end == stamp_ns:
            return PoseEstimate(after.matrix())
        if right == 0:
            warning = f"the first odometry is {(end - stamp_ns) / 1e9:.3f} s newer than the cloud"
            if end - stamp_ns > JUMP_NS:
                return PoseEstimate(np.eye(4), known=False, warning=f"{warning}: the pose is unknown")
            return PoseEstimate(after.matrix(), warning=warning)
        start, before = self._stamps[right - 1], self._poses[right - 1]
        pose = interpolate(before, after, (stamp_ns - start) / (end - start))
        far = end - start > max(GAP_NS, timeout_s * 1e9)
        warning = f"the odometry around the cloud is {(end - start) / 1e9:.3f} s apart" if far else ""
        return PoseEstimate(pose.matrix(), warning=warning)
