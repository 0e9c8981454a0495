"""Settings that suit a data set, proposed from what its frames hold; where to begin, not the best there are."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import yaml

from pointata.adaptation.survey import Survey
from pointata.tasks import of_scope
from pointata.tasks.scope import Scope
from pointata.training.recording_cache import SampledRecording
from pointata.training.video_clips import VideoClips

#: How long an action that fills whole recordings is looked at, seconds, and the frames that this may come to.
WINDOW_S, LEAST_FRAMES, MOST_FRAMES = 2.4, 4, 32
#: Recordings, in percent, that may be too short for a clip: they are left out.
SHORT_PERCENT = 10
#: Clips shown in training: so many for each clip that the recordings hold side by side, within these limits.
REPEATS, LEAST_CLIPS, MOST_CLIPS = 60, 3_200, 19_200
EPOCHS, BATCH = 20, 16
#: Eight groups of eight: what the presets' networks need, however few points there are.
FEWEST_POINTS = 64


def suggest(data: VideoClips, found: Survey) -> dict[str, Any]:
    """Settings of `pointata adapt` for a data set, as the nested content of its configuration.

    Args:
        data: set up for training.
        found: of its training recordings.
    """
    heads = data.description.heads
    dense = bool(of_scope(heads, Scope.POINT))
    points, groups, group_size = tokens(found.most_points, 2048 if dense else 1024)
    frames = clip_frames(data)
    settle = 3 * frames // 4 if _whole(data.train_recordings) else min(4, frames // 4)
    held = sum(len(recording.stamps) for recording in data.train_recordings) / frames
    clips = min(MOST_CLIPS, max(LEAST_CLIPS, round(REPEATS * held)))
    looks_at_frames = of_scope(heads, Scope.WINDOW, Scope.FRAME)
    sampling: dict[str, Any] = {"points": points, "scale_m": _rounded(found.reach_m)}
    sampling["centre_m"] = [0.0, 0.0, 0.0] if found.moving else [round(value, 2) for value in found.centre_m]
    clip: dict[str, Any] = {"frames": frames, "batch_size": BATCH, "per_epoch": -(-clips // (EPOCHS * BATCH)) * BATCH}
    if not dense:
        sampling["point_neighbours"], clip["dense_frames"] = 0, 0
    return {
        **({"settings": {"settle_frames": settle}} if looks_at_frames else {}),
        "network": {"groups": groups, "group_size": group_size, "window": frames},
        "data": {"clips": clip, "sampling": sampling, "augmentation": {"mirror": data.mirrored is not None}},
        "trainer": {"max_epochs": EPOCHS},
    }


def as_yaml(settings: dict[str, Any]) -> str:
    """The text of a configuration file."""
    text: str = yaml.safe_dump(settings, sort_keys=False, default_flow_style=None)
    return text


def tokens(most_points: int, limit: int) -> tuple[int, int, int]:
    """(points, groups, group size): as many points as most frames have, a power of two, each in one group or so."""
    points = min(limit, max(FEWEST_POINTS, 2 ** int(np.ceil(np.log2(max(most_points, 1))))))
    group_size = 8 if points <= 128 else 16 if points <= 1024 else 32
    return points, min(64, points // group_size), group_size


def clip_frames(data: VideoClips) -> int:
    """Frames of a clip: the time that an action is looked at, but no more than one lasts or most recordings have."""
    sets = (data.train_recordings, data.validation_recordings)
    lengths_of = [[len(recording.stamps) for recording in recordings] for recordings in sets]
    shortest = min(int(np.percentile(lengths, SHORT_PERCENT, method="lower")) for lengths in lengths_of)
    wanted = round(WINDOW_S / data.description.frame_period_s)
    lengths = [length for recording in data.train_recordings for length in _runs(recording)]
    if lengths:
        wanted = min(wanted, int(np.median(lengths)))
    return min(shortest, MOST_FRAMES, max(LEAST_FRAMES, wanted))


def _runs(recording: SampledRecording) -> list[int]:
    """Frames of each run of one known action."""
    edges = np.flatnonzero(np.diff(recording.actions)) + 1
    parts = np.split(recording.actions, edges)
    return [len(part) for part in parts if part[0] >= 0]


def _whole(recordings: Sequence[SampledRecording]) -> bool:
    """Whether recordings show one action from beginning to end, each."""
    return all(len(np.unique(recording.actions)) == 1 for recording in recordings)


def _rounded(value: float) -> float:
    """Two digits."""
    return float(f"{max(value, 0.01):.2g}")
