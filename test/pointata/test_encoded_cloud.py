"""Clouds encoded without ROS: rosbags writes them as they are, and reads what struct reads from their bytes."""

import struct
from pathlib import Path

import numpy as np
import pytest

from pointata import UNLABELLED, ClassInfo, Frame
from pointata.data.encoded_cloud import encode_frame, encode_segmentation, encode_visualization
from pointata.data.open import open_recording
from pointata.data.pointcloud2 import decode_cloud, decode_field

typesys = pytest.importorskip("rosbags.typesys", reason="rosbags is not installed (pip install 'pointata[recordings]')")
rosbag2 = pytest.importorskip("rosbags.rosbag2")

STORE = typesys.get_typestore(typesys.Stores.ROS2_JAZZY)
CLOUD = "sensor_msgs/msg/PointCloud2"


def frame(count: int, seed: int = 0) -> Frame:
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(count, 3)).astype(np.float32)
    return Frame.from_points(
        points,
        stamp_ns=1_700_000_000_123_456_789 + seed * 10**8,
        frame_id="lidar",
        features={"ring": rng.random(count)},
    )


@pytest.mark.parametrize("count", [0, 1, 300])
def test_rosbags_writes_what_is_encoded_and_reads_every_value(count: int) -> None:
    given = frame(count)
    labels = np.random.default_rng(1).integers(0, 256, count).astype(np.uint8)
    read = STORE.deserialize_cdr(STORE.serialize_cdr(encode_frame(given, labels), CLOUD), CLOUD)
    assert (read.header.stamp.sec, read.header.stamp.nanosec) == (1_700_000_000, 123_456_789)
    assert (read.header.frame_id, read.height, read.width, read.is_dense) == ("lidar", 1, count, True)
    assert (read.is_bigendian, read.point_step, read.row_step) == (False, 17, 17 * count)
    assert [(f.name, f.offset, f.datatype, f.count) for f in read.fields] == [
        ("x", 0, read.fields[0].FLOAT32, 1), ("y", 4, 7, 1), ("z", 8, 7, 1), ("ring", 12, 7, 1),
        ("label", 16, read.fields[0].UINT8, 1),
    ]  # fmt: skip
    values = list(struct.iter_unpack("<ffffB", read.data.tobytes()))
    expected = zip(*given.points.T.tolist(), given.features["ring"].tolist(), labels.tolist(), strict=True)
    assert values == list(expected)


def test_a_labelled_recording_is_written_without_ros_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "labelled"
    with rosbag2.Writer(path, version=9, storage_plugin=rosbag2.StoragePlugin.MCAP) as writer:
        connection = writer.add_connection("/points", CLOUD, typestore=STORE)
        for seed in range(3):
            cloud = decode_cloud(encode_frame(frame(40, seed)))
            labels = np.full(40, seed, np.uint8)
            labelled = encode_segmentation(cloud, labels, np.full(40, 0.5, np.float32))
            writer.write(connection, cloud.stamp_ns, STORE.serialize_cdr(labelled, CLOUD))
    items = list(open_recording(path).frames())
    assert len(items) == 3
    for seed, item in enumerate(items):
        assert item.frame.stamp_ns == frame(40, seed).stamp_ns
        np.testing.assert_array_equal(item.frame.points, frame(40, seed).points)
        assert item.labels is not None
        assert set(item.labels.tolist()) == {seed}


def test_points_that_are_not_finite_stay_and_are_unlabelled() -> None:
    given = encode_frame(Frame.from_points(np.ones((4, 3), np.float32)))
    given.points["y"][2] = np.nan
    cloud = decode_cloud(given)
    labelled = encode_segmentation(cloud, np.array([1, 2, 3], np.uint8), np.ones(3, np.float32))
    assert not labelled.is_dense
    assert decode_field(labelled, "label").tolist() == [1, 2, UNLABELLED, 3]
    assert decode_cloud(labelled).valid.tolist() == [0, 1, 3]
    coloured = encode_visualization(cloud, np.array([1, 2, 2], np.uint8), [ClassInfo(1, "car", (255, 128, 0))])
    packed = [point[3] for point in struct.iter_unpack("<fffI", coloured.data.tobytes())]
    assert packed == [0xFF8000, 0x808080, 0x808080, 0x808080]
