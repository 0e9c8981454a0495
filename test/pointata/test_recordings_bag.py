"""Bags written with rosbags in both storage formats and read back."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation, Slerp

from pointata import DataError
from pointata.data.formats.bag import BagRecording
from pointata.data.open import open_recording
from pointata.data.pose_track import PoseTrack, fixed_transform
from pointata.geometry.rigid import rigid

typesys = pytest.importorskip("rosbags.typesys", reason="rosbags is not installed (pip install 'pointata[recordings]')")
rosbag2 = pytest.importorskip("rosbags.rosbag2")

STORE = typesys.get_typestore(typesys.Stores.ROS2_JAZZY)
TYPES = STORE.types
START_NS = 1_700_000_000_000_000_000
PERIOD_NS = 100_000_000
STORAGES = ["mcap", "sqlite3"]
POINT = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("intensity", "<f4"), ("label", "u1"), ("pad", "V3")])


def message(msgtype: str, **values: Any) -> Any:
    return TYPES[msgtype](**values)


def header(stamp_ns: int, frame_id: str) -> Any:
    sec, nanosec = divmod(stamp_ns, 10**9)
    stamp = message("builtin_interfaces/msg/Time", sec=sec, nanosec=nanosec)
    return message("std_msgs/msg/Header", stamp=stamp, frame_id=frame_id)


def points_of(index: int) -> NDArray[Any]:
    rng = np.random.default_rng(index)
    points = np.zeros(20 + index, dtype=POINT)
    for name in ("x", "y", "z", "intensity"):
        points[name] = rng.normal(size=len(points))
    points["x"][3] = np.nan
    points["label"] = rng.integers(0, 20, len(points))
    return points


def cloud(index: int, stamp_ns: int, frame_id: str = "lidar") -> Any:
    points = points_of(index)
    fields = [
        message("sensor_msgs/msg/PointField", name=name, offset=offset, datatype=kind, count=1)
        for name, offset, kind in (("x", 0, 7), ("y", 4, 7), ("z", 8, 7), ("intensity", 12, 7), ("label", 16, 2))
    ]  # fmt: skip
    return message(
        "sensor_msgs/msg/PointCloud2", header=header(stamp_ns, frame_id), height=1, width=len(points), fields=fields,
        is_bigendian=False, point_step=POINT.itemsize, row_step=POINT.itemsize * len(points),
        data=points.view(np.uint8), is_dense=True,
    )  # fmt: skip


def geometry(name: str, values: NDArray[np.float64]) -> Any:
    return message(f"geometry_msgs/msg/{name}", **dict(zip("xyzw", map(float, values), strict=False)))


def odometry(stamp_ns: int, T: NDArray[np.float64], child: str = "base_link") -> Any:
    quaternion = Rotation.from_matrix(T[:3, :3]).as_quat()
    zero = geometry("Vector3", np.zeros(3))
    pose = message("geometry_msgs/msg/Pose", position=geometry("Point", T[:3, 3]),
                   orientation=geometry("Quaternion", quaternion))  # fmt: skip
    return message(
        "nav_msgs/msg/Odometry", header=header(stamp_ns, "odom"), child_frame_id=child,
        pose=message("geometry_msgs/msg/PoseWithCovariance", pose=pose, covariance=np.zeros(36)),
        twist=message("geometry_msgs/msg/TwistWithCovariance", covariance=np.zeros(36),
                      twist=message("geometry_msgs/msg/Twist", linear=zero, angular=zero)),
    )  # fmt: skip


def static_transform(parent: str, child: str, T: NDArray[np.float64]) -> Any:
    quaternion = Rotation.from_matrix(T[:3, :3]).as_quat()
    transform = message("geometry_msgs/msg/Transform", translation=geometry("Vector3", T[:3, 3]),
                        rotation=geometry("Quaternion", quaternion))  # fmt: skip
    return message("geometry_msgs/msg/TransformStamped", header=header(0, parent), child_frame_id=child,
                   transform=transform)  # fmt: skip


def write_bag(path: Path, storage: str, topics: dict[str, list[tuple[int, Any]]]) -> Path:
    """Messages by topic with their times of recording."""
    with rosbag2.Writer(path, version=9, storage_plugin=getattr(rosbag2.StoragePlugin, storage.upper())) as writer:
        rows = []
        for topic, messages in topics.items():
            connection = writer.add_connection(topic, messages[0][1].__msgtype__, typestore=STORE)
            rows += [(time_ns, connection, item) for time_ns, item in messages]
        for time_ns, connection, item in sorted(rows, key=lambda row: row[0]):
            writer.write(connection, time_ns, STORE.serialize_cdr(item, item.__msgtype__))
    return path


def clouds(count: int = 4, **values: Any) -> list[tuple[int, Any]]:
    stamps = [START_NS + i * PERIOD_NS for i in range(count)]
    return [(stamp + 5_000_000, cloud(i, stamp, **values)) for i, stamp in enumerate(stamps)]


T_ODOM_BASE = [
    rigid(Rotation.from_euler("z", 0.4 * i).as_matrix(), np.array([2.0 * i, 0.5 * i, 0.1])) for i in range(3)
]
T_BASE_MAST = rigid(Rotation.from_euler("xyz", [0.1, 0.2, 0.3]).as_matrix(), np.array([0.0, 0.0, 1.2]))
T_MAST_LIDAR = rigid(Rotation.from_euler("y", 0.5).as_matrix(), np.array([0.3, 0.0, 0.0]))


def odometry_track(child: str = "base_link") -> list[tuple[int, Any]]:
    return [(START_NS + i * 150_000_000, odometry(START_NS + i * 150_000_000, T, child))
            for i, T in enumerate(T_ODOM_BASE)]  # fmt: skip


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("whole_folder", [True, False])
def test_clouds_come_back_bit_by_bit(tmp_path: Path, storage: str, whole_folder: bool) -> None:
    folder = write_bag(tmp_path / "bag", storage, {"/points": clouds()})
    path = folder if whole_folder else next(p for p in folder.iterdir() if p.suffix in (".mcap", ".db3"))
    recording = open_recording(path, features=("intensity",))
    items = list(recording)
    assert isinstance(recording, BagRecording)
    assert (len(recording), len(items), recording.topic) == (4, 4, "/points")
    assert recording.rate_hz == pytest.approx(10.0)
    for index, item in enumerate(items):
        points = points_of(index)
        valid = np.flatnonzero(np.isfinite(points["x"]))
        assert item.frame.stamp_ns == START_NS + index * PERIOD_NS
        assert item.frame.source_count == len(points)
        np.testing.assert_array_equal(item.frame.source_index, valid)
        np.testing.assert_array_equal(item.frame.points, np.stack([points[n] for n in "xyz"], axis=1)[valid])
        np.testing.assert_array_equal(item.frame.features["intensity"], points["intensity"][valid])
        np.testing.assert_array_equal(item.labels, points["label"][valid])
    raw = list(recording.clouds(1, 2))
    assert [bytes(c.message.data) for c in raw] == [points_of(i).tobytes() for i in (1, 2)]
    assert [item.frame.stamp_ns for item in recording.frames(3)] == [START_NS + 3 * PERIOD_NS]


@pytest.mark.parametrize("storage", STORAGES)
def test_poses_are_interpolated_and_carried_to_the_sensor(tmp_path: Path, storage: str) -> None:
    tree = message("tf2_msgs/msg/TFMessage", transforms=[static_transform("base_link", "mast", T_BASE_MAST),
                                                        static_transform("mast", "lidar", T_MAST_LIDAR)])  # fmt: skip
    path = write_bag(
        tmp_path / "bag", storage, {"/points": clouds(), "/odom": odometry_track(), "/tf_static": [(START_NS, tree)]}
    )
    recording = open_recording(path)
    assert recording.has_poses
    poses = [item.frame.T_world_sensor for item in recording]
    times = np.array([0.0, 0.15, 0.30])
    slerp = Slerp(times, Rotation.from_matrix([T[:3, :3] for T in T_ODOM_BASE]))
    for pose, at in zip(poses, (0.0, 0.1, 0.2, 0.3), strict=True):
        before = min(int(at / 0.15), 1)
        weight = (at - times[before]) / 0.15
        position = (1 - weight) * T_ODOM_BASE[before][:3, 3] + weight * T_ODOM_BASE[before + 1][:3, 3]
        expected = rigid(slerp(at).as_matrix(), position) @ T_BASE_MAST @ T_MAST_LIDAR
        np.testing.assert_allclose(pose, expected, atol=1e-9)


def test_odometry_of_the_sensor_itself_needs_no_transforms(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "bag", "mcap", {"/points": clouds(), "/odom": odometry_track("lidar")})
    np.testing.assert_allclose(next(iter(open_recording(path))).frame.T_world_sensor, T_ODOM_BASE[0], atol=1e-9)
    assert not open_recording(path, use_odometry=False).has_poses


def test_unconnected_odometry_is_left_out_and_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_bag(tmp_path / "bag", "mcap", {"/points": clouds(), "/odom": odometry_track()})
    recording = open_recording(path)
    assert not recording.has_poses
    assert "/tf_static does not connect them" in caplog.text


def test_clouds_far_from_all_odometry_have_no_pose_and_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    late = [(START_NS + at, cloud(0, START_NS + at)) for at in (10**10, 2 * 10**10)]
    path = write_bag(tmp_path / "bag", "mcap", {"/points": [*clouds(1), *late], "/odom": odometry_track("lidar")})
    recording = open_recording(path)
    assert isinstance(recording, BagRecording)
    poses = [item.frame.T_world_sensor for item in recording]
    np.testing.assert_allclose(poses[0], T_ODOM_BASE[0], atol=1e-9)
    np.testing.assert_array_equal(poses[1:], [np.eye(4)] * 2)
    assert [c.T_world_sensor is None for c in recording.clouds()] == [False, True, True]
    (warning,) = caplog.messages
    assert "9.700 s from the nearest odometry" in warning
    assert "use_odometry=false" in warning


def test_a_cloud_in_a_frame_that_nothing_ties_to_the_odometry_has_no_pose(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mixed = [*clouds(1), (START_NS + PERIOD_NS, cloud(1, START_NS + PERIOD_NS, "rear"))]
    path = write_bag(tmp_path / "bag", "mcap", {"/points": mixed, "/odom": odometry_track("lidar")})
    np.testing.assert_array_equal([item.frame.T_world_sensor for item in open_recording(path)][1], np.eye(4))
    assert "a cloud in 'rear'" in caplog.text


def test_topic_choice(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "bag", "mcap", {"/front": clouds(2), "/rear": clouds(3)})
    with pytest.raises(DataError, match=r"2 PointCloud2 topics \(/front, /rear\)"):
        open_recording(path)
    with pytest.raises(DataError, match=r"no PointCloud2 topic /top; it has: /front, /rear"):
        open_recording(path, topic="/top")
    assert len(open_recording(path, topic="/rear")) == len(list(open_recording(path, topic="/rear"))) == 3
    odometry_only = write_bag(tmp_path / "other", "mcap", {"/odom": odometry_track()})
    with pytest.raises(DataError, match=r"0 PointCloud2 topics \(none\)"):
        open_recording(odometry_only)
    with pytest.raises(DataError, match=r"no Odometry topic /odom; it has: none"):
        open_recording(path, topic="/rear", odometry_topic="/odom")


def test_stamps_are_kept_even_where_they_jump_back_and_replaced_where_zero(tmp_path: Path) -> None:
    stamps = [START_NS, START_NS + PERIOD_NS, START_NS - 5 * PERIOD_NS, 0]
    recorded = [(START_NS + i * PERIOD_NS, cloud(i, stamp)) for i, stamp in enumerate(stamps)]
    path = write_bag(tmp_path / "bag", "mcap", {"/points": recorded})
    assert [item.frame.stamp_ns for item in open_recording(path)] == [*stamps[:3], START_NS + 3 * PERIOD_NS]


def test_a_malformed_cloud_is_left_out_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    recorded = clouds()
    recorded[2][1].data = recorded[2][1].data[:-1]
    recording = open_recording(write_bag(tmp_path / "bag", "mcap", {"/points": recorded}))
    assert isinstance(recording, BagRecording)
    stamps = [START_NS + i * PERIOD_NS for i in range(4)]
    assert [item.frame.stamp_ns for item in recording] == [stamps[0], stamps[1], stamps[3]]
    assert recording.left_out == 1
    assert re.search(r"bag, topic /points, cloud at 1700000000200000000 ns: .*truncated.*left out", caplog.text)
    assert [item.frame.stamp_ns for item in recording.frames(1, 2)] == [stamps[1]]  # numbers are those in the bag
    assert [c.stamp_ns for c in recording.clouds()] == stamps
    assert len(list(recording.frames(0, 2))) == 2
    assert recording.left_out == 0


def test_clouds_that_are_all_malformed_are_an_error(tmp_path: Path) -> None:
    recording = open_recording(write_bag(tmp_path / "bag", "mcap", {"/points": clouds()}), features=("doppler",))
    with pytest.raises(DataError, match="doppler"):
        list(recording)


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("keep", [0, 40, 0.5])
def test_damaged_bags_are_named(tmp_path: Path, storage: str, keep: float) -> None:
    folder = write_bag(tmp_path / "bag", storage, {"/points": clouds(60)})
    file = next(p for p in folder.iterdir() if p.suffix in (".mcap", ".db3"))
    content = file.read_bytes()
    file.write_bytes(content[: int(keep if keep >= 1 else keep * len(content))])
    with pytest.raises(DataError, match="cannot be read as a bag") as refusal:
        list(open_recording(file))
    assert file.name in str(refusal.value)


def test_an_iteration_may_stop_early(tmp_path: Path) -> None:
    recording = open_recording(write_bag(tmp_path / "bag", "mcap", {"/points": clouds()}))
    frames = iter(recording)
    next(frames)
    del frames
    assert len(list(recording)) == 4


def test_pose_track_holds_at_its_ends_and_sorts() -> None:
    track = PoseTrack([200, 100, 200], [[2, 0, 0], [1, 0, 0], [9, 9, 9]], [[0, 0, 0, 1]] * 3, max_gap_s=1e-7)
    found = [track.pose(at) for at in (50, 100, 150, 200, 250)]
    assert [T[0, 3] for T in found if T is not None] == [1, 1, 1.5, 2, 2]
    assert track.gap_s(400) == pytest.approx(2e-7)
    assert track.pose(400) is None
    with pytest.raises(DataError, match="not a rigid transform"):
        PoseTrack([0], [[0, 0, 0]], [[0, 0, 0, 0]])


def test_fixed_transforms_through_a_common_parent_and_loops() -> None:
    edges = {"mast": ("base", T_BASE_MAST), "lidar": ("mast", T_MAST_LIDAR), "wheel": ("base", T_ODOM_BASE[1])}
    expected = np.linalg.inv(T_ODOM_BASE[1]) @ T_BASE_MAST @ T_MAST_LIDAR
    found = fixed_transform(edges, "wheel", "lidar")
    assert found is not None
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert fixed_transform(edges, "lidar", "camera") is None
    with pytest.raises(DataError, match="loop"):
        fixed_transform({"a": ("b", np.eye(4)), "b": ("a", np.eye(4))}, "c", "a")


def test_all_fields_of_numbers_can_be_asked_for(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", "mcap", {"/points": clouds()})
    for index, item in enumerate(open_recording(bag, None)):
        written = points_of(index)
        assert list(item.frame.features) == ["intensity"]
        expected = written["intensity"][np.isfinite(written["x"])]
        np.testing.assert_array_equal(item.frame.features["intensity"], expected)
