"""docs/own_recordings.md: its snippet is run, its manifest read, its message provoked."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from own_folder import PERIOD_NS, edit, frames_of

from pointata import DataError
from pointata.data.dataset import Dataset
from pointata.data.formats.own_recordings import own_recordings

pytest.importorskip("rosbags.rosbag2", reason="rosbags is not installed (pip install 'pointata[recordings]')")

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "own_recordings.md").read_text(encoding="utf-8")
BAG_POINT = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("intensity", "<f4"), ("label", "u1")])


def block(name: str) -> str:
    found = re.search(rf"<!-- test: {name} -->\n```\w+\n(.*?)```", PAGE, re.DOTALL)
    assert found, name
    return found[1]


def bag_points(index: int) -> NDArray[Any]:
    rng = np.random.default_rng(100 + index)
    points = np.zeros(9, BAG_POINT)
    for name in ("x", "y", "z", "intensity"):
        points[name] = rng.normal(size=9)
    points["x"][index] = np.nan
    points["label"] = rng.integers(0, 2, 9)
    return points


def write_bag(path: Path, topics: dict[str, int], labelled: bool = False) -> None:
    """Clouds of `bag_points`, with or without the field `label`, at 10 Hz on topics with so many messages each."""
    from rosbags.rosbag2 import StoragePlugin, Writer
    from rosbags.typesys import Stores, get_typestore

    path.parent.mkdir(parents=True)
    store = get_typestore(Stores.ROS2_JAZZY)
    types: Any = store.types
    kind = "sensor_msgs/msg/PointCloud2"
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        for topic, count in topics.items():
            connection = writer.add_connection(topic, kind, typestore=store)
            for index in range(count):
                stamp_ns = 10**18 + index * PERIOD_NS
                sec, nanosec = divmod(stamp_ns, 10**9)
                stamp = types["builtin_interfaces/msg/Time"](sec=sec, nanosec=nanosec)
                names = ("x", "y", "z", "intensity")
                fields = [
                    types["sensor_msgs/msg/PointField"](name=name, offset=4 * place, datatype=7, count=1)
                    for place, name in enumerate(names)
                ]
                if labelled:
                    fields.append(types["sensor_msgs/msg/PointField"](name="label", offset=16, datatype=2, count=1))
                points = bag_points(index)
                cloud = types[kind](
                    header=types["std_msgs/msg/Header"](stamp=stamp, frame_id="lidar"),
                    height=1, width=len(points), fields=fields, is_bigendian=False, point_step=BAG_POINT.itemsize,
                    row_step=BAG_POINT.itemsize * len(points), data=points.view(np.uint8), is_dense=False,
                )  # fmt: skip
                writer.write(connection, stamp_ns, store.serialize_cdr(cloud, kind))


def example(folder: Path) -> tuple[Dataset, Callable[[int], tuple[NDArray[Any], ...]]]:
    """The page's own example, its snippet run in the folder, and the frames that it makes up."""
    names: dict[str, Any] = {}
    exec(compile(block("write_recordings"), "docs/own_recordings.md", "exec"), names)
    (folder / "manifest.yaml").write_text(block("manifest"))
    return own_recordings(folder), names["frame"]


def test_the_page_is_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    videos, frame = example(tmp_path)
    assert videos.name == "kitchen"
    assert videos.frame_period_s == pytest.approx(0.1)
    assert [c.name for c in videos.heads["action"]] == ["reach left", "reach right", "pour"]
    assert videos.heads["action"][2].color == (214, 39, 40)
    assert videos.mirrored == {0: 1, 1: 0}
    assert [(v.subject, v.split, v.action) for v in videos.videos] == [
        ("anna", "val", 2), ("ben", "train", -1), ("cleo", "test", 1),
    ]  # fmt: skip
    anna, ben, cleo = (frames_of(video) for video in videos.videos)
    assert [item.action for item in ben] == [0] * 12 + [None] * 6 + [1] * 8 + [2] * 14
    for items, count, start_ns in ((anna, 20, 0), (ben, 40, 0), (cleo, 20, 10**18)):
        assert len(items) == count
        for index, item in enumerate(items):
            points, intensity, labels = frame(index)
            assert item.frame.stamp_ns == start_ns + index * PERIOD_NS
            np.testing.assert_array_equal(item.frame.points, points)
            np.testing.assert_array_equal(item.frame.features["intensity"], intensity)
            np.testing.assert_array_equal(item.labels, labels)


def test_a_bag_with_several_topics_needs_one_named(tmp_path: Path) -> None:
    write_bag(tmp_path / "bags" / "one", {"/lidar/points": 4, "/other": 2})
    (tmp_path / "labels").mkdir()
    for index in range(4):
        np.save(tmp_path / "labels" / f"{index}.npy", bag_points(index)["label"])
    recording = "{path: bags/one, topic: /lidar/points, labels: labels, split: train}"
    manifest = f"rate_hz: 10\npoint_classes: [background, person]\nfeatures: [intensity]\nrecordings: [{recording}]"
    (tmp_path / "manifest.yaml").write_text(manifest)
    items = frames_of(own_recordings(tmp_path).videos[0])
    assert len(items) == 4
    for index, item in enumerate(items):
        written = bag_points(index)
        valid = np.isfinite(written["x"])
        np.testing.assert_array_equal(item.frame.points, np.stack([written[n][valid] for n in "xyz"], axis=1))
        np.testing.assert_array_equal(item.frame.features["intensity"], written["intensity"][valid])
        np.testing.assert_array_equal(item.labels, written["label"][valid])
    with pytest.raises(DataError, match=r"recordings\[0\]\): .*2 PointCloud2 topics"):
        own_recordings(edit(tmp_path, ("topic: /lidar/points, ", "")))


def test_a_bag_brings_its_labels_in_a_field(tmp_path: Path) -> None:
    write_bag(tmp_path / "bags" / "one", {"/points": 3}, labelled=True)
    recording = f"{{path: bags/one/{next((tmp_path / 'bags' / 'one').glob('*.mcap')).name}, split: train}}"
    manifest = f"rate_hz: 10\npoint_classes: [background, person]\nrecordings: [{recording}]"
    (tmp_path / "manifest.yaml").write_text(manifest)
    items = frames_of(own_recordings(tmp_path).videos[0])
    assert len(items) == 3
    for index, item in enumerate(items):
        written = bag_points(index)
        np.testing.assert_array_equal(item.labels, written["label"][np.isfinite(written["x"])])
    (tmp_path / "manifest.yaml").write_text(manifest.replace(", person", ""))
    with pytest.raises(DataError, match=r"line 3 \(recordings\[0\]\): the frame at .* has point label 1"):
        own_recordings(tmp_path)


def test_the_page_quotes_a_real_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    example(tmp_path)
    with pytest.raises(DataError) as caught:
        own_recordings(edit(tmp_path, ("to: 1.2, action: reach left", "to: 1.2, action: reach")))
    assert str(caught.value).removeprefix(f"{tmp_path}/") in PAGE
