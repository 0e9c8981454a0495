"""Depth-image folders in the layout of 7-Scenes (Shotton et al., 2013): a hand-held depth camera with poses."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pointata.data.files import file_numbers, numbered_files, read_matrix
from pointata.data.layout import Layout
from pointata.data.recording import IndexedRecording
from pointata.errors import DataError
from pointata.frame import Frame, LabelledFrame
from pointata.geometry.rigid import is_rigid
from pointata.preprocessing.rates import mean_rate_hz
from pointata.system.optional import import_optional

#: Depth values that mean "no measurement".
INVALID_DEPTHS = (0, 65535)


class DepthFolderRecording(IndexedRecording):
    """frame-XXXXXX.depth.png (uint16 millimetres), frame-XXXXXX.pose.txt, camera-intrinsics.txt (here or one level up).

    Axes: optical, x right, y down, z forward (REP-103 for `_optical` frames). Points are pixels in row-major order.
    Poses are camera to world. A frame's stamp is its number at `camera_hz`, so that leaving out every second image
    gives half the rate. Without pose files there are no poses.
    """

    def __init__(
        self,
        folder: Path | str,
        stride: int = 1,
        camera_hz: float = 30.0,
        frame_id: str = "camera_depth_optical_frame",
    ) -> None:
        """Open a folder.

        Args:
            folder: where the images are.
            stride: keep every stride-th pixel of every stride-th row, at least 1.
            camera_hz: frame rate at which the camera numbered its images.
            frame_id: name of the sensor frame.
        """
        self.folder = Path(folder)
        self.name = self.folder.resolve().name
        self.frame_id = frame_id
        self._files = numbered_files(self.folder, "frame-*.depth.png")
        if int(stride) < 1:
            raise DataError(f"stride must be at least 1, got {stride}")
        self._stride = int(stride)
        numbers = file_numbers(self._files, "frame-", ".depth.png")
        self._stamps_ns = np.rint(numbers * (1e9 / camera_hz)).astype(np.int64)
        self.rate_hz = mean_rate_hz(self._stamps_ns, default=float(camera_hz))
        self._intrinsics = self._read_intrinsics()
        self.has_poses = _pose_file(self._files[0]).is_file()
        self._rays: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        """Number of images."""
        return len(self._files)

    def _read(self, index: int) -> LabelledFrame:
        depth = _read_depth(self._files[index])[:: self._stride, :: self._stride]
        if self._rays is None or self._rays.shape[:2] != depth.shape:
            self._rays = self._ray_grid(*depth.shape)
        valid = np.flatnonzero(~np.isin(depth, INVALID_DEPTHS))
        metres = depth.reshape(-1)[valid].astype(np.float32) * np.float32(1e-3)
        frame = Frame(
            stamp_ns=int(self._stamps_ns[index]),
            points=self._rays.reshape(-1, 3)[valid] * metres[:, None],
            source_index=valid,
            source_count=depth.size,
            T_world_sensor=self._read_pose(self._files[index]),
            frame_id=self.frame_id,
        )
        return LabelledFrame(frame)

    def _ray_grid(self, height: int, width: int) -> NDArray[np.float32]:
        """(height, width, 3): the point at 1 m depth that each kept pixel sees (pinhole model)."""
        (fx, _, cx), (_, fy, cy), _ = self._intrinsics
        u, v = np.meshgrid(np.arange(width) * self._stride, np.arange(height) * self._stride)
        return np.stack(((u - cx) / fx, (v - cy) / fy, np.ones_like(u)), axis=-1).astype(np.float32)

    def _read_intrinsics(self) -> NDArray[np.float64]:
        for folder in (self.folder, self.folder.resolve().parent):
            path = folder / "camera-intrinsics.txt"
            if path.is_file():
                matrix = read_matrix(path, (3, 3))
                if matrix[0, 0] <= 0 or matrix[1, 1] <= 0:
                    raise DataError(f"{path}: focal lengths must be positive, got {matrix[0, 0]} and {matrix[1, 1]}")
                return matrix
        path = self.folder / "camera-intrinsics.txt"
        raise DataError(f"{path} is missing: write the 3 x 3 camera matrix (pixels) to it")

    def _read_pose(self, image: Path) -> NDArray[np.float64]:
        """T_world_camera of an image."""
        if not self.has_poses:
            return np.eye(4)
        path = _pose_file(image)
        if not path.is_file():
            raise DataError(f"{path} is missing while other images have poses; add it or remove {image.name}")
        pose = read_matrix(path, (4, 4))
        if not is_rigid(pose):
            raise DataError(f"{path} is not a rigid camera-to-world transform; remove {image.name} (tracking was lost)")
        return pose


def _pose_file(image: Path) -> Path:
    return image.with_name(image.name.replace(".depth.png", ".pose.txt"))


def _read_depth(path: Path) -> NDArray[np.uint16]:
    """(height, width) uint16 depth in millimetres."""
    images = import_optional("PIL.Image")
    try:
        with images.open(path) as image:
            depth = np.asarray(image)
    except Exception as error:  # damaged bytes, and images of giant claimed size, lead Pillow to errors of any kind
        raise DataError(f"{path} cannot be read as an image ({error}); copy it again") from error
    if depth.ndim != 2 or depth.dtype not in (np.uint16, np.int32):  # int32: 16-bit images in older Pillow
        raise DataError(f"{path} must be a 16-bit greyscale image of millimetres, it is {depth.dtype} {depth.shape}")
    return depth.astype(np.uint16, copy=False)


RECORDING = Layout(
    "depth-images",
    "a folder of depth images (frame-*.depth.png with camera-intrinsics.txt)",
    DepthFolderRecording,
    lambda spec: any(spec.path.glob("frame-*.depth.png")),
)
