"""SemanticKITTI sequences: labelled LiDAR sweeps (Behley et al., 2019), mapped to the 19 evaluation classes."""

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pointata.classes import UNLABELLED, class_list
from pointata.data.dataset import Dataset, Split, Video
from pointata.data.files import (
    file_numbers,
    numbered_files,
    read_calibration,
    read_matrix,
    read_velodyne,
    strictly_increasing,
)
from pointata.data.layout import Layout
from pointata.data.recording import IndexedRecording
from pointata.data.set_files import data_folder
from pointata.errors import DataError
from pointata.frame import Frame, LabelledFrame
from pointata.geometry.rigid import is_rigid, rigid

#: The single-scan evaluation classes in their official order and colours.
CLASSES = class_list(
    ("car", (100, 150, 245)), ("bicycle", (100, 230, 245)), ("motorcycle", (30, 60, 150)), ("truck", (80, 30, 180)),
    ("other-vehicle", (0, 0, 255)), ("person", (255, 30, 30)), ("bicyclist", (255, 40, 200)),
    ("motorcyclist", (150, 30, 90)), ("road", (255, 0, 255)), ("parking", (255, 150, 255)), ("sidewalk", (75, 0, 75)),
    ("other-ground", (175, 0, 75)), ("building", (255, 200, 0)), ("fence", (255, 120, 50)), ("vegetation", (0, 175, 0)),
    ("trunk", (135, 60, 0)), ("terrain", (150, 240, 80)), ("pole", (255, 240, 150)), ("traffic-sign", (255, 0, 0)),
)  # fmt: skip

#: Raw label ids of each class; moving objects join their resting kind, bus and rail vehicles are other-vehicle.
RAW_IDS: dict[str, tuple[int, ...]] = {
    "car": (10, 252), "bicycle": (11,), "motorcycle": (15,), "truck": (18, 258),
    "other-vehicle": (13, 16, 20, 256, 257, 259), "person": (30, 254), "bicyclist": (31, 253),
    "motorcyclist": (32, 255), "road": (40, 60), "parking": (44,), "sidewalk": (48,), "other-ground": (49,),
    "building": (50,), "fence": (51,), "vegetation": (70,), "trunk": (71,), "terrain": (72,), "pole": (80,),
    "traffic-sign": (81,),
}  # fmt: skip
#: unlabeled, outlier, other-structure, other-object: no evaluation class.
RAW_UNLABELLED = (0, 1, 52, 99)

_UNKNOWN = 254


def semantic_kitti(root: Path | str) -> Dataset:
    """Open sequences/## folders (of `root` or of root/dataset), or one sequence folder; each sequence is a video.

    Split by the official sequence numbers: 08 val, 11 to 21 test, all others train. Axes, poses and stamps: see
    SemanticKittiRecording. Sequences of the test split need no labels.

    Raises:
        DataError: no sequence, labels missing, or a damaged text file (sweeps are read when they are used).
    """
    folder = data_folder(root)
    inside = [*folder.glob("sequences/*/velodyne"), *folder.glob("dataset/sequences/*/velodyne")]
    sequences = [folder] if (folder / "velodyne").is_dir() else sorted(path.parent for path in inside)
    if not sequences:
        raise DataError(f"{folder} holds no sequences/##/velodyne; give the folder above 'sequences', or a sequence")
    videos = []
    for sequence in sequences:
        recording = SemanticKittiRecording(sequence)
        split = _split(sequence.name)
        if split != "test" or recording.classes is not None:
            recording.check_labels()
        source = partial(SemanticKittiRecording, sequence)
        videos.append(Video(recording.name, source, sequence.name, split, has_poses=recording.has_poses))
    period = 1 / SemanticKittiRecording.rate_hz
    return Dataset("semantic_kitti", tuple(videos), {"semantic": CLASSES}, period, ("intensity",))


def _split(sequence: str) -> Split:
    if sequence == "08":
        return "val"
    return "test" if sequence in {str(number) for number in range(11, 22)} else "train"


