"""The PointCloud2 decoder against struct.unpack, and the messages built from it; no running ROS needed."""

import array
import copy
import struct
import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pointata import ClassInfo, DataError, Frame
from pointata.data.pointcloud2 import decode_cloud, decode_field, layout_key
from ros_pointata.io import cloud as codec

FORMATS = {1: "b", 2: "B", 3: "h", 4: "H", 5: "i", 6: "I", 7: "f", 8: "d"}
SPECIAL = (float("nan"), float("inf"), float("-inf"))


def field(name: str, offset: int, datatype: int = 7, count: int = 1) -> SimpleNamespace:
    return SimpleNamespace(name=name, offset=offset, datatype=datatype, count=count)


def make_message(
    rows: list[list[dict[str, float]]], fields: list[SimpleNamespace], point_step: int, padding: int = 0,
    bigendian: bool = False, dense: bool = True,
) -> SimpleNamespace:  # fmt: skip
    """A message written value by value with struct; bytes that belong to no field hold 0xA5."""
    width = len(rows[0]) if rows else 0
    row_step = width * point_step + padding
    data = bytearray(b"\xa5" * (row_step * len(rows)))
    order = ">" if bigendian else "<"
    for v, row in enumerate(rows):
        for u, point in enumerate(row):
            for f in fields:
                if f.name in point:
                    start = v * row_step + u * point_step + f.offset
                    struct.pack_into(order + FORMATS[f.datatype], data, start, point[f.name])
    return SimpleNamespace(
        header=SimpleNamespace(stamp=SimpleNamespace(sec=12, nanosec=345_678_901), frame_id="lidar"),
        height=len(rows), width=width, fields=fields, is_bigendian=bigendian, point_step=point_step,
        row_step=row_step, data=array.array("B", bytes(data)), is_dense=dense,
    )  # fmt: skip


def read_back(msg: SimpleNamespace, name: str) -> list[float]:
    """Oracle: every value of a field in row-major order, by struct.unpack."""
    (f,) = [f for f in msg.fields if f.name == name]
    order = (">" if msg.is_bigendian else "<") + FORMATS[f.datatype]
    return [
        struct.unpack_from(order, bytes(msg.data), v * msg.row_step + u * msg.point_step + f.offset)[0]
        for v in range(msg.height)
        for u in range(msg.width)
    ]


def random_message(seed: int) -> SimpleNamespace:
    """A random legal layout: field order, gaps, datatypes, padding, shape, byte order, NaN and Inf."""
    rng = np.random.default_rng(seed)
    names = ["x", "y", "z", "intensity", "ring"]
    coordinate_type = int(rng.choice([7, 7, 8, 3, 5]))
    types = {name: coordinate_type for name in "xyz"} | {"intensity": int(rng.choice([2, 7, 8])), "ring": 4}
    fields, offset = [], 0
    for name in rng.permutation(names):
        offset += int(rng.integers(0, 6))
        fields.append(field(str(name), offset, types[str(name)]))
        offset += struct.calcsize(FORMATS[types[str(name)]])
    height, width = (1, int(rng.integers(1, 30))) if rng.random() < 0.5 else map(int, rng.integers(1, 8, 2))

    def value(name: str) -> float:
        kind = types[name]
        if kind in (7, 8):
            return float(rng.choice(SPECIAL)) if rng.random() < 0.1 else float(np.float32(rng.normal(scale=50)))
        return int(rng.integers(0, 100))

    rows = [[{name: value(name) for name in names} for _ in range(width)] for _ in range(height)]
    return make_message(
        rows, fields, offset + int(rng.integers(0, 9)), int(rng.integers(0, 13)), bool(rng.random() < 0.5)
    )


