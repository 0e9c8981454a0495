"""Training clips: short runs of frames drawn from sampled recordings, augmented, batched."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from pointata.geometry.neighbours import cpu_nearest
from pointata.geometry.rigid import yaw
from pointata.model.state import Clip
from pointata.transfer.cache import SampledRecording


@dataclass(frozen=True)
class ClipBatch:
    """Clips and their truth.

    Attributes:
        clip: B clips of T frames; `neighbours` covers only the last `dense` frames: (B, dense, P, k).
        labels: (B, T, P) int64 truth of the points, 255 = unlabelled.
        actions: (B, T) int64, -1 = unknown.
    """

    clip: Clip
    labels: Tensor
    actions: Tensor

    def to(self, device: torch.device) -> "ClipBatch":
        """Copy to a device."""
        return ClipBatch(self.clip.to(device), self.labels.to(device), self.actions.to(device))


@dataclass(frozen=True)
class Augmentation:
    """Random changes of a training clip, the same for all of its frames."""

    yaw: bool = True
    """Turn about the vertical axis by any angle."""
    mirror: bool = True
    """Mirror left and right in half of the clips."""
    scale: float = 0.1
    """Scale by 1 - scale to 1 + scale."""
    jitter: float = 0.0
    """Standard deviation of noise on every point, in units of the normalisation."""

    def draw(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """A random linear map (3, 3)."""
        matrix = yaw(rng.uniform(0, 2 * np.pi) if self.yaw else 0.0)[:3, :3]
        if self.mirror and rng.random() < 0.5:
            matrix = matrix @ np.diag([1.0, -1.0, 1.0])
        return matrix * rng.uniform(1 - self.scale, 1 + self.scale)


class ClipDataset(Dataset[tuple[Clip, Tensor, Tensor]]):
    """Clips of `frames` consecutive frames; training draws them at random, validation walks through the recordings."""

    def __init__(
        self,
        recordings: Sequence[SampledRecording],
        frames: int,
        dense: int,
        point_neighbours: int,
        augmentation: Augmentation | None = None,
        clips_per_epoch: int = 0,
    ) -> None:
        """Lay out the clips.

        Args:
            recordings: at least one, each of at least `frames` frames.
            frames: length T of a clip.
            dense: newest frames of a clip whose points are scored; 0 to `frames`.
            point_neighbours: neighbours listed for each point of these frames.
            augmentation: None for none.
            clips_per_epoch: number of random clips in an epoch; 0 for the fixed, half-overlapping clips.
        """
        self._recordings = recordings
        self._frames, self._dense, self._k = frames, dense, point_neighbours
        self._augmentation = augmentation
        self._random = clips_per_epoch
        self._fixed = [
            (r, start)
            for r, recording in enumerate(recordings)
            for start in range(0, len(recording.stamps) - frames + 1, max(1, frames // 2))
        ]

    def __len__(self) -> int:
        return self._random or len(self._fixed)

    def __getitem__(self, item: int) -> tuple[Clip, Tensor, Tensor]:
        rng = np.random.default_rng(int(torch.randint(2**62, ()).item()))
        if self._random:
            recording = self._recordings[int(rng.integers(len(self._recordings)))]
            start = int(rng.integers(len(recording.stamps) - self._frames + 1))
        else:
            number, start = self._fixed[item]
            recording = self._recordings[number]
        part = slice(start, start + self._frames)
        points, origins = recording.points[part], recording.origins[part]
        tail = slice(self._frames - self._dense, None)
        # turning, mirroring and scaling leave the neighbours as they are; jitter is small against their distances
        near = [cpu_nearest(frame, frame, self._k)[1] for frame in points[tail]]
        if self._augmentation is not None:
            matrix = self._augmentation.draw(rng)
            points = points @ matrix.T.astype(np.float32)
            origins = origins @ matrix.T
            if self._augmentation.jitter:
                points = points + rng.normal(0, self._augmentation.jitter, points.shape).astype(np.float32)
        neighbours = np.stack(near) if near else np.zeros((0, points.shape[1], self._k), dtype=np.int64)
        clip = Clip(
            points=torch.from_numpy(np.ascontiguousarray(points)),
            origins=torch.from_numpy(origins - origins[0]),
            stamps=torch.from_numpy(recording.stamps[part] - recording.stamps[start]),
            neighbours=torch.from_numpy(neighbours),
        )
        labels = torch.from_numpy(recording.labels[part].astype(np.int64))
        return clip, labels, torch.from_numpy(recording.actions[part].astype(np.int64))


def collate(items: Sequence[tuple[Clip, Tensor, Tensor]]) -> ClipBatch:
    """Stack clips of equal length."""
    clips, labels, actions = zip(*items, strict=True)

    def stack(name: str) -> Tensor:
        return torch.stack([getattr(clip, name) for clip in clips])

    clip = Clip(stack("points"), stack("origins"), stack("stamps"), stack("neighbours"))
    return ClipBatch(clip, torch.stack(labels), torch.stack(actions))
