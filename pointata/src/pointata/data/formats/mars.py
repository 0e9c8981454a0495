"""MARS: mmWave radar point-cloud videos of rehabilitation movements (An and Ogras, 2021)."""

import re
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pointata.classes import class_list
from pointata.data.dataset import Dataset, Video
from pointata.data.files import strictly_increasing
from pointata.data.layout import Layout
from pointata.data.recording import IndexedRecording, Origin
from pointata.data.set_files import data_folder
from pointata.errors import DataError
from pointata.frame import Frame, LabelledFrame
from pointata.system.optional import import_optional

#: The ten movements in the order of the file numbers 1 to 10 (names as the data set gives them, "squad" = squat).
ACTIONS = class_list(
    ("left upper limb extension", (31, 119, 180)), ("right upper limb extension", (255, 127, 14)),
    ("both upper limb extension", (44, 160, 44)), ("left front lunge", (214, 39, 40)),
    ("right front lunge", (148, 103, 189)), ("squat", (140, 86, 75)), ("left side lunge", (227, 119, 194)),
    ("right side lunge", (127, 127, 127)), ("left limb extension", (188, 189, 34)),
    ("right limb extension", (23, 190, 207)),
)  # fmt: skip

#: Numbers in a file, far above those of a recording of minutes.
_LARGEST = 10_000_000

#: Left and right movements by class id; the others (both arms, squat) mirror into themselves.
MIRRORED = {0: 1, 1: 0, 3: 4, 4: 3, 6: 7, 7: 6, 8: 9, 9: 8}


def mars(root: Path | str) -> Dataset:
    """Open every subject<n>/radar_data<k>.mat below a folder, each a video.

    All videos are in the split "train": the protocol is to leave one subject ("1" to "4") out. Every file is read
    once to check it (the whole set takes less than a second).

    Raises:
        DataError: a file that is damaged, misnamed or there twice (the original offers two versions, with and
            without outliers: give the folder of one).
    """
    folder = data_folder(root)
    videos: dict[str, Video] = {}
    for file in sorted(folder.rglob("radar_data*.mat")):
        subject = re.fullmatch(r"subject(\d+)", file.parent.name)
        if subject is None:
            raise DataError(f"{file} must lie in a folder subject1, subject2, ..., by the person it shows")
        name = f"{file.parent.name}_{file.stem}"
        if name in videos:
            raise DataError(f"{folder} holds {name} twice, one at {file}; give the folder of one version")
        recording = MarsRecording(file)
        source = partial(MarsRecording, file)
        videos[name] = Video(name, source, subject=subject.group(1), action=recording.action)
    if not videos:
        raise DataError(f"{folder} holds no subject<n>/radar_data<k>.mat, here or below")
    features, period = ("doppler", "intensity"), 1 / MarsRecording.rate_hz
    return Dataset(
        "mars", tuple(videos.values()), {"action": ACTIONS}, period, features, MIRRORED, licence="MIT (SizheAn/MARS)"
    )


class MarsRecording(IndexedRecording):
    """One radar_data<k>.mat (MATLAB v7.3): one subject doing movement k; every frame has action k - 1.

    The file stores x to the right, y away from the radar, z up, metres, origin at the radar (the person stands at
    y of about 2). Frames are turned into x forward, y left, z up (REP-103): (y, -x, z). Features: "doppler" (radial
    velocity, m/s) and "intensity" (as the radar reports it, unscaled). 1 to 64 points a frame; radar frames without a
    detection are not in the file, so that gaps of up to a second occur between stamps. No poses: the radar stood still.
    """

    rate_hz = 10.0
    actions = ACTIONS

    def __init__(self, file: Path | str, frame_id: str = "radar") -> None:
        """Read the recording `file`; frames carry `frame_id`."""
        self.file = Path(file)
        self.name = f"mars_{self.file.resolve().parent.name}_{self.file.stem}"
        self.frame_id = frame_id
        self.action = _action_of(self.file)
        folder = self.file.resolve().parent.name
        self.origin = Origin("mars", f"{folder}_{self.file.stem}", folder.removeprefix("subject"))
        self._columns = _read_columns(self.file)
        changes = np.flatnonzero(np.diff(self._columns[0])) + 1
        self._bounds = np.concatenate(([0], changes, [self._columns.shape[1]]))
        seconds = self._columns[7, self._bounds[:-1]]
        self._stamps_ns = strictly_increasing(np.rint(seconds * 1e6).astype(np.int64) * 1000)

    def __len__(self) -> int:
        """Number of radar frames."""
        return len(self._bounds) - 1

    def _read(self, index: int) -> LabelledFrame:
        part = self._columns[:, self._bounds[index] : self._bounds[index + 1]]
        x, y, z, doppler, intensity = part[2:7]
        frame = Frame.from_points(
            np.stack((y, -x, z), axis=1),
            stamp_ns=int(self._stamps_ns[index]),
            features={"doppler": doppler, "intensity": intensity},
            frame_id=self.frame_id,
        )
        return LabelledFrame(frame, action=self.action)


def _action_of(file: Path) -> int:
    match = re.fullmatch(r"radar_data(\d+)", file.stem)
    if match is None or not 1 <= int(match.group(1)) <= len(ACTIONS):
        raise DataError(f"{file} must be named radar_data1.mat to radar_data{len(ACTIONS)}.mat, by its movement")
    return int(match.group(1)) - 1


def _read_columns(file: Path) -> NDArray[np.float64]:
    """(8, M): frame, object, x, y, z, doppler, intensity, unix time of every detection."""
    h5py = import_optional("h5py")
    try:
        with h5py.File(file, "r") as content:
            arrays = [value for value in content.values() if isinstance(value, h5py.Dataset) and value.ndim == 2]
            fits = len(arrays) == 1 and arrays[0].shape[0] == 8 and 0 < arrays[0].size <= _LARGEST
            columns = np.asarray(arrays[0], dtype=np.float64) if fits else np.empty((0, 0))
    except Exception as error:  # damaged bytes lead the HDF5 reader to errors of any kind
        raise DataError(f"{file} cannot be read as MATLAB v7.3 (HDF5): {error}") from error
    if not len(columns):
        raise DataError(
            f"{file} must hold one array of 8 rows (frame, object, x, y, z, doppler, intensity, time) and at most "
            f"{_LARGEST} numbers"
        )
    if not (np.isfinite(columns[0]).all() and (np.abs(columns[7]) < 4e9).all()):
        raise DataError(f"{file} has frame numbers or unix times (s) that are not numbers or times; copy it again")
    return columns


RECORDING = Layout(
    "mars",
    "a MARS recording (radar_data*.mat)",
    MarsRecording,
    lambda spec: spec.path.suffix == ".mat" and spec.path.is_file(),
)
DATASET = Layout("mars", "a folder with subject#/radar_data#.mat, there or below", mars)
