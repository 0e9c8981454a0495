"""The topics of a replay: cloud, odometry, truth and clock."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from geometry_msgs.msg import Point, Pose, Quaternion
from nav_msgs.msg import Odometry
from numpy.typing import NDArray
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import PointCloud2

from pointata import ClassInfo
from pointata.data.recording import Recording
from ros_pointata.io.cloud import ns_to_stamp
from ros_pointata.io.qos import latched_profile
from ros_pointata.replay.source import OutgoingFrame

ODOM_FRAME = "odom"


@dataclass(frozen=True)
class Topics:
    """Names and delivery of what is published.

    Attributes:
        cloud: cloud topic; truth goes below it.
        odometry: odometry topic.
        reliable: deliver clouds reliably instead of best effort.
        depth: clouds kept for subscribers that have not acknowledged them.
        clock: whether to publish /clock.
    """

    cloud: str = "/points"
    odometry: str = "/odom"
    reliable: bool = True
    depth: int = 5
    clock: bool = False


class ReplayPublishers:
    """Publishers for what a recording has: odometry only with poses, truth only with labels or actions."""

    def __init__(self, node: Node, recording: Recording, topics: Topics) -> None:
        """Create the publishers on a node and latch the class lists."""
        self._topics = topics
        self._actions = recording.actions
        reliability = ReliabilityPolicy.RELIABLE if topics.reliable else ReliabilityPolicy.BEST_EFFORT
        self._cloud = node.create_publisher(
            PointCloud2, topics.cloud, QoSProfile(depth=topics.depth, reliability=reliability)
        )
        side = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
        self._odometry = node.create_publisher(Odometry, topics.odometry, side) if recording.has_poses else None
        self._clock = node.create_publisher(Clock, "/clock", side) if topics.clock else None
        self._truth: Any = None
        self._lists = []
        if recording.classes is not None:
            self._lists.append(_latch(node, f"{topics.cloud}/truth/classes", recording.name, recording.classes))
        if recording.actions is not None:
            from ros_pointata.msg import ActionPrediction

            self._lists.append(_latch(node, f"{topics.cloud}/truth/actions", recording.name, recording.actions))
            self._truth = node.create_publisher(ActionPrediction, f"{topics.cloud}/truth/action", side)

    def wait_for_subscribers(self, count: int, timeout_s: float) -> bool:
        """Wait until `count` subscribers are matched on the cloud topic; False where the time ran out.

        Discovery is two-sided and topic by topic, so that a moment is added for the other half.
        """
        end = time.monotonic() + timeout_s
        while self._cloud.get_subscription_count() < count:
            if time.monotonic() > end:
                return False
            time.sleep(0.02)
        if count:
            time.sleep(0.3)
        return True

    def publish(self, frame: OutgoingFrame, stamp_ns: int) -> None:
        """Send a frame at a stamp (ns): first clock, odometry and truth, then the cloud they belong to."""
        stamp = ns_to_stamp(stamp_ns)
        frame.cloud.header.stamp = stamp
        self.publish_clock(stamp_ns)
        if self._odometry is not None and frame.T_world_sensor is not None:
            message = Odometry(child_frame_id=frame.cloud.header.frame_id)
            message.header.stamp, message.header.frame_id = stamp, ODOM_FRAME
            message.pose.pose = _pose(frame.T_world_sensor)
            self._odometry.publish(message)
        if self._truth is not None and self._actions is not None and frame.action is not None:
            self._truth.publish(_true_action(frame, stamp, self._actions))
        self._cloud.publish(frame.cloud)

    def publish_clock(self, stamp_ns: int) -> None:
        """Send /clock if it was asked for."""
        if self._clock is not None:
            self._clock.publish(Clock(clock=ns_to_stamp(stamp_ns)))

    def wait_for_delivery(self, timeout_s: float) -> bool:
        """Wait until every reliable subscriber has acknowledged all clouds; True at once for best effort."""
        acked: Callable[[Duration], bool] = self._cloud.wait_for_all_acked
        return not self._topics.reliable or acked(Duration(seconds=timeout_s))

    def linger(self, seconds: float) -> None:
        """Stay until the side topics are acknowledged, and a moment longer: best-effort readers cannot acknowledge."""
        for publisher in (self._odometry, self._truth, self._clock):
            if publisher is not None:
                publisher.wait_for_all_acked(Duration(seconds=seconds))
        time.sleep(seconds)


def _latch(node: Node, topic: str, name: str, classes: Sequence[ClassInfo]) -> Any:
    """Publish a class list on a latched topic; the publisher must be kept alive."""
    from ros_pointata.io.messages import class_list_message
    from ros_pointata.msg import ClassInfoList

    publisher = node.create_publisher(ClassInfoList, topic, latched_profile())
    publisher.publish(class_list_message(node.get_clock().now().to_msg(), name, classes))
    return publisher


def _true_action(frame: OutgoingFrame, stamp: Any, actions: Sequence[ClassInfo]) -> Any:
    from ros_pointata.msg import ActionPrediction

    message = ActionPrediction(class_id=frame.action, score=1.0, frame_count=1, window_start=stamp)
    message.header.stamp, message.header.frame_id = stamp, frame.cloud.header.frame_id
    message.label = next(entry.name for entry in actions if entry.id == frame.action)
    message.scores = [float(entry.id == frame.action) for entry in actions]
    return message


def _pose(transform: NDArray[np.float64]) -> Pose:
    x, y, z = map(float, transform[:3, 3])
    qx, qy, qz, qw = map(float, Rotation.from_matrix(transform[:3, :3]).as_quat())
    return Pose(position=Point(x=x, y=y, z=z), orientation=Quaternion(x=qx, y=qy, z=qz, w=qw))
