"""Listens to the replay and to the node, and fills a ScenarioRecord."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import try_shutdown
from sensor_msgs.msg import PointCloud2

from demo.record import ActionAnswer, ScenarioRecord
from pointata import UNLABELLED, ClassInfo
from pointata.data.pointcloud2 import decode_cloud, decode_field, has_field, stamp_to_ns
from ros_pointata.io.qos import latched_profile
from ros_pointata.monitoring.health import FRAME_COUNTERS
from ros_pointata.msg import ActionPrediction, ClassInfoList, StageTimings

#: Nothing may be lost on the way to the figures.
_STREAM = QoSProfile(depth=200, reliability=ReliabilityPolicy.RELIABLE)


class Recorder:
    """Subscriptions on the replay's and the node's topics; callbacks run wherever `node` is spun.

    Args:
        node: that owns the subscriptions.
        target: full name of the pointata node.
        topic: of the replayed clouds.
    """

    def __init__(self, node: Node, target: str, topic: str) -> None:
        self._lock = threading.Lock()
        self._record: ScenarioRecord | None = None
        self._status = f"{target[1:]}: inference"
        self._counts: Counter[str] | None = None
        self._bundles: dict[str, str] = {}
        self._lists: dict[str, tuple[ClassInfo, ...]] = {}
        segmentation = f"{target}/output/pointcloud/segmentation"
        listen: Any = node.create_subscription  # rclpy's annotation lacks the callback that takes the message info
        self._subscriptions = [
            listen(PointCloud2, topic, self._on_cloud, _STREAM),
            listen(ActionPrediction, f"{topic}/truth/action", self._on_true_action, _STREAM),
            listen(ClassInfoList, f"{topic}/truth/classes", self._truth_list("classes"), latched_profile()),
            listen(ClassInfoList, f"{topic}/truth/actions", self._truth_list("actions"), latched_profile()),
            listen(PointCloud2, segmentation, self._on_labels, _STREAM),
            listen(ActionPrediction, f"{target}/output/action", self._on_action, _STREAM),
            listen(DiagnosticArray, "/diagnostics", self._on_diagnostics, _STREAM),
            listen(StageTimings, f"{target}/debug/timings", self._on_timings, _STREAM),
            listen(ClassInfoList, f"{segmentation}/classes", self._own_list("classes"), latched_profile()),
            listen(ClassInfoList, f"{target}/output/action/classes", self._own_list("actions"), latched_profile()),
        ]

    def forget_classes(self) -> None:
        """The node is about to get another model: what it latched before no longer holds."""
        with self._lock:
            self._record = None
            self._lists.clear()
            self._bundles.clear()

    def bundle(self, kind: str) -> str | None:
        """Bundle whose "classes" or "actions" the node has latched; None where it has not, or not yet."""
        with self._lock:
            return self._bundles.get(kind)

    def forget_counts(self) -> None:
        """Only what the node counts from now on is of interest."""
        with self._lock:
            self._counts = None

    def counts(self) -> Counter[str] | None:
        """Frames by the node's own counters since its start; None before the first diagnostics."""
        with self._lock:
            return self._counts

    def start(self, record: ScenarioRecord) -> None:
        """Fill this record from now on, beginning with the node's class lists."""
        with self._lock:
            if "classes" in self._lists:
                record.set_classes(self._lists["classes"])
            if "actions" in self._lists:
                record.set_actions(self._lists["actions"])
            self._record = record

    def stop(self) -> None:
        """Leave the record alone from now on."""
        with self._lock:
            self._record = None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """No callback changes the record inside the `with` block."""
        with self._lock:
            yield

    def _on_cloud(self, msg: PointCloud2, info: Any) -> None:
        cloud = decode_cloud(msg)
        labels = (
            decode_field(msg, "label") if has_field(msg, "label") else np.full(len(cloud.xyz), UNLABELLED, np.uint8)
        )
        with self._lock:
            if self._record is not None:
                self._record.add_cloud(cloud.stamp_ns, info["source_timestamp"], cloud.frame_id, cloud.xyz, labels)

    def _on_labels(self, msg: PointCloud2, info: Any) -> None:
        cloud, labels = decode_cloud(msg), decode_field(msg, "label")
        with self._lock:
            if self._record is not None:
                self._record.add_labels(cloud.stamp_ns, info["received_timestamp"], cloud.xyz, labels)

    def _on_action(self, msg: ActionPrediction, info: Any) -> None:
        answer = ActionAnswer(msg.class_id, msg.score, msg.unknown, stamp_to_ns(msg.window_start), msg.frame_count)
        with self._lock:
            if self._record is not None:
                self._record.add_action(stamp_to_ns(msg.header.stamp), info["received_timestamp"], answer)

    def _on_true_action(self, msg: ActionPrediction, _: Any) -> None:
        with self._lock:
            if self._record is not None:
                self._record.add_true_action(stamp_to_ns(msg.header.stamp), msg.class_id)

    def _on_timings(self, msg: StageTimings, _: Any) -> None:
        with self._lock:
            if self._record is not None:
                timings = dict(zip(msg.stages, map(float, msg.milliseconds), strict=True))
                self._record.add_timings(stamp_to_ns(msg.header.stamp), timings)

    def _on_diagnostics(self, msg: DiagnosticArray, _: Any) -> None:
        for status in msg.status:
            if status.name == self._status:
                values = {entry.key: entry.value for entry in status.values}
                with self._lock:
                    self._counts = Counter({name: int(values[f"frames {name}"]) for name in FRAME_COUNTERS})

    def _own_list(self, kind: str) -> Callable[[ClassInfoList, Any], None]:
        def keep(msg: ClassInfoList, _: Any) -> None:
            with self._lock:
                self._bundles[kind], self._lists[kind] = msg.model, _classes(msg)

        return keep

    def _truth_list(self, kind: str) -> Callable[[ClassInfoList, Any], None]:
        def check(msg: ClassInfoList, _: Any) -> None:
            with self._lock:
                if self._record is not None:
                    self._record.check_truth(kind, _classes(msg))

        return check


def _classes(msg: ClassInfoList) -> tuple[ClassInfo, ...]:
    def channel(value: float) -> int:
        return round(255 * value)

    return tuple(
        ClassInfo(entry.id, entry.name, (channel(entry.color.r), channel(entry.color.g), channel(entry.color.b)))
        for entry in msg.classes
    )


#: Longest wait for the callback at hand, seconds.
PATIENCE_S = 5.0


class Spinner:
    """A ROS node spun by a thread of its own inside the `with` block."""

    def __init__(self, name: str) -> None:
        rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)  # what to do with Ctrl-C is the demo's
        self.node = rclpy.create_node(name)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._spin, name="demo-spin", daemon=True)

    def __enter__(self) -> "Spinner":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown()
        self._thread.join(PATIENCE_S)
        if not self._thread.is_alive():
            self.node.destroy_node()
        try_shutdown()

    def check(self) -> None:
        """Raise what a callback raised."""
        if self._error is not None:
            raise self._error

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            return
        except Exception as error:  # raised again by check(), in the thread that waits for the figures
            self._error = error
