"""A made-up scan of a 64-beam LiDAR in a street: ground, buildings, parked boxes, poles; some beams without return."""

import array
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
from numpy.typing import NDArray

from pointata.frame import Frame

BEAMS = 64
#: Share of beams that come back as NaN.
NO_RETURN = 0.05
_NOISE_M = 0.02
_SENSOR_HEIGHT_M = 1.8
_ELEVATION = (-25.0, 3.0)

#: For each column of beams where it enters and leaves an obstacle (A,), metres; and the top of it above the sensor.
Cut = tuple[NDArray[np.float64], NDArray[np.float64], float]


def lidar_scan(count: int, seed: int = 0, x: float = 0.0) -> NDArray[np.float32]:
    """One turn of the sensor.

    Args:
        count: points N of the scan.
        seed: of noise and missing returns; the street is always the same.
        x: where on the street the sensor stands, metres from its middle, -20 to 20.

    Returns:
        (N, 3) float32, metres, sensor axes, column by column as a spinning sensor sends them; NaN without return.
    """
    azimuth = np.linspace(0, 2 * np.pi, -(-count // BEAMS), endpoint=False)
    heading = np.stack([np.cos(azimuth), np.sin(azimuth)], axis=-1)
    slope = np.tan(np.deg2rad(np.linspace(*_ELEVATION, BEAMS)))
    rng = np.random.default_rng(seed)
    reach = _reach(heading, slope, x) + rng.normal(0, _NOISE_M, (len(azimuth), BEAMS))
    points = np.concatenate([reach[..., None] * heading[:, None], (reach * slope)[..., None]], axis=-1)
    points = points.reshape(-1, 3)[:count].astype(np.float32)
    points[rng.choice(count, round(NO_RETURN * count), replace=False)] = np.nan
    return points


def scan_frames(count: int, frames: int) -> list[Frame]:
    """A drive of `frames` scans at 10 Hz and 5 m/s, with the poses."""
    result = []
    for number in range(frames):
        pose = np.eye(4)
        pose[0, 3] = 0.5 * number % 40 - 20
        scan = lidar_scan(count, seed=number, x=pose[0, 3])
        result.append(Frame.from_points(scan, stamp_ns=number * 100_000_000, T_world_sensor=pose, frame_id="lidar"))
    return result


def cloud_message(points: NDArray[np.float32], stamp_ns: int = 0) -> SimpleNamespace:
    """A scan (N, 3) as a look-alike of sensor_msgs/PointCloud2 with x, y, z, intensity: 16 bytes a point."""
    fields = np.zeros((len(points), 4), dtype="<f4")
    fields[:, :3] = points
    return SimpleNamespace(
        header=SimpleNamespace(
            stamp=SimpleNamespace(sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9), frame_id="lidar"
        ),
        height=1, width=len(points), is_bigendian=False, point_step=16, row_step=16 * len(points), is_dense=False,
        fields=[
            SimpleNamespace(name=name, offset=4 * i, datatype=7, count=1)
            for i, name in enumerate(("x", "y", "z", "intensity"))
        ],
        data=array.array("B", fields.tobytes()),
    )  # fmt: skip


def _reach(heading: NDArray[np.float64], slope: NDArray[np.float64], x: float) -> NDArray[np.float64]:
    """Horizontal distance to the first hit.

    Everything stands upright on the ground, so that a column of beams meets it in one plane.

    Args:
        heading: (A, 2) unit vectors of the columns.
        slope: (B,) tangents of the beams' elevations.
        x: place of the sensor.

    Returns:
        (A, B) metres.
    """
    with np.errstate(divide="ignore"):
        reach = np.tile(np.where(slope < 0, -_SENSOR_HEIGHT_M / slope, np.inf), (len(heading), 1))
    for near, far, top in [*_boxes(heading, x), *_poles(heading, x)]:
        column = np.flatnonzero((near < far) & (near > 0))
        enter, leave = near[column, None], far[column, None]
        roof = np.where((enter * slope > top) & (leave * slope < top), top / slope, np.inf)
        hit = np.where(enter * slope <= top, enter, roof)
        reach[column] = np.minimum(reach[column], hit)
    return reach


def _boxes(heading: NDArray[np.float64], x: float) -> Iterator[Cut]:
    """Walls at the ends of the street, houses and parked cars on both of its sides."""
    rng = np.random.default_rng(64)
    corners = [((-85.0, -60.0), (-80.0, 60.0), 15.0), ((80.0, -60.0), (85.0, 60.0), 15.0)]
    for side in (-1, 1):
        for start in np.arange(-80, 80, 12.0):
            front, car = side * rng.uniform(9, 14), start + rng.uniform(0, 6)
            house = (start, min(front, side * 60)), (start + 12, max(front, side * 60)), rng.uniform(8, 15)
            corners += [house, ((car, side * 5 - 0.9), (car + 4.2, side * 5 + 0.9), -0.3)]
    with np.errstate(divide="ignore"):
        inverse = 1.0 / heading
    for low, high, top in corners:
        one, other = (np.array(low) - (x, 0)) * inverse, (np.array(high) - (x, 0)) * inverse
        yield np.minimum(one, other).max(axis=1), np.maximum(one, other).min(axis=1), top


def _poles(heading: NDArray[np.float64], x: float) -> Iterator[Cut]:
    """Upright cylinders of 12 cm radius, 4 m above the sensor."""
    for along in np.arange(-75, 80, 10.0):
        for side in (-7.0, 7.0):
            centre = np.array([along - x, side])
            half = heading @ centre
            root = np.sqrt(np.maximum(half**2 - centre @ centre + 0.12**2, 0))
            yield half - root, half + root, 4.0
