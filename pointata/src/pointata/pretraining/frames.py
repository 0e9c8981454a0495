"""Single frames of simulated rooms and streets, normalised as training on point videos normalises them."""

import numpy as np
from numpy.typing import NDArray

from pointata.data.simulator.splits import Split
from pointata.errors import ConfigError
from pointata.sampling import SamplingConfig
from pointata.transfer.simulated import SimulatedClips

# Neighbouring frames are nearly the same: every fifth of a room (0.5 s), every third of a street (0.3 s).
_ROOM_STRIDE, _STREET_STRIDE = 5, 3
# The samplings of config/train/sim_room.yaml and sim_street.yaml, so that they share its sampled recordings.
_ROOM = SamplingConfig(points=1024, range_power=1.5, scale_m=2.0)
_STREET = SamplingConfig(points=2048, voxel_m=0.1, range_power=0.5, scale_m=20.0)


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
    if points > min(_ROOM.points, _STREET.points):
        raise ConfigError(f"frames of the simulator have {_ROOM.points} sampled points, not {points}")
    sources = []
    if rooms:
        sources.append((SimulatedClips("room", rooms, 150, 8, sampling=_ROOM), _ROOM_STRIDE))
    if streets:
        data = SimulatedClips("street", streets, 30, 6, clip_frames=3, sampling=_STREET)
        sources.append((data, _STREET_STRIDE))
    frames = []
    for data, stride in sources:
        data.setup("fit")
        chosen = {"train": data.train_recordings, "test": data.validation_recordings}
        frames += [recording.points[::stride, :points] for part in splits for recording in chosen[part]]
    result = np.concatenate(frames)
    return result, np.full(len(result), -1, dtype=np.int64)
