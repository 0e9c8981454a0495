"""The simulator as training data: rooms or streets, sampled once, split into train, validation and test scenes."""

import logging
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

import lightning
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from pointata.classes import ClassInfo
from pointata.data.simulator import ACTIONS, ROOM_CLASSES, STREET_CLASSES, RoomSimulator, StreetSimulator
from pointata.errors import ConfigError
from pointata.frame import LabelledFrame
from pointata.sampling import SamplingConfig
from pointata.transfer.cache import cached_recordings, load_recording
from pointata.transfer.clips import Augmentation, ClipBatch, ClipDataset, collate

_log = logging.getLogger(__name__)


def simulate(scene: str, seed: int, split: Literal["train", "test"], frames: int) -> Iterable[LabelledFrame]:
    """Open one simulated recording."""
    simulator = RoomSimulator if scene == "room" else StreetSimulator
    return simulator(seed, split, frames=frames)


class SimulatedClips(lightning.LightningDataModule):
    """Clips of simulated recordings. Validation scenes are drawn from the train split, by seeds of their own."""

    def __init__(
        self,
        scene: Literal["room", "street"] = "room",
        recordings: int = 100,
        recording_frames: int = 150,
        validation_recordings: int = 8,
        clip_frames: int = 20,
        dense_frames: int = 2,
        clips_per_epoch: int = 400,
        batch_size: int = 8,
        sampling: SamplingConfig = SamplingConfig(),  # noqa: B008  (frozen)
        augmentation: Augmentation = Augmentation(),  # noqa: B008  (frozen)
        cache: Path = Path("build/cache"),
        workers: int = 1,
    ) -> None:
        """Set the data up.

        Args:
            scene: "room" (depth camera, actions) or "street" (LiDAR).
            recordings: training recordings.
            recording_frames: frames of each.
            validation_recordings: recordings watched during training.
            clip_frames: frames of a clip.
            dense_frames: newest frames of a clip whose points are scored.
            clips_per_epoch: random clips of an epoch.
            batch_size: clips of a batch.
            sampling: how frames are sampled and normalised.
            augmentation: random changes of training clips.
            cache: folder of the sampled recordings.
            workers: processes that sample recordings and draw clips.
        """
        super().__init__()
        if recording_frames < clip_frames or not 0 <= dense_frames <= clip_frames:
            raise ConfigError(
                f"need 0 <= dense_frames ({dense_frames}) <= clip_frames ({clip_frames}) "
                f"<= recording_frames ({recording_frames})"
            )
        self.sampling = sampling
        self.heads: dict[str, tuple[ClassInfo, ...]] = (
            {"action": ACTIONS, "segments": ACTIONS, "semantic": ROOM_CLASSES}
            if scene == "room"
            else {"semantic": STREET_CLASSES}
        )
        self.frame_period_s = 0.1
        self.description = {"data": f"simulated {scene}", "recordings": recordings, "frames": recording_frames}
        self._scene: Literal["room", "street"] = scene
        self._sizes = (recordings, validation_recordings)
        self._recording_frames, self._clip_frames, self._dense = recording_frames, clip_frames, dense_frames
        self._clips_per_epoch, self._batch_size = clips_per_epoch, batch_size
        self._augmentation, self._cache, self._workers = augmentation, cache, workers

    def prepare_data(self) -> None:
        """Simulate and sample what is not on disk yet."""
        self._files()

    def _files(self) -> list[Path]:
        # neighbours are found when clips are drawn; leaving them out keeps one cache for every network
        sampling = replace(self.sampling, point_neighbours=0)
        sources = [
            partial(simulate, self._scene, seed, "train", self._recording_frames) for seed in range(sum(self._sizes))
        ]

        def report(done: int, total: int) -> None:
            if done % 10 == 0 or done == total:
                _log.info("sampled %d of %d simulated recordings", done, total)

        return cached_recordings(self._cache, sources, sampling, max(1, self._workers), report)

    def setup(self, stage: str) -> None:
        """Load the sampled recordings."""
        recordings = [load_recording(path) for path in self._files()]
        classes = len(self.heads["semantic"])
        train = recordings[: self._sizes[0]]
        counts = [np.bincount(recording.labels.ravel(), minlength=256)[:classes] for recording in train]
        self._label_counts: NDArray[np.int64] = np.sum(counts, axis=0)
        shape = (self._clip_frames, self._dense, self.sampling.point_neighbours)
        self.train_recordings, self.validation_recordings = train, recordings[self._sizes[0] :]
        self._train = ClipDataset(train, *shape, self._augmentation, self._clips_per_epoch)
        self._validation = ClipDataset(self.validation_recordings, *shape)

    def label_counts(self) -> NDArray[np.int64]:
        """Points of each class in the training recordings: (C,) int64."""
        return self._label_counts

    def _loader(self, dataset: ClipDataset, shuffle: bool) -> DataLoader[ClipBatch]:
        return DataLoader(
            dataset,  # type: ignore[arg-type]
            batch_size=self._batch_size,
            shuffle=shuffle,
            collate_fn=collate,
            num_workers=self._workers,
            persistent_workers=self._workers > 0,
        )

    def train_dataloader(self) -> DataLoader[ClipBatch]:
        """Random clips."""
        return self._loader(self._train, shuffle=True)

    def val_dataloader(self) -> DataLoader[ClipBatch]:
        """Fixed clips of recordings that are not trained on."""
        return self._loader(self._validation, shuffle=False)

    def transfer_batch_to_device(self, batch: ClipBatch, device: torch.device, dataloader_idx: int) -> ClipBatch:
        """Copy a batch to the device."""
        return batch.to(device)
