"""What only a look at clock and ROS graph can tell: nothing arrives, somebody else publishes, QoS does not fit."""

import time
from collections.abc import Mapping
from typing import Any

from rclpy.lifecycle import LifecycleNode
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription

from pointata.text import cut
from ros_pointata.monitoring.health import Health

#: Topics of the warnings; they are taken back when the input is closed.
SILENCE, INPUT_QOS = "input silence", "input qos"
#: A start without publishers, and a silence although there are some, that are not worth a warning yet, seconds.
START_S, SILENCE_S = 1.0, 5.0
_LISTED = 5
_CLOUD = "sensor_msgs/msg/PointCloud2"


def misfit(offered: QoSProfile, asked: QoSProfile) -> str:
    """The policy for which a publisher and a subscription do not find together; empty where they do.

    Of the policies that the node's profiles set; rclpy's own check takes unset deadlines for demands.
    """
    if (offered.reliability, asked.reliability) == (ReliabilityPolicy.BEST_EFFORT, ReliabilityPolicy.RELIABLE):
        return "RELIABILITY"
    if (offered.durability, asked.durability) == (DurabilityPolicy.VOLATILE, DurabilityPolicy.TRANSIENT_LOCAL):
        return "DURABILITY"
    return ""


class Watch:
    """Looks when it is asked to, while the input is open; every warning goes when its cause is gone.

    Args:
        node: whose graph is looked at, and whose log gets each new warning once.
        subscription: the input.
        outputs: the publishers by topic as the code names it.
        health: counts clouds, and takes the warnings.
    """

    def __init__(
        self, node: LifecycleNode, subscription: Subscription, outputs: Mapping[str, Any], health: Health
    ) -> None:
        self._node = node
        self._subscription = subscription
        self._outputs = outputs
        self._health = health
        self._received = health.counts()["received"]
        self._since = time.monotonic()

    def look(self) -> None:
        """Set and take back the warnings."""
        self._say(SILENCE, self._silence())
        self._say(INPUT_QOS, self._input_qos())
        for topic, publisher in self._outputs.items():
            self._say(f"qos of {topic}", self._output_qos(topic, publisher))
            self._say(f"publishers of {topic}", self._rivals(topic, publisher))

    def close(self) -> None:
        """Take back what was said of the input."""
        for topic in (SILENCE, INPUT_QOS):
            self._health.warn(topic, "")

    def _say(self, topic: str, sentence: str) -> None:
        if self._health.warn(topic, sentence):
            self._node.get_logger().warning(sentence)

    def _silence(self) -> str:
        received, now = self._health.counts()["received"], time.monotonic()
        if received != self._received:
            self._received, self._since = received, now
        name, silent_s = self._subscription.topic_name, now - self._since
        if not self._node.count_publishers(name) and silent_s >= START_S:
            return f"nobody publishes {cut(name)}: did you remap ~/input/pointcloud? {self._candidates()}"
        if silent_s >= SILENCE_S:
            return f"no cloud for {silent_s:.0f} s on {cut(name)}, though somebody publishes there: is the sensor on?"
        return ""

    def _candidates(self) -> str:
        own = {publisher.topic_name for publisher in self._outputs.values()}
        names = [
            cut(name)
            for name, kinds in self._node.get_topic_names_and_types()
            if _CLOUD in kinds and name not in own and self._node.count_publishers(name)
        ]
        if not names:
            return "No PointCloud2 is published here"
        more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
        return f"PointCloud2 topics here: {', '.join(names[:_LISTED])}{more}"

    def _input_qos(self) -> str:
        for info in self._node.get_publishers_info_by_topic(self._subscription.topic_name):
            policy = misfit(info.qos_profile, self._subscription.qos_profile)
            if policy:
                return (
                    f"a publisher of the input ({cut(info.node_name)}) offers an incompatible {policy}: "
                    "set input.reliability"
                )
        return ""

    def _output_qos(self, topic: str, publisher: Any) -> str:
        for info in self._node.get_subscriptions_info_by_topic(publisher.topic_name):
            policy = misfit(publisher.qos_profile, info.qos_profile)
            if policy:
                remedy = "set output.reliability" if policy == "RELIABILITY" else "ask for VOLATILE there"
                return f"a subscriber of {topic} ({cut(info.node_name)}) asks for another {policy}: {remedy}"
        return ""

    def _rivals(self, topic: str, publisher: Any) -> str:
        others = self._node.count_publishers(publisher.topic_name) - 1
        if others < 1:
            return ""
        who = "another publisher" if others == 1 else f"{others} other publishers"
        return f"{cut(publisher.topic_name)} has {who}: do two nodes run under one name?"