def unit_message(**changes: Any) -> SimpleNamespace:
    """Two by three valid points at (u, v, 1), 16 bytes each, with attributes replaced as told."""
    rows = [[{"x": u, "y": v, "z": 1.0, "intensity": u + v} for u in range(3)] for v in range(2)]
    msg = make_message(rows, [field("x", 0), field("y", 4), field("z", 8), field("intensity", 12)], 16, padding=8)
    for name, value in changes.items():
        setattr(msg, name, value)
    return msg


@pytest.mark.parametrize("seed", range(60))
def test_random_layouts_equal_struct_unpack(seed: int) -> None:
    msg = random_message(seed)
    before = copy.deepcopy(msg)
    frame = decode_cloud(msg, ["intensity", "ring"]).frame()

    expected = np.array([read_back(msg, name) for name in "xyz"], dtype=np.float32).T.reshape(-1, 3)
    valid = [i for i, point in enumerate(expected) if all(np.isfinite(v) for v in point)]
    np.testing.assert_array_equal(frame.source_index, valid)
    assert frame.source_count == msg.height * msg.width
    assert (frame.stamp_ns, frame.frame_id) == (12_345_678_901, "lidar")
    np.testing.assert_array_equal(frame.points, expected[valid])
    assert frame.points.dtype == np.float32
    for name in ("intensity", "ring"):
        values = np.array(read_back(msg, name), dtype=np.float32)
        np.testing.assert_array_equal(frame.features[name], values[valid])
        np.testing.assert_array_equal(decode_field(msg, name), np.array(read_back(msg, name)))
    assert msg == before, "the message was changed"


@pytest.mark.parametrize("as_type", [bytes, bytearray, memoryview, lambda d: array.array("B", d)])
def test_every_buffer_type_of_data_is_read_and_results_own_their_memory(as_type: Any) -> None:
    msg = unit_message()
    msg.data = as_type(bytes(msg.data))
    decoded = decode_cloud(msg)
    np.testing.assert_array_equal(decoded.xyz[4], [1, 1, 1])
    decoded.xyz[:] = 0
    np.testing.assert_array_equal(decode_cloud(msg).frame().points[4], [1, 1, 1])


def test_a_read_only_numpy_buffer_as_rosbags_gives_it() -> None:
    msg = unit_message()
    msg.data = np.frombuffer(bytes(msg.data), dtype=np.uint8)
    np.testing.assert_array_equal(decode_cloud(msg).frame().points[:, 0], [0, 1, 2, 0, 1, 2])


@pytest.mark.parametrize("dense", [True, False])
def test_is_dense_is_not_trusted(dense: bool) -> None:
    rows = [[{"x": 1.0, "y": bad, "z": 0.0} for bad in (*SPECIAL, 2.0)]]
    msg = make_message(rows, [field("x", 0), field("y", 4), field("z", 8)], 12, dense=dense)
    frame = decode_cloud(msg).frame()
    assert frame.source_index.tolist() == [3]
    assert frame.source_count == 4


def test_a_float64_beyond_float32_is_invalid_without_a_warning() -> None:
    msg = make_message(
        [[{"x": 1e300, "y": 0.0, "z": 0.0}]], [field("x", 0, 8), field("y", 8, 8), field("z", 16, 8)], 24
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(decode_cloud(msg).frame().points) == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"height": 0, "width": 0, "row_step": 0, "data": array.array("B"), "fields": [], "point_step": 0},
        {"height": 1, "width": 0, "row_step": 0, "data": array.array("B")},
        {"height": 0, "width": 3},
    ],
)
def test_empty_clouds_are_frames_without_points(changes: dict[str, Any]) -> None:
    frame = decode_cloud(unit_message(**changes), ["intensity"]).frame()
    assert frame.points.shape == (0, 3)
    assert frame.source_count == 0
    assert frame.features["intensity"].shape == (0,)


