"""What must hold for every Dataset, whatever its format, and the point videos that tests write."""

import pickle
import struct
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from pointata.data.dataset import Dataset
from pointata.frame import LabelledFrame


def check_sources(dataset: Dataset) -> dict[str, list[LabelledFrame]]:
    """Every source can be sent to another process and yields the same frames each time; all frames, by video."""
    frames = {}
    for video in dataset.videos:
        first = list(video.source())
        again = list(pickle.loads(pickle.dumps(video.source))())
        assert len(first) == len(again) > 0
        for one, other in zip(first, again, strict=True):
            assert (one.frame.stamp_ns, one.action) == (other.frame.stamp_ns, other.action)
            np.testing.assert_array_equal(one.frame.points, other.frame.points)
            np.testing.assert_array_equal(one.frame.T_world_sensor, other.frame.T_world_sensor)
            assert (one.labels is None) == (other.labels is None)
            if one.labels is not None and other.labels is not None:
                np.testing.assert_array_equal(one.labels, other.labels)
            assert one.frame.points.dtype == np.float32
            assert set(dataset.features) == set(one.frame.features)
        assert (np.diff([item.frame.stamp_ns for item in first]) > 0).all()
        frames[video.name] = first
    return frames


def write_clouds(path: Path, key: str, clouds: list[NDArray[Any]]) -> None:
    """An object array, as numpy makes it of frames of different sizes."""
    array = np.empty(len(clouds), dtype=object)
    array[:] = clouds
    arrays: dict[str, Any] = {key: array}
    np.savez_compressed(path, **arrays)


WIDTH, HEIGHT = 8, 6


def write_depth(path: Path, frames: list[dict[tuple[int, int], int]]) -> None:
    """A depth video of 8 x 6 pixels: millimetres by (column, row), 0 elsewhere."""
    content = struct.pack("<3I", len(frames), WIDTH, HEIGHT)
    for frame in frames:
        content += b"".join(struct.pack("<I", frame.get((u, v), 0)) for v in range(HEIGHT) for u in range(WIDTH))
    path.write_bytes(content)


def write_ntu(folder: Path, name: str, frames: int = 5) -> None:
    clouds = [np.array([[0.01, -0.02, 0.04 + 0.001 * t]] * (t + 1), dtype=np.float32) for t in range(frames)]
    write_clouds(folder / f"{name}.npz", "data", clouds)


def write_hoi4d(path: Path, sequences: int, first: float = 0.0, **changes: Any) -> None:
    """Sequences of 4 frames of 5 points; each number in pcd occurs once."""
    shape = (sequences, 4, 5, 3)
    arrays = {
        "pcd": first + np.arange(np.prod(shape), dtype=np.float32).reshape(shape),
        "center": np.zeros((sequences, 4, 3)),
        "label": (np.arange(sequences * 4) % 19).reshape(sequences, 4),
    } | changes
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            if array is not None:
                file[name] = array


CAMERA = (10.0, 2.0, 30.0)
#: Road 2 m below and 5 m along z, building to one side, lane marking, traffic light, and three unlabelled ids.
POINTS = [(10, 0, 35), (13, 9, 30), (9, 0, 30), (10, 5, 20), (10, 4, 30), (10, 4, 30), (10, 4, 30)]
RAW = [3, 2, 12, 15, 0, 13, 1]


def write_synthia(path: Path, up: float = 1.0, **changes: Any) -> None:
    path.parent.mkdir(exist_ok=True)
    flip = np.array([1.0, up, 1.0])
    arrays = {
        "pc": np.array(POINTS) * flip,
        "rgb": np.arange(21).reshape(7, 3) / 21,
        "semantic": np.array(RAW, dtype=np.int32),
        "center": np.array(CAMERA) * flip,
    } | changes
    np.savez_compressed(path, **{name: array for name, array in arrays.items() if array is not None})
