"""The node's outputs: created for the tasks that the model has, filled only where somebody subscribes."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import PointCloud2

from pointata import ClassInfo, Prediction
from pointata.data.pointcloud2 import DecodedCloud
from pointata.tasks import TASKS, of_scope
from pointata.tasks.scope import Scope
from ros_pointata.config.parameters import Output
from ros_pointata.io.cloud import segmentation_cloud, visualization_cloud
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


class Answered(NamedTuple):
    """What a message is made of: a cloud, its prediction, and one task's result and classes."""

    cloud: DecodedCloud
    prediction: Prediction
    result: Any
    classes: tuple[ClassInfo, ...]


class Topic(NamedTuple):
    """A topic, and how its messages are made."""

    name: str
    kind: type
    to_message: Callable[[Answered], Any]


def _action(given: Answered) -> ActionPrediction:
    return action_message(given.cloud.header, given.prediction, given.result, given.classes)


def _segments(given: Answered) -> ActionSegments:
    return segments_message(given.cloud.header, given.prediction, given.result, given.classes)


def _labelled(given: Answered) -> PointCloud2:
    return segmentation_cloud(given.cloud, given.result.labels, given.result.scores)


def _coloured(given: Answered) -> PointCloud2:
    return visualization_cloud(given.cloud, given.result.labels, given.classes)


#: Topics of each task, of one that scores points by its name; beside the first one its classes are latched.
TOPICS: Mapping[str, tuple[Topic, ...]] = {
    **{task: (Topic(f"~/output/pointcloud/{task}", PointCloud2, _labelled),) for task in of_scope(TASKS, Scope.POINT)},
    "action": (Topic(ACTION, ActionPrediction, _action),),
    "segments": (Topic(SEGMENTS, ActionSegments, _segments),),
    "semantic": (Topic(SEGMENTATION, PointCloud2, _labelled), Topic(VISUALIZATION, PointCloud2, _coloured)),
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
        topics |= {topic.name: topic.kind for task in self._heads for topic in TOPICS[task]}
        self.publishers: dict[str, Any] = {
            topic: node.create_lifecycle_publisher(
                kind, topic, stream_profile(output), event_callbacks=output_events(health, topic)
            )
            for topic, kind in topics.items()
        }
        self._closed = False
        self._latched = [self._latch(metadata.name, task, classes) for task, classes in self._heads.items()]

    def publish(self, cloud: DecodedCloud, prediction: Prediction) -> None:
        """Publish everything of a prediction that has subscribers, under the header of its cloud.

        Raises:
            DataError: a prediction that does not fit the cloud.
        """
        for task, result in prediction.results.items():
            given = Answered(cloud, prediction, result, self._heads[task])
            for topic in TOPICS[task]:
                if self._wanted(topic.name):
                    self.publishers[topic.name].publish(topic.to_message(given))

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

    def _latch(self, model: str, task: str, classes: tuple[ClassInfo, ...]) -> Any:
        topic = f"{TOPICS[task][0].name}/classes"
        publisher = self._node.create_publisher(ClassInfoList, topic, latched_profile())
        publisher.publish(class_list_message(self._node.get_clock().now().to_msg(), model, classes))
        return publisher