XYZ = [field("x", 0), field("y", 4), field("z", 8)]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"fields": XYZ[:2]}, ["no field 'z'", "'x', 'y'"]),
        ({"fields": []}, ["no field 'x'", "none"]),
        ({"fields": [*XYZ, field("x", 12)]}, ["2 fields", "'x'"]),
        ({"fields": [field("x", 0, 9), *XYZ[1:]]}, ["'x'", "datatype 9"]),
        ({"fields": [field("x", 0, 0), *XYZ[1:]]}, ["'x'", "datatype 0"]),
        ({"fields": [field("x", 13), *XYZ[1:]]}, ["'x'", "17", "point_step 16"]),
        ({"fields": [field("x", 10, 8), *XYZ[1:]]}, ["'x'", "18", "point_step 16"]),
        ({"fields": [field("x", 0, 7, 0), *XYZ[1:]]}, ["'x'", "count 0"]),
        ({"fields": [field("x", 0, 7, 3), *XYZ[1:]]}, ["'x'", "count 3"]),
        ({"point_step": 0}, ["point_step 0"]),
        ({"point_step": 20}, ["row_step 56", "60 needed"]),
        ({"row_step": 0}, ["row_step 0", "48 needed"]),
        ({"row_step": 47}, ["row_step 47", "48 needed"]),
        ({"row_step": 60}, ["112 bytes", "120", "truncated"]),
        ({"data": array.array("B", bytes(111))}, ["111 bytes", "112", "truncated"]),
        ({"data": array.array("B")}, ["0 bytes", "truncated"]),
        ({"data": np.zeros(112, dtype=np.int16)}, ["int16"]),
        ({"height": 2**32 - 1, "width": 1, "row_step": 16}, ["truncated"]),
        ({"width": 2**32 - 1}, ["row_step 56"]),
        ({"width": 2**32 - 1, "row_step": 0, "point_step": 0}, ["point_step 0"]),
    ],
)
def test_malformed_layouts_are_refused_with_a_sentence(changes: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(DataError) as refusal:
        decode_cloud(unit_message(**changes))
    for word in words:
        assert word in str(refusal.value)


def test_a_missing_feature_is_refused_by_name() -> None:
    with pytest.raises(DataError, match=r"no field 'doppler'.*'intensity'"):
        decode_cloud(unit_message(), ["doppler"])


def test_fields_that_are_not_read_may_be_odd() -> None:
    msg = unit_message(fields=[*XYZ, field("", 12, 2, 4), field("custom", 12, 77)])
    assert len(decode_cloud(msg).frame().points) == 6


def test_layout_key_changes_with_the_layout_only() -> None:
    key = layout_key(unit_message())
    assert key == layout_key(unit_message(width=1, row_step=16, data=array.array("B", bytes(32))))
    others = [
        unit_message(is_bigendian=True),
        unit_message(point_step=18),
        unit_message(fields=XYZ),
        unit_message(fields=[field("x", 0, 8), *XYZ[1:]]),
        unit_message(fields=[field("x", 1), *XYZ[1:]]),
    ]
    keys = [key, *map(layout_key, others)]
    assert len(set(keys)) == len(keys)


def message_with_a_hole() -> SimpleNamespace:
    """Organised 2 x 2 cloud whose second point is NaN."""
    nan = float("nan")
    rows = [
        [{"x": 1.0, "y": 2.0, "z": 3.0}, {"x": nan, "y": 5.0, "z": 6.0}],
        [{"x": 7.0, "y": 8.0, "z": 9.0}, {"x": 10.0, "y": 11.0, "z": 12.0}],
    ]
    return make_message(rows, XYZ, 12, padding=4)


def with_ros_header(msg: SimpleNamespace) -> SimpleNamespace:
    std_msgs = pytest.importorskip("std_msgs.msg", reason="ROS messages are not installed")
    header = std_msgs.Header(frame_id="lidar")
    header.stamp.sec, header.stamp.nanosec = 12, 345_678_901
    msg.header = header
    return msg


def test_segmentation_cloud_puts_labels_on_every_source_point() -> None:
    msg = with_ros_header(message_with_a_hole())
    labels, scores = np.array([4, 255, 9], dtype=np.uint8), np.array([0.5, 0.0, 1.0], dtype=np.float32)
    out = codec.segmentation_cloud(decode_cloud(msg), labels, scores)

    assert (out.height, out.width, out.point_step, out.row_step, out.is_dense) == (2, 2, 20, 40, False)
    assert [(f.name, f.offset, f.datatype, f.count) for f in out.fields] == [
        ("x", 0, 7, 1), ("y", 4, 7, 1), ("z", 8, 7, 1), ("label", 12, 2, 1), ("score", 16, 7, 1),
    ]  # fmt: skip
    assert out.header == msg.header
    points = [struct.unpack_from("<fffBxxxf", bytes(out.data), 20 * i) for i in range(4)]
    assert points[0] == (1.0, 2.0, 3.0, 4, 0.5)
    assert np.isnan(points[1][0])
    assert points[1][1:] == (5.0, 6.0, 255, 0.0)
    assert points[2] == (7.0, 8.0, 9.0, 255, 0.0)
    assert points[3] == (10.0, 11.0, 12.0, 9, 1.0)
    assert decode_field(out, "label").tolist() == [4, 255, 255, 9]


def test_visualization_cloud_packs_colours_for_rviz() -> None:
    msg = with_ros_header(message_with_a_hole())
    classes = [ClassInfo(0, "road", (1, 2, 3)), ClassInfo(4, "car", (255, 128, 0))]
    out = codec.visualization_cloud(decode_cloud(msg), np.array([4, 255, 0], dtype=np.uint8), classes)
    assert [(f.name, f.offset, f.datatype) for f in out.fields][3] == ("rgb", 12, 7)
    packed = [struct.unpack_from("<I", bytes(out.data), 16 * i + 12)[0] for i in range(4)]
    assert packed == [0xFF8000, 0x808080, 0x808080, 0x010203]


@pytest.mark.parametrize("count", [0, 2, 4])
def test_labels_must_match_the_valid_points(count: int) -> None:
    decoded = decode_cloud(message_with_a_hole())
    with pytest.raises(DataError, match="3 valid points"):
        codec.segmentation_cloud(decoded, np.zeros(count, np.uint8), np.zeros(count, np.float32))


@pytest.mark.parametrize("count", [0, 1, 500])
def test_a_frame_survives_the_way_through_a_message(count: int) -> None:
    pytest.importorskip("sensor_msgs.msg", reason="ROS messages are not installed")
    rng = np.random.default_rng(count)
    frame = Frame.from_points(
        rng.normal(size=(count, 3)).astype(np.float32), stamp_ns=1_700_000_000_123_456_789, frame_id="velodyne",
        features={"intensity": rng.random(count), "doppler": rng.random(count)},
    )  # fmt: skip
    labels = rng.integers(0, 256, count).astype(np.uint8)
    msg = codec.to_pointcloud2(frame, labels)
    back = decode_cloud(msg, ["intensity", "doppler"]).frame()
    np.testing.assert_array_equal(back.points, frame.points)
    np.testing.assert_array_equal(back.features["doppler"], frame.features["doppler"])
    np.testing.assert_array_equal(decode_field(msg, "label"), labels)
    assert (back.stamp_ns, back.frame_id) == (frame.stamp_ns, frame.frame_id)


def test_equal_to_sensor_msgs_py_on_a_well_formed_cloud() -> None:
    oracle = pytest.importorskip("sensor_msgs_py.point_cloud2", reason="sensor_msgs_py comes with a full ROS only")
    frame = Frame.from_points(np.random.default_rng(1).normal(size=(100, 3)).astype(np.float32))
    msg = codec.to_pointcloud2(frame)
    points = decode_cloud(msg).frame().points
    np.testing.assert_array_equal(oracle.read_points_numpy(msg, ["x", "y", "z"]), points)
