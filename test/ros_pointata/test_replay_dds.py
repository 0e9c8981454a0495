"""A replay process and a subscriber in this process, over real DDS."""

import array
import json
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

rclpy = pytest.importorskip("rclpy", reason="ROS (rclpy) is not installed")

from nav_msgs.msg import Odometry  # noqa: E402 - these need rclpy
from rclpy.context import Context  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy  # noqa: E402
from rclpy.serialization import serialize_message  # noqa: E402
from rosgraph_msgs.msg import Clock  # noqa: E402
from sensor_msgs.msg import PointCloud2, PointField  # noqa: E402
from std_msgs.msg import Header  # noqa: E402

from pointata.data.open import open_recording  # noqa: E402
from pointata.data.pointcloud2 import decode_cloud, decode_field, stamp_to_ns  # noqa: E402
from ros_pointata.io.cloud import ns_to_stamp  # noqa: E402
from ros_pointata.replay.cli import build_parser  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
START_NS = 1_700_000_000_000_000_000


class Listener:
    """Collects what a replay sends, in the order of arrival."""

    def __init__(self, domain: int) -> None:
        self.context = Context()
        rclpy.init(context=self.context, domain_id=domain)
        self.node = rclpy.create_node(f"listener_{uuid.uuid4().hex[:8]}", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.topic = f"/t_{uuid.uuid4().hex[:8]}"
        self.domain = domain
        self.received: list[tuple[str, Any]] = []
        self.process: subprocess.Popen[str] | None = None
        self.listen(PointCloud2, self.topic, "cloud")

    def listen(self, kind: type, topic: str, name: str, latched: bool = False) -> None:
        durability = DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE
        qos = QoSProfile(depth=1000, reliability=ReliabilityPolicy.RELIABLE, durability=durability)
        self.node.create_subscription(kind, topic, lambda message: self.received.append((name, message)), qos)

    def of(self, name: str) -> list[Any]:
        return [message for kind, message in self.received if kind == name]

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start a replay towards this listener."""
        environment = os.environ | {"ROS_DOMAIN_ID": str(self.domain)}
        command = [sys.executable, "-m", "ros_pointata.replay", *arguments, "--topic", self.topic]
        command += ["--odometry-topic", f"{self.topic}/odom"]
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        return self.process

    def spin_until(self, done: Callable[[], bool], timeout_s: float = 20.0) -> None:
        end = time.monotonic() + timeout_s
        while not done():
            assert time.monotonic() < end, "the replay took too long"
            self.executor.spin_once(timeout_sec=0.05)

    def play(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a replay to its end and everything it sent."""
        process = self.start(*arguments)
        self.spin_until(lambda: process.poll() is not None)
        count = -1
        while count != len(self.received):  # what is still in the queues
            count = len(self.received)
            for _ in range(3):
                self.executor.spin_once(timeout_sec=0.05)
        out, err = process.communicate()
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.communicate()
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    monkeypatch.setenv("AMENT_PREFIX_PATH", os.environ.get("AMENT_PREFIX_PATH") or sys.prefix)
    result = Listener(random.SystemRandom().randint(1, 100))
    yield result
    result.close()


def odd_clouds(count: int) -> list[PointCloud2]:
    """Clouds of various layouts: organised with row padding, big-endian, with an unusual field, empty, truncated."""
    rng = np.random.default_rng(3)
    clouds = []
    for index in range(count):
        height, width, padding = (3, 5 + index, 6) if index % 2 else (1, 40 + index, 0)
        row = width * 18 + padding
        fields = [PointField(name=n, offset=2 + 4 * i, datatype=7, count=1) for i, n in enumerate("xyz")]
        fields.append(PointField(name="t", offset=14, datatype=4, count=2))
        message = PointCloud2(
            header=Header(stamp=ns_to_stamp(START_NS + index * 10**8), frame_id="os_lidar"), height=height, width=width,
            fields=fields, is_bigendian=index % 3 == 0, point_step=18, row_step=row, is_dense=bool(index % 2),
            data=array.array("B", rng.integers(0, 256, height * row, dtype=np.uint8).tobytes()),
        )  # fmt: skip
        clouds.append(message)
    clouds[1] = PointCloud2(header=clouds[1].header)
    clouds[2].data = clouds[2].data[:-5]
    return clouds


def write_bag(path: Path, storage: str, clouds: list[PointCloud2]) -> Path:
    """A bag of messages serialised by ROS itself."""
    rosbag2 = pytest.importorskip("rosbags.rosbag2", reason="rosbags is missing (pip install 'pointata[recordings]')")
    typesys = pytest.importorskip("rosbags.typesys")
    store = typesys.get_typestore(typesys.Stores.ROS2_JAZZY)
    with rosbag2.Writer(path, version=9, storage_plugin=getattr(rosbag2.StoragePlugin, storage)) as writer:
        connection = writer.add_connection("/lidar/points", "sensor_msgs/msg/PointCloud2", typestore=store)
        for index, message in enumerate(clouds):
            writer.write(connection, START_NS + index * 10**8, bytes(serialize_message(message)))
    return path


def write_drive(folder: Path, count: int, points: int = 300) -> list[NDArray[np.float32]]:
    """A KITTI raw folder at 10 Hz."""
    (folder / "velodyne_points" / "data").mkdir(parents=True)
    rng = np.random.default_rng(0)
    sweeps = [rng.normal(size=(points, 4)).astype("<f4") for _ in range(count)]
    for number, sweep in enumerate(sweeps):
        sweep.tofile(folder / "velodyne_points" / "data" / f"{number:010d}.bin")
    return sweeps


@pytest.mark.parametrize("storage", ["MCAP", "SQLITE3"])
def test_a_bag_arrives_byte_by_byte_and_in_order(listener: Listener, tmp_path: Path, storage: str) -> None:
    clouds = odd_clouds(12)
    bag = write_bag(tmp_path / "bag", storage, clouds)
    summary = tmp_path / "out" / "summary.json"
    result = listener.play(str(bag), "--as-fast-as-possible", "--summary", str(summary))
    assert result.returncode == 0, result.stderr
    assert listener.of("cloud") == clouds
    sent = json.loads(summary.read_text())
    assert sent["frames_sent"] == 12
    assert sent["stamps_ns"] == [START_NS + i * 10**8 for i in range(12)]
    assert sent["frame_indices"] == list(range(12))
    assert "12 frames sent" in result.stdout


def radar_clip(file: Path, frames: int = 7) -> dict[str, NDArray[Any]]:
    """A sparse clip with two channels, labels and poses, and arrays that are no channels of points."""
    rng = np.random.default_rng(0)
    poses = np.tile(np.eye(4), (frames, 1, 1))
    poses[:, 0, 3] = np.arange(frames)  # a metre a frame
    content: dict[str, NDArray[Any]] = {
        "points": rng.normal(size=(frames, 5, 3)).astype(np.float32),
        "stamp_ns": START_NS + np.arange(frames) * 33_000_000,
        "doppler": rng.normal(size=(frames, 5)).astype(np.float32),
        "power": rng.integers(0, 99, (frames, 5)).astype(np.int16),
        "labels": rng.integers(0, 3, (frames, 5)).astype(np.uint8),
        "T_world_sensor": poses,
        "colours": np.zeros((frames, 5, 3), np.float32),
        "temperature": np.zeros(frames),
        "names": np.full((frames, 5), "x"),
    }
    np.savez(file, **content)  # type: ignore[arg-type]
    return content


@pytest.mark.parametrize("layout", ["clip", "folder"])
def test_every_channel_of_a_recording_in_numpy_files_arrives(listener: Listener, tmp_path: Path, layout: str) -> None:
    written = radar_clip(tmp_path / "radar.npz")
    source = tmp_path / "radar.npz"
    if layout == "folder":
        source = tmp_path / "radar"
        source.mkdir()
        for index in range(7):
            np.savez(source / f"{index}.npz", **{name: values[index] for name, values in written.items()})
    result = listener.play(str(source), "--as-fast-as-possible")
    assert result.returncode == 0, result.stderr
    clouds = listener.of("cloud")
    assert len(clouds) == 7
    for index, message in enumerate(clouds):
        assert [field.name for field in message.fields] == ["x", "y", "z", "doppler", "power", "label"]
        np.testing.assert_array_equal(decode_cloud(message).frame().points, written["points"][index])
        for name in ("doppler", "power"):
            np.testing.assert_array_equal(decode_field(message, name), written[name][index])
        np.testing.assert_array_equal(decode_field(message, "label"), written["labels"][index])


def test_frames_are_sent_merged_if_asked_for(listener: Listener, tmp_path: Path) -> None:
    written = radar_clip(tmp_path / "radar.npz")
    summary = tmp_path / "sent.json"
    arguments = ("--as-fast-as-possible", "--merge", "3", "--summary", str(summary))
    result = listener.play(str(tmp_path / "radar.npz"), *arguments)
    assert result.returncode == 0, result.stderr
    assert json.loads(summary.read_text())["frame_indices"] == [0, 3, 6]
    clouds = listener.of("cloud")
    assert [len(decode_cloud(message).frame().points) for message in clouds] == [5, 15, 15]
    for message, number in zip(clouds[1:], (3, 6), strict=True):
        joined = [number, number - 1, number - 2]
        expected = written["points"][joined].copy()
        expected[:, :, 0] -= np.arange(3)[:, None]  # where the older points lie, seen from the newest place
        np.testing.assert_allclose(decode_cloud(message).frame().points, expected.reshape(-1, 3), atol=1e-6)
        np.testing.assert_array_equal(decode_field(message, "doppler"), written["doppler"][joined].ravel())
        np.testing.assert_array_equal(decode_field(message, "label"), written["labels"][joined].ravel())
        assert stamp_to_ns(message.header.stamp) == written["stamp_ns"][number]


def test_sensor_pace_with_system_stamps(listener: Listener, tmp_path: Path) -> None:
    sweeps = write_drive(tmp_path / "drive", 8)
    summary = tmp_path / "summary.json"
    before = time.time_ns()
    result = listener.play(str(tmp_path / "drive"), "--depth", "1", "--summary", str(summary), "--frame-id", "roof")
    assert result.returncode == 0, result.stderr
    clouds = listener.of("cloud")
    assert len(clouds) == 8
    for message, sweep in zip(clouds, sweeps, strict=True):
        frame = decode_cloud(message, ["intensity"]).frame()
        np.testing.assert_array_equal(frame.points, sweep[:, :3])
        np.testing.assert_array_equal(frame.features["intensity"], sweep[:, 3])
        assert frame.frame_id == "roof"
    stamps = [stamp_to_ns(message.header.stamp) for message in clouds]
    sent = json.loads(summary.read_text())
    assert sent["stamps_ns"] == stamps
    assert before < stamps[0] < stamps[-1] < time.time_ns()
    assert sent["duration_s"] == pytest.approx(0.7, abs=0.15)


@pytest.mark.parametrize(("pace", "duration_s"), [(["--rate", "4"], 0.175), (["--hz", "50"], 0.14)])
def test_scaled_and_fixed_pace(listener: Listener, tmp_path: Path, pace: list[str], duration_s: float) -> None:
    write_drive(tmp_path / "drive", 8)
    summary = tmp_path / "summary.json"
    result = listener.play(str(tmp_path / "drive"), "--depth", "1", "--summary", str(summary), *pace)
    assert result.returncode == 0, result.stderr
    assert len(listener.of("cloud")) == 8
    assert json.loads(summary.read_text())["duration_s"] == pytest.approx(duration_s, abs=0.1)


def test_a_selection_in_a_loop_jumps_back_until_interrupted(listener: Listener, tmp_path: Path) -> None:
    write_drive(tmp_path / "drive", 8)
    summary = tmp_path / "summary.json"
    process = listener.start(str(tmp_path / "drive"), "--start", "2", "--frames", "3", "--rate", "5", "--loop",
                             "--summary", str(summary))  # fmt: skip
    listener.spin_until(lambda: len(listener.of("cloud")) >= 9)  # the last one may not be counted yet
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, err) == (0, "")
    assert "frames sent" in out
    stamps = [stamp_to_ns(message.header.stamp) for message in listener.of("cloud")]
    assert stamps[:8] == [i * 10**8 for i in (2, 3, 4, 2, 3, 4, 2, 3)]
    assert json.loads(summary.read_text())["frame_indices"][:8] == [2, 3, 4, 2, 3, 4, 2, 3]


