"""Poses and what lies between them, against scipy's Slerp and closed forms."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation, Slerp

from pointata import DataError
from pointata.geometry.pose import Pose, interpolate


def test_rotations_between_equal_slerp() -> None:
    ends = Rotation.random(400, random_state=3).as_quat().reshape(200, 2, 4)
    fractions = np.random.default_rng(4).uniform(0, 1, 200)
    for (a, b), fraction in zip(ends, fractions, strict=True):
        expected = Slerp([0, 1], Rotation.from_quat([a, b]))(fraction)
        ours = interpolate(Pose.of((0, 0, 0), a), Pose.of((0, 0, 0), b), fraction).rotation
        assert (ours * expected.inv()).magnitude() < 1e-7


@pytest.mark.parametrize("angle", [0.0, 1e-9, 1e-6, 1e-3, 1.0, np.pi - 1e-3])
def test_a_pose_moves_in_proportion_to_the_fraction(angle: float) -> None:
    quaternion = Rotation.from_rotvec([0, 0, angle]).as_quat()
    for sign in (1, -1):  # q and -q are one rotation
        result = interpolate(Pose.of((1, 0, 0), (0, 0, 0, 1)), Pose.of((5, 0, 4), sign * quaternion), 0.25)
        assert result.rotation.magnitude() == pytest.approx(0.25 * angle, abs=1e-9)
        assert result.translation.tolist() == [2, 0, 1]


def test_a_matrix_is_the_rotation_of_the_quaternion_whatever_its_length() -> None:
    for x, y, z, w in Rotation.random(50, random_state=1).as_quat():
        matrix = Pose.of((1.0, -2.0, 3.0), (2.5 * x, 2.5 * y, 2.5 * z, 2.5 * w)).matrix()
        # columns are the images of the axes under v -> q v q* (Hamilton)
        first = [1 - 2 * (y * y + z * z), 2 * (x * y + z * w), 2 * (x * z - y * w)]
        third = [2 * (x * z + y * w), 2 * (y * z - x * w), 1 - 2 * (x * x + y * y)]
        assert matrix[:3, 0] == pytest.approx(first, abs=1e-12)
        assert matrix[:3, 2] == pytest.approx(third, abs=1e-12)
        assert matrix[:, 3].tolist() == [1.0, -2.0, 3.0, 1.0]


@pytest.mark.parametrize(
    ("translation", "quaternion"),
    [((0, 0, np.nan), (0, 0, 0, 1)), ((0, 0, 0), (0, 0, 0, 0)), ((0, 0, 0), (0, np.inf, 0, 1))],
)
def test_an_impossible_pose_is_refused(translation: tuple[float, ...], quaternion: tuple[float, ...]) -> None:
    with pytest.raises(DataError, match="not a rigid transform"):
        Pose.of(translation, quaternion)
