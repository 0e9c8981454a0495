"""The sampled recordings of a data set's split."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pointata.data.dataset import Video
from pointata.errors import ConfigError
from pointata.preprocessing.sampling import SamplingConfig
from pointata.training.recording_cache import SampledRecording, cached_recordings, load_recording, log_progress
from pointata.training.split import VideoSplit

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RecordingStore:
    """Samples the recordings of a split once, and reads them from disk."""

    split: VideoSplit
    sampling: SamplingConfig
    features: tuple[str, ...]
    """Point channels that are kept."""
    folder: Path
    workers: int
    """Processes that sample; 0 counts as 1."""
    tasks: tuple[str, ...]
    """Tasks whose labels of points are needed."""

    def sample(self) -> list[Path]:
        """Sample what is not on disk yet; the files, those of training first."""
        # neighbours are found when clips are cut; leaving them out keeps one cache for every network
        sampling = replace(self.sampling, point_neighbours=0)
        sources = [video.source for video in (*self.split.train, *self.split.validation)]
        return cached_recordings(self.folder, sources, sampling, max(1, self.workers), self.features, log_progress)

    def load(self, frames: int, validation_frames: int) -> tuple[list[SampledRecording], list[SampledRecording]]:
        """Recordings to train on, those too short for a clip left out, and all recordings to validate on.

        Args:
            frames: of a training clip.
            validation_frames: of a validation clip.

        Raises:
            ConfigError: no recording is as long as a clip.
        """
        recordings = [load_recording(file) for file in self.sample()]
        count = len(self.split.train)
        train = self._with_truth(recordings[:count], self.split.train)
        validation = self._with_truth(recordings[count:], self.split.validation)
        long_enough = _long_enough("training", train, self.split.train, frames)
        _long_enough("validation", validation, self.split.validation, validation_frames)
        return long_enough, validation

    def _with_truth(self, recordings: Sequence[SampledRecording], videos: Sequence[Video]) -> list[SampledRecording]:
        """Frames without a class of their own take that of their video; points without labels are unlabelled."""
        return [
            replace(
                recording,
                actions=np.where(recording.actions < 0, video.action, recording.actions),
                labels={task: recording.labels_of(task) for task in self.tasks},
            )
            for recording, video in zip(recordings, videos, strict=True)
        ]


def _long_enough(
    use: str, recordings: Sequence[SampledRecording], videos: Sequence[Video], frames: int
) -> list[SampledRecording]:
    kept = [recording for recording in recordings if len(recording.stamps) >= frames]
    short = [video.name for r, video in zip(recordings, videos, strict=True) if len(r.stamps) < frames]
    if not kept:
        setting = "validation_frames" if use == "validation" else "frames"
        raise ConfigError(f"no {use} recording has {frames} frames: shorten clips.{setting}")
    if short:
        names = ", ".join(short[:5])
        _log.warning("left out %d %s recordings of fewer than %d frames: %s", len(short), use, frames, names)
    return kept
