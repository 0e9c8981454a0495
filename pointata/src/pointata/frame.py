"""One point cloud of a point video, as every part of pointata takes it."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pointata.classes import UNLABELLED
from pointata.errors import DataError
from pointata.geometry.rigid import FARTHEST_POSE_M, is_near, is_rigid


def _identity() -> NDArray[np.float64]:
    return np.eye(4)


def finite_rows(points: NDArray[np.float32]) -> NDArray[np.int64]:
    """Rows (N,) int64, ascending, of points (M, 3) without NaN and Inf."""
    finite = np.isfinite(points)
    return np.flatnonzero(finite[:, 0] & finite[:, 1] & finite[:, 2])  # ten times faster than all(axis=1)


def no_return_rows(points: NDArray[np.float32]) -> NDArray[np.int64]:
    """Rows (N,) int64, ascending, of points (M, 3) that are (0, 0, 0): what drivers write where no echo came back."""
    rows = np.flatnonzero(points[:, 0] == 0)  # few, as a rule: the others are looked up among them
    return rows[(points[rows, 1] == 0) & (points[rows, 2] == 0)]


@dataclass(frozen=True)
class Image:
    """What a camera saw of the scene of a frame.

    Attributes:
        pixels: (H, W, 3) uint8, red, green, blue; without distortion.
        K: (3, 3) float64, projects optical axes (x right, y down, z forward) to pixels: [fx s cx; 0 fy cy; 0 0 1].
        T_sensor_camera: (4, 4) float64, rigid, maps the camera's optical axes to the sensor axes of the points, metres.
        stamp_ns: time of the exposure, nanoseconds.
    """

    pixels: NDArray[np.uint8]
    K: NDArray[np.float64]
    T_sensor_camera: NDArray[np.float64]
    stamp_ns: int

    def __post_init__(self) -> None:
        if self.pixels.ndim != 3 or self.pixels.shape[2] != 3 or self.pixels.dtype != np.uint8:
            raise DataError(
                f"Image.pixels must be (H, W, 3) uint8, got {self.pixels.shape} {self.pixels.dtype}: convert it to RGB"
            )
        K, T = self.K, self.T_sensor_camera
        if K.shape != (3, 3) or not np.isfinite(K).all() or min(K[0, 0], K[1, 1]) <= 0 or list(K[2]) != [0, 0, 1]:
            raise DataError(f"Image.K must be [fx s cx; 0 fy cy; 0 0 1] with fx, fy > 0, got {K.tolist()}")
        if T.shape != (4, 4) or not (is_rigid(T) and is_near(T[:3, 3])):
            raise DataError(
                f"Image.T_sensor_camera must be (4, 4), rigid and at most {FARTHEST_POSE_M:.0e} m from the sensor, got "
                f"{T.tolist()}: is the camera calibrated to this sensor?"
            )


@dataclass(frozen=True)
class Frame:
    """Finite points of one sensor message, with what is needed to put results back onto it.

    Attributes:
        stamp_ns: acquisition time, nanoseconds.
        points: (N, 3) float32, metres, sensor axes, all finite; N may be 0.
        source_index: (N,) int64, position of each point in the source message (whose invalid points are left out);
            (N - context_count,) in a merged frame.
        source_count: number of points of the source message; at least as many.
        features: optional per-point channels by name ("intensity", "doppler", ...), each (N,) float32.
        T_world_sensor: (4, 4) float64, rigid, maps sensor to world (odometry) coordinates, metres, at most 1e7 from the
            origin; identity where unknown.
        frame_id: name of the sensor frame.
        layout: how the message laid its points out; another one within a stream is another sensor. None where the
            source has no layout.
        pose_known: False where `T_world_sensor` is the identity because the sensor's own motion is not known for now.
        context_count: how many of the points, the last ones, come from earlier messages (see
            `pointata.preprocessing.merging`): they help the network, but no result is given on them.
        images: what cameras saw of the same scene, by camera; none, as a rule.
    """

    stamp_ns: int
    points: NDArray[np.float32]
    source_index: NDArray[np.int64]
    source_count: int
    features: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    T_world_sensor: NDArray[np.float64] = field(default_factory=_identity)
    frame_id: str = ""
    layout: Hashable = None
    pose_known: bool = True
    context_count: int = 0
    images: Mapping[str, Image] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.points.ndim != 2 or self.points.shape[1] != 3:
            raise DataError(f"Frame.points must have shape (N, 3), got {self.points.shape}")
        if self.source_index.shape != (self.own_count,) or self.source_count < self.own_count:
            raise DataError(
                f"Frame of {self.own_count} points with source_index {self.source_index.shape} "
                f"and source_count {self.source_count}: one index per point, none beyond the count"
            )
        if self.T_world_sensor.shape != (4, 4):
            raise DataError(f"Frame.T_world_sensor must be (4, 4), got {self.T_world_sensor.shape}")
        if not (is_rigid(self.T_world_sensor) and is_near(self.T_world_sensor[:3, 3])):
            raise DataError(
                f"Frame.T_world_sensor must be rigid and at most {FARTHEST_POSE_M:.0e} m from the origin, got "
                f"{self.T_world_sensor.tolist()}: has the odometry diverged?"
            )

    @property
    def own_count(self) -> int:
        """Number of points of the message itself; all, but for a merged frame."""
        return len(self.points) - self.context_count

    @classmethod
    def from_points(
        cls,
        points: NDArray[np.floating],
        *,
        stamp_ns: int = 0,
        features: Mapping[str, NDArray[np.floating]] | None = None,
        T_world_sensor: NDArray[np.float64] | None = None,
        frame_id: str = "",
        images: Mapping[str, Image] | None = None,
    ) -> "Frame":
        """Build a frame from raw points: rows with NaN or Inf are left out and remembered in source_index.

        Args:
            points: (M, 3) any float type, metres, sensor axes; may hold NaN and Inf.
            stamp_ns: acquisition time, nanoseconds.
            features: optional (M,) channels by name.
            T_world_sensor: (4, 4) float64; None for identity.
            frame_id: name of the sensor frame.
            images: optional, by camera.
        """
        with np.errstate(over="ignore"):
            single = np.asarray(points, dtype=np.float32)
        if single.ndim != 2 or single.shape[1] != 3:
            raise DataError(f"points must have shape (M, 3), got {single.shape}")
        keep = finite_rows(single)
        return cls(
            stamp_ns=stamp_ns,
            points=np.take(single, keep, axis=0),
            source_index=keep,
            source_count=len(points),
            features={name: np.asarray(value[keep], dtype=np.float32) for name, value in (features or {}).items()},
            T_world_sensor=_identity() if T_world_sensor is None else T_world_sensor,
            frame_id=frame_id,
            images=images or {},
        )


@dataclass(frozen=True)
class LabelledFrame:
    """A frame with its ground truth, as recordings and the simulator yield it.

    Attributes:
        frame: the points.
        labels: (N,) uint8 class of each point of `frame.points`, 255 = unlabelled; None where the source has none. They
            are those of the task "semantic".
        action: class id of the action at this frame; None where the source has none.
        other_labels: labels like these for other tasks that score points, by task.
    """

    frame: Frame
    labels: NDArray[np.uint8] | None = None
    action: int | None = None
    other_labels: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for labels in self.point_labels.values():
            if labels.shape != (len(self.frame.points),):
                raise DataError(f"{labels.shape} labels for {len(self.frame.points)} points (fill with {UNLABELLED})")

    @property
    def point_labels(self) -> dict[str, NDArray[np.uint8]]:
        """All labels of the points, by task."""
        return {**({} if self.labels is None else {"semantic": self.labels}), **self.other_labels}
