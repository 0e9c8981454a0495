"""`open_recording`, which finds the reader for a path."""

from collections.abc import Sequence
from inspect import signature
from pathlib import Path
from typing import Any

from pointata.data.recording import Recording
from pointata.errors import DataError

LAYOUTS = """a rosbag2 folder, .mcap, .db3 or ROS 1 .bag file
  a KITTI raw drive folder (velodyne_points/data/*.bin)
  a SemanticKITTI sequence folder (velodyne/*.bin)
  a MARS recording (radar_data*.mat)
  a folder of depth images (frame-*.depth.png with camera-intrinsics.txt)
  a folder of .npz files with points, one a frame (docs/own_recordings.md)
  one .npz with the points of a whole clip
  the simulator (sim:room or sim:street, options as in sim:room?seed=3&split=test&frames=100)"""


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
