"""Which videos of a data set are trained and validated on, and which of its tasks and channels are used."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pointata.classes import ClassInfo
from pointata.data.dataset import Dataset, Video
from pointata.errors import ConfigError
from pointata.tasks import TASKS

_log = logging.getLogger(__name__)

#: Characters of the names of all recordings that a bundle lists as trained on.
_NAMES_LIMIT = 20_000


@dataclass(frozen=True)
class VideoSplit:
    """Videos to train and to validate on; neither is empty."""

    train: tuple[Video, ...]
    validation: tuple[Video, ...]

    def provenance(self, dataset: str, held_out: Sequence[str]) -> dict[str, Any]:
        """What a bundle keeps of the data it was trained on, as plain data."""
        return {
            "data": dataset,
            "recordings": len(self.train),
            "validation": list(held_out) or "own split",
            "trained_on": {
                "videos": _listed(video.name for video in self.train),
                "subjects": _listed(video.subject for video in self.train if video.subject not in ("", video.name)),
            },
        }


def _listed(names: Iterable[str]) -> list[str]:
    """Names without repetition; none where they would take more room than the rest of a bundle's metadata."""
    found = list(dict.fromkeys(names))
    return found if sum(map(len, found)) <= _NAMES_LIMIT else []


def split_videos(dataset: Dataset, held_out: Sequence[str], leave_out: Sequence[str]) -> VideoSplit:
    """Split by subject, or as the data set does.

    Args:
        dataset: whose videos.
        held_out: subjects that validate; all others train. Without any, the data set's own split holds.
        leave_out: videos that are in neither part.

    Raises:
        ConfigError: no such subject or video, or one part would be empty.
    """
    unknown = [name for name in leave_out if name not in {video.name for video in dataset.videos}]
    if unknown:
        raise ConfigError(f"data set {dataset.name} has no video {', '.join(unknown)} to leave out")
    videos = dataset.where(lambda video: video.name not in leave_out)
    split = _by_subject(dataset.name, videos, held_out) if held_out else _own(videos)
    if not split.train or not split.validation:
        raise ConfigError(
            f"data set {dataset.name} leaves {len(split.train)} videos to train and {len(split.validation)} to "
            "validate on: name the subjects to validate on in held_out"
        )
    return split


def _by_subject(name: str, videos: Sequence[Video], held_out: Sequence[str]) -> VideoSplit:
    subjects = {video.subject for video in videos}
    unknown = [subject for subject in held_out if subject not in subjects]
    if unknown:
        known = ", ".join(sorted(subjects))
        raise ConfigError(f"data set {name} has no subject {', '.join(unknown)}; it has {known}")
    return VideoSplit(
        tuple(video for video in videos if video.subject not in held_out),
        tuple(video for video in videos if video.subject in held_out),
    )


def _own(videos: Sequence[Video]) -> VideoSplit:
    """The data set's split; where it has nothing to validate on, what is for testing."""
    train, validation, test = (tuple(v for v in videos if v.split == part) for part in ("train", "val", "test"))
    return VideoSplit(train, validation or test)


def choose_heads(
    name: str, known: Mapping[str, tuple[ClassInfo, ...]], tasks: Sequence[str]
) -> dict[str, tuple[ClassInfo, ...]]:
    """Classes of the wanted tasks, of those that the data set `name` has labels for; of all where none is named."""
    heads = dict(known)
    if "action" in heads:
        heads.setdefault("segments", heads["action"])
    wanted = list(tasks) or [task for task in TASKS if task in heads]
    unknown = [task for task in wanted if task not in heads]
    if unknown:
        raise ConfigError(f"data set {name} has no labels for the task {', '.join(unknown)}; it has {', '.join(heads)}")
    return {task: heads[task] for task in wanted}


def choose_features(name: str, known: Sequence[str], wanted: Sequence[str] | None) -> tuple[str, ...]:
    """The wanted point channels of the data set `name`; None for all that it has."""
    features = tuple(known if wanted is None else wanted)
    missing = [feature for feature in features if feature not in known]
    if missing:
        raise ConfigError(
            f"data set {name} has no point channel {', '.join(missing)}; it has: {', '.join(known) or 'none'}"
        )
    unused = [feature for feature in known if feature not in features]
    if unused:
        _log.info("point channels of %s that are not used (data.features): %s", name, ", ".join(unused))
    return features
