"""Point-cloud videos as numpy files: a folder of one .npz per frame, or one .npz for a whole clip."""

from abc import abstractmethod
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointata.classes import UNLABELLED, ClassInfo
from pointata.data.files import numbered_files
from pointata.data.formats.npz_file import Reader, open_npz
from pointata.data.layout import Layout
from pointata.data.recording import IndexedRecording
from pointata.data.spec import Spec
from pointata.errors import DataError
from pointata.frame import Frame, LabelledFrame
from pointata.geometry.rigid import is_rigid
from pointata.preprocessing.rates import mean_rate_hz
from pointata.tasks import TASKS, of_scope
from pointata.tasks.scope import Scope

#: Labels of points for tasks with classes of their own, by the tasks' names.
_OTHER_LABELS = tuple(task for task in of_scope(TASKS, Scope.POINT) if TASKS[task].classes is not None)
#: Names in a file that are not features.
RESERVED = ("points", "stamp", "stamp_ns", "labels", "T_world_sensor", *_OTHER_LABELS)

#: Stamps lie within 146 years of 1970, nanoseconds: differences of any two can be told.
_FARTHEST_NS = 2**62


class NpzRecording(IndexedRecording):
    """Frames of numpy arrays.

    Attributes:
        stamps_ns: (K,) int64, strictly increasing.
        labelled: numbers of the frames that carry point labels.
    """

    stamps_ns: NDArray[np.int64]
    labelled: Sequence[int]

    def __init__(self, path: Path, features: tuple[str, ...] | None) -> None:
        """Take the arguments.

        Args:
            path: folder or file.
            features: arrays to return as `Frame.features`, every frame has them; None for all that the first frame has.
        """
        self.path = path
        self.name = path.stem
        self._features = features or ()
        self._all_features = features is None

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.stamps_ns)

    def _read(self, index: int) -> LabelledFrame:
        file, arrays, names = self._arrays(index)
        points = arrays("points")
        if points.ndim != 2 or points.shape[1] != 3 or points.dtype.kind != "f":
            raise DataError(f"{file}: points must be (N, 3) float32 in metres, got {points.shape} {points.dtype}")
        frame = Frame.from_points(
            points,
            stamp_ns=int(self.stamps_ns[index]),
            features={name: _channel(file, name, arrays, len(points)) for name in self._features},
            T_world_sensor=_pose(file, arrays) if self._must_have_pose(file, names) else None,
        )
        most = {"labels": UNLABELLED, **{task: len(classes) for task, classes in _other_classes(names).items()}}
        labels = {
            name: label_bytes(file, arrays(name), len(points), name, classes)[frame.source_index]
            for name, classes in most.items()
            if name in names
        }
        return LabelledFrame(frame, labels.pop("labels", None), other_labels=labels)

    @abstractmethod
    def _arrays(self, index: int) -> tuple[Path, Reader, Sequence[str]]:
        """File of a frame, the function that reads one of its arrays, and their names."""

    def _must_have_pose(self, file: Path, names: Sequence[str]) -> bool:
        if self.has_poses != ("T_world_sensor" in names):
            raise DataError(f"{file}: either every frame of {self.path} has a T_world_sensor or none")
        return self.has_poses

    def _check_stamps(self, order: str) -> None:
        late = np.flatnonzero(np.diff(self.stamps_ns) <= 0)
        if len(late):
            raise DataError(f"{self.path}: frame {late[0] + 1} (from 0) is not later than the one before; {order}")
        self.rate_hz = mean_rate_hz(self.stamps_ns)


class NpzFolderRecording(NpzRecording):
    """A folder of .npz files, one a frame, in the order of their names; see docs/own_recordings.md."""

    def __init__(self, folder: Path | str, features: tuple[str, ...] | None = ()) -> None:
        """Open a folder: the stamps of all frames are read. Arguments as of `NpzRecording`."""
        super().__init__(Path(folder), features)
        self._files = numbered_files(self.path, "*.npz")
        stamps, labelled, every_name = [], [], set()
        for index, file in enumerate(self._files):
            arrays, names = open_npz(file)
            stamps.append(_stamps(file, arrays, names, ()))
            every_name |= set(names)
            if "labels" in names:
                labelled.append(index)
            if index == 0:
                self.has_poses = "T_world_sensor" in names
                if self._all_features:
                    self._features = _channels(arrays, names, 1)
        self.stamps_ns, self.labelled = np.array(stamps, np.int64), labelled
        self.other_classes = _other_classes(every_name)
        self._check_stamps("files are taken in the order of their names, so pad the numbers with zeros")

    def _arrays(self, index: int) -> tuple[Path, Reader, Sequence[str]]:
        return (self._files[index], *open_npz(self._files[index]))


