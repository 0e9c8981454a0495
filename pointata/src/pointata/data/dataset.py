"""A data set of labelled point videos: what training needs to know of every one of them, whatever its format."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from pointata.classes import ClassInfo
from pointata.errors import DataError
from pointata.frame import LabelledFrame

Split = Literal["train", "val", "test"]


@dataclass(frozen=True)
class Video:
    """One recording of a data set.

    Attributes:
        name: unique within the set, as the data set calls it.
        source: a picklable partial of a module-level function; called, it yields the frames. What it depends on stands
            in its arguments: sampled copies on disk are found again by them.
        subject: who is seen, or which drive or room it is; "" where unknown. Splits never cut through a subject's
            videos unless the data set's own protocol says so.
        split: part of the data set by its own protocol.
        action: class of the whole video, -1 where frames carry classes of their own, or none.
    """

    name: str
    source: "partial[Iterable[LabelledFrame]]"
    subject: str = ""
    split: Split = "train"
    action: int = -1


@dataclass(frozen=True)
class Dataset:
    """The videos of a data set and what their labels mean.

    Attributes:
        name: short name.
        videos: at least one; names are unique.
        heads: classes by task: "action" (a video or each window), "segments" (each frame), "semantic" (each point).
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
