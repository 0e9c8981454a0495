"""Own recordings: written as docs/own_recordings.md says, trained on, served by the node over DDS."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

rclpy = pytest.importorskip("rclpy", reason="ROS (rclpy) is not installed")
pytest.importorskip("ros_pointata.msg", reason="the messages are not built: make setup")
for module in ("lightning", "jsonargparse", "torchmetrics"):
    pytest.importorskip(module, reason=f"training needs {module} (pip install {module})")

from node_harness import cloud  # noqa: E402 - these need rclpy
from rclpy.context import Context  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.qos import QoSProfile  # noqa: E402
from sensor_msgs.msg import PointCloud2  # noqa: E402

from pointata.bundles.catalogue import resolve  # noqa: E402
from pointata.data.open import open_recording  # noqa: E402
from pointata.data.pointcloud2 import stamp_to_ns  # noqa: E402
from pointata.errors import BundleError  # noqa: E402
from ros_pointata.msg import ActionPrediction  # noqa: E402
from ros_pointata.testing.processes import ChildProcess, isolated_environment, node_command  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
FRAMES, PERIOD_NS = 20, 100_000_000
ACTIONS = ("sideways", "upwards")
SUBJECTS = ("anna", "ben", "cleo", "dora")  # two train, one validates, the last is left for the test


def swing(action: str, seed: int) -> NDArray[np.float32]:
    """(FRAMES, 60, 3) points, metres: a ball of points 2 m ahead that swings along y or z, beside one that rests."""
    rng = np.random.default_rng(seed)
    phase = rng.uniform(0, 2 * np.pi) + np.arange(FRAMES) * 2 * np.pi / 10
    place = np.tile([2.0, 0.0, 0.0], (FRAMES, 1))
    place[:, 1 if action == "sideways" else 2] += 0.7 * np.sin(phase)
    moving = place[:, None] + rng.normal(0, 0.1, (FRAMES, 40, 3))
    resting = rng.normal([2.0, 0.0, -1.0], 0.1, (FRAMES, 20, 3))
    return np.concatenate([moving, resting], axis=1).astype(np.float32)


def write_set(folder: Path) -> Path:
    """Each subject shows both actions, one in a folder of frames and one in a clip."""
    lines = ["name: swings", "rate_hz: 10", f"actions: [{', '.join(ACTIONS)}]", "recordings:"]
    for number, subject in enumerate(SUBJECTS):
        points = swing("sideways", number)
        frames = folder / subject / "first"
        frames.mkdir(parents=True)
        for index in range(FRAMES):
            np.savez(frames / f"{index:06}.npz", points=points[index], stamp_ns=10**18 + index * PERIOD_NS)
        stamps = 10**18 + np.arange(FRAMES) * PERIOD_NS
        np.savez(folder / subject / "second.npz", points=swing("upwards", 100 + number), stamp_ns=stamps)
        for path, action in (("first", "sideways"), ("second.npz", "upwards")):
            lines.append(f"  - {{path: {subject}/{path}, action: {action}, subject: {subject}}}")
    (folder / "manifest.yaml").write_text("\n".join(lines) + "\n")
    return folder


def train(recordings: Path, folder: Path) -> Path:
    """`pointata adapt` as the page says, smaller and shorter; returns the bundle's path."""
    given = {
        "config": ROOT / "config" / "train" / "own_recordings.yaml",
        "data.set": f"recordings:{recordings}",
        "out": folder / "bundles",
        "data.cache": folder / "cache",
        "data.workers": 0,
        "data.sampling.points": 60, "data.sampling.centre_m": "[2,0,0]",
        "data.clips.frames": 12, "data.clips.per_epoch": 96, "data.clips.batch_size": 8,
        "network.groups": 8, "network.group_size": 12, "network.window": 8,
        "trainer.max_epochs": 4, "accelerator": "cpu", "trainer.default_root_dir": folder,
        "trainer.logger": "false", "trainer.enable_checkpointing": "false", "trainer.enable_progress_bar": "false",
        "threads": 1,
    }  # fmt: skip
    try:
        resolve("pointmae_tiny")
    except BundleError:  # not shipped here: train the backbone, too
        given |= {"settings.mode": "scratch", "settings.backbone": "trunk"}
    command = [sys.executable, "-m", "pointata.cli", "adapt", *(f"--{name}={value}" for name, value in given.items())]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "bundles" / "own_recordings.safetensors"


class Client:
    """Publishes clouds to a node process and collects the actions that come back."""

    def __init__(self, domain: int) -> None:
        self._context = Context()
        rclpy.init(context=self._context, domain_id=domain)
        self._node = rclpy.create_node("client", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._publisher = self._node.create_publisher(PointCloud2, "/points", QoSProfile(depth=50))
        self.answers: dict[int, Any] = {}
        self._node.create_subscription(ActionPrediction, "/pointata/output/action", self._note, QoSProfile(depth=50))

    def _note(self, message: Any) -> None:
        self.answers[stamp_to_ns(message.header.stamp)] = message

    def wait(self, done: Callable[[], bool], node: ChildProcess) -> None:
        end = time.monotonic() + 60
        while not done():
            assert time.monotonic() < end, node.last_words()
            node.require_running()
            self._executor.spin_once(timeout_sec=0.02)

    def connect(self, node: ChildProcess) -> None:
        """Wait until the node listens, and answers are heard."""
        self.wait(
            lambda: (
                self._publisher.get_subscription_count() > 0
                and self._node.count_publishers("/pointata/output/action") > 0
            ),
            node,
        )

    def ask(self, stamp_ns: int, points: NDArray[np.float32], node: ChildProcess) -> Any:
        """Publish a frame and wait for its answer."""
        self._publisher.publish(cloud(stamp_ns, points))
        self.wait(lambda: stamp_ns in self.answers, node)
        return self.answers[stamp_ns]

    def close(self) -> None:
        self._executor.shutdown()
        self._node.destroy_node()
        rclpy.shutdown(context=self._context)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    result = isolated_environment() | {"AMENT_PREFIX_PATH": os.environ.get("AMENT_PREFIX_PATH") or sys.prefix}
    for name, value in result.items():
        monkeypatch.setenv(name, value)
    return result


@pytest.fixture
def client(environment: dict[str, str]) -> Iterator[Client]:
    result = Client(int(environment["ROS_DOMAIN_ID"]))
    yield result
    result.close()


def test_written_trained_served(client: Client, environment: dict[str, str], tmp_path: Path) -> None:
    recordings = write_set(tmp_path / "swings")
    bundle = train(recordings, tmp_path)
    settings = (f"model:={bundle}", "input.reliability:=reliable", "input.depth:=50", "window.stride:=1")
    command = node_command(settings, ["~/input/pointcloud:=/points"])
    with ChildProcess("node", command, tmp_path / "node.log", environment) as node:
        client.connect(node)
        heard = {}
        for start, (path, action) in enumerate((("dora/first", "sideways"), ("dora/second.npz", "upwards")), start=1):
            labels = []
            for item in open_recording(recordings / path):
                # ten seconds between the recordings: the node begins the second with an empty window
                stamp_ns = item.frame.stamp_ns + start * 10**10
                answer = client.ask(stamp_ns, item.frame.points, node)
                assert len(answer.scores) == len(ACTIONS)
                assert sum(answer.scores) == pytest.approx(1, abs=1e-4)
                labels.append(answer.label)
            assert len(labels) == FRAMES
            assert set(labels) <= {*ACTIONS, "unknown"}
            heard[action] = labels[8:]  # a window is full
        assert node.stop() == 0
    for action, labels in heard.items():
        assert labels.count(action) > 0.75 * len(labels), heard
