"""A running node with a stand-in model, and a client that talks to it over real DDS."""

import random
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.srv import ChangeState
from nav_msgs.msg import Odometry
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.utilities import try_shutdown
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header

from pointata import ActionResult, ActionSegment, ClassInfo, Frame, PointLabels, Prediction
from pointata.classes import class_list
from pointata.data.encoded_cloud import EncodedCloud
from pointata.inference.options import PredictorOptions
from pointata.inference.stream import Stream
from ros_pointata.config.parameters import Parameters
from ros_pointata.executable import spin
from ros_pointata.io.cloud import ns_to_stamp, to_message
from ros_pointata.io.publishers import TIMINGS, TOPICS
from ros_pointata.node import PointataNode

ACTIONS = class_list(("stand", (255, 0, 0)), ("walk", (0, 255, 0)))
POINTS = class_list(("floor", (10, 20, 30)), ("wall", (40, 50, 60)), ("person", (255, 0, 51)))
MOTION = class_list(("static", (1, 2, 3)), ("moving", (4, 5, 6)))
SECOND = 1_000_000_000


@dataclass
class StandInMetadata:
    """Of a model with all heads, trained at 10 Hz."""

    name: str = "stand_in"
    heads: Mapping[str, tuple[ClassInfo, ...]] = field(
        default_factory=lambda: {"action": ACTIONS, "segments": ACTIONS, "semantic": POINTS, "moving": MOTION}
    )
    frame_period_s: float = 0.1
    merge: int = 1
    window_frames: int = 4
    simulated: bool = False
    feature_names: tuple[str, ...] = ()


class StandInModel:
    """Labels that follow from the input: point label = floor(|x|) mod 3, action = (stamp in units of 0.1 s) mod 2.

    A point moves where its label is 2.
    """

    def __init__(self, delay_s: float = 0.0) -> None:
        self.metadata = StandInMetadata()
        self.device, self.precision = "cpu", "none"
        self.delay_s = delay_s
        self.frames: list[Frame] = []
        self.resets = 0
        self.threads: set[int] = set()
        self.fail_at: set[int] = set()
        self._stream = Stream(self.metadata.window_frames, PredictorOptions(), {})

    def prepare(self, frame: Frame) -> Frame:
        return frame

    def predict_batch(self, frames: Mapping[int, Frame]) -> dict[int, Prediction]:
        return {number: self._predict(frame) for number, frame in frames.items()}

    def _predict(self, frame: Frame) -> Prediction:
        self.threads.add(threading.get_ident())
        time.sleep(self.delay_s)
        if frame.stamp_ns in self.fail_at:
            raise RuntimeError(f"stand-in failure at {frame.stamp_ns}")
        self.frames.append(frame)
        reason = self._stream.discontinuity(frame)
        if reason is not None:
            self._stream.reset()
        self._stream.append(frame)
        begin_ns, count = self._stream.window_start_ns, self._stream.frame_count
        action = action_of(frame.stamp_ns)
        scores = np.eye(2, dtype=np.float32)[action]
        labels, certain = labels_of(frame.points), np.full(len(frame.points), 0.75, dtype=np.float32)
        return Prediction(
            stamp_ns=frame.stamp_ns,
            window_start_ns=begin_ns,
            frame_count=count,
            results={
                "action": ActionResult(action, 1.0, scores, unknown=count < 2),
                "segments": (ActionSegment(begin_ns, frame.stamp_ns, action, 0.5),),
                "semantic": PointLabels(labels, certain),
                "moving": PointLabels((labels == 2).astype(np.uint8), certain),
            },
            timings_ms={"sample": 1.0, "model": 2.0, "restore": 3.0},
            reset_reason=reason,
        )

    def reset(self, stream: int) -> None:
        self.threads.add(threading.get_ident())
        self.resets += 1
        self._stream.reset()

    def set_options(self, options: PredictorOptions) -> None:
        self.options = options


def action_of(stamp_ns: int) -> int:
    return round(stamp_ns / 1e8) % 2


def labels_of(points: np.ndarray) -> np.ndarray:
    labels: np.ndarray = (np.floor(np.abs(points[:, 0])) % 3).astype(np.uint8)
    return labels


def cloud(stamp_ns: int, points: np.ndarray, frame_id: str = "sensor", **extra: np.ndarray) -> PointCloud2:
    """An unorganised cloud of (M, 3) points, NaN allowed, with further float32 fields."""
    fields = np.empty(len(points), dtype=[(name, "<f4") for name in ("x", "y", "z", *extra)])
    for axis, name in enumerate("xyz"):
        fields[name] = points[:, axis]
    for name, values in extra.items():
        fields[name] = values
    header = Header(stamp=ns_to_stamp(stamp_ns), frame_id=frame_id)
    return to_message(EncodedCloud(header, fields, 1, len(points), False))


def some_points(count: int = 50, seed: int = 0) -> np.ndarray:
    """(count, 3) float32; every seventh point is invalid."""
    points = np.random.default_rng(seed).uniform(-5, 5, (count, 3)).astype(np.float32)
    points[::7, 1] = np.nan
    return points


