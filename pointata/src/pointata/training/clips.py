"""Training clips: short runs of frames cut from sampled recordings, and augmented."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from pointata.errors import ConfigError
from pointata.geometry.neighbours import cpu_nearest
from pointata.model.state import Clip
from pointata.model.tensors import to_device
from pointata.training.augmentation import Augmentation
from pointata.training.recording_cache import SampledRecording


@dataclass(frozen=True)
class ClipBatch:
    """Clips and their truth.

    Attributes:
        clip: B clips of T frames; `neighbours` covers only the last `dense` frames: (B, dense, P, k).
        labels: (B, T, P) int64 truth of the points, 255 = unlabelled, by task.
        actions: (B, T) int64, -1 = unknown.
        videos: (B,) int64, the recording that each clip comes from.
    """

    clip: Clip
    labels: Mapping[str, Tensor]
    actions: Tensor
    videos: Tensor

    def to(self, device: torch.device) -> "ClipBatch":
        """Copy to a device."""
        labels = {task: of_task.to(device) for task, of_task in self.labels.items()}
        return ClipBatch(to_device(self.clip, device), labels, self.actions.to(device), self.videos.to(device))


@dataclass(frozen=True)
class ClipShape:
    """How clips are cut.

    Attributes:
        frames: length T of a clip, frames.
        stride: frames between the starts of fixed clips.
        dense: newest frames of a clip whose points are scored; 0 to `frames`.
        point_neighbours: neighbours listed for each point of these frames.
    """

    frames: int
    stride: int
    dense: int
    point_neighbours: int


@dataclass(frozen=True)
class ClipSettings:
    """How clips are cut, and how many are drawn."""

    frames: int = 24
    """Frames of a training clip."""
    per_epoch: int = 400
    """Clips drawn for an epoch, over all processes; rounded up to equally many for each."""
    batch_size: int = 8
    """Clips of a batch, in each process."""
    dense_frames: int = 0
    """Newest frames of a clip whose points are scored; needed for tasks that score points."""
    validation_frames: int = 0
    """Frames of a validation clip; 0 for as many as in training."""
    validation_stride: int = 0
    """Frames between the starts of validation clips; 0 for half a clip."""

    def __post_init__(self) -> None:
        if min(self.validation_frames, self.validation_stride) < 0:
            raise ConfigError(f"clips: validation_frames and validation_stride must not be negative: {self}")
        if min(self.frames, self.per_epoch, self.batch_size) < 1 or not 0 <= self.dense_frames <= self.shortest:
            raise ConfigError(
                "clips: frames, per_epoch and batch_size must be at least 1, and dense_frames from 0 to the shortest "
                f"clip's length: {self}"
            )

    @property
    def of_validation(self) -> int:
        """Frames of a validation clip."""
        return self.validation_frames or self.frames

    @property
    def shortest(self) -> int:
        """Frames of the shortest clip, in training or validation."""
        return min(self.frames, self.of_validation)

    def drawn(self, point_neighbours: int) -> ClipShape:
        """How training clips are cut."""
        return ClipShape(self.frames, 1, self.dense_frames, point_neighbours)

    def fixed(self, point_neighbours: int) -> ClipShape:
        """How validation clips are cut."""
        frames = self.of_validation
        stride = self.validation_stride or max(1, frames // 2)
        return ClipShape(frames, stride, min(self.dense_frames, frames), point_neighbours)


class FixedClips(Dataset[ClipBatch]):
    """Every clip of `shape.frames` consecutive frames that starts at a multiple of the stride; as recorded."""

    def __init__(self, recordings: Sequence[SampledRecording], shape: ClipShape) -> None:
        self._recordings, self._shape = recordings, shape
        self._places = [
            (number, start)
            for number, recording in enumerate(recordings)
            for start in range(0, len(recording.stamps) - shape.frames + 1, shape.stride)
        ]

    def __len__(self) -> int:
        return len(self._places)

    def newest_action(self, item: int) -> int:
        """Action of a clip's last frame, -1 where unknown, without cutting the clip."""
        number, start = self._places[item]
        return int(self._recordings[number].actions[start + self._shape.frames - 1])

    def __getitem__(self, item: int) -> ClipBatch:
        number, start = self._places[item]
        return _cut(self._recordings[number], number, np.arange(start, start + self._shape.frames), self._shape)


class RandomClips(Dataset[ClipBatch]):
    """Clips drawn at random from recordings of at least `shape.frames` frames, and augmented.

    Item i is the same clip whenever it is asked for: what an epoch shows depends on the seed and the epoch alone.
    """

    def __init__(
        self,
        recordings: Sequence[SampledRecording],
        shape: ClipShape,
        augmentation: Augmentation,
        mirrored: Mapping[int, int],
        seed: int,
    ) -> None:
        """Take the recordings; `mirrored` gives the action that the mirror image of each action shows."""
        self._recordings, self._shape, self._augmentation, self._seed = recordings, shape, augmentation, seed
        actions = max([-1, *(int(recording.actions.max()) for recording in recordings)])
        self._image = np.array([*(mirrored.get(action, action) for action in range(actions + 1)), -1])  # [-1] is -1

    def __getitem__(self, item: int) -> ClipBatch:
        rng = np.random.default_rng([self._seed, item])
        number = int(rng.integers(len(self._recordings)))
        recording, augmentation = self._recordings[number], self._augmentation
        index, pace = augmentation.frames(rng, len(recording.stamps), self._shape.frames)
        matrix = augmentation.linear(rng)
        points = recording.points[index] @ matrix.T.astype(np.float32)
        if augmentation.shift:
            points += rng.normal(0, augmentation.shift, 3).astype(np.float32)
        if augmentation.jitter:
            points += rng.normal(0, augmentation.jitter, points.shape).astype(np.float32)
        labels = {task: of_task[index] for task, of_task in recording.labels.items()}
        features = recording.features[index]
        if augmentation.drop:
            used = augmentation.thin_out(rng, *points.shape[:2])
            points = np.take_along_axis(points, used[..., None], axis=1)
            features = np.take_along_axis(features, used[..., None], axis=1)
            labels = {task: np.take_along_axis(of_task, used, axis=1) for task, of_task in labels.items()}
        actions = recording.actions[index]
        changed = SampledRecording(
            points=points,
            labels=labels,
            actions=self._image[actions] if np.linalg.det(matrix) < 0 else actions,
            origins=recording.origins[index] @ matrix.T,
            stamps=recording.stamps[index] / pace,
            features=features,
        )
        return _cut(changed, number, np.arange(len(index)), self._shape)


def _cut(recording: SampledRecording, number: int, index: NDArray[np.int64], shape: ClipShape) -> ClipBatch:
    """A batch of one clip."""
    points, origins, stamps = recording.points[index], recording.origins[index], recording.stamps[index]
    near = [cpu_nearest(frame, frame, shape.point_neighbours)[1] for frame in points[len(points) - shape.dense :]]

    def batch(array: NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).unsqueeze(0)

    clip = Clip(
        points=batch(points),
        origins=batch(origins - origins[0]),
        stamps=batch(stamps - stamps[0]),
        neighbours=batch(np.stack(near)) if near else None,
        features=batch(recording.features[index]) if recording.features.shape[2] else None,
    )
    labels = {task: batch(of_task[index].astype(np.int64)) for task, of_task in recording.labels.items()}
    actions = batch(recording.actions[index].astype(np.int64))
    return ClipBatch(clip, labels, actions, torch.tensor([number]))
