"""The clips that stage 1 aligns with a 3D set."""

from collections import Counter

import numpy as np
from torch import Tensor

from pointata.model.state import Clip
from pointata.training.clip_loader import collate
from pointata.training.clips import ClipBatch, ClipShape, FixedClips
from pointata.training.video_clips import VideoClips


def recorded_clips(data: VideoClips, limit_per_class: int, seed: int) -> tuple[Clip, Tensor]:
    """Training clips as recorded, drawn at random, with the action of their newest frame (-1 = none).

    Args:
        data: set up.
        limit_per_class: most clips of each action; of all together where there are no actions.
        seed: of the choice.

    Returns:
        n clips without neighbours, and (n,) int64 actions.
    """
    frames = data.settings.clips.frames
    every = FixedClips(data.train_recordings, ClipShape(frames, max(1, frames // 2), 0, 0))
    taken: Counter[int] = Counter()
    chosen: list[ClipBatch] = []
    for item in np.random.default_rng(seed).permutation(len(every)).tolist():
        action = every.newest_action(item)
        if taken[action] < limit_per_class:
            taken[action] += 1
            chosen.append(every[item])
    joined = collate(chosen)
    return joined.clip, joined.actions[:, -1]
