"""A data set: named point videos, each of which is a recording, and what their labels mean, whatever the format."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from typing import Any, Literal

from pointata.classes import ClassInfo
from pointata.data.recording import Origin, Recording
from pointata.errors import DataError
from pointata.frame import LabelledFrame
from pointata.tasks import of_scope
from pointata.tasks.scope import Scope
from pointata.text import did_you_mean, some

Split = Literal["train", "val", "test"]


@dataclass(frozen=True)
class Video:
    """One recording of a data set; `Dataset.open` opens it.

    Attributes:
        name: unique within the set, as the data set calls it.
        source: a picklable partial of a module-level function; called, it yields the frames. What it depends on stands
            in its arguments: sampled copies on disk are found again by them.
        subject: who is seen, or which drive or room it is; "" where unknown. Splits never cut through a subject's
            videos unless the data set's own protocol says so.
        split: part of the data set by its own protocol.
        action: class of the whole video, -1 where frames carry classes of their own, or none.
        has_poses: as of the recording.
    """

    name: str
    source: partial[Any]
    subject: str = ""
    split: Split = "train"
    action: int = -1
    has_poses: bool = False


@dataclass(frozen=True)
class Dataset:
    """The videos of a data set and what their labels mean.

    Attributes:
        name: short name.
        videos: at least one; names are unique.
        heads: classes by task: "action" (a video or each window), "segments" (each frame), "semantic" (each point), and
            further tasks of `pointata.tasks`.
        frame_period_s: nominal time between frames.
        features: per-point channels that every frame has besides x, y, z.
        mirrored: action class that the mirror image (left and right exchanged) of each action shows, by class id; an
            action that is not named mirrors into itself. None where mirroring is not meaningful.
        merge: clouds of the sensor that were joined into each frame.
        simulated: whether no sensor saw any of it.
        licence: of the data; empty where it is not known.
    """

    name: str
    videos: tuple[Video, ...]
    heads: Mapping[str, tuple[ClassInfo, ...]]
    frame_period_s: float
    features: tuple[str, ...] = ()
    mirrored: Mapping[int, int] | None = field(default_factory=dict)
    merge: int = 1
    simulated: bool = False
    licence: str = ""

    def __post_init__(self) -> None:
        names = [video.name for video in self.videos]
        if not names:
            raise DataError(f"data set {self.name} has no video")
        twice = sorted(name for name, count in Counter(names).items() if count > 1)
        if twice:
            raise DataError(f"data set {self.name} names {', '.join(twice[:3])} more than once")

    def where(self, wanted: Callable[[Video], bool]) -> tuple[Video, ...]:
        """The videos that are wanted, in order."""
        return tuple(video for video in self.videos if wanted(video))

    def video(self, name: str) -> Video:
        """The video of a name.

        Raises:
            DataError: there is none.
        """
        known = {video.name: video for video in self.videos}
        if name not in known:
            mend = did_you_mean(name, known) or f"; it has {some(list(known))}"
            raise DataError(f"data set {self.name} has no video {name}{mend}")
        return known[name]

    def open(self, video: Video) -> "VideoRecording":
        """One of the videos as a recording; nothing is read yet."""
        return VideoRecording(video, self)


class VideoRecording(Recording):
    """A video of a data set as a recording; frames without an action of their own take the video's."""

    def __init__(self, video: Video, dataset: Dataset) -> None:
        """Take a video of a set; nothing is read yet."""
        self.name, self.action, self.has_poses = video.name, video.action, video.has_poses
        self.origin = Origin(dataset.name, video.name, video.subject, video.split, dataset.simulated)
        self.rate_hz = 1 / dataset.frame_period_s
        self.classes = dataset.heads.get("semantic")
        self.actions = dataset.heads.get("action", dataset.heads.get("segments"))
        others = (task for task in of_scope(dataset.heads, Scope.POINT) if task != "semantic")
        self.other_classes = {task: dataset.heads[task] for task in others}
        self._source = video.source

    def __len__(self) -> int:
        """Number of frames; all are read where the format does not state it."""
        frames: Iterable[LabelledFrame] = self._source()
        return len(frames) if isinstance(frames, Sized) else sum(1 for _ in frames)

    def __iter__(self) -> Iterator[LabelledFrame]:
        """The frames from first to last."""
        return self.frames()

    def frames(self, start: int = 0, count: int | None = None) -> Iterator[LabelledFrame]:
        """Frames start, start + 1, ..., at most `count` of them."""
        source: Iterable[LabelledFrame] = self._source()
        recording = source if isinstance(source, Recording) else None
        stop = None if count is None else start + count
        for item in islice(source, start, stop) if recording is None else recording.frames(start, count):
            yield replace(item, action=self.action) if item.action is None and self.action >= 0 else item
            self.left_out = 0 if recording is None else recording.left_out