def test_clock_runs_ahead_of_every_cloud_and_never_back(listener: Listener, tmp_path: Path) -> None:
    write_drive(tmp_path / "drive", 6)
    listener.listen(Clock, "/clock", "clock")
    result = listener.play(str(tmp_path / "drive"), "--clock", "--rate", "2", "--depth", "1")
    assert result.returncode == 0, result.stderr
    clocks = [stamp_to_ns(message.clock) for message in listener.of("clock")]
    stamps = [stamp_to_ns(message.header.stamp) for message in listener.of("cloud")]
    assert stamps == [i * 10**8 for i in range(6)]
    assert clocks == sorted(clocks)
    assert set(stamps) <= set(clocks)
    assert len(clocks) > 15, "between the clouds the clock runs on"


def test_the_simulator_with_labels_odometry_and_truth(listener: Listener) -> None:
    pytest.importorskip("open3d", reason="open3d is not installed (pip install 'pointata[training]')")
    messages = pytest.importorskip("ros_pointata.msg", reason="the package's messages are not built")
    spec = "sim:room?seed=4&split=test&frames=4&width=48&height=36"
    listener.listen(Odometry, f"{listener.topic}/odom", "odom")
    listener.listen(messages.ActionPrediction, f"{listener.topic}/truth/action", "action")
    listener.listen(messages.ClassInfoList, f"{listener.topic}/truth/classes", "classes", latched=True)
    listener.listen(messages.ClassInfoList, f"{listener.topic}/truth/actions", "actions", latched=True)
    result = listener.play(spec, "--stamps", "recorded", "--depth", "1")
    assert result.returncode == 0, result.stderr

    recording = open_recording(spec)
    expected = list(recording)
    clouds, odometry, actions = listener.of("cloud"), listener.of("odom"), listener.of("action")
    assert len(clouds) == len(odometry) == len(actions) == len(expected) == 4
    for item, message, odom, action in zip(expected, clouds, odometry, actions, strict=True):
        np.testing.assert_array_equal(decode_cloud(message).frame().points, item.frame.points)
        np.testing.assert_array_equal(decode_field(message, "label"), item.labels)
        assert message.header.stamp == odom.header.stamp == action.header.stamp
        assert stamp_to_ns(message.header.stamp) == item.frame.stamp_ns
        assert (odom.header.frame_id, odom.child_frame_id) == ("odom", message.header.frame_id)
        position = odom.pose.pose.position
        np.testing.assert_allclose([position.x, position.y, position.z], item.frame.T_world_sensor[:3, 3], atol=1e-9)
        q = odom.pose.pose.orientation
        np.testing.assert_allclose(matrix_of(q.x, q.y, q.z, q.w), item.frame.T_world_sensor[:3, :3], atol=1e-9)
        assert action.class_id == item.action
        assert recording.actions is not None
        assert action.label == recording.actions[action.class_id].name
        assert action.scores[action.class_id] == 1
    (classes,), (action_classes,) = listener.of("classes"), listener.of("actions")
    assert recording.classes is not None
    assert [(e.id, e.name) for e in classes.classes] == [(e.id, e.name) for e in recording.classes]
    assert [(e.id, e.name) for e in action_classes.classes] == [(e.id, e.name) for e in recording.actions or ()]
    assert classes.classes[1].color.r == pytest.approx(recording.classes[1].color[0] / 255)


