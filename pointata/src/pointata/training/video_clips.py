"""A data set of point videos as training data: sampled once, split by subject or recording, cut into clips."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from pointata.data.dataset import Dataset, Video
from pointata.data.open import open_dataset
from pointata.errors import ConfigError
from pointata.preprocessing.sampling import SamplingConfig
from pointata.tasks import of_scope
from pointata.tasks.scope import Scope
from pointata.training.augmentation import Augmentation
from pointata.training.clip_loader import ClipLoader
from pointata.training.clips import ClipBatch, ClipSettings, FixedClips, RandomClips
from pointata.training.description import DataDescription
from pointata.training.fit import ResumableData
from pointata.training.recording_cache import CACHE, SampledRecording
from pointata.training.recording_store import RecordingStore
from pointata.training.split import choose_features, choose_heads, split_videos


@dataclass(frozen=True)
class DataSettings:
    """Point videos: which, how they are split, sampled, cut and augmented."""

    set: str
    """The data set, as "mars:~/data/mars" or "sim:room?recordings=20" (see pointata.data.open)."""
    tasks: Sequence[str] = ()
    """Heads to train, of those that the data set has labels for; none for all. "segments" may stand for the classes of
    "action" where frames carry them."""
    features: Sequence[str] | None = ()
    """Point channels to use besides x, y, z; null for all that the set has."""
    held_out: Sequence[str] = ()
    """Subjects that validate; all others train. Without any, the data set's own split holds."""
    leave_out: Sequence[str] = ()
    """Videos that are neither trained nor validated on."""
    clips: ClipSettings = ClipSettings()  # noqa: RUF009  (frozen)
    """How clips are cut."""
    sampling: SamplingConfig = SamplingConfig()  # noqa: RUF009  (frozen)
    """How frames are sampled and normalised."""
    augmentation: Augmentation = Augmentation()  # noqa: RUF009  (frozen)
    """Random changes of training clips."""
    cache: Path = CACHE
    """Folder of the sampled recordings."""
    workers: int = 1
    """Processes that sample recordings and draw clips; 0 for the training process itself."""

    def __post_init__(self) -> None:
        if self.workers < 0:
            raise ConfigError(f"data.workers must not be negative, got {self.workers}")


class VideoClips(ResumableData):
    """Clips of a data set. Training clips are drawn at random, validation clips are fixed and never augmented.

    Attributes:
        description: what a network needs to know of them.
        train_videos, validation_videos: what is sampled, recordings too short for a clip included.
        train_recordings, validation_recordings: after `setup`, sampled.
        mirrored: the action that the mirror image of each action shows; None where mirroring has no meaning.
    """

    def __init__(self, settings: DataSettings, seed: int = 0) -> None:
        """Open the data set; nothing large is read yet.

        Args:
            settings: which data, and how they are used.
            seed: of the clips that are drawn.
        """
        super().__init__()
        dataset = open_dataset(settings.set)
        self.settings, self.mirrored = settings, dataset.mirrored
        features = choose_features(dataset.name, dataset.features, settings.features)
        split = split_videos(dataset, settings.held_out, settings.leave_out)
        self.train_videos: tuple[Video, ...] = split.train
        self.validation_videos: tuple[Video, ...] = split.validation
        self.description = DataDescription(
            heads=choose_heads(dataset.name, dataset.heads, settings.tasks),
            own_heads=tuple(dataset.heads),
            features=features,
            sampling=settings.sampling,
            frame_period_s=dataset.frame_period_s,
            merge=dataset.merge,
            shortest_clip=settings.clips.shortest,
            validation_videos=len(split.validation),
            seed=seed,
            simulated=dataset.simulated,
            licence=dataset.licence,
            provenance=split.provenance(dataset.name, settings.held_out),
            class_counts=self._class_counts,
        )
        _refuse_contradictions(dataset, settings, self.description)
        points = of_scope(self.description.heads, Scope.POINT)
        self._store = RecordingStore(split, settings.sampling, features, settings.cache, settings.workers, points)
        self.train_recordings: list[SampledRecording] = []
        self.validation_recordings: list[SampledRecording] = []

    def prepare_data(self) -> None:
        """Sample what is not on disk yet."""
        self._store.sample()

    def setup(self, stage: str) -> None:
        """Load the sampled recordings.

        Raises:
            ConfigError: no recording is as long as a clip.
        """
        if not self.train_recordings:
            clips = self.settings.clips
            self.train_recordings, self.validation_recordings = self._store.load(clips.frames, clips.of_validation)

    def _class_counts(self, task: str) -> NDArray[np.int64]:
        classes, labels = len(self.description.heads[task]), [one.labels_of(task) for one in self.train_recordings]
        counts = [np.bincount(of_one.ravel(), minlength=256)[:classes] for of_one in labels]
        total: NDArray[np.int64] = np.sum(counts, axis=0)
        return total

    def drawn_clips(self) -> RandomClips:
        """What training draws from."""
        shape = self.settings.clips.drawn(self.settings.sampling.point_neighbours)
        return RandomClips(
            self.train_recordings, shape, self.settings.augmentation, self.mirrored or {}, self.description.seed
        )

    def fixed_clips(self) -> FixedClips:
        """What is validated on."""
        return FixedClips(
            self.validation_recordings, self.settings.clips.fixed(self.settings.sampling.point_neighbours)
        )

    def _loader(self) -> ClipLoader:
        place = (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)
        return ClipLoader(self.settings.clips.batch_size, self.settings.workers, *place)

    def train_dataloader(self) -> DataLoader[ClipBatch]:
        """Random clips."""
        return self._loader().drawn(self.drawn_clips(), self.settings.clips.per_epoch, self.first_epoch)

    def val_dataloader(self) -> DataLoader[ClipBatch]:
        """Fixed clips of recordings that are not trained on."""
        return self._loader().fixed(self.fixed_clips())

    def transfer_batch_to_device(self, batch: ClipBatch, device: torch.device, dataloader_idx: int) -> ClipBatch:
        """Copy a batch to the device."""
        return batch.to(device)


def _refuse_contradictions(dataset: Dataset, settings: DataSettings, description: DataDescription) -> None:
    points = of_scope(description.heads, Scope.POINT)
    if points and not settings.clips.dense_frames:
        raise ConfigError(f"the task {points[0]} needs clips.dense_frames of at least 1, or other tasks")
    if "action" in description.heads and dataset.mirrored is None and settings.augmentation.mirror:
        raise ConfigError(f"actions of {dataset.name} must not be mirrored: set augmentation.mirror to false")
