"""The node's outputs: created for the heads that the model has, filled only where somebody subscribes."""

from collections.abc import Mapping
from typing import Any

from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import PointCloud2

from pointata import ClassInfo, Prediction
from ros_pointata.config.parameters import Output
from ros_pointata.io.cloud import DecodedCloud, segmentation_cloud, visualization_cloud
from ros_pointata.io.messages import action_message, class_list_message, segments_message, timings_message
from ros_pointata.io.qos import latched_profile, output_events, stream_profile
from ros_pointata.model import ModelMetadata
from ros_pointata.monitoring.health import Health
from ros_pointata.msg import ActionPrediction, ActionSegments, ClassInfoList, StageTimings

ACTION = "~/output/action"
SEGMENTS = "~/output/action_segments"
SEGMENTATION = "~/output/pointcloud/segmentation"
VISUALIZATION = "~/output/pointcloud/visualization"
TIMINGS = "~/debug/timings"

#: Topics of each head, and the topic beside which its classes are latched (first).
_TOPICS_OF_HEAD: Mapping[str, Mapping[str, type]] = {
    "action": {ACTION: ActionPrediction},
    "segments": {SEGMENTS: ActionSegments},
    "semantic": {SEGMENTATION: PointCloud2, VISUALIZATION: PointCloud2},
}


class Outputs:
    """Publishers of one configured model; lifecycle publishers, silent until the node is active.

    Args:
        node: that owns the publishers.
        metadata: of the model; its classes are latched at once.
        output: QoS parameters.
        health: counts QoS events.
    """

    def __init__(self, node: LifecycleNode, metadata: ModelMetadata, output: Output, health: Health) -> None:
        self._node = node
        self._heads: Mapping[str, tuple[ClassInfo, ...]] = metadata.heads
        topics: dict[str, type] = {TIMINGS: StageTimings}
        for head in self._heads:
            topics.update(_TOPICS_OF_HEAD[head])
        self.publishers: dict[str, Any] = {
            topic: node.create_lifecycle_publisher(
                kind, topic, stream_profile(output), event_callbacks=output_events(health, topic)
            )
            for topic, kind in topics.items()
        }
        self._closed = False
        self._latched = [self._latch(metadata.name, head, classes) for head, classes in self._heads.items()]

    def publish(self, cloud: DecodedCloud, prediction: Prediction) -> None:
        """Publish everything of a prediction that has subscribers, under the header of its cloud.

        Raises:
            DataError: a prediction that does not fit the cloud.
        """
        if prediction.action is not None and self._wanted(ACTION):
            action = action_message(cloud.header, prediction, prediction.action, self._heads["action"])
            self.publishers[ACTION].publish(action)
        if prediction.segments is not None and self._wanted(SEGMENTS):
            segments = segments_message(cloud.header, prediction, prediction.segments, self._heads["segments"])
            self.publishers[SEGMENTS].publish(segments)
        if prediction.semantic is not None:
            labels, scores = prediction.semantic.labels, prediction.semantic.scores
            if self._wanted(SEGMENTATION):
                self.publishers[SEGMENTATION].publish(segmentation_cloud(cloud, labels, scores))
            if self._wanted(VISUALIZATION):
                self.publishers[VISUALIZATION].publish(visualization_cloud(cloud, labels, self._heads["semantic"]))

    def publish_timings(self, cloud: DecodedCloud, timings_ms: Mapping[str, float]) -> None:
        """Publish the time spent per stage, milliseconds."""
        if self._wanted(TIMINGS):
            self.publishers[TIMINGS].publish(timings_message(cloud.header, timings_ms))

    @property
    def is_open(self) -> bool:
        """False once ROS is shutting down or the topics were taken back."""
        return not self._closed and self._node.context.ok()

    def close(self) -> None:
        """Take the topics back."""
        self._closed = True
        for publisher in self.publishers.values():
            self._node.destroy_lifecycle_publisher(publisher)
        for publisher in self._latched:
            self._node.destroy_publisher(publisher)

    def _wanted(self, topic: str) -> bool:
        publisher = self.publishers.get(topic)
        return publisher is not None and publisher.get_subscription_count() > 0

    def _latch(self, model: str, head: str, classes: tuple[ClassInfo, ...]) -> Any:
        topic = f"{next(iter(_TOPICS_OF_HEAD[head]))}/classes"
        publisher = self._node.create_publisher(ClassInfoList, topic, latched_profile())
        publisher.publish(class_list_message(self._node.get_clock().now().to_msg(), model, classes))
        return publisher
