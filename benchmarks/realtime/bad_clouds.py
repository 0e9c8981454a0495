"""What happens to clouds on a robot: each fault makes the messages that are sent in place of a good cloud."""

import array
from collections.abc import Callable, Mapping
from copy import deepcopy

import numpy as np
from sensor_msgs.msg import PointCloud2

from pointata import Frame
from ros_pointata.io.cloud import to_pointcloud2

#: From a good cloud to the messages sent in its place, in order; a message may be sent twice.
Fault = Callable[[PointCloud2], list[PointCloud2]]


def _changed(**attributes: object) -> Fault:
    def fault(cloud: PointCloud2) -> list[PointCloud2]:
        bad = deepcopy(cloud)
        for name, value in attributes.items():
            setattr(bad, name, value)
        return [bad]

    return fault


def _points(make: Callable[[np.random.Generator], np.ndarray]) -> Fault:
    """A well-formed cloud of other points, (N, 3), under the header of the good one."""

    def fault(cloud: PointCloud2) -> list[PointCloud2]:
        points = make(np.random.default_rng(cloud.header.stamp.nanosec)).astype(np.float32)
        made = to_pointcloud2(_raw_frame(points))
        made.header = cloud.header
        return [made]

    return fault


def _raw_frame(points: np.ndarray) -> Frame:
    """As `Frame.from_points` of zeros, with the points written in afterwards: NaN and Inf stay."""
    frame = Frame.from_points(np.zeros_like(points))
    frame.points[:] = points
    return frame


def _field(index: int, **attributes: int | str) -> Fault:
    def fault(cloud: PointCloud2) -> list[PointCloud2]:
        bad = deepcopy(cloud)
        for name, value in attributes.items():
            setattr(bad.fields[index], name, value)
        return [bad]

    return fault


def _stamped(seconds: int) -> Fault:
    def fault(cloud: PointCloud2) -> list[PointCloud2]:
        bad = deepcopy(cloud)
        bad.header.stamp.sec += seconds
        return [bad]

    return fault


def _truncated(cloud: PointCloud2) -> list[PointCloud2]:
    bad = deepcopy(cloud)
    bad.data = bad.data[:-5]
    return [bad]


def _random_bits(cloud: PointCloud2) -> list[PointCloud2]:
    bad = deepcopy(cloud)
    bits = np.random.default_rng(cloud.header.stamp.nanosec).integers(0, 256, len(bad.data), dtype=np.uint8)
    bad.data = array.array("B", bits.tobytes())
    return [bad]


def _frame_id(name: str) -> Fault:
    def fault(cloud: PointCloud2) -> list[PointCloud2]:
        bad = deepcopy(cloud)
        bad.header.frame_id = name
        return [bad]

    return fault


def _one_of(count: int) -> Callable[[np.random.Generator], np.ndarray]:
    """`count` finite points among 3,000 that are NaN: a covered depth camera."""

    def make(rng: np.random.Generator) -> np.ndarray:
        points = np.full((3000, 3), np.nan)
        points[:count] = rng.uniform(-2, 2, (count, 3))
        return points

    return make


#: By name; every one has taken a node down, stalled it or fooled it at some time, or could.
FAULTS: Mapping[str, Fault] = {
    "data truncated": _truncated,
    "data empty": _changed(data=array.array("B")),
    "row_step 0": _changed(row_step=0),
    "point_step 0": _changed(point_step=0),
    "point_step 4": _changed(point_step=4),
    "size 2^32 - 1": _changed(height=2**32 - 1, width=2**32 - 1),
    "no fields": _changed(fields=[]),
    "field x renamed": _field(0, name="X"),
    "offset beyond the point": _field(2, offset=2**32 - 1),
    "count 3": _field(1, count=3),
    "datatype 0": _field(0, datatype=0),
    "all axes at one offset": _field(1, offset=0),
    "big-endian flag": _changed(is_bigendian=True),
    "random bits": _random_bits,
    "no point": _points(lambda rng: np.zeros((0, 3))),
    "all NaN": _points(_one_of(0)),
    "one point": _points(lambda rng: np.array([[-1.7, 0.3, 0.2]])),
    "all NaN but one": _points(_one_of(1)),
    "all NaN but ten": _points(_one_of(10)),
    "two places": _points(lambda rng: rng.uniform(-2, 2, (2, 3))[rng.integers(0, 2, 3000)]),
    "one place": _points(lambda rng: np.tile(rng.uniform(-2, 2, 3), (20_000, 1))),
    "all zeros": _points(lambda rng: np.zeros((20_000, 3))),
    "half zeros": _points(lambda rng: rng.uniform(-3, 3, (20_000, 3)) * (rng.random((20_000, 1)) < 0.5)),
    "denormals": _points(lambda rng: rng.uniform(-1e-40, 1e-40, (3000, 3))),
    "one stray at 1e30": _points(lambda rng: np.concatenate([rng.uniform(-3, 3, (3000, 3)), [[1e30, 0, 0]]])),
    "all beyond range": _points(lambda rng: np.full((3000, 3), 1e30)),
    "sent twice": lambda cloud: [cloud, cloud],
    "5 h ahead": _stamped(18_000),
    "1 h back": _stamped(-3_600),
    "another frame_id": _frame_id("elsewhere"),
    "frame_id of 1 MB": _frame_id("x" * 2**20),
    "frame_id with a line feed": _frame_id("sen\nsor"),
}
