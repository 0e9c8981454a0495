"""Rigid transforms in homogeneous coordinates."""

import numpy as np
from numpy.typing import NDArray

#: Farther from the origin of its world no pose is believed, metres: what an odometry says that has diverged.
FARTHEST_POSE_M = 1e7


def rigid(rotation: NDArray[np.float64], translation: NDArray[np.float64]) -> NDArray[np.float64]:
    """(4, 4) transform of a (3, 3) rotation and a (3,) translation."""
    transform = np.eye(4)
    transform[:3, :3] = rotation
    transform[:3, 3] = translation
    return transform


def is_rigid(transform: NDArray[np.float64], tolerance: float = 1e-3) -> bool:
    """True for a finite (4, 4) matrix with an orthonormal right-handed rotation and last row 0 0 0 1."""
    rotation = transform[:3, :3]
    return bool(
        transform.shape == (4, 4)
        and np.isfinite(transform).all()
        and np.abs(rotation).max() < 2  # so that no product overflows
        and np.abs(rotation @ rotation.T - np.eye(3)).max() <= tolerance
        and np.linalg.det(rotation) > 0
        and np.abs(transform[3] - (0, 0, 0, 1)).max() < 1e-6
    )


def is_near(translation: NDArray[np.float64]) -> bool:
    """True where no coordinate of a position (3,) is NaN or beyond FARTHEST_POSE_M."""
    return bool((np.abs(translation) <= FARTHEST_POSE_M).all())


def rotate(transform: NDArray[np.float64], points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Apply only the rotation of `transform` (4, 4) to points (N, 3): the origin stays at the sensor."""
    if np.array_equal(transform[:3, :3], np.eye(3)):
        return points
    return points @ transform[:3, :3].T.astype(np.float32)


def yaw(angle: float) -> NDArray[np.float64]:
    """(4, 4) rotation by `angle` radians about z."""
    c, s = np.cos(angle), np.sin(angle)
    result = np.eye(4)
    result[:2, :2] = [[c, -s], [s, c]]
    return result
