"""A data set of point videos as training data: sampled once, split by subject or recording, cut into clips."""

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import lightning
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from pointata.classes import ClassInfo
from pointata.data.dataset import Video
from pointata.data.open import open_dataset
from pointata.errors import ConfigError
from pointata.model.state import Clip
from pointata.preprocessing.sampling import SamplingConfig
from pointata.tasks import TASKS
from pointata.training.augmentation import Augmentation
from pointata.training.clips import ClipBatch, ClipShape, EpochSampler, FixedClips, RandomClips, collate
from pointata.training.recording_cache import SampledRecording, cached_recordings, load_recording, log_progress

_log = logging.getLogger(__name__)

#: Characters of the names of all recordings that a bundle lists as trained on.
_NAMES_LIMIT = 20_000


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
    """Newest frames of a clip whose points are scored; needed for the task "semantic"."""
    validation_frames: int = 0
    """Frames of a validation clip; 0 for as many as in training."""
    validation_stride: int = 0
    """Frames between the starts of validation clips; 0 for half a clip."""

    def __post_init__(self) -> None:
        shortest = min(self.frames, self.validation_frames or self.frames)
        if min(self.validation_frames, self.validation_stride) < 0:
            raise ConfigError(f"clips: validation_frames and validation_stride must not be negative: {self}")
        if min(self.frames, self.per_epoch, self.batch_size) < 1 or not 0 <= self.dense_frames <= shortest:
            raise ConfigError(
                "clips: frames, per_epoch and batch_size must be at least 1, and dense_frames from 0 to the shortest "
                f"clip's length: {self}"
            )


