"""How a sensor is mounted, and a buffer that never passes a guess off as a pose."""

import threading
import time

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pointata.geometry.pose import Pose, interpolate
from ros_pointata.motion.buffer import PoseBuffer, mounting_matrix

SECOND = 1_000_000_000


def _pose(x: float, rotation: Rotation | None = None) -> Pose:
    return Pose.of((x, 2 * x, -x), (rotation or Rotation.identity()).as_quat())


def test_mounting_is_roll_pitch_yaw_about_fixed_axes() -> None:
    roll, pitch, yaw = 0.4, -0.5, 2.0

    def about(axis: int, angle: float) -> np.ndarray:
        return Rotation.from_rotvec(angle * np.eye(3)[axis]).as_matrix()

    matrix = mounting_matrix((0.1, 0.2, 0.3, roll, pitch, yaw))
    assert matrix[:3, :3] == pytest.approx(about(2, yaw) @ about(1, pitch) @ about(0, roll), abs=1e-12)
    assert matrix[:, 3].tolist() == [0.1, 0.2, 0.3, 1.0]


def test_buffer_interpolates_between_neighbours_in_any_order_of_arrival() -> None:
    turn = Rotation.from_rotvec([0, 0, 1.0])
    buffer = PoseBuffer()
    for stamp, pose in ((0, _pose(0.0)), (2 * SECOND, _pose(5.0)), (SECOND, _pose(1.0, turn))):
        buffer.add(stamp, pose)
    estimate = buffer.at(SECOND // 4, timeout_s=1.0)
    assert estimate.known
    assert estimate.warning == ""
    assert estimate.T_world_sensor[:3, 3] == pytest.approx([0.25, 0.5, -0.25])
    assert Rotation.from_matrix(estimate.T_world_sensor[:3, :3]).as_rotvec() == pytest.approx([0, 0, 0.25])
    expected = interpolate(_pose(1.0, turn), _pose(5.0), 0.5).matrix()
    assert buffer.at(3 * SECOND // 2, 1.0).T_world_sensor == pytest.approx(expected)
    assert buffer.at(2 * SECOND, 0.0).T_world_sensor == pytest.approx(_pose(5.0).matrix())


def test_neighbours_too_far_away_are_used_with_a_warning() -> None:
    buffer = PoseBuffer()
    buffer.add(0, _pose(0.0))
    buffer.add(SECOND, _pose(1.0))
    estimate = buffer.at(SECOND // 2, timeout_s=0.1)
    assert estimate.T_world_sensor[0, 3] == pytest.approx(0.5)
    assert "1.000 s apart" in estimate.warning


def test_without_any_pose_it_says_so_and_waits_only_once() -> None:
    buffer = PoseBuffer()
    start = time.perf_counter()
    first = buffer.at(0, timeout_s=0.1)
    waited = time.perf_counter() - start
    again = buffer.at(0, timeout_s=10.0)
    assert (first.known, again.known) == (False, False)
    assert "no odometry" in first.warning
    assert 0.09 < waited < 2
    assert time.perf_counter() - start < 5


def test_the_latest_pose_stands_in_with_a_warning() -> None:
    buffer = PoseBuffer()
    buffer.add(SECOND, _pose(1.0))
    estimate = buffer.at(SECOND + SECOND // 2, timeout_s=0.01)
    assert estimate.known
    assert estimate.T_world_sensor[0, 3] == 1.0
    assert "0.500 s older" in estimate.warning


def test_it_waits_for_the_pose_that_is_on_its_way() -> None:
    buffer = PoseBuffer()
    buffer.add(0, _pose(0.0))
    threading.Timer(0.05, buffer.add, (SECOND, _pose(1.0))).start()
    estimate = buffer.at(SECOND - SECOND // 100, timeout_s=5.0)
    assert estimate.warning == ""
    assert estimate.T_world_sensor[0, 3] == pytest.approx(0.99)


def test_a_jump_back_in_time_forgets_the_old_poses() -> None:
    buffer = PoseBuffer()
    for stamp in (100 * SECOND, 101 * SECOND):
        buffer.add(stamp, _pose(7.0))
    buffer.add(10 * SECOND, _pose(1.0))
    estimate = buffer.at(50 * SECOND, timeout_s=0.0)
    assert estimate.T_world_sensor[0, 3] == 1.0
    assert "40.000 s older" in estimate.warning


def test_old_poses_are_forgotten() -> None:
    buffer = PoseBuffer()
    for second in range(40):
        buffer.add(second * SECOND, _pose(float(second)))
    estimate = buffer.at(0, timeout_s=0.5)
    assert not estimate.known
    assert estimate.T_world_sensor.tolist() == np.eye(4).tolist()
    assert "29.000 s newer" in estimate.warning
    assert buffer.at(29 * SECOND, 0.5).T_world_sensor[0, 3] == 29.0


def test_without_a_wait_close_neighbours_are_no_cause_for_a_warning() -> None:
    buffer = PoseBuffer()
    buffer.add(0, _pose(0.0))
    buffer.add(SECOND // 10, _pose(1.0))
    estimate = buffer.at(SECOND // 20, timeout_s=0.0)
    assert (estimate.T_world_sensor[0, 3], estimate.warning) == (pytest.approx(0.5), "")


@pytest.mark.parametrize("start", [0, 100])
def test_a_cloud_that_jumps_back_before_its_odometry_waits_for_it(start: int) -> None:
    buffer = PoseBuffer()
    for second in range(start, start + 5):
        buffer.add(second * SECOND, _pose(7.0))
    assert buffer.at((start + 4) * SECOND, timeout_s=5.0).T_world_sensor[0, 3] == 7.0
    threading.Timer(0.05, buffer.add, (0, _pose(1.0))).start()
    estimate = buffer.at(0, timeout_s=5.0)
    assert (estimate.T_world_sensor[0, 3], estimate.warning) == (1.0, "")


def test_a_cloud_that_jumps_back_gets_no_pose_of_the_pass_before() -> None:
    buffer = PoseBuffer()
    for second in range(5):
        buffer.add(second * SECOND, _pose(7.0))
    buffer.at(4 * SECOND, timeout_s=0.0)
    assert not buffer.at(SECOND, timeout_s=0.0).known


def test_a_cloud_just_before_the_first_pose_gets_it_with_a_warning() -> None:
    buffer = PoseBuffer()
    buffer.add(SECOND, _pose(1.0))
    estimate = buffer.at(SECOND - SECOND // 50, timeout_s=0.01)
    assert (estimate.known, estimate.T_world_sensor[0, 3]) == (True, 1.0)
    assert "0.020 s newer" in estimate.warning
