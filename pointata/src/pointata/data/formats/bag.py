"""ROS 2 bags (.mcap, .db3, also ROS 1 .bag) read without ROS, through rosbags."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointata.data.layout import Layout
from pointata.data.pointcloud2 import decode_cloud, decode_field, has_field, number_fields, stamp_to_ns
from pointata.data.pose_track import PoseTrack, fixed_transform
from pointata.data.recording import Recording
from pointata.errors import DataError
from pointata.frame import LabelledFrame
from pointata.geometry.pose import Pose
from pointata.preprocessing.rates import mean_rate_hz
from pointata.system.optional import import_optional

CLOUD = "sensor_msgs/msg/PointCloud2"
ODOMETRY = "nav_msgs/msg/Odometry"
TRANSFORMS = "tf2_msgs/msg/TFMessage"
#: Clouds that the rate is measured over; enough for bursts, few enough to be read at once.
RATE_CLOUDS = 41

#: A recorder writes kilobytes; the reader's parser takes half a minute for each megabyte.
_LARGEST_METADATA = 1_000_000

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BagCloud:
    """One recorded cloud as it is in the bag.

    Attributes:
        message: sensor_msgs/PointCloud2 look-alike of rosbags.
        stamp_ns: its header stamp; where that is zero, the time of recording.
        T_world_sensor: (4, 4) float64 pose of the cloud's frame; None where the bag gives none.
    """

    message: Any
    stamp_ns: int
    T_world_sensor: NDArray[np.float64] | None


class BagRecording(Recording):
    """The clouds of one topic, in the order of recording.

    Stamps are those of the headers, unaltered, so that a bag with backward jumps shows them. Features are every
    numeric field asked for by name. A uint8 `label` field, where the clouds have one, gives the labels. Poses come from
    nav_msgs/Odometry, interpolated at the cloud's stamp and carried to the cloud's frame by /tf_static; a cloud more
    than a second from all odometry has none (identity).

    Attributes:
        left_out: malformed clouds that the latest iteration over frames has left out, each with a warning in the log.
    """

    def __init__(
        self,
        path: Path | str,
        topic: str | None = None,
        features: tuple[str, ...] | None = (),
        odometry_topic: str | None = None,
        use_odometry: bool = True,
    ) -> None:
        """Open a bag.

        Args:
            path: a rosbag2 folder, or one .mcap, .db3 or .bag file.
            topic: cloud topic; None if the bag has only one.
            features: fields to return as `Frame.features`; None for all fields of numbers that a cloud has.
            odometry_topic: odometry topic; None for the only one, or none where there are none or several.
            use_odometry: False for identity poses.
        """
        self.path = Path(path)
        _require_small_metadata(self.path / "metadata.yaml")
        self.name = self.path.resolve().name.removesuffix(self.path.suffix)
        self.left_out = 0
        self._told_of_missing_pose = False
        self._features = features
        with self._reader() as reader:
            self.topic = self._choose_topic(reader, topic)
            self._count: int = sum(c.msgcount for c in reader.connections if c.topic == self.topic)
            if self._count == 0:
                raise DataError(f"{self.path} has no cloud on {self.topic}: the recording is empty")
            self.rate_hz = self._measure_rate(reader)
            self._track, self._base = self._read_track(reader, odometry_topic) if use_odometry else (None, "")
            self._fixed = self._read_fixed_transforms(reader) if self._track else {}
        if self._track is not None:
            frame_id = str(next(self._raw_clouds())[1].header.frame_id)
            if self._T_base_sensor(frame_id) is None:
                _log.warning(
                    "%s: odometry is of frame %r, the clouds are in %r, and /tf_static does not connect them; "
                    "playing without poses", self.path, self._base, frame_id,
                )  # fmt: skip
                self._track = None
        self.has_poses = self._track is not None

    def __len__(self) -> int:
        """Number of clouds."""
        return self._count

    def __iter__(self) -> Iterator[LabelledFrame]:
        """The clouds, decoded."""
        return self.frames()

    def frames(self, start: int = 0, count: int | None = None) -> Iterator[LabelledFrame]:
        """Clouds start, start + 1, ..., at most `count` of them, decoded; malformed ones are left out.

        Raises:
            DataError: the file is damaged, or not one of the clouds can be decoded.
        """
        self.left_out, decoded, failure = 0, 0, None
        for cloud in self.clouds(start, count):
            try:
                frame = self._decode(cloud)
            except DataError as error:
                failure = error
                self.left_out += 1
                _log.warning("%s; the cloud is left out", error)
                continue
            decoded += 1
            yield frame
        if failure is not None and not decoded:
            raise failure

    def clouds(self, start: int = 0, count: int | None = None) -> Iterator[BagCloud]:
        """The clouds as recorded, with every byte of their layout."""
        for time_ns, message in islice(self._raw_clouds(), start, None if count is None else start + count):
            stamp_ns = stamp_to_ns(message.header.stamp) or time_ns
            yield BagCloud(message, stamp_ns, self._pose(str(message.header.frame_id), stamp_ns))

    def _decode(self, cloud: BagCloud) -> LabelledFrame:
        try:
            names = number_fields(cloud.message) if self._features is None else self._features
            decoded = decode_cloud(cloud.message, names)
            labels = decode_field(cloud.message, "label") if has_field(cloud.message, "label") else None
        except DataError as error:
            raise DataError(f"{self.path}, topic {self.topic}, cloud at {cloud.stamp_ns} ns: {error}") from error
        frame = decoded.frame(cloud.T_world_sensor, stamp_ns=cloud.stamp_ns)
        if labels is None or labels.dtype != np.uint8:
            return LabelledFrame(frame)
        return LabelledFrame(frame, labels[frame.source_index])

    @contextmanager
    def _reader(self) -> Iterator[Any]:
        """An open reader; whatever its parsers raise on a damaged file becomes a DataError."""
        highlevel, typesys = import_optional("rosbags.highlevel"), import_optional("rosbags.typesys")
        try:
            store = typesys.get_typestore(typesys.Stores.ROS2_JAZZY)
            with highlevel.AnyReader([self.path], default_typestore=store) as reader:
                yield reader
        except (DataError, GeneratorExit):
            raise
        except Exception as error:
            raise DataError(f"{self.path} cannot be read as a bag ({type(error).__name__}: {error})") from error

    def _messages(self, reader: Any, topic: str, msgtype: str) -> Iterator[tuple[int, Any]]:
        """(time of recording in ns, message) of a topic."""
        connections = [c for c in reader.connections if c.topic == topic and c.msgtype == msgtype]
        if connections:
            for connection, time_ns, raw in reader.messages(connections):
                yield time_ns, reader.deserialize(raw, connection.msgtype)

    def _raw_clouds(self) -> Iterator[tuple[int, Any]]:
        with self._reader() as reader:
            yield from self._messages(reader, self.topic, CLOUD)

    def _choose_topic(self, reader: Any, wanted: str | None) -> str:
        topics: list[str] = sorted({c.topic for c in reader.connections if c.msgtype == CLOUD})
        listing = ", ".join(topics) or "none"
        if wanted is not None:
            if wanted not in topics:
                raise DataError(f"{self.path} has no PointCloud2 topic {wanted}; it has: {listing}")
            return wanted
        if len(topics) != 1:
            raise DataError(f"{self.path} has {len(topics)} PointCloud2 topics ({listing}); name one as `topic`")
        return topics[0]

    def _measure_rate(self, reader: Any) -> float:
        """Rate of the first clouds by time of recording; 10 Hz where one cloud is all."""
        connections = [c for c in reader.connections if c.topic == self.topic]
        return mean_rate_hz([time_ns for _, time_ns, _ in islice(reader.messages(connections), RATE_CLOUDS)])

    def _read_track(self, reader: Any, wanted: str | None) -> tuple[PoseTrack | None, str]:
        """Odometry and the frame whose pose it is."""
        topics = sorted({c.topic for c in reader.connections if c.msgtype == ODOMETRY and c.msgcount})
        if wanted is not None and wanted not in topics:
            raise DataError(f"{self.path} has no Odometry topic {wanted}; it has: {', '.join(topics) or 'none'}")
        if wanted is None and len(topics) != 1:
            if topics:
                _log.warning("%s has several Odometry topics (%s); none is used", self.path, ", ".join(topics))
            return None, ""
        messages = [message for _, message in self._messages(reader, wanted or topics[0], ODOMETRY)]
        poses = [message.pose.pose for message in messages]
        track = PoseTrack(
            [stamp_to_ns(message.header.stamp) for message in messages],
            [(p.position.x, p.position.y, p.position.z) for p in poses],
            [(p.orientation.x, p.orientation.y, p.orientation.z, p.orientation.w) for p in poses],
        )
        return track, str(messages[0].child_frame_id)

    def _read_fixed_transforms(self, reader: Any) -> dict[str, tuple[str, NDArray[np.float64]]]:
        """child frame -> (parent frame, T_parent_child)."""
        edges = {}
        for _, message in self._messages(reader, "/tf_static", TRANSFORMS):
            for entry in message.transforms:
                t, q = entry.transform.translation, entry.transform.rotation
                T_parent_child = Pose.of((t.x, t.y, t.z), (q.x, q.y, q.z, q.w)).matrix()
                edges[str(entry.child_frame_id)] = (str(entry.header.frame_id), T_parent_child)
        return edges

    def _T_base_sensor(self, frame_id: str) -> NDArray[np.float64] | None:
        return fixed_transform(self._fixed, self._base, frame_id)

    def _pose(self, frame_id: str, stamp_ns: int) -> NDArray[np.float64] | None:
        if self._track is None:
            return None
        T_base_sensor = self._T_base_sensor(frame_id)
        if T_base_sensor is None:
            self._warn_of_missing_pose(f"a cloud in {frame_id!r}, which /tf_static does not tie to {self._base!r}")
            return None
        T_world_base = self._track.pose(stamp_ns)
        if T_world_base is None:
            gap_s = self._track.gap_s(stamp_ns)
            self._warn_of_missing_pose(f"the cloud at {stamp_ns} ns is {gap_s:.3f} s from the nearest odometry")
            return None
        return T_world_base @ T_base_sensor

    def _warn_of_missing_pose(self, reason: str) -> None:
        """Say once in the life of the recording that a cloud goes without a pose."""
        if not self._told_of_missing_pose:
            self._told_of_missing_pose = True
            _log.warning(
                "%s: %s; it and others like it go without a pose (identity). ?use_odometry=false after the path of "
                "the bag plays all of it without odometry", self.path, reason,
            )  # fmt: skip


def _require_small_metadata(file: Path) -> None:
    size = file.stat().st_size if file.is_file() else 0
    if size > _LARGEST_METADATA:
        problem = f"{file} has {size} bytes, at most {_LARGEST_METADATA} are read"
        raise DataError(f"{problem}: rebuild it (ros2 bag reindex)")


RECORDING = Layout(
    "bag",
    "a rosbag2 folder, .mcap, .db3 or ROS 1 .bag file",
    BagRecording,
    lambda spec: (
        (spec.path.is_file() and spec.path.suffix in (".mcap", ".db3", ".bag"))
        or (spec.path / "metadata.yaml").is_file()
    ),
)