class VideoClips(lightning.LightningDataModule):
    """Clips of a data set. Training clips are drawn at random, validation clips are fixed and never augmented.

    `augmentation` changes training clips; `mirrored` gives the action that the mirror image of each action shows.
    After `setup`: `train_recordings` and `validation_recordings`, sampled; `validation_videos`, what they are. A run
    that is resumed sets `first_epoch`: Lightning makes the loader of its first epoch before it restores the number.
    """

    first_epoch: int = 0

    def __init__(
        self,
        set: str,
        tasks: Sequence[str] = (),
        features: Sequence[str] | None = (),
        held_out: Sequence[str] = (),
        leave_out: Sequence[str] = (),
        clips: ClipSettings = ClipSettings(),
        sampling: SamplingConfig = SamplingConfig(),  # noqa: B008  (frozen)
        augmentation: Augmentation = Augmentation(),  # noqa: B008  (frozen)
        cache: Path = Path("build/cache"),
        workers: int = 1,
        seed: int = 0,
    ) -> None:
        """Open the data set; nothing large is read yet.

        Args:
            set: the data set, as "mars:~/data/mars" or "sim:room?recordings=20" (see pointata.data.open).
            tasks: heads to train, of those that the data set has labels for; none for all. "segments" may stand for
                the classes of "action" where frames carry them.
            features: point channels to use besides x, y, z; null for all that the set has.
            held_out: subjects that validate; all others train. Without any, data set's own split holds.
            leave_out: videos that are neither trained nor validated on.
            clips: how clips are cut.
            sampling: how frames are sampled and normalised.
            augmentation: random changes of training clips.
            cache: folder of the sampled recordings.
            workers: processes that sample recordings and draw clips; 0 for the training process itself.
            seed: of the clips that are drawn.
        """
        super().__init__()
        if workers < 0:
            raise ConfigError(f"data.workers must not be negative, got {workers}")
        video_set = open_dataset(set)
        self.sampling, self.clips_settings = sampling, clips
        self.features = tuple(video_set.features if features is None else features)
        self.frame_period_s, self.merge = video_set.frame_period_s, video_set.merge
        self.own_heads = tuple(video_set.heads)
        self.heads = _choose_heads(video_set.name, dict(video_set.heads), tasks)
        missing = [name for name in self.features if name not in video_set.features]
        if missing:
            known = ", ".join(video_set.features) or "none"
            raise ConfigError(f"data set {video_set.name} has no point channel {', '.join(missing)}; it has: {known}")
        unused = [name for name in video_set.features if name not in self.features]
        if unused:
            _log.info("point channels of %s that are not used (data.features): %s", video_set.name, ", ".join(unused))
        if "semantic" in self.heads and not clips.dense_frames:
            raise ConfigError("the task semantic needs clips.dense_frames of at least 1, or other tasks")
        unknown = [name for name in leave_out if name not in {video.name for video in video_set.videos}]
        if unknown:
            raise ConfigError(f"data set {video_set.name} has no video {', '.join(unknown)} to leave out")
        videos = video_set.where(lambda video: video.name not in leave_out)
        self._train, self.validation_videos = _split(video_set.name, videos, held_out)
        self.description = {
            "data": video_set.name,
            "recordings": len(self._train),
            "validation": list(held_out) or "own split",
            "trained_on": {
                "videos": _listed(video.name for video in self._train),
                "subjects": _listed(video.subject for video in self._train if video.subject not in ("", video.name)),
            },
        }
        self.simulated, self.data_licence = video_set.simulated, video_set.licence
        if "action" in self.heads and video_set.mirrored is None and augmentation.mirror:
            raise ConfigError(f"actions of {video_set.name} must not be mirrored: set augmentation.mirror to false")
        self.may_mirror, self.mirrored = video_set.mirrored is not None, video_set.mirrored or {}
        self.augmentation, self._cache, self._workers, self.seed = augmentation, cache, workers, seed
        self.train_recordings: list[SampledRecording] = []
        self.validation_recordings: list[SampledRecording] = []

    @property
    def train_videos(self) -> tuple[Video, ...]:
        """What `train_recordings` are sampled from; those too short for a clip included."""
        return self._train

    @property
    def shortest_clip(self) -> int:
        """Frames of the shortest clip, in training or validation."""
        return min(self.clips_settings.frames, self.clips_settings.validation_frames or self.clips_settings.frames)

    def prepare_data(self) -> None:
        """Sample what is not on disk yet."""
        self._files()

    def _files(self) -> list[Path]:
        # neighbours are found when clips are cut; leaving them out keeps one cache for every network
        sampling = replace(self.sampling, point_neighbours=0)
        sources = [video.source for video in (*self._train, *self.validation_videos)]
        return cached_recordings(self._cache, sources, sampling, max(1, self._workers), self.features, log_progress)

    def setup(self, stage: str) -> None:
        """Load the sampled recordings.

        Raises:
            ConfigError: no recording is as long as a clip.
        """
        if self.train_recordings:
            return
        files, videos = self._files(), (*self._train, *self.validation_videos)
        recordings = [_with_action(load_recording(file), video) for file, video in zip(files, videos, strict=True)]
        settings, neighbours = self.clips_settings, self.sampling.point_neighbours
        frames = settings.validation_frames or settings.frames
        dense = min(settings.dense_frames, frames)
        drawn = ClipShape(settings.frames, 1, settings.dense_frames, neighbours)
        fixed = ClipShape(frames, settings.validation_stride or max(1, frames // 2), dense, neighbours)
        count = len(self._train)
        self.train_recordings = _long_enough("training", recordings[:count], videos[:count], settings.frames)
        self.validation_recordings = recordings[count:]
        _long_enough("validation", self.validation_recordings, self.validation_videos, frames)
        fixed_clips = FixedClips(self.validation_recordings, fixed)
        self._drawn = RandomClips(self.train_recordings, drawn, self.augmentation, self.mirrored, self.seed)
        self._fixed = fixed_clips

    def label_counts(self) -> NDArray[np.int64]:
        """Points of each class of the task "semantic" in the training recordings: (C,) int64."""
        classes = len(self.heads["semantic"])
        counts = [np.bincount(recording.labels.ravel(), minlength=256)[:classes] for recording in self.train_recordings]
        total: NDArray[np.int64] = np.sum(counts, axis=0)
        return total

    def clips(self, limit_per_class: int, seed: int) -> tuple[Clip, Tensor]:
        """Training clips as recorded, drawn at random, with the action of their newest frame (-1 = none): for stage 1.

        Args:
            limit_per_class: most clips of each action; of all together where there are no actions.
            seed: of the choice.

        Returns:
            n clips without neighbours, and (n,) int64 actions.
        """
        settings = self.clips_settings
        every = FixedClips(self.train_recordings, ClipShape(settings.frames, max(1, settings.frames // 2), 0, 0))
        taken: Counter[int] = Counter()
        chosen: list[ClipBatch] = []
        for item in np.random.default_rng(seed).permutation(len(every)).tolist():
            action = every.newest_action(item)
            if taken[action] < limit_per_class:
                taken[action] += 1
                chosen.append(every[item])
        joined = collate(chosen)
        return joined.clip, joined.actions[:, -1]

    def _loader(self, dataset: Dataset[ClipBatch], size: int, fresh: bool) -> DataLoader[ClipBatch]:
        trainer = self.trainer
        rank, processes = (trainer.global_rank, trainer.world_size) if trainer is not None else (0, 1)
        if fresh:  # every process draws as many: one with a batch less would keep the others waiting
            size = -(-size // processes) * processes
        elif size < processes:
            raise ConfigError(
                f"{size} validation clips for {processes} processes: use fewer processes or shorter clips"
            )
        return DataLoader(
            dataset,
            batch_size=self.clips_settings.batch_size,
            sampler=EpochSampler(size, rank, processes, fresh, self.first_epoch),
            collate_fn=collate,
            generator=torch.Generator(),  # one of its own: the network's dropout must not depend on when loaders start
            num_workers=self._workers,
            persistent_workers=self._workers > 0,
        )

    def train_dataloader(self) -> DataLoader[ClipBatch]:
        """Random clips."""
        return self._loader(self._drawn, self.clips_settings.per_epoch, fresh=True)

    def val_dataloader(self) -> DataLoader[ClipBatch]:
        """Fixed clips of recordings that are not trained on."""
        return self._loader(self._fixed, len(self._fixed), fresh=False)

    def transfer_batch_to_device(self, batch: ClipBatch, device: torch.device, dataloader_idx: int) -> ClipBatch:
        """Copy a batch to the device."""
        return batch.to(device)


def _listed(names: Iterable[str]) -> list[str]:
    """Names without repetition, for a bundle; none where they would take more room than the rest of its metadata."""
    found = list(dict.fromkeys(names))
    return found if sum(map(len, found)) <= _NAMES_LIMIT else []


def _choose_heads(
    name: str, heads: dict[str, tuple[ClassInfo, ...]], tasks: Sequence[str]
) -> dict[str, tuple[ClassInfo, ...]]:
    """Classes of the wanted tasks."""
    if "action" in heads:
        heads.setdefault("segments", heads["action"])
    wanted = list(tasks) or [task for task in TASKS if task in heads]
    unknown = [task for task in wanted if task not in heads]
    if unknown:
        raise ConfigError(f"data set {name} has no labels for the task {', '.join(unknown)}; it has {', '.join(heads)}")
    return {task: heads[task] for task in wanted}


def _split(name: str, videos: Sequence[Video], held_out: Sequence[str]) -> tuple[tuple[Video, ...], tuple[Video, ...]]:
    """Videos to train and to validate on."""
    if held_out:
        subjects = {video.subject for video in videos}
        unknown = [subject for subject in held_out if subject not in subjects]
        if unknown:
            known = ", ".join(sorted(subjects))
            raise ConfigError(f"data set {name} has no subject {', '.join(unknown)}; it has {known}")
        train = tuple(video for video in videos if video.subject not in held_out)
        validation = tuple(video for video in videos if video.subject in held_out)
    else:
        train = tuple(video for video in videos if video.split == "train")
        validation = tuple(video for video in videos if video.split == "val") or tuple(
            video for video in videos if video.split == "test"
        )
    if not train or not validation:
        raise ConfigError(
            f"data set {name} leaves {len(train)} videos to train and {len(validation)} to validate on: "
            "name the subjects to validate on in held_out"
        )
    return train, validation


def _with_action(recording: SampledRecording, video: Video) -> SampledRecording:
    """Frames without a class of their own take that of their video."""
    return replace(recording, actions=np.where(recording.actions < 0, video.action, recording.actions))


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