class Harness:
    """PointataNode spinning in a thread, and a client node spinning in another; close() ends both.

    Args:
        load_model: of the node; a StandInModel by default, kept as `model`.
        input_reliability: QoS of the client's cloud publisher.
        **parameters: start values, with "__" for the dot.
    """

    def __init__(
        self,
        load_model: Callable[[Parameters], Any] | None = None,
        input_reliability: ReliabilityPolicy = ReliabilityPolicy.RELIABLE,
        **parameters: Any,
    ) -> None:
        self.model = StandInModel()
        self.context = Context()
        rclpy.init(context=self.context, domain_id=random.SystemRandom().randint(1, 100))
        defaults = {"diagnostics__period_s": 0.1, "output__depth": 50, "input__depth": 50}
        overrides = [Parameter(name.replace("__", "."), value=value) for name, value in (defaults | parameters).items()]
        self.node = PointataNode(
            load_model or (lambda parameters: self.model), context=self.context, parameter_overrides=overrides
        )
        self.client = rclpy.create_node("client", context=self.context)
        self.received: dict[str, list[Any]] = {}
        self._lock = threading.Lock()
        self._executors = [SingleThreadedExecutor(context=self.context) for _ in range(2)]
        for executor, node in zip(self._executors, (self.node, self.client), strict=True):
            executor.add_node(node)
        qos = QoSProfile(depth=100, reliability=input_reliability)
        self.publisher = self.client.create_publisher(PointCloud2, "/pointata/input/pointcloud", qos)
        self.odometry = self.client.create_publisher(Odometry, "/pointata/input/odometry", 100)
        self.listen(DiagnosticArray, "/diagnostics")
        self._threads = [
            threading.Thread(target=spin, args=(self.node, self._executors[0]), daemon=True),
            threading.Thread(target=self._spin_client, daemon=True),
        ]

    def __enter__(self) -> "Harness":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._executors[1].shutdown()
        self._join(self._threads[1])  # first: it does not expect the context to go under it
        try_shutdown(context=self.context)
        self._join(self._threads[0])
        self.node.release()
        self._executors[0].shutdown()
        for node in (self.node, self.client):
            node.destroy_node()

    @staticmethod
    def _join(thread: threading.Thread) -> None:
        thread.join(10)
        assert not thread.is_alive()

    def start(self) -> None:
        """Configure and activate as a lifecycle manager does, and wait until the client is matched."""
        assert self.change_state("configure")
        assert self.change_state("activate")
        self.wait_until(lambda: self.publisher.get_subscription_count() > 0)

    def listen(self, kind: type, topic: str, qos: QoSProfile | int = 100) -> list[Any]:
        """Collect the messages of a topic; returns the growing list."""
        messages: list[Any] = self.received.setdefault(topic, [])
        self.client.create_subscription(kind, topic.replace("~", "/pointata"), messages.append, qos)
        return messages

    def listen_to_outputs(self) -> None:
        """Collect all outputs, and wait until the node knows."""
        from ros_pointata.msg import StageTimings

        kinds = {topic.name: topic.kind for topics in TOPICS.values() for topic in topics} | {TIMINGS: StageTimings}
        for topic, kind in kinds.items():
            self.listen(kind, topic)
        names = [topic.replace("~", "/pointata") for topic in kinds]
        self.wait_until(lambda: all(self.node.count_subscribers(name) > 0 for name in names))
        time.sleep(0.2)  # count_subscribers knows the graph; the match of the endpoints follows

    def _spin_client(self) -> None:
        with suppress(ExternalShutdownException):
            self._executors[1].spin()

    def call(self, kind: type, name: str, request: Any) -> Any:
        """Call a service of the node; returns its response."""
        client = self.client.create_client(kind, f"/pointata/{name}")
        assert client.wait_for_service(10)
        future = client.call_async(request)
        self.wait_until(future.done)
        return future.result()

    def change_state(self, label: str) -> bool:
        """Ask for a lifecycle transition; True where it succeeded."""
        request = ChangeState.Request()
        request.transition.label = label
        return bool(self.call(ChangeState, "change_state", request).success)

    def publish(self, message: PointCloud2, answered: int | None = None) -> None:
        """Publish a cloud, and wait until the node has answered so many in all."""
        self.publisher.publish(message)
        if answered is not None:
            self.wait_until(lambda: self.node.health.counts()["inferred"] >= answered)

    def settled(self, clouds: int) -> dict[str, int]:
        """Wait until so many clouds arrived and every one of them is accounted for; returns the counters."""

        def accounted() -> bool:
            counts = self.node.health.counts()
            ends = sum(counts[name] for name in ("inferred", "dropped", "skipped", "rejected", "failed", "ignored"))
            return counts["received"] == clouds == ends

        self.wait_until(accounted)
        return self.node.health.counts()

    def diagnosis(self, text: str) -> Any:
        """Wait for a diagnostic status whose message holds the text."""

        def find() -> Any:
            statuses = [array.status[0] for array in self.received["/diagnostics"]]
            return next((status for status in statuses if text in status.message), None)

        self.wait_until(lambda: find() is not None)
        return find()

    def wait_until(self, condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
        """Poll until true.

        Raises:
            AssertionError: it did not become true in time; the counters are named.
        """
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, f"waited {timeout_s} s in vain; {self.node.health.values()}"
            time.sleep(0.005)
