"""Where the node gets the sensor's pose from: nothing, nav_msgs/Odometry, or tf."""

from typing import Any, Protocol

import numpy as np
from nav_msgs.msg import Odometry
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.time import Time

from pointata.data.pointcloud2 import stamp_to_ns
from pointata.errors import ConfigError, DataError
from pointata.geometry.pose import Pose
from pointata.text import cut
from ros_pointata.config.parameters import Motion
from ros_pointata.motion.buffer import PoseBuffer, PoseEstimate, mounting_matrix


class MotionSource(Protocol):
    """Answers where the sensor was; called on the sampling thread."""

    def pose_at(self, stamp_ns: int, frame_id: str) -> PoseEstimate:
        """Pose of the sensor frame at a stamp; may wait up to motion.timeout_s."""
        ...

    def close(self) -> None:
        """Give the subscriptions back."""
        ...


def motion_source(node: Node, motion: Motion) -> MotionSource:
    """The source that the parameters name.

    Raises:
        ConfigError: source tf without tf2_ros.
    """
    if motion.source == "odometry":
        return OdometryMotion(node, motion)
    if motion.source == "tf":
        return TfMotion(node, motion)
    return NoMotion()


class NoMotion:
    """A sensor that stands still: its own axes are the world's."""

    def pose_at(self, stamp_ns: int, frame_id: str) -> PoseEstimate:
        """Identity."""
        return PoseEstimate(np.eye(4))

    def close(self) -> None:
        """Nothing to give back."""


class OdometryMotion:
    """Poses of ~/input/odometry, interpolated at the clouds' stamps and carried over to the sensor by the mounting."""

    def __init__(self, node: Node, motion: Motion) -> None:
        self._node = node
        self._timeout_s = motion.timeout_s
        self._mounted = any(motion.mounting)
        self._T_child_sensor = mounting_matrix(motion.mounting)
        self._child_frame = ""
        self._buffer = PoseBuffer()
        qos = QoSProfile(depth=100, reliability=ReliabilityPolicy.BEST_EFFORT)
        self._subscription = node.create_subscription(Odometry, "~/input/odometry", self._on_odometry, qos)

    def pose_at(self, stamp_ns: int, frame_id: str) -> PoseEstimate:
        """Interpolated pose; the warning names a missing mounting, too."""
        estimate = self._buffer.at(stamp_ns, self._timeout_s)
        if not estimate.known:
            return estimate
        warning = estimate.warning
        if not warning and not self._mounted and self._child_frame not in ("", frame_id):
            warning = (
                f"odometry is of '{cut(self._child_frame)}', the cloud of '{cut(frame_id)}', "
                "and motion.mounting is zero: both are taken for one and the same"
            )
        return PoseEstimate(estimate.T_world_sensor @ self._T_child_sensor, warning=warning)

    def close(self) -> None:
        """End the subscription."""
        self._node.destroy_subscription(self._subscription)

    def _on_odometry(self, msg: Odometry) -> None:
        p, q = msg.pose.pose.position, msg.pose.pose.orientation
        try:
            pose = Pose.of((p.x, p.y, p.z), (q.x, q.y, q.z, q.w))
        except DataError as error:
            self._node.get_logger().warning(f"odometry ignored: {error}", throttle_duration_sec=5.0)
            return
        self._child_frame = msg.child_frame_id
        self._buffer.add(stamp_to_ns(msg.header.stamp), pose)


class TfMotion:
    """Poses of motion.world_frame -> cloud frame from tf."""

    def __init__(self, node: Node, motion: Motion) -> None:
        try:
            import tf2_ros
        except ImportError as error:
            raise ConfigError(
                f"motion.source is 'tf' but tf2_ros cannot be imported ({error}): install ros-$ROS_DISTRO-tf2-ros, "
                "or set motion.source to 'odometry'"
            ) from error
        self._errors: type[Exception] = tf2_ros.TransformException
        self._buffer = tf2_ros.Buffer()
        self._listener: Any = tf2_ros.TransformListener(self._buffer, node)
        self._world_frame = motion.world_frame
        self._timeout = Duration(nanoseconds=round(motion.timeout_s * 1e9))

    def pose_at(self, stamp_ns: int, frame_id: str) -> PoseEstimate:
        """Transform at the stamp, else the latest with a warning, else unknown with a warning."""
        try:
            return PoseEstimate(self._lookup(frame_id, Time(nanoseconds=stamp_ns), self._timeout))
        except self._errors as error:
            reason = str(error)
        try:
            latest = self._lookup(frame_id, Time(), Duration())
        except self._errors as error:
            return PoseEstimate(np.eye(4), known=False, warning=f"tf has no pose: {error}")
        return PoseEstimate(latest, warning=f"the latest pose of tf stands in: {reason}")

    def close(self) -> None:
        """End the subscriptions."""
        self._listener.unregister()

    def _lookup(self, frame_id: str, time: Time, timeout: Duration) -> np.ndarray[Any, np.dtype[np.float64]]:
        transform = self._buffer.lookup_transform(self._world_frame, frame_id, time, timeout).transform
        t, q = transform.translation, transform.rotation
        return Pose.of((t.x, t.y, t.z), (q.x, q.y, q.z, q.w)).matrix()
