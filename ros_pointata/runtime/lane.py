"""One sensor in the node: its input, its way to the network and back, and its outputs."""

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from rclpy.lifecycle import LifecycleNode
from rclpy.subscription import Subscription
from sensor_msgs.msg import PointCloud2

from pointata.data.pointcloud2 import DecodedCloud
from pointata.preprocessing.merging import RecentClouds
from pointata.preprocessing.picking import FramePicker
from ros_pointata.config.parameters import Parameters
from ros_pointata.io.publishers import Outputs
from ros_pointata.io.qos import input_events, stream_profile
from ros_pointata.model import overlaps
from ros_pointata.monitoring.continuity import Losses
from ros_pointata.monitoring.health import Health
from ros_pointata.monitoring.watch import Watch
from ros_pointata.motion.sources import motion_source
from ros_pointata.runtime.delivery import Delivery
from ros_pointata.runtime.intake import Intake, Job
from ros_pointata.runtime.model_host import ModelHost
from ros_pointata.runtime.sampling import Sampling
from ros_pointata.runtime.worker import Worker

INPUT = "~/input/pointcloud"


class Lane:
    """The way of one sensor's clouds: message -> intake -> slot -> sampling -> slot of the host -> delivery -> outputs.

    Each slot holds the newest cloud only, and stands before a thread. The input is closed until `open_input`.

    Args:
        node: that owns publishers and subscriptions.
        parameters: of this sensor.
        host: of the network.
        health: what is counted and noted.

    Raises:
        ConfigError: a source of motion that is not installed.
    """

    def __init__(self, node: LifecycleNode, parameters: Parameters, host: ModelHost, health: Health) -> None:
        self._node = node
        self._parameters = parameters
        self._host = host
        self._health = health
        self._losses = Losses()
        self._subscription: Subscription | None = None
        self._watch: Watch | None = None
        model, window = host.model, parameters.window
        merge = window.merge or model.metadata.merge
        with ExitStack() as stack:
            motion = motion_source(node, parameters.motion)
            stack.callback(motion.close)
            self._outputs = Outputs(node, model.metadata, parameters.output, health)
            stack.callback(self._outputs.close)
            delivery = Delivery(self._outputs, model.metadata, health, node.get_logger())
            slot = host.connect(delivery)
            self._number = slot.number
            overlap = overlaps(model, parameters.torch_threads)
            sampling = Sampling(slot, host.prepare, motion, overlap, health)
            self.sampler: Worker[Job] = Worker(sampling.handle, delivery.lose, name="pointata_sampler")
            self._recent: RecentClouds[DecodedCloud] = RecentClouds(merge, window.max_gap_s)
            self._intake = Intake(
                self.sampler.open_slot(delivery.drop),
                delivery,
                FramePicker(window.stride, model.metadata.frame_period_s),
                self._recent,
                model.metadata.feature_names,
                health,
            )
            self._stack = stack.pop_all()
        health.note("ego motion", parameters.motion.source)
        health.note("merged clouds", str(merge))

    def open_input(self) -> None:
        """Take clouds."""
        self._losses.forget()
        qos, events = stream_profile(self._parameters.input), input_events(self._health, self._losses)
        self._subscription = self._node.create_subscription(
            PointCloud2, INPUT, self._on_cloud, qos, event_callbacks=events
        )
        self._watch = Watch(self._node, self._subscription, self._outputs.publishers, self._health)

    def close_input(self) -> None:
        """Take no further cloud."""
        if self._subscription is not None and self._watch is not None:
            self._node.destroy_subscription(self._subscription)
            self._watch.close()
            self._subscription = self._watch = None

    def enable(self, enabled: bool) -> None:
        """False: clouds are counted and ignored."""
        self._intake.enabled = enabled
        self._health.warn("enable", "" if enabled else "clouds are ignored until ~/enable is called with true")

    def reset(self, reason: str) -> None:
        """Empty the window before the next cloud; returns at once. On the executor's thread."""
        self._intake.forget()
        self._host.reset(self._number, reason)

    def take_over(self, parameters: Parameters) -> None:
        """Go on with other values of the parameters that are `live`. On the executor's thread."""
        self._recent.max_gap_s = parameters.window.max_gap_s

    def look(self) -> None:
        """Set and take back the warnings that only a look at clock and ROS graph can tell."""
        if self._watch is not None:
            self._watch.look()

    def close(self) -> None:
        """Give input, motion and outputs back. A cloud that is still at work is dropped when it is done."""
        self.close_input()
        self.sampler.ask_to_stop()
        self._stack.close()

    def _on_cloud(self, msg: PointCloud2, info: Mapping[str, Any]) -> None:
        assert self._subscription is not None
        publishers = self._subscription.get_publisher_count()
        self._health.count("messages lost", self._losses.before(info["publication_sequence_number"], publishers))
        self._intake.accept(msg)
