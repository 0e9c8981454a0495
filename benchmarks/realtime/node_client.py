"""The process on the other side of the node: sends clouds at a fixed rate, takes the labels, writes down when.

    PYTHONPATH=benchmarks python -m realtime.node_client --points 130000 --hz 10 --frames 300 --out FILE

Latency is from the moment before `publish` to the arrival of the whole labelled cloud, still as bytes: what a
subscriber then does with it is its own.
"""

import argparse
import json
import struct
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.utilities import try_shutdown
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header

from pointata.data.encoded_cloud import SEGMENTATION_POINT, EncodedCloud
from pointata.data.pointcloud2 import stamp_to_ns
from realtime.measure import latency, medians
from realtime.scan import lidar_scan
from ros_pointata.io.cloud import ns_to_stamp, to_message
from ros_pointata.monitoring.health import FRAME_COUNTERS
from ros_pointata.msg import StageTimings
from ros_pointata.replay.pace import Pace, Timetable
from ros_pointata.testing.processes import RunError

CLOUDS, NODE = "/points", "/pointata"
LABELS = f"{NODE}/output/pointcloud/segmentation"
_DIFFERENT_CLOUDS = 10
_START_S, _DRAIN_S = 60.0, 3.0
_RELIABLE = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)
_SENSOR = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)


class Client:
    """Publisher and subscriptions of the benchmark; callbacks run on a thread of their own."""

    def __init__(self, points: int) -> None:
        self.sent_ns: list[int] = []
        self.late = 0
        self._arrived_ns: dict[int, int] = {}
        self._stages: dict[int, dict[str, float]] = {}
        self._counts: dict[str, int] = {}
        self._label_bytes = points * SEGMENTATION_POINT.itemsize
        self._messages = [_message(points, seed) for seed in range(_DIFFERENT_CLOUDS)]
        self._node = rclpy.create_node("bench_client")
        self._publisher = self._node.create_publisher(PointCloud2, CLOUDS, _SENSOR)
        self._node.create_subscription(PointCloud2, LABELS, self._on_labels, _RELIABLE, raw=True)
        self._node.create_subscription(StageTimings, f"{NODE}/debug/timings", self._on_timings, _RELIABLE)
        self._node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, _RELIABLE)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def wait_for_node(self) -> None:
        """Until clouds, labels and timings have both ends, and a moment longer: discovery is two-sided."""
        end = time.monotonic() + _START_S
        while not (self._publisher.get_subscription_count() and self._node.count_publishers(LABELS) and self._counts):
            if time.monotonic() > end:
                raise RunError(f"the node did not take {CLOUDS} and offer {LABELS} within {_START_S:g} s")
            time.sleep(0.05)
        time.sleep(1.0)

    def send(self, frames: int, hz: float) -> None:
        """Publish so many clouds at that rate, each stamped with the moment of its sending."""
        timetable = Timetable(Pace(period_s=1 / hz, hz=hz), time.monotonic)
        for number in range(frames):
            message = self._messages[number % len(self._messages)]
            _, due = timetable.next_due(number)
            time.sleep(max(0.0, due - time.monotonic()))
            stamp_ns = time.time_ns()
            message.header.stamp = ns_to_stamp(stamp_ns)
            self._publisher.publish(message)
            self.sent_ns.append(stamp_ns)
        self.late += timetable.late_frames

    def wait_for_answers(self) -> None:
        """Until the last cloud is answered or it is clear that it will not be, then until the counters are fresh."""
        end = time.monotonic() + _DRAIN_S
        while self.sent_ns[-1] not in self._arrived_ns and time.monotonic() < end:
            time.sleep(0.02)
        self._counts = {}
        while not self._counts and time.monotonic() < end + _DRAIN_S:
            time.sleep(0.02)

    def result(self, warm_up: int) -> dict[str, Any]:
        """Everything about the clouds after the first `warm_up`; the node's counters are of all."""
        counted = self.sent_ns[warm_up:]
        answered = [stamp for stamp in counted if stamp in self._arrived_ns]
        latencies = [(self._arrived_ns[stamp] - stamp) / 1e6 for stamp in answered]
        return {
            **latency(latencies),
            "sent": len(counted),
            "answered": len(answered),
            "dropped": len(counted) - len(answered),
            "sent_late": self.late,
            "stages_p50_ms": medians([self._stages[stamp] for stamp in answered if stamp in self._stages]),
            "warm_up": warm_up,
            "counters": self._counts,
            "latencies_ms": [round(value, 1) for value in latencies],
        }

    def close(self) -> None:
        """End the thread and leave ROS."""
        self._executor.shutdown()
        self._thread.join()
        self._node.destroy_node()
        try_shutdown()

    def _on_labels(self, data: bytes) -> None:
        arrived = time.time_ns()
        # CDR: four bytes of encapsulation, then header.stamp; the sender's byte order is this machine's
        sec, nanosec = struct.unpack_from("=iI", data, 4)
        if len(data) > self._label_bytes:
            self._arrived_ns[sec * 10**9 + nanosec] = arrived

    def _on_timings(self, msg: StageTimings) -> None:
        self._stages[stamp_to_ns(msg.header.stamp)] = dict(zip(msg.stages, map(float, msg.milliseconds), strict=True))

    def _on_diagnostics(self, msg: DiagnosticArray) -> None:
        for status in msg.status:
            if status.name == f"{NODE[1:]}: inference":
                values = {entry.key: entry.value for entry in status.values}
                lost = {"messages lost": int(values["messages lost"])}
                self._counts = {name: int(values[f"frames {name}"]) for name in FRAME_COUNTERS} | lost

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            return


def _message(points: int, seed: int) -> PointCloud2:
    fields = np.zeros(points, dtype=[(name, "<f4") for name in ("x", "y", "z", "intensity")])
    scan = lidar_scan(points, seed, x=0.5 * seed)
    for axis, name in enumerate("xyz"):
        fields[name] = scan[:, axis]
    return to_message(EncodedCloud(Header(frame_id="lidar"), fields, 1, points, False))


def main() -> None:
    """Wait for the node, warm it up, send, write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, required=True)
    parser.add_argument("--hz", type=float, required=True)
    parser.add_argument("--frames", type=int, required=True)
    parser.add_argument("--warm-up", type=int, default=20)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    rclpy.init(args=[])
    client = Client(given.points)
    try:
        client.wait_for_node()
        client.send(given.warm_up + given.frames, given.hz)
        client.wait_for_answers()
        given.out.write_text(json.dumps(client.result(given.warm_up)))
    except RunError as error:
        sys.exit(str(error))
    finally:
        client.close()


if __name__ == "__main__":
    main()
