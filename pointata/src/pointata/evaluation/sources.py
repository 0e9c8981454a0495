"""What `pointata evaluate` is given: recordings, and data sets, whose videos are taken as recordings."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pointata.bundles.metadata import NetworkMetadata
from pointata.data.dataset import Dataset, Split, Video
from pointata.data.open import names_dataset, names_video, open_dataset, open_recording, takes_option
from pointata.data.recording import Recording
from pointata.data.served import ServedRecording
from pointata.errors import ConfigError
from pointata.tasks import of_scope
from pointata.tasks.scope import Scope

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Choice:
    """Which videos of a data set are measured: those of a split, or those of some subjects instead."""

    split: Split = "test"
    subjects: tuple[str, ...] = ()

    def __str__(self) -> str:
        """As a bundle states it."""
        return f"subjects {' '.join(self.subjects)}" if self.subjects else f"split {self.split}"


def open_sources(
    sources: Sequence[str], choice: Choice, bundle: NetworkMetadata, topic: str | None = None
) -> list[Recording]:
    """The recordings of all sources, in order: recordings as the node would take them in, data sets as they are.

    Args:
        sources: as on the command line.
        choice: which videos of a data set.
        bundle: says which point channels are read, and what can be scored.
        topic: cloud topic of the bags among them.

    Raises:
        DataError: a source cannot be opened.
        ConfigError: a data set has no such video, or does not fit the bundle; a topic, but no bag.
    """
    bags = {source for source in sources if topic and not names_dataset(source) and takes_option(source, "topic")}
    if topic and not bags:
        raise ConfigError(f"--topic {topic} chooses clouds of a bag, but no source is one")
    recordings: list[Recording] = []
    for source in sources:
        if names_dataset(source):
            dataset = open_dataset(source)
            _require_fit(dataset, bundle)
            if dataset.merge != bundle.merge:
                _log.warning(
                    "data set %s joins %d clouds into a frame, the bundle was trained with %d",
                    dataset.name, dataset.merge, bundle.merge,
                )  # fmt: skip
            videos = dataset.videos if names_video(source) else _chosen(dataset, choice)
            recordings += [dataset.open(video) for video in videos]
        else:
            options = {"topic": topic} if source in bags else {}
            recording = open_recording(source, bundle.feature_names, **options)
            recordings.append(ServedRecording(recording, bundle.frame_period_s, bundle.merge))
    return recordings


def _require_fit(dataset: Dataset, bundle: NetworkMetadata) -> None:
    """Refuse a set that lacks a channel, or labels of all the bundle's tasks."""
    if not dataset.heads:
        raise ConfigError(
            f"data set {dataset.name} has no labels, so that there is nothing to score; to see whether the bundle "
            "takes its frames, and how fast, give the path of one of its recordings, without a name before it"
        )
    missing = [name for name in bundle.feature_names if name not in dataset.features]
    if missing:
        raise ConfigError(
            f"the bundle takes the point channel {', '.join(missing)}, which data set {dataset.name} does not have; "
            f"it has: {', '.join(dataset.features) or 'none'}. Choose a bundle trained without it"
        )
    points = set(of_scope(bundle.heads, Scope.POINT)) & set(dataset.heads)
    # tasks of windows and frames stand for each other: the truth of all is the action of a frame
    frames = (of_scope(heads, Scope.WINDOW, Scope.FRAME) for heads in (bundle.heads, dataset.heads))
    if not points and not all(frames):
        raise ConfigError(
            f"data set {dataset.name} has labels for: {', '.join(dataset.heads)}; the bundle predicts "
            f"{', '.join(bundle.heads)}, so that there is nothing to score"
        )


def _chosen(dataset: Dataset, choice: Choice) -> tuple[Video, ...]:
    """The videos to measure, at least one."""
    splits = Counter(video.split for video in dataset.videos)
    subjects = dict.fromkeys(video.subject for video in dataset.videos if video.subject)
    has = (
        f"it has videos in {', '.join(f'{split} ({count})' for split, count in splits.items())}, "
        f"of the subjects {', '.join(subjects) or '(none named)'}: choose with --split or --subjects"
    )
    unknown = [subject for subject in choice.subjects if subject not in subjects]
    if unknown:
        raise ConfigError(f"data set {dataset.name} has no subject {', '.join(unknown)}; {has}")
    if choice.subjects:
        return dataset.where(lambda video: video.subject in choice.subjects)
    if choice.split not in splits:
        raise ConfigError(f"data set {dataset.name} has no video in the split {choice.split}; {has}")
    return dataset.where(lambda video: video.split == choice.split)
