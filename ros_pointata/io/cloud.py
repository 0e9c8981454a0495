"""sensor_msgs/PointCloud2 in and out: decoding (from `pointata.data.pointcloud2`) and the clouds the package publishes.

Importable without ROS; only the functions that build messages need sensor_msgs.
"""

import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pointata import UNLABELLED, ClassInfo, DataError, Frame
from pointata.data.pointcloud2 import (
    DecodedCloud,
    decode_cloud,
    decode_field,
    has_field,
    layout_key,
    stamp_to_ns,
)

if TYPE_CHECKING:
    from builtin_interfaces.msg import Time
    from sensor_msgs.msg import PointCloud2
    from std_msgs.msg import Header

__all__ = [
    "DecodedCloud",
    "build_cloud",
    "decode_cloud",
    "decode_field",
    "has_field",
    "layout_key",
    "ns_to_stamp",
    "segmentation_cloud",
    "stamp_to_ns",
    "to_pointcloud2",
    "visualization_cloud",
]

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

_DATATYPE = {"i1": 1, "u1": 2, "i2": 3, "u2": 4, "i4": 5, "u4": 6, "f4": 7, "f8": 8}


def segmentation_cloud(
    cloud: DecodedCloud, labels: NDArray[np.uint8], scores: NDArray[np.float32], header: "Header | None" = None
) -> "PointCloud2":
    """The labelled copy of an input cloud: same points, order, height, width, stamp and frame.

    Args:
        cloud: the decoded input, M points of which N are valid.
        labels: (N,) uint8 class of each valid point (of `cloud.frame().points`), 255 = unlabelled.
        scores: (N,) float32 probability of the label.
        header: header of the result; None for the input's.

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
    return build_cloud(points, header or cloud.header, cloud.height, cloud.width, _is_dense(cloud))


def visualization_cloud(
    cloud: DecodedCloud, labels: NDArray[np.uint8], classes: Sequence[ClassInfo], header: "Header | None" = None
) -> "PointCloud2":
    """The input cloud coloured by class, for RViz; unlabelled and unlisted classes are grey.

    Args:
        cloud: the decoded input, M points of which N are valid.
        labels: (N,) uint8 class of each valid point, 255 = unlabelled.
        classes: colours by class id.
        header: header of the result; None for the input's.
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
    return build_cloud(points, header or cloud.header, cloud.height, cloud.width, _is_dense(cloud))


def to_pointcloud2(
    frame: Frame, labels: NDArray[np.uint8] | None = None, frame_id: str | None = None, stamp_ns: int | None = None
) -> "PointCloud2":
    """A frame as an unorganised cloud of its N points: x, y, z, one float32 field per feature, and `label` if given.

    Args:
        frame: the points.
        labels: (N,) uint8 ground truth, published as the uint8 field `label`.
        frame_id: overrides the frame's own.
        stamp_ns: overrides the frame's own.
    """
    from std_msgs.msg import Header

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
    header = Header(
        stamp=ns_to_stamp(frame.stamp_ns if stamp_ns is None else stamp_ns),
        frame_id=frame.frame_id if frame_id is None else frame_id,
    )
    return build_cloud(points, header, 1, len(points), True)


def build_cloud(points: NDArray[Any], header: "Header", height: int, width: int, is_dense: bool) -> "PointCloud2":
    """A PointCloud2 of a structured array: one field per member, at the member's own offset, little-endian.

    `data` becomes an array.array("B"): assigning bytes would check them one by one (137 ms for 3 MB).
    """
    from sensor_msgs.msg import PointCloud2, PointField

    data = array.array("B")
    data.frombytes(points.view(np.uint8).data)
    assert points.dtype.fields is not None  # structured by contract
    fields = [
        PointField(name=name, offset=offset, datatype=_DATATYPE[dtype.str[1:]], count=1)
        for name, (dtype, offset, *_) in points.dtype.fields.items()
    ]
    step = points.dtype.itemsize
    return PointCloud2(
        header=header, height=height, width=width, fields=fields, is_bigendian=False,
        point_step=step, row_step=step * width, data=data, is_dense=is_dense,
    )  # fmt: skip


def ns_to_stamp(stamp_ns: int) -> "Time":
    """Nanoseconds to builtin_interfaces/Time."""
    from builtin_interfaces.msg import Time

    sec, nanosec = divmod(int(stamp_ns), 1_000_000_000)
    return Time(sec=sec, nanosec=nanosec)


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
