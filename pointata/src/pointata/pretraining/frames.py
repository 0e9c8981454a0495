"""Single frames of simulated rooms and streets, normalised as training on point videos normalises them."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pointata.data.formats.simulation import simulated
from pointata.data.simulator.splits import Split
from pointata.errors import ConfigError
from pointata.preprocessing.sampling import SamplingConfig
from pointata.training.recording_cache import cached_recordings, load_recording, log_progress

#: The samplings of config/train/sim_room.yaml and sim_street.yaml, so that they share the sampled recordings.
ROOM = SamplingConfig(points=1024, range_power=1.5, scale_m=2.0, point_neighbours=0)
STREET = SamplingConfig(points=2048, voxel_m=0.1, range_power=0.5, scale_m=20.0, point_neighbours=0)
# Frames of a recording, those held out, and how far apart the frames that are taken: neighbours are nearly the same.
_ROOM_FRAMES, _ROOM_TEST, _ROOM_STRIDE = 150, 8, 5
_STREET_FRAMES, _STREET_TEST, _STREET_STRIDE = 30, 6, 3
_CACHE = Path("build/cache")


def load_frames(
    rooms: int, streets: int, points: int, splits: tuple[Split, ...]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Frames of simulated recordings; those that are not on disk yet are made first.

    Args:
        rooms: training recordings of rooms; "test" takes 8 others.
        streets: training recordings of streets; "test" takes 6 others.
        points: points P of a frame, at most 1,024.
        splits: which parts.

    Returns:
        (S, P, 3) float32 and labels (S,), all -1.
    """
    if points > ROOM.points:
        raise ConfigError(f"frames of the simulator have {ROOM.points} sampled points, not {points}")
    sources = []
    if rooms:
        sources.append((simulated("room", rooms, _ROOM_FRAMES, _ROOM_TEST), ROOM, _ROOM_STRIDE))
    if streets:
        sources.append((simulated("street", streets, _STREET_FRAMES, _STREET_TEST), STREET, _STREET_STRIDE))
    wanted = {"val" if split == "test" else split for split in splits}
    frames = []
    for videos, sampling, stride in sources:
        chosen = [video.source for video in videos.where(lambda video: video.split in wanted)]
        for path in cached_recordings(_CACHE, chosen, sampling, 1, progress=log_progress):
            frames.append(load_recording(path).points[::stride, :points])
    result = np.concatenate(frames)
    return result, np.full(len(result), -1, dtype=np.int64)
