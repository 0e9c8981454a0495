"""What must hold for every Dataset, whatever its format, and the point videos that tests write."""

import pickle
from pathlib import Path
from typing import Any

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
