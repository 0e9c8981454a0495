"""Decode clouds in the memory layout of sensor_msgs/PointCloud2, without any ROS import.

Works on every object with the attributes of that message: rclpy's own, those that rosbags reads from a file, or a
plain namespace. The layout is the one of sensor_msgs/msg/PointCloud2.msg and PointField.msg.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointata.errors import DataError
from pointata.frame import Frame, finite_rows

#: numpy type codes of sensor_msgs/PointField datatypes, byte order left out.
DATATYPES: Mapping[int, str] = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 8: "f8"}


@dataclass(frozen=True)
class DecodedCloud:
    """All points of one message, valid or not, in row-major order.

    Attributes:
        header: the message's std_msgs/Header, shared with it.
        height, width: shape of the cloud; 1 row where it is unorganised. M = height * width.
        xyz: (M, 3) float32, metres, sensor axes; invalid points keep their NaN or Inf.
        valid: (N,) int64, rows of `xyz` whose three coordinates are finite, ascending.
        features: (M,) float32 channels by name, those that were asked for.
        layout: see `layout_key`.
    """

    header: Any
    height: int
    width: int
    xyz: NDArray[np.float32]
    valid: NDArray[np.int64]
    features: Mapping[str, NDArray[np.float32]]
    layout: Hashable = None

    @property
    def stamp_ns(self) -> int:
        """Acquisition time of the message, nanoseconds."""
        return stamp_to_ns(self.header.stamp)

    @property
    def frame_id(self) -> str:
        """Name of the sensor frame."""
        return str(self.header.frame_id)

    def frame(
        self, T_world_sensor: NDArray[np.float64] | None = None, stamp_ns: int | None = None, pose_known: bool = True
    ) -> Frame:
        """The valid points as a Frame, whose `source_index` and `source_count` refer to the M source points.

        Args:
            T_world_sensor: (4, 4) float64, sensor to world; None for identity.
            stamp_ns: replaces the header's stamp.
            pose_known: as of the Frame.
        """
        everything = len(self.valid) == len(self.xyz)
        return Frame(
            stamp_ns=self.stamp_ns if stamp_ns is None else stamp_ns,
            points=self.xyz if everything else np.take(self.xyz, self.valid, axis=0),  # thrice as fast as [valid]
            source_index=self.valid,
            source_count=len(self.xyz),
            features={name: value if everything else value[self.valid] for name, value in self.features.items()},
            T_world_sensor=np.eye(4) if T_world_sensor is None else T_world_sensor,
            frame_id=self.frame_id,
            layout=self.layout,
            pose_known=pose_known,
        )


def decode_cloud(msg: Any, feature_names: Sequence[str] = ()) -> DecodedCloud:
    """Copy the coordinates (and the named channels) of a PointCloud2 out of its bytes; the message stays as it is.

    Honours point_step, row_step, offsets and is_bigendian; coordinates may have any numeric datatype. is_dense is
    ignored: validity is looked up in the coordinates.

    Args:
        msg: sensor_msgs/PointCloud2 or a look-alike.
        feature_names: fields to return besides x, y, z.

    Raises:
        DataError: the layout contradicts itself, or a field is missing; the sentence names both sides.
    """
    height, width = _shape(msg)
    data = _checked_bytes(msg) if height * width else None  # before a false shape could allocate memory
    grid = np.empty((height, width, 3), dtype=np.float32)
    features = {name: np.empty((height, width), dtype=np.float32) for name in feature_names}
    if data is not None:
        with np.errstate(over="ignore", invalid="ignore"):  # a float64 beyond float32 becomes Inf, hence invalid
            for axis, name in enumerate("xyz"):
                grid[..., axis] = _field_view(msg, name, data)
            for name, target in features.items():
                target[...] = _field_view(msg, name, data)
    xyz = grid.reshape(-1, 3)
    valid = finite_rows(xyz)
    flat = {name: value.reshape(-1) for name, value in features.items()}
    return DecodedCloud(msg.header, height, width, xyz, valid, flat, layout_key(msg))


def decode_field(msg: Any, name: str) -> NDArray[Any]:
    """One field of every point, valid or not: (M,) in the field's own datatype and native byte order, a copy.

    Raises:
        DataError: as `decode_cloud`; also for an empty cloud that does not declare the field.
    """
    dtype = _field_dtype(msg, name)[0].newbyteorder("=")
    height, width = _shape(msg)
    if height * width == 0:
        return np.empty(0, dtype=dtype)
    return np.array(_field_view(msg, name, _checked_bytes(msg)), dtype=dtype).reshape(-1)


def has_field(msg: Any, name: str) -> bool:
    """Whether the cloud declares a field of this name."""
    return any(field.name == name for field in msg.fields)


def number_fields(msg: Any) -> tuple[str, ...]:
    """Names of the fields that hold a number a point, besides the coordinates and the `label`."""
    fields = [f.name for f in msg.fields if f.count == 1 and f.datatype in DATATYPES]
    return tuple(name for name in dict.fromkeys(fields) if fields.count(name) == 1 and name not in (*"xyz", "label"))


def layout_key(msg: Any) -> Hashable:
    """A value that differs between two clouds exactly if their point layout (fields, step, byte order) differs."""
    fields = tuple((field.name, int(field.offset), int(field.datatype), int(field.count)) for field in msg.fields)
    return bool(msg.is_bigendian), int(msg.point_step), fields


def stamp_to_ns(stamp: Any) -> int:
    """builtin_interfaces/Time to nanoseconds."""
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def _shape(msg: Any) -> tuple[int, int]:
    return int(msg.height), int(msg.width)


def _checked_bytes(msg: Any) -> NDArray[np.uint8]:
    """The message's bytes, (n,) uint8 without copying, once they are known to hold height rows of width points."""
    height, width = _shape(msg)
    point_step, row_step = int(msg.point_step), int(msg.row_step)
    if point_step < 1:
        raise DataError(f"PointCloud2 with point_step {point_step} has no room for a point; correct it in the driver")
    if row_step < width * point_step:
        raise DataError(
            f"PointCloud2 with row_step {row_step} cannot hold {width} points of point_step {point_step} bytes a row "
            f"({width * point_step} needed); correct row_step in the driver"
        )
    data = msg.data if isinstance(msg.data, np.ndarray) else np.frombuffer(memoryview(msg.data), dtype=np.uint8)
    if data.dtype != np.uint8 or data.ndim != 1:
        raise DataError(f"PointCloud2.data must be bytes, got an array of {data.dtype} with shape {data.shape}")
    if data.size < height * row_step:
        raise DataError(
            f"PointCloud2.data holds {data.size} bytes where {height} rows of row_step {row_step} need "
            f"{height * row_step}: the cloud is truncated; drop it or check the driver"
        )
    return data


