"""What every recording offers."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from pointata.classes import ClassInfo
from pointata.frame import LabelledFrame
from pointata.tasks import TASKS
from pointata.tasks.scope import Scope


@dataclass(frozen=True)
class Origin:
    """Which video of a data set a recording is.

    Attributes:
        data_set: name of the set.
        video: name of the video in it.
        subject: who is seen, or which drive or room it is; "" where unknown.
        split: "train", "val" or "test" where the set has a protocol and says so, else "".
        simulated: whether the data are simulated.
    """

    data_set: str
    video: str
    subject: str = ""
    split: str = ""
    simulated: bool = False


class Recording(ABC):
    """A point-cloud video on disk or in the simulator: iterate over it, as often as needed, for its frames.

    Attributes:
        name: short name for messages and reports.
        rate_hz: nominal frame rate.
        classes: classes of the point labels; None where points carry none, or where only ids are known.
        actions: classes of `LabelledFrame.action`; None where frames carry none.
        other_classes: classes of `LabelledFrame.other_labels`, by task.
        action: class of the recording as a whole, -1 where it has none or its frames have classes of their own.
        origin: which video of a known data set this is; None where that cannot be told.
        has_poses: whether `Frame.T_world_sensor` holds recorded poses (identity otherwise).
        left_out: malformed frames that the latest iteration has left out.
    """

    name: str
    rate_hz: float
    classes: tuple[ClassInfo, ...] | None = None
    actions: tuple[ClassInfo, ...] | None = None
    other_classes: Mapping[str, tuple[ClassInfo, ...]] = {}
    action: int = -1
    origin: Origin | None = None
    has_poses: bool = False
    left_out: int = 0

    @abstractmethod
    def __len__(self) -> int:
        """Number of frames."""

    @abstractmethod
    def __iter__(self) -> Iterator[LabelledFrame]:
        """The frames from first to last."""

    def classes_of(self, task: str) -> tuple[ClassInfo, ...] | None:
        """Classes of the ground truth for a task; None where there is none."""
        if TASKS[task].scope is not Scope.POINT:
            return self.actions
        return self.classes if task == "semantic" else self.other_classes.get(task)

    def frames(self, start: int = 0, count: int | None = None) -> Iterator[LabelledFrame]:
        """Frames start, start + 1, ..., at most `count` of them."""
        return islice(iter(self), start, None if count is None else start + count)


class IndexedRecording(Recording):
    """A recording whose frames can be read in any order: `recording[i]`, i from -len to len - 1."""

    @abstractmethod
    def _read(self, index: int) -> LabelledFrame:
        """Frame `index`, 0 to len - 1."""

    def __getitem__(self, index: int) -> LabelledFrame:
        """One frame; IndexError beyond the ends."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"frame {index} of {self.name}, which has {len(self)}")
        return self._read(index % len(self))

    def __iter__(self) -> Iterator[LabelledFrame]:
        """The frames from first to last."""
        return self.frames()

    def frames(self, start: int = 0, count: int | None = None) -> Iterator[LabelledFrame]:
        """Frames start, start + 1, ..., at most `count` of them; those before are not read."""
        stop = len(self) if count is None else min(len(self), start + count)
        return (self._read(index) for index in range(start, stop))
