"""Single frames of simulated rooms and streets, normalised as training on point videos normalises them."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pointata.data.formats.simulation import simulated
from pointata.data.simulator.splits import Split
from pointata.errors import ConfigError
from pointata.preprocessing.sampling import SamplingConfig
from pointata.training.recording_cache import CACHE, cached_recordings, load_recording, log_progress

# Frames of a recording, those held out, and how far apart the frames that are taken: neighbours are nearly the same.
_ROOM_FRAMES, _ROOM_TEST, _ROOM_STRIDE = 150, 8, 5
_STREET_FRAMES, _STREET_TEST, _STREET_STRIDE = 30, 6, 3


@dataclass(frozen=True)
class FrameSettings:
    """How frames of the simulator are sampled: as a later training does, which then shares them."""

    room: SamplingConfig = SamplingConfig()  # noqa: RUF009  (frozen)
    """Of rooms."""
    street: SamplingConfig = SamplingConfig()  # noqa: RUF009  (frozen)
    """Of streets."""
    cache: Path = CACHE
    """Folder of the sampled recordings."""


def load_frames(
    rooms: int, streets: int, points: int, splits: tuple[Split, ...], settings: FrameSettings
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Frames of simulated recordings; those that are not on disk yet are made first.

    Args:
        rooms: training recordings of rooms; "test" takes 8 others.
        streets: training recordings of streets; "test" takes 6 others.
        points: points P of a frame, at most those that are sampled.
        splits: which parts.
        settings: how frames are sampled.

    Returns:
        (S, P, 3) float32 and labels (S,), all -1.
    """
    sampled = min(settings.room.points, settings.street.points)
    if points > sampled:
        raise ConfigError(f"frames of the simulator have {sampled} sampled points (data.frames), not {points}")
    sources = []
    if rooms:
        sources.append((simulated("room", rooms, _ROOM_FRAMES, _ROOM_TEST), settings.room, _ROOM_STRIDE))
    if streets:
        sources.append((simulated("street", streets, _STREET_FRAMES, _STREET_TEST), settings.street, _STREET_STRIDE))
    wanted = {"val" if split == "test" else split for split in splits}
    frames = []
    for videos, sampling, stride in sources:
        bare = replace(sampling, point_neighbours=0)
        chosen = [video.source for video in videos.where(lambda video: video.split in wanted)]
        for path in cached_recordings(settings.cache, chosen, bare, 1, progress=log_progress):
            frames.append(load_recording(path).points[::stride, :points])
    result = np.concatenate(frames)
    return result, np.full(len(result), -1, dtype=np.int64)