def _field_dtype(msg: Any, name: str) -> tuple[np.dtype[Any], int]:
    """Stored type and offset of a field, checked against point_step."""
    found = [field for field in msg.fields if field.name == name]
    if len(found) != 1:
        names = ", ".join(repr(field.name) for field in msg.fields) or "none"
        problem = "has no field" if not found else f"has {len(found)} fields named"
        raise DataError(f"PointCloud2 {problem} {name!r}; its fields are: {names}. Choose another topic or field")
    field = found[0]
    if field.datatype not in DATATYPES:
        raise DataError(
            f"PointCloud2 field {name!r} has datatype {field.datatype}, which sensor_msgs/PointField does not define; "
            "use 1 (INT8) to 8 (FLOAT64)"
        )
    if field.count != 1:
        raise DataError(f"PointCloud2 field {name!r} has count {field.count}; one value per point (count 1) is needed")
    dtype = np.dtype((">" if msg.is_bigendian else "<") + DATATYPES[field.datatype])
    if field.offset + dtype.itemsize > msg.point_step:
        raise DataError(
            f"PointCloud2 field {name!r} ends at byte {field.offset + dtype.itemsize} of a point, beyond point_step "
            f"{msg.point_step}; correct offset or point_step in the driver"
        )
    return dtype, int(field.offset)


def _field_view(msg: Any, name: str, data: NDArray[np.uint8]) -> NDArray[Any]:
    """(height, width) strided view of a field in the message's bytes; read only."""
    dtype, offset = _field_dtype(msg, name)
    strides = (int(msg.row_step), int(msg.point_step))
    view: NDArray[Any] = np.ndarray(_shape(msg), dtype, np.ascontiguousarray(data).data, offset, strides)
    view.flags.writeable = False
    return view
