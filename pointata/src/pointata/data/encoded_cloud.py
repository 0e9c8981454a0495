"""Clouds in the memory layout of sensor_msgs/PointCloud2, without any ROS import: the inverse of `pointcloud2`.

What is encoded has the attributes of that message, so that rosbags writes it as it is and `decode_cloud` reads it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pointata.classes import UNLABELLED, ClassInfo
from pointata.data.pointcloud2 import DATATYPES, DecodedCloud
from pointata.errors import DataError
from pointata.frame import Frame

#: x, y, z float32 @0, 4, 8; label uint8 @12; score float32 @16; 20 bytes a point.
SEGMENTATION_POINT = np.dtype(
    {
        "names": ["x", "y", "z", "label", "score"],
        "formats": ["<f4", "<f4", "<f4", "u1", "<f4"],
        "offsets": [0, 4, 8, 12, 16],
        "itemsize": 20,
    }
)
#: x, y, z, rgb, each 4 bytes; rgb is 0x00RRGGBB in a float32's bits, as RViz and PCL read it.
VISUALIZATION_POINT = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("rgb", "<f4")])
GREY = 0x00808080

_CODES = {kind: code for code, kind in DATATYPES.items()}


@dataclass(frozen=True)
class Stamp:
    """As builtin_interfaces/Time."""

    sec: int
    nanosec: int


@dataclass(frozen=True)
class Header:
    """As std_msgs/Header."""

    stamp: Stamp
    frame_id: str


@dataclass(frozen=True)
class PointField:
    """As sensor_msgs/PointField."""

    name: str
    offset: int
    datatype: int
    count: int = 1


@dataclass(frozen=True)
class EncodedCloud:
    """A look-alike of sensor_msgs/PointCloud2, little-endian.

    Attributes:
        header: a std_msgs/Header or a look-alike.
        points: (M,) structured, contiguous, little-endian: each member becomes a field at the member's own offset.
        height, width: shape of the cloud; M = height * width.
        is_dense: no point is invalid.
    """

    header: Any
    points: NDArray[Any]
    height: int
    width: int
    is_dense: bool
    is_bigendian: ClassVar[bool] = False

    @property
    def fields(self) -> list[PointField]:
        """One a member, in their order."""
        members = self.points.dtype.fields
        assert members is not None  # structured by contract
        return [PointField(name, offset, _CODES[kind.str[1:]]) for name, (kind, offset, *_) in members.items()]

    @property
    def point_step(self) -> int:
        """Bytes of a point."""
        return self.points.dtype.itemsize

    @property
    def row_step(self) -> int:
        """Bytes of a row."""
        return self.point_step * self.width

    @property
    def data(self) -> NDArray[np.uint8]:
        """(M * point_step,) bytes, shared with `points`."""
        return self.points.view(np.uint8)


def encode_segmentation(cloud: DecodedCloud, labels: NDArray[np.uint8], scores: NDArray[np.float32]) -> EncodedCloud:
    """The labelled copy of a cloud: same points, order, height, width and header.

    Args:
        cloud: the decoded input, M points of which N are valid.
        labels: (N,) uint8 class of each valid point (of `cloud.frame().points`), 255 = unlabelled.
        scores: (N,) float32 probability of the label.

    Returns:
        Points laid out as SEGMENTATION_POINT; invalid points keep their coordinates, label 255, score 0.
    """
    _check_length(cloud, labels=labels, scores=scores)
    points = _blank_points(cloud, SEGMENTATION_POINT)
    if _is_dense(cloud):
        points["label"], points["score"] = labels, scores
    else:
        points["label"] = UNLABELLED
        points["label"][cloud.valid] = labels
        points["score"][cloud.valid] = scores
    return EncodedCloud(cloud.header, points, cloud.height, cloud.width, _is_dense(cloud))


def encode_visualization(cloud: DecodedCloud, labels: NDArray[np.uint8], classes: Sequence[ClassInfo]) -> EncodedCloud:
    """A cloud coloured by class, for RViz; unlabelled and unlisted classes are grey.

    Args:
        cloud: the decoded input, M points of which N are valid.
        labels: (N,) uint8 class of each valid point, 255 = unlabelled.
        classes: colours by class id.
    """
    _check_length(cloud, labels=labels)
    palette = np.full(256, GREY, dtype=np.uint32)
    for entry in classes:
        red, green, blue = entry.color
        palette[entry.id] = red << 16 | green << 8 | blue
    points = _blank_points(cloud, VISUALIZATION_POINT)
    packed = np.full(len(cloud.xyz), GREY, dtype="<u4")
    packed[cloud.valid] = palette[labels]
    points["rgb"] = packed.view("<f4")
    return EncodedCloud(cloud.header, points, cloud.height, cloud.width, _is_dense(cloud))


def encode_frame(
    frame: Frame, labels: NDArray[np.uint8] | None = None, frame_id: str | None = None, stamp_ns: int | None = None
) -> EncodedCloud:
    """A frame as an unorganised cloud of its N points: x, y, z, one float32 field per feature, and `label` if given.

    Args:
        frame: the points.
        labels: (N,) uint8 ground truth, the uint8 field `label`.
        frame_id: overrides the frame's own.
        stamp_ns: overrides the frame's own.
    """
    spec = [(name, "<f4") for name in ("x", "y", "z", *frame.features)]
    if labels is not None:
        spec.append(("label", "u1"))
    points = np.empty(len(frame.points), dtype=spec)
    for axis, name in enumerate("xyz"):
        points[name] = frame.points[:, axis]
    for name, values in frame.features.items():
        points[name] = values
    if labels is not None:
        points["label"] = labels
    stamp = Stamp(*divmod(int(frame.stamp_ns if stamp_ns is None else stamp_ns), 1_000_000_000))
    header = Header(stamp, frame.frame_id if frame_id is None else frame_id)
    return EncodedCloud(header, points, 1, len(points), True)


def _blank_points(cloud: DecodedCloud, dtype: np.dtype[Any]) -> NDArray[Any]:
    """(M,) structured points with the cloud's coordinates, everything else zero, padding included."""
    points = np.zeros(len(cloud.xyz), dtype=dtype)
    for axis, name in enumerate("xyz"):
        points[name] = cloud.xyz[:, axis]
    return points


def _is_dense(cloud: DecodedCloud) -> bool:
    return len(cloud.valid) == len(cloud.xyz)


def _check_length(cloud: DecodedCloud, **per_point: NDArray[Any]) -> None:
    for name, values in per_point.items():
        if values.shape != cloud.valid.shape:
            raise DataError(
                f"{name} of shape {values.shape} for a cloud of {len(cloud.valid)} valid points "
                f"(of {len(cloud.xyz)}): give one per point of cloud.frame().points"
            )