class NpzClipRecording(NpzRecording):
    """One .npz whose arrays have a leading axis T; shorter frames are filled up with NaN points."""

    def __init__(self, file: Path | str, features: tuple[str, ...] | None = ()) -> None:
        """Read the whole clip. Arguments as of `NpzRecording`."""
        super().__init__(Path(file), features)
        arrays, names = open_npz(self.path)
        if self._all_features:
            self._features = _channels(arrays, names, 2)
        wanted = [name for name in names if name in RESERVED or name in self._features]
        self._content = {name: arrays(name) for name in wanted}
        points = self._content.get("points", np.empty(0))
        if points.ndim != 3 or not len(points):
            raise DataError(
                f"{self.path}: the points of a clip must be (T, N, 3), got {points.shape}; "
                "of frames in files of their own, name the folder"
            )
        self.stamps_ns = _stamps(self.path, arrays, names, (len(points),))
        for name, values in self._content.items():
            if len(np.atleast_1d(values)) != len(points):
                raise DataError(f"{self.path}: {name} {values.shape} must have {len(points)} frames, as points has")
        self.labelled = range(len(points)) if "labels" in wanted else ()
        self.has_poses = "T_world_sensor" in wanted
        self.other_classes = _other_classes(wanted)
        self._check_stamps("frames must be in the order of time")

    def _arrays(self, index: int) -> tuple[Path, Reader, Sequence[str]]:
        def read(name: str) -> NDArray[Any]:
            if name not in self._content:
                raise DataError(f"{self.path} has no array {name}")
            return np.asarray(self._content[name][index])

        return self.path, read, tuple(self._content)


def _other_classes(names: Container[str]) -> dict[str, tuple[ClassInfo, ...]]:
    """Classes of the further labels of points that a file holds, by task."""
    return {task: TASKS[task].classes or () for task in _OTHER_LABELS if task in names}


def label_bytes(
    file: Path, labels: NDArray[Any], count: int, name: str = "labels", classes: int = UNLABELLED
) -> NDArray[np.uint8]:
    """(count,) uint8 class ids below `classes`, 255 = unlabelled, of an array of any integer type."""
    if labels.shape != (count,) or labels.dtype.kind not in "iu":
        raise DataError(f"{file}: {name} must be ({count},) uint8, one a point, got {labels.shape} {labels.dtype}")
    wrong = labels[((labels < 0) | (labels >= classes)) & (labels != UNLABELLED)]
    if len(wrong):
        raise DataError(f"{file}: {name} are 0 to {classes - 1}, or {UNLABELLED} for unlabelled, got {wrong[0]}")
    return labels.astype(np.uint8)


def _stamps(file: Path, arrays: Reader, names: Sequence[str], shape: tuple[int, ...]) -> NDArray[np.int64]:
    """int64 nanoseconds of `stamp_ns`, or of `stamp` in seconds."""
    present = [name for name in ("stamp_ns", "stamp") if name in names]
    if len(present) != 1:
        raise DataError(f"{file} must have either stamp_ns (int64 nanoseconds) or stamp (float64 seconds)")
    values = arrays(present[0])
    kinds = "iu" if present[0] == "stamp_ns" else "iuf"
    if values.shape != shape or values.dtype.kind not in kinds or not np.isfinite(values).all():
        raise DataError(f"{file}: {present[0]} must be finite and of shape {shape}, got {values.dtype} {values.shape}")
    with np.errstate(over="ignore"):
        nanoseconds = values if present[0] == "stamp_ns" else np.rint(values.astype(np.float64) * 1e9)
    if (nanoseconds < -_FARTHEST_NS).any() or (nanoseconds > _FARTHEST_NS).any():
        raise DataError(f"{file}: {present[0]} is beyond 146 years of 1970; stamps are nanoseconds (stamp: seconds)")
    return nanoseconds.astype(np.int64)


def _channels(arrays: Reader, names: Sequence[str], axes: int) -> tuple[str, ...]:
    """Names of the arrays of numbers that have one for each point; `axes` of the points' shape count them."""
    if "points" not in names:
        return ()
    shape = arrays("points").shape[:axes]
    others = {name: arrays(name) for name in names if name not in RESERVED}
    return tuple(name for name, values in others.items() if values.shape == shape and values.dtype.kind in "iuf")


def _channel(file: Path, name: str, arrays: Reader, count: int) -> NDArray[np.float32]:
    values = arrays(name)
    if values.shape != (count,) or values.dtype.kind not in "iuf":
        raise DataError(f"{file}: feature {name} must be ({count},) numbers, one a point, got {values.shape}")
    return values.astype(np.float32)


def _pose(file: Path, arrays: Reader) -> NDArray[np.float64]:
    pose = arrays("T_world_sensor")
    if pose.shape != (4, 4) or pose.dtype.kind != "f" or not is_rigid(pose.astype(np.float64)):
        raise DataError(f"{file}: T_world_sensor must be a rigid (4, 4) transform from sensor to world, metres")
    return pose.astype(np.float64)


def npz_recording(path: Path, features: tuple[str, ...] | None = ()) -> NpzRecording:
    """Open a folder or a clip. Arguments as of `NpzRecording`."""
    return NpzFolderRecording(path, features) if path.is_dir() else NpzClipRecording(path, features)


def _is_npz(spec: Spec) -> bool:
    """A clip, or a folder whose first .npz holds points; beside a manifest lie clips of their own."""
    if not spec.path.is_dir():
        return spec.path.suffix == ".npz" and spec.path.is_file()
    first = min(spec.path.glob("*.npz"), default=None)
    return first is not None and not (spec.path / "manifest.yaml").exists() and "points" in open_npz(first)[1]


RECORDING = Layout(
    "npz", "one .npz a frame in a folder, or one .npz for a whole clip (docs/own_recordings.md)", npz_recording, _is_npz
)
