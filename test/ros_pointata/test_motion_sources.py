"""The tf source against a stand-in for tf2_ros, which the ROS wheels do not carry."""

import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")

from geometry_msgs.msg import TransformStamped
from rclpy.time import Time

from ros_pointata.config.parameters import Motion
from ros_pointata.motion.sources import TfMotion


class TransformException(Exception):  # the name that tf2_ros gives it
    """What tf2_ros raises."""


class StandInBuffer:
    """Knows the transforms put into `known`, by stamp in nanoseconds; 0 is the latest."""

    known: dict[int, TransformStamped]
    asked: list[tuple[str, str, int, int]]

    def __init__(self) -> None:
        self.known, self.asked = {}, []

    def lookup_transform(self, target: str, source: str, time: Time, timeout: Any) -> TransformStamped:
        self.asked.append((target, source, time.nanoseconds, timeout.nanoseconds))
        if time.nanoseconds not in self.known:
            raise TransformException(f"no {source} at {time.nanoseconds}")
        return self.known[time.nanoseconds]


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> tuple[TfMotion, StandInBuffer]:
    buffer = StandInBuffer()
    module: Any = ModuleType("tf2_ros")
    module.TransformException = TransformException
    module.Buffer = lambda: buffer
    module.TransformListener = lambda given, node: None
    monkeypatch.setitem(sys.modules, "tf2_ros", module)
    node: Any = None
    return TfMotion(node, Motion(source="tf", world_frame="map", timeout_s=0.25)), buffer


def _transform(x: float) -> TransformStamped:
    message = TransformStamped()
    message.transform.translation.x = x
    message.transform.rotation.z = message.transform.rotation.w = np.sqrt(0.5)  # a quarter turn to the left
    return message


def test_the_transform_at_the_stamp(source: tuple[TfMotion, StandInBuffer]) -> None:
    motion, buffer = source
    buffer.known = {7: _transform(3.0), 0: _transform(4.0)}
    estimate = motion.pose_at(7, "lidar")
    expected = [[0, -1, 0, 3], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    assert estimate.T_world_sensor == pytest.approx(np.array(expected, dtype=float))
    assert (estimate.known, estimate.warning) == (True, "")
    assert buffer.asked == [("map", "lidar", 7, 250_000_000)]


def test_else_the_latest_with_a_warning(source: tuple[TfMotion, StandInBuffer]) -> None:
    motion, buffer = source
    buffer.known = {0: _transform(4.0)}
    estimate = motion.pose_at(7, "lidar")
    assert (estimate.known, estimate.T_world_sensor[0, 3]) == (True, 4.0)
    assert "no lidar at 7" in estimate.warning


def test_else_unknown_with_a_warning(source: tuple[TfMotion, StandInBuffer]) -> None:
    estimate = source[0].pose_at(7, "lidar")
    assert not estimate.known
    assert "tf has no pose" in estimate.warning