def matrix_of(x: float, y: float, z: float, w: float) -> list[list[float]]:
    """Rotation matrix of a unit quaternion, written out."""
    return [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]


def test_a_file_that_breaks_in_the_middle_ends_the_replay_with_a_sentence(listener: Listener, tmp_path: Path) -> None:
    write_drive(tmp_path / "drive", 4)
    (tmp_path / "drive" / "velodyne_points" / "data" / "0000000002.bin").write_bytes(b"1234567")
    result = listener.play(str(tmp_path / "drive"), "--as-fast-as-possible")
    assert result.returncode == 1
    assert "0000000002.bin has 7 bytes" in result.stderr
    assert "Traceback" not in result.stderr
    assert len(listener.of("cloud")) == 2


def test_a_video_of_a_data_set_with_its_actions(listener: Listener, tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py", reason="h5py is not installed (pip install 'pointata[recordings]')")
    messages = pytest.importorskip("ros_pointata.msg", reason="the package's messages are not built")
    points = np.random.default_rng(0).normal(size=(2, 4, 5, 3)).astype(np.float32)
    with h5py.File(tmp_path / "train1.h5", "w") as file:
        file["pcd"], file["label"] = points, [[0, 0, 0, 0], [3, 3, 7, 18]]
    listener.listen(messages.ActionPrediction, f"{listener.topic}/truth/action", "action")
    result = listener.play(f"hoi4d:{tmp_path}?video=train1_0001", "--stamps", "recorded", "--depth", "1")
    assert result.returncode == 0, result.stderr
    assert "replay: train1_0001, 4 frames, 7.5 Hz" in result.stdout
    clouds = listener.of("cloud")
    for message, sent in zip(clouds, points[1], strict=True):  # right, down, forward to forward, left, up
        np.testing.assert_array_equal(decode_cloud(message).frame().points, sent[:, [2, 0, 1]] * [1, -1, -1])
    assert [message.class_id for message in listener.of("action")] == [3, 3, 7, 18]
    result = listener.play(f"hoi4d:{tmp_path}")
    assert result.returncode == 1
    assert "has 2 videos (train1_0000, train1_0001); name one, as in hoi4d:" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{tmp}/nothing"], "does not exist"),
        (["{tmp}/drive", "--start", "9", "--wait-subscribers", "0"], "no frame from 9 on"),
        (["{tmp}/drive", "--wait-subscribers", "2", "--wait-timeout", "0.2"], "fewer than 2 subscribers"),
        (["{tmp}/drive", "--summary", "{tmp}/drive/velodyne_points/data/0000000000.bin/x"], "cannot be a folder"),
        (["{tmp}/drive", "--wait-subscribers", "0", "--summary", "{tmp}"], "replay: [Errno 21] Is a directory"),
        (["{tmp}/drive", "--ros-args", "-r", "x"], "replay: ROS does not start: failed to initialize rcl: Couldn't"),
    ],
)
def test_failures_are_one_sentence(listener: Listener, tmp_path: Path, arguments: list[str], words: str) -> None:
    write_drive(tmp_path / "drive", 2)
    result = listener.play(*[argument.format(tmp=tmp_path) for argument in arguments])
    assert result.returncode == 1
    assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_replay_says_for_whom_it_waits(tmp_path: Path) -> None:
    write_drive(tmp_path / "drive", 2)
    words = [sys.executable, "-m", "ros_pointata.replay", str(tmp_path / "drive"), "--topic", "/unheard"]
    patience = ["--wait-subscribers", "3", "--wait-timeout", "0.3"]
    result = subprocess.run([*words, *patience], capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    assert "replay: waits for 3 subscriber(s) on /unheard, at most 0.3 s\n" in result.stdout


def test_options_of_the_replay_have_one_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        build_parser().parse_args(["drive", "--wait-sub", "0"])
    assert "--wait-sub" in capsys.readouterr().err


def test_a_topic_that_cannot_be_one_is_a_sentence(tmp_path: Path) -> None:
    write_drive(tmp_path / "drive", 2)
    words = [sys.executable, "-m", "ros_pointata.replay", str(tmp_path / "drive"), "--topic", "a//b"]
    result = subprocess.run(words, capture_output=True, text=True, timeout=60)
    sentence = "replay: Invalid topic name: topic name must not contain repeated '/': '/a//b'\n"
    assert (result.returncode, result.stderr) == (1, sentence)


@pytest.mark.parametrize(
    ("folder", "count"),
    [("kitti_raw/2011_09_26", 10), ("seven_scenes", 30), ("semantic_kitti/dataset/sequences/00", 21)],
)
def test_real_recordings_arrive_whole(listener: Listener, data_root: Path, folder: str, count: int) -> None:
    if not (data_root / folder).exists():
        pytest.skip(f"{data_root / folder} is absent")
    if folder.startswith("semantic"):
        pytest.importorskip("ros_pointata.msg", reason="the package's messages are not built")
    # clouds of 4 MB overtake a listener on a busy machine: half as fast as recorded
    pace = {"kitti_raw": [], "seven_scenes": ["--rate", "0.5"]}.get(folder.split("/")[0], ["--rate", "3"])
    result = listener.play(str(data_root / folder), "--stamps", "recorded", *pace)
    assert result.returncode == 0, result.stderr
    clouds = listener.of("cloud")
    assert len(clouds) == count
    for message, item in zip(clouds, open_recording(data_root / folder), strict=True):
        frame = decode_cloud(message).frame()
        assert frame.stamp_ns == item.frame.stamp_ns
        np.testing.assert_array_equal(frame.points, item.frame.points)
        if item.labels is not None:
            np.testing.assert_array_equal(decode_field(message, "label"), item.labels)
