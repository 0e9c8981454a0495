"""What every recording offers, and `open_recording`, which finds the reader for a path."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from inspect import signature
from itertools import islice
from pathlib import Path
from typing import Any

from pointata.classes import ClassInfo
from pointata.errors import DataError
from pointata.frame import LabelledFrame

LAYOUTS = """a rosbag2 folder, .mcap, .db3 or ROS 1 .bag file
  a KITTI raw drive folder (velodyne_points/data/*.bin)
  a SemanticKITTI sequence folder (velodyne/*.bin)
  a MARS recording (radar_data*.mat)
  a folder of depth images (frame-*.depth.png with camera-intrinsics.txt)
  a folder of .npz files with points, one a frame (docs/own_recordings.md)
  one .npz with the points of a whole clip
  the simulator (sim:room or sim:street, options as in sim:room?seed=3&split=test&frames=100)"""


@dataclass(frozen=True)
class Origin:
    """Which video of a data set a recording is.

    Attributes:
        data_set: name of the set.
        video: name of the video in it.
        subject: who is seen, or which drive or room it is; "" where unknown.
        split: "train", "val" or "test" where the set has a protocol and says so, else "".
        simulated: whether the data are simulated.
    """

    data_set: str
    video: str
    subject: str = ""
    split: str = ""
    simulated: bool = False


class Recording(ABC):
    """A point-cloud video on disk or in the simulator: iterate over it, as often as needed, for its frames.

    Attributes:
        name: short name for messages and reports.
        rate_hz: nominal frame rate.
        classes: classes of the point labels; None where points carry none, or where only ids are known.
        actions: classes of `LabelledFrame.action`; None where frames carry none.
        action: class of the recording as a whole, -1 where it has none or its frames have classes of their own.
        origin: which video of a known data set this is; None where that cannot be told.
        has_poses: whether `Frame.T_world_sensor` holds recorded poses (identity otherwise).
        left_out: malformed frames that the latest iteration has left out.
    """

    name: str
    rate_hz: float
    classes: tuple[ClassInfo, ...] | None = None
    actions: tuple[ClassInfo, ...] | None = None
    action: int = -1
    origin: Origin | None = None
    has_poses: bool = False
    left_out: int = 0

    @abstractmethod
    def __len__(self) -> int:
        """Number of frames."""

    @abstractmethod
    def __iter__(self) -> Iterator[LabelledFrame]:
        """The frames from first to last."""

    def frames(self, start: int = 0, count: int | None = None) -> Iterator[LabelledFrame]:
        """Frames start, start + 1, ..., at most `count` of them."""
        return islice(iter(self), start, None if count is None else start + count)


class IndexedRecording(Recording):
    """A recording whose frames can be read in any order: `recording[i]`, i from -len to len - 1."""

    @abstractmethod
    def _read(self, index: int) -> LabelledFrame:
        """Frame `index`, 0 to len - 1."""

    def __getitem__(self, index: int) -> LabelledFrame:
        """One frame; IndexError beyond the ends."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"frame {index} of {self.name}, which has {len(self)}")
        return self._read(index % len(self))

    def __iter__(self) -> Iterator[LabelledFrame]:
        """The frames from first to last."""
        return self.frames()

    def frames(self, start: int = 0, count: int | None = None) -> Iterator[LabelledFrame]:
        """Frames start, start + 1, ..., at most `count` of them; those before are not read."""
        stop = len(self) if count is None else min(len(self), start + count)
        return (self._read(index) for index in range(start, stop))


def open_recording(spec: str | Path, features: Sequence[str] | str | None = (), **options: Any) -> Recording:
    """Open whatever lies at a path, recognised by its layout, or the simulator.

    Args:
        spec: a path, or "sim:room?seed=3&split=test&frames=100".
        features: point channels to read besides x, y, z, or their names with commas between; None for all that there
            are, which a reader whose format fixes them returns anyway.
        options: passed to the reader's constructor (topic, stride, ...; see the reader classes).

    Raises:
        DataError: nothing there, not recognised, damaged, or an option that the reader does not have.
    """
    reader, target = _find_reader(spec)
    if "features" in signature(reader).parameters:
        names = features.split(",") if isinstance(features, str) else features
        options["features"] = None if names is None else tuple(name for name in names if name)
    try:
        recording: Recording = reader(target, **options)
        return recording
    except TypeError as error:
        if "unexpected keyword argument" not in str(error):
            raise
        raise DataError(f"{spec}: {error}; see {reader.__module__} for its options") from error


def option_value(text: str) -> bool | int | float | str:
    """A reader's option as written on a command line: true, false, yes and no, then numbers, else the text itself."""
    words = {"true": True, "yes": True, "false": False, "no": False}
    if text.lower() in words:
        return words[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _find_reader(spec: str | Path) -> tuple[Any, str | Path]:
    """Reader class and the argument for it."""
    if str(spec).startswith("sim:"):
        from pointata.data.formats.simulation import SimulatedRecording

        return SimulatedRecording, str(spec)
    path = Path(spec).expanduser()
    if not path.exists():
        raise DataError(f"{path} does not exist; give one of:\n  {LAYOUTS}")
    reader = _reader_of_file(path) if path.is_file() else _reader_of_folder(path)
    if reader is None:
        inside = [child for child in sorted(path.glob("*/")) if _reader_of_folder(child)]
        hint = f" Did you mean {inside[0]}?" if inside else ""
        raise DataError(f"{path} is no recording that pointata knows.{hint} Known are:\n  {LAYOUTS}")
    return reader, path


def _reader_of_file(path: Path) -> Any:
    if path.suffix in (".mcap", ".db3", ".bag"):
        from pointata.data.formats.bag import BagRecording

        return BagRecording
    if path.suffix == ".mat":
        from pointata.data.formats.mars import MarsRecording

        return MarsRecording
    if path.suffix == ".npz":
        from pointata.data.formats.npz_recording import NpzClipRecording

        return NpzClipRecording
    return None


def _reader_of_folder(path: Path) -> Any:
    if (path / "metadata.yaml").is_file():
        from pointata.data.formats.bag import BagRecording

        return BagRecording
    if (path / "velodyne_points" / "data").is_dir():
        from pointata.data.formats.kitti_raw import KittiRawRecording

        return KittiRawRecording
    if (path / "velodyne").is_dir():
        from pointata.data.formats.semantic_kitti import SemanticKittiRecording

        return SemanticKittiRecording
    if any(path.glob("frame-*.depth.png")):
        from pointata.data.formats.depth_folder import DepthFolderRecording

        return DepthFolderRecording
    first = min(path.glob("*.npz"), default=None)
    if first is not None and not (path / "manifest.yaml").exists():  # beside a manifest lie clips of their own
        from pointata.data.formats.npz_file import open_npz
        from pointata.data.formats.npz_recording import NpzFolderRecording

        return NpzFolderRecording if "points" in open_npz(first)[1] else None
    return None
