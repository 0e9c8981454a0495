"""KITTI raw drives: Velodyne HDL-64E sweeps with GPS/IMU poses (Geiger et al., 2013)."""

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from pointata.data.dataset import Dataset, Video
from pointata.data.files import (
    file_numbers,
    numbered_files,
    read_calibration,
    read_matrix,
    read_text,
    read_velodyne,
    strictly_increasing,
)
from pointata.data.layout import Layout
from pointata.data.recording import IndexedRecording
from pointata.data.set_files import data_folder
from pointata.errors import DataError
from pointata.frame import Frame, LabelledFrame
from pointata.geometry.rigid import is_rigid, rigid

EARTH_RADIUS_M = 6_378_137.0


def kitti_raw(root: Path | str) -> Dataset:
    """Open a drive folder, or all drives of a date folder or of a folder of dates; each drive is a video.

    There are no labels and so no heads: drives are for pre-training and for running a network. Axes, poses and stamps:
    see KittiRawRecording. All drives are in the split "train".

    Raises:
        DataError: no drive, or damaged time or calibration files (sweeps are read when they are used).
    """
    folder = data_folder(root)
    sweeps = "velodyne_points/data"
    drives = [path.parents[1] for depth in ("", "*/", "*/*/") for path in sorted(folder.glob(depth + sweeps))]
    if not drives:
        raise DataError(f"{folder} holds no drive (velodyne_points/data/*.bin), here or in a folder of a date")
    videos = []
    for drive in drives:
        recording = KittiRawRecording(drive)
        source = partial(KittiRawRecording, drive)
        videos.append(Video(recording.name, source, recording.name, has_poses=recording.has_poses))
    return Dataset("kitti_raw", tuple(videos), {}, 1 / KittiRawRecording.rate_hz, ("intensity",))


class KittiRawRecording(IndexedRecording):
    """A drive folder: velodyne_points/data/*.bin, timestamps.txt, optionally oxts/ and calib_imu_to_velo.txt.

    Axes: x forward, y left, z up. Feature "intensity": reflectance, 0 to 1. World: east, north, up from the first
    GPS/IMU position. Without timestamps.txt the stamps are the file numbers at 10 Hz. The calibration is looked for
    in the drive folder and beside it; without it, or without oxts, there are no poses.
    """

    rate_hz = 10.0

    def __init__(self, folder: Path | str, frame_id: str = "velodyne") -> None:
        """Open the drive at `folder`; frames carry `frame_id`."""
        self.folder = Path(folder)
        self.name = self.folder.resolve().name
        self.frame_id = frame_id
        self._files = numbered_files(self.folder / "velodyne_points" / "data", "*.bin")
        self._stamps_ns = self._read_stamps()
        calibrations = [at / "calib_imu_to_velo.txt" for at in (self.folder, self.folder.resolve().parent)]
        calibration = next((path for path in calibrations if path.is_file()), None)
        self.has_poses = calibration is not None and (self.folder / "oxts" / "data").is_dir()
        if self.has_poses and calibration is not None:
            self._T_velo_imu = _read_imu_calibration(calibration)
            self._origin = self._read_oxts(self._files[0])

    def __len__(self) -> int:
        """Number of sweeps."""
        return len(self._files)

    def _read(self, index: int) -> LabelledFrame:
        file = self._files[index]
        points = read_velodyne(file)
        frame = Frame.from_points(
            points[:, :3],
            stamp_ns=int(self._stamps_ns[index]),
            features={"intensity": points[:, 3]},
            T_world_sensor=self._pose(file) if self.has_poses else None,
            frame_id=self.frame_id,
        )
        return LabelledFrame(frame)

    def _read_stamps(self) -> NDArray[np.int64]:
        """Stamp of each file; the line number in timestamps.txt is the file number (drives have missing sweeps)."""
        numbers = file_numbers(self._files, "", ".bin")
        path = self.folder / "velodyne_points" / "timestamps.txt"
        if not path.is_file():
            return numbers * round(1e9 / self.rate_hz)
        lines = read_text(path).split("\n")
        try:
            times = np.array([lines[number].strip().replace(" ", "T") for number in numbers], dtype="datetime64[ns]")
        except (IndexError, ValueError) as error:
            raise DataError(f"{path} lacks a readable time for each of {len(numbers)} sweeps ({error})") from error
        if np.isnat(times).any():
            raise DataError(f"{path} has an empty line where a sweep needs its time")
        return strictly_increasing(times.astype(np.int64))

    def _read_oxts(self, sweep: Path) -> NDArray[np.float64]:
        """Latitude, longitude (degrees), altitude (m), roll, pitch, yaw (rad) beside a sweep."""
        path = self.folder / "oxts" / "data" / f"{sweep.stem}.txt"
        if not path.is_file():
            raise DataError(f"{path} is missing: sweep {sweep.name} has no pose; complete or remove the oxts folder")
        return read_matrix(path, (1, 30))[0, :6]

    def _pose(self, sweep: Path) -> NDArray[np.float64]:
        """T_world_velo: Mercator projection scaled at the first latitude, as KITTI's development kit does."""
        latitude, longitude, altitude, roll, pitch, yaw = self._read_oxts(sweep)
        latitude_0, longitude_0, altitude_0 = self._origin[:3]
        scale = float(np.cos(np.radians(latitude_0)))
        position = _mercator(latitude, longitude, altitude, scale)
        position -= _mercator(latitude_0, longitude_0, altitude_0, scale)
        rotation = Rotation.from_euler("ZYX", (yaw, pitch, roll)).as_matrix()
        return rigid(rotation, position) @ np.linalg.inv(self._T_velo_imu)


def _mercator(latitude: float, longitude: float, altitude: float, scale: float) -> NDArray[np.float64]:
    """(3,) east, north, up, metres."""
    east = scale * EARTH_RADIUS_M * np.radians(longitude)
    north = scale * EARTH_RADIUS_M * np.log(np.tan(np.radians(90.0 + latitude) / 2.0))
    return np.array([east, north, altitude])


def _read_imu_calibration(path: Path) -> NDArray[np.float64]:
    """T_velo_imu (4, 4) of calib_imu_to_velo.txt."""
    entries = read_calibration(path)
    if entries.get("R", np.empty(0)).shape != (9,) or entries.get("T", np.empty(0)).shape != (3,):
        raise DataError(f"{path} must hold a line 'R:' of 9 numbers and a line 'T:' of 3")
    T_velo_imu = rigid(entries["R"].reshape(3, 3), entries["T"])
    if not is_rigid(T_velo_imu):
        raise DataError(f"{path} does not hold a rigid transform (R: a rotation, T: metres); copy it again")
    return T_velo_imu


RECORDING = Layout(
    "kitti-raw",
    "a KITTI raw drive folder (velodyne_points/data/*.bin)",
    KittiRawRecording,
    lambda spec: (spec.path / "velodyne_points" / "data").is_dir(),
)
DATASET = Layout("kitti-raw", "a drive (with velodyne_points/data) or a folder of drives or dates", kitti_raw)
