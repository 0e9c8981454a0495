"""Clouds as sensor_msgs/PointCloud2: `pointata` encodes, here it becomes a message.

Importable without ROS; only the functions that build messages need sensor_msgs.
"""

import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pointata import ClassInfo, Frame
from pointata.data.encoded_cloud import encode_frame, encode_segmentation, encode_visualization
from pointata.data.pointcloud2 import DecodedCloud

if TYPE_CHECKING:
    from builtin_interfaces.msg import Time
    from sensor_msgs.msg import PointCloud2


def segmentation_cloud(cloud: DecodedCloud, labels: NDArray[np.uint8], scores: NDArray[np.float32]) -> "PointCloud2":
    """The labelled copy of an input cloud; see `encode_segmentation`."""
    return to_message(encode_segmentation(cloud, labels, scores))


def visualization_cloud(cloud: DecodedCloud, labels: NDArray[np.uint8], classes: Sequence[ClassInfo]) -> "PointCloud2":
    """The input cloud coloured by class; see `encode_visualization`."""
    return to_message(encode_visualization(cloud, labels, classes))


def to_pointcloud2(
    frame: Frame, labels: NDArray[np.uint8] | None = None, frame_id: str | None = None, stamp_ns: int | None = None
) -> "PointCloud2":
    """A frame as an unorganised cloud; see `encode_frame`."""
    return to_message(encode_frame(frame, labels, frame_id, stamp_ns))


def to_message(cloud: Any) -> "PointCloud2":
    """A message of the layout, flags and bytes of a look-alike, whatever they are: an EncodedCloud, what rosbags read.

    `data` becomes an array.array("B"): assigning bytes would check them one by one (137 ms for 3 MB).
    """
    from builtin_interfaces.msg import Time
    from sensor_msgs.msg import PointCloud2, PointField
    from std_msgs.msg import Header

    data = array.array("B")
    data.frombytes(memoryview(cloud.data))
    stamp = Time(sec=int(cloud.header.stamp.sec), nanosec=int(cloud.header.stamp.nanosec))
    return PointCloud2(
        header=Header(stamp=stamp, frame_id=str(cloud.header.frame_id)),
        height=int(cloud.height), width=int(cloud.width), is_bigendian=bool(cloud.is_bigendian),
        point_step=int(cloud.point_step), row_step=int(cloud.row_step), is_dense=bool(cloud.is_dense),
        fields=[
            PointField(name=str(f.name), offset=int(f.offset), datatype=int(f.datatype), count=int(f.count))
            for f in cloud.fields
        ],
        data=data,
    )  # fmt: skip


def ns_to_stamp(stamp_ns: int) -> "Time":
    """Nanoseconds to builtin_interfaces/Time."""
    from builtin_interfaces.msg import Time

    sec, nanosec = divmod(int(stamp_ns), 1_000_000_000)
    return Time(sec=sec, nanosec=nanosec)