class SemanticKittiRecording(IndexedRecording):
    """A sequence folder: velodyne/*.bin, optionally labels/*.label, times.txt, and poses.txt with calib.txt.

    Axes: x forward, y left, z up. Feature "intensity": remission, 0 to 1. World: the LiDAR axes at the start of
    poses.txt. Without times.txt the stamps are the file numbers at 10 Hz.
    """

    rate_hz = 10.0

    def __init__(self, folder: Path | str, frame_id: str = "velodyne") -> None:
        """Open the sequence at `folder`; frames carry `frame_id`."""
        self.folder = Path(folder)
        self.name = f"semantic_kitti_{self.folder.resolve().name}"
        self.frame_id = frame_id
        self._files = numbered_files(self.folder / "velodyne", "*.bin")
        self._numbers = file_numbers(self._files, "", ".bin")
        self._stamps_ns = self._read_stamps()
        self._has_labels = (self.folder / "labels").is_dir()
        self.classes = CLASSES if self._has_labels else None
        self.has_poses = (self.folder / "poses.txt").is_file() and (self.folder / "calib.txt").is_file()
        self._poses = self._read_poses() if self.has_poses else None

    def __len__(self) -> int:
        """Number of sweeps."""
        return len(self._files)

    def _read(self, index: int) -> LabelledFrame:
        points = read_velodyne(self._files[index])
        frame = Frame.from_points(
            points[:, :3],
            stamp_ns=int(self._stamps_ns[index]),
            features={"intensity": points[:, 3]},
            T_world_sensor=None if self._poses is None else self._poses[self._numbers[index]],
            frame_id=self.frame_id,
        )
        if not self._has_labels:
            return LabelledFrame(frame)
        labels = _read_labels(self.folder / "labels" / f"{self._files[index].stem}.label", len(points))
        return LabelledFrame(frame, labels[frame.source_index])

    def check_labels(self) -> None:
        """Refuse a sequence of which a sweep has no label file; the files are not read."""
        labelled = {path.stem for path in (self.folder / "labels").glob("*.label")}
        missing = [file.stem for file in self._files if file.stem not in labelled]
        if missing:
            raise DataError(
                f"{self.folder / 'labels'} lacks {len(missing)} of {len(self)} label files, the first is "
                f"{missing[0]}.label: unpack the labels archive there"
            )

    def _read_stamps(self) -> NDArray[np.int64]:
        numbers = self._numbers
        path = self.folder / "times.txt"
        if not path.is_file():
            return numbers * round(1e9 / self.rate_hz)
        seconds = read_matrix(path, (-1, 1))[:, 0]
        if numbers[-1] >= len(seconds):
            raise DataError(f"{path} has {len(seconds)} times, sweep {self._files[-1].name} needs {numbers[-1] + 1}")
        return strictly_increasing(np.rint(seconds[numbers] * 1e9).astype(np.int64))

    def _read_poses(self) -> NDArray[np.float64]:
        """T_world_velo (K, 4, 4): poses.txt moves the left camera, calib.txt's Tr is T_camera_velo."""
        calibration = self.folder / "calib.txt"
        entries = read_calibration(calibration)
        if entries.get("Tr", np.empty(0)).shape != (12,):
            raise DataError(f"{calibration} must hold a line 'Tr:' of 12 numbers (LiDAR to camera)")
        T_camera_velo = _from_rows(entries["Tr"])
        if not is_rigid(T_camera_velo):
            raise DataError(f"{calibration}: 'Tr:' is not a rigid transform from LiDAR to camera; copy it again")
        rows = read_matrix(self.folder / "poses.txt", (-1, 12))
        if self._numbers[-1] >= len(rows):
            path = self.folder / "poses.txt"
            raise DataError(f"{path} has {len(rows)} poses, sweep {self._files[-1].name} needs {self._numbers[-1] + 1}")
        T_velo_camera = np.linalg.inv(T_camera_velo)
        return np.stack([T_velo_camera @ _from_rows(row) @ T_camera_velo for row in rows])


def _from_rows(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(4, 4) of the 12 numbers of its first three rows."""
    top = values.reshape(3, 4)
    return rigid(top[:, :3], top[:, 3])


def _read_labels(path: Path, count: int) -> NDArray[np.uint8]:
    """(count,) evaluation class of each point, 0 to 18, 255 = unlabelled."""
    if not path.is_file():
        raise DataError(f"{path} is missing; add it, or move the labels folder away to read points only")
    raw = np.fromfile(path, dtype="<u4")
    if len(raw) != count or path.stat().st_size != 4 * count:
        raise DataError(f"{path} has {path.stat().st_size} bytes, {count} points need {4 * count}: truncated?")
    semantic = raw & 0xFFFF  # the upper half is the instance
    labels: NDArray[np.uint8] = _RAW_TO_CLASS[semantic]
    if (labels == _UNKNOWN).any():
        unknown = np.unique(semantic[labels == _UNKNOWN])
        raise DataError(f"{path} has label ids {unknown.tolist()} that SemanticKITTI does not define")
    return labels


def _raw_to_class() -> NDArray[np.uint8]:
    table = np.full(1 << 16, _UNKNOWN, dtype=np.uint8)
    table[list(RAW_UNLABELLED)] = UNLABELLED
    for entry in CLASSES:
        table[list(RAW_IDS[entry.name])] = entry.id
    return table


_RAW_TO_CLASS = _raw_to_class()


RECORDING = Layout(
    "semantic-kitti",
    "a SemanticKITTI sequence folder (velodyne/*.bin)",
    SemanticKittiRecording,
    lambda spec: (spec.path / "velodyne").is_dir(),
)
DATASET = Layout("semantic-kitti", "the folder above sequences/##, or one sequence", semantic_kitti)
