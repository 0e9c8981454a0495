"""Real recordings over DDS: a replay process at sensor rate, a node process with a shipped bundle, a listener here."""

import os
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS (rclpy) is not installed")

from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402 - these need rclpy
from rclpy.context import Context  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.qos import QoSProfile  # noqa: E402
from sensor_msgs.msg import PointCloud2  # noqa: E402

from pointata.data.open import open_recording  # noqa: E402
from pointata.data.pointcloud2 import decode_cloud, decode_field, stamp_to_ns  # noqa: E402
from ros_pointata.io.qos import latched_profile  # noqa: E402
from ros_pointata.msg import ActionPrediction, ClassInfoList  # noqa: E402
from ros_pointata.testing.processes import ChildProcess, isolated_environment, node_command  # noqa: E402

ENDS = ("inferred", "dropped", "skipped", "rejected", "failed", "ignored")


class Bench:
    """Starts node and replay, and collects what they publish."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder, self._environment = folder, environment
        self._context = Context()
        rclpy.init(context=self._context, domain_id=int(environment["ROS_DOMAIN_ID"]))
        self._node = rclpy.create_node("listener", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self.inputs = self._listen(PointCloud2, "/points")
        self.labelled = self._listen(PointCloud2, "/pointata/output/pointcloud/segmentation")
        self.actions = self._listen(ActionPrediction, "/pointata/output/action")
        self.classes = self._listen(
            ClassInfoList, "/pointata/output/pointcloud/segmentation/classes", latched_profile()
        )
        self._diagnostics = self._listen(DiagnosticArray, "/diagnostics")

    def _listen(self, kind: type, topic: str, qos: QoSProfile | int = 200) -> list[Any]:
        messages: list[Any] = []
        self._node.create_subscription(kind, topic, messages.append, qos)
        return messages

    def counts(self) -> dict[str, int]:
        """The node's frame counters, as it last published them."""
        if not self._diagnostics:
            return {}
        values = {entry.key: entry.value for entry in self._diagnostics[-1].status[0].values}
        return {name: int(values[f"frames {name}"]) for name in ("received", *ENDS)}

    def play(self, model: str, source: Path, *arguments: str) -> int:
        """Play a recording to the node; returns the number of frames sent, all of them accounted for."""
        summary = self._folder / "sent.json"
        settings = {
            "model": model,
            "window.stride": 1,
            "motion.source": "odometry" if open_recording(source).has_poses else "none",
            "input.reliability": "reliable",
            "input.depth": 50,
            "output.depth": 50,
            "diagnostics.period_s": 0.2,
        }
        inputs = ["~/input/pointcloud:=/points", "~/input/odometry:=/odom"]
        node = node_command([f"{name}:={value}" for name, value in settings.items()], inputs)
        replay = [sys.executable, "-m", "ros_pointata.replay", str(source), "--topic", "/points"]
        replay += ["--wait-subscribers", "2", "--wait-timeout", "60", "--summary", str(summary), *arguments]
        with ChildProcess("node", node, self._folder / "node.log", self._environment) as running:
            self._wait_for_outputs(running)
            with ChildProcess("replay", replay, self._folder / "replay.log", self._environment) as player:
                self._spin_until(lambda: player.returncode is not None, 90, player)
                assert player.returncode == 0, player.last_words()
            sent = len(self.inputs)
            self._spin_until(lambda: sum(self.counts().get(name, 0) for name in ENDS) == sent, 30, running)
            outputs = [self.labelled] + [self.actions] * self._node.count_publishers("/pointata/output/action")
            self._spin_until(lambda: all(len(of) == self.counts()["inferred"] for of in outputs), 10, running)
            running.require_running()
            assert running.stop() == 0
        return sent

    def _wait_for_outputs(self, running: ChildProcess) -> None:
        """Until the listener and the outputs know of each other: what is published before is not for the listener."""
        labels = "/pointata/output/pointcloud/segmentation"
        self._spin_until(lambda: self._node.count_publishers(labels) > 0, 60, running)
        matched = time.monotonic() + 0.5  # the graph knows first, the match of both ends follows
        self._spin_until(lambda: time.monotonic() > matched, 10, running)

    def _spin_until(self, done: Any, timeout_s: float, process: ChildProcess) -> None:
        deadline = time.monotonic() + timeout_s
        while not done():
            assert time.monotonic() < deadline, f"{self.counts()} of {len(self.inputs)}\n{process.last_words()}"
            self._executor.spin_once(timeout_sec=0.05)

    def close(self) -> None:
        self._executor.shutdown()
        self._node.destroy_node()
        rclpy.shutdown(context=self._context)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    environment = isolated_environment() | {"AMENT_PREFIX_PATH": os.environ.get("AMENT_PREFIX_PATH") or sys.prefix}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    result = Bench(tmp_path, environment)
    yield result
    result.close()


def check_labels(bench: Bench, sent: int) -> None:
    """Every answered frame: in order, the input's points in the input's order, a class on each of them."""
    inputs = {stamp_to_ns(m.header.stamp): m for m in bench.inputs}
    assert len(inputs) == sent
    stamps = [stamp_to_ns(m.header.stamp) for m in bench.labelled]
    assert stamps == sorted(stamps)
    classes = {entry.id for entry in bench.classes[-1].classes}
    for message in bench.labelled:
        original = inputs[stamp_to_ns(message.header.stamp)]
        assert message.header.frame_id == original.header.frame_id
        np.testing.assert_array_equal(decode_cloud(message).xyz, decode_cloud(original).xyz)
        assert set(np.unique(decode_field(message, "label")).tolist()) <= classes


def test_kitti_sweeps(bench: Bench, data_root: Path) -> None:
    sent = bench.play("sim_street", data_root / "kitti_raw/2011_09_26")
    assert sent == 10
    assert min(len(decode_cloud(message).xyz) for message in bench.inputs) > 100_000  # of about 120,000
    assert bench.counts()["inferred"] >= 1
    check_labels(bench, sent)


def test_depth_frames(bench: Bench, data_root: Path) -> None:
    sent = bench.play("sim_room", data_root / "seven_scenes", "--hz", "5")  # 4 MB each: slow enough for a busy machine
    assert sent == 30
    assert bench.counts()["inferred"] >= 1
    check_labels(bench, sent)
    assert len(bench.actions) == len(bench.labelled)


def test_radar_recording(bench: Bench, data_root: Path) -> None:
    recording = random.Random(0).choice(sorted(data_root.glob("mars/**/*.mat")))
    sent = bench.play("sim_room", recording, "--frames", "60")
    assert sent == 60
    assert bench.counts()["inferred"] > 30
    check_labels(bench, sent)
