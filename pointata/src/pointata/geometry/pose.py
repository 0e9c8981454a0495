"""Timed rigid poses: what lies between two of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from pointata.errors import DataError
from pointata.geometry.rigid import FARTHEST_POSE_M, is_near, rigid


@dataclass(frozen=True)
class Pose:
    """A rigid pose: translation (3,) float64 in metres, and a rotation."""

    translation: NDArray[np.float64]
    rotation: Rotation

    @classmethod
    def of(cls, translation: Sequence[float], quaternion: Sequence[float]) -> "Pose":
        """Of a translation (3,) in metres and a quaternion x, y, z, w of any length.

        Raises:
            DataError: not finite, a quaternion without a direction, or a position that no odometry means.
        """
        t, q = (np.asarray(translation, dtype=np.float64), np.asarray(quaternion, dtype=np.float64))
        with np.errstate(over="ignore"):
            norm = float(np.linalg.norm(q))
        if not (np.isfinite(t).all() and np.isfinite(norm) and norm > 1e-6):
            raise DataError(f"pose with translation {t.tolist()} and quaternion {q.tolist()} is not a rigid transform")
        if not is_near(t):
            raise DataError(
                f"pose with translation {t.tolist()} lies more than {FARTHEST_POSE_M:.0e} m from the origin: has the "
                "odometry diverged? Restart it, or take the poses from elsewhere"
            )
        return cls(t, Rotation.from_quat(q))

    def matrix(self) -> NDArray[np.float64]:
        """(4, 4) float64 homogeneous transform."""
        return rigid(self.rotation.as_matrix(), self.translation)


def interpolate(a: Pose, b: Pose, fraction: float) -> Pose:
    """Pose between a (fraction 0) and b (fraction 1): translation linear, rotation evenly on the shorter arc."""
    turn = (b.rotation * a.rotation.inv()).as_rotvec()
    translation = a.translation + fraction * (b.translation - a.translation)
    return Pose(translation, Rotation.from_rotvec(fraction * turn) * a.rotation)
