"""What was sent and what the node answered, matched by stamp. Imports no ROS."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pointata import ClassInfo, DataError
from pointata.metrics.confusion import ConfusionMatrix


@dataclass(frozen=True)
class ActionAnswer:
    """A published action prediction.

    Attributes:
        class_id: reported class, meaningless where `unknown`.
        score: probability of the class.
        unknown: no class reported.
        window_start_ns: stamp of the oldest frame of the window.
        frame_count: frames in the window.
    """

    class_id: int
    score: float
    unknown: bool
    window_start_ns: int
    frame_count: int


@dataclass(frozen=True)
class Picture:
    """A labelled cloud kept for the page.

    Attributes:
        play: number of the scene.
        stamp_ns: of the cloud.
        frame_id: its sensor frame.
        points: (N, 3) float32 metres, sensor axes, finite.
        truth, predicted: (N,) uint8 labels.
    """

    play: int
    stamp_ns: int
    frame_id: str
    points: NDArray[np.float32]
    truth: NDArray[np.uint8]
    predicted: NDArray[np.uint8]


@dataclass
class FrameRecord:
    """One frame: sent by the replay, answered by the node or not.

    Attributes:
        play: number of the scene, from 0.
        stamp_ns: of the cloud.
        published_ns: system time at which the replay published the cloud.
        true_action: class id; None where the scene has no actions.
        action: published action prediction.
        labelled: points per class of the published labels, (256,) by label.
        answered_ns: system time at which the last answer arrived.
        timings_ms: the node's own stage timings.
    """

    play: int
    stamp_ns: int
    published_ns: int | None = None
    true_action: int | None = None
    action: ActionAnswer | None = None
    labelled: NDArray[np.int64] | None = None
    answered_ns: int | None = None
    timings_ms: Mapping[str, float] = field(default_factory=dict)

    @property
    def latency_ms(self) -> float:
        """From publishing the cloud to the arrival of its last answer, milliseconds; NaN where one is missing."""
        if self.published_ns is None or self.answered_ns is None:
            return float("nan")
        return (self.answered_ns - self.published_ns) / 1e6


@dataclass
class _Halves:
    """Truth and prediction of a cloud until both are there: (xyz (M, 3), labels (M,)) each."""

    frame_id: str = ""
    sent: tuple[NDArray[np.float32], NDArray[np.uint8]] | None = None
    answered: tuple[NDArray[np.float32], NDArray[np.uint8]] | None = None


class ScenarioRecord:
    """Collects a scenario; every `add_*` may come before or after the others of its frame.

    Attributes:
        classes, actions: of the node's latched class lists; empty until known, or where the model has no such head.
        frames: by (play, stamp_ns).
        sent: stamps that the replay says it has sent, scene by scene.
        segmentation: points of all matched clouds.
        pictures: clouds kept for the page.
        node_counts: frames by the node's own counters over the scenario: "received", "inferred", "dropped" (overwritten
            by a newer one), ...
        faults: what must not happen, as sentences.
    """

    def __init__(self, name: str, picture_stride: int = 10) -> None:
        self.name = name
        self.classes: tuple[ClassInfo, ...] = ()
        self.actions: tuple[ClassInfo, ...] = ()
        self.frames: dict[tuple[int, int], FrameRecord] = {}
        self.sent: list[list[int]] = []
        self.segmentation: ConfusionMatrix | None = None
        self.pictures: list[Picture] = []
        self.node_counts: Counter[str] = Counter()
        self.faults: list[str] = []
        self.play = 0
        self._picture_stride = picture_stride
        self._halves: dict[tuple[int, int], _Halves] = {}
        self._clouds_of_play = 0

    def begin_play(self, number: int) -> None:
        """From now on stamps belong to this scene; points still waiting for their other half are let go."""
        self.play = number
        self._halves.clear()
        self._clouds_of_play = 0

    def set_classes(self, classes: Sequence[ClassInfo]) -> None:
        """Classes of the node's point labels."""
        self.classes = tuple(classes)
        self.segmentation = ConfusionMatrix([entry.name for entry in self.classes])

    def set_actions(self, actions: Sequence[ClassInfo]) -> None:
        """Classes of the node's actions."""
        self.actions = tuple(actions)

    def check_truth(self, kind: str, truth: Sequence[ClassInfo]) -> None:
        """Note a fault where the scene's classes ("classes" or "actions") are not the node's, id by id."""
        own = self.classes if kind == "classes" else self.actions
        theirs = [(entry.id, entry.name) for entry in truth]
        if own and [(entry.id, entry.name) for entry in own] != theirs:
            self.faults.append(f"{self.name}: the {kind} of model and scene differ: {[n for _, n in theirs]}")

    def add_cloud(
        self, stamp_ns: int, published_ns: int, frame_id: str, xyz: NDArray[np.float32], truth: NDArray[np.uint8]
    ) -> None:
        """The replayed cloud: xyz (M, 3) as sent, truth (M,)."""
        self._frame(stamp_ns).published_ns = published_ns
        halves = self._halves.setdefault((self.play, stamp_ns), _Halves())
        halves.frame_id, halves.sent = frame_id, (xyz, truth)
        self._match(stamp_ns)

    def add_labels(self, stamp_ns: int, received_ns: int, xyz: NDArray[np.float32], labels: NDArray[np.uint8]) -> None:
        """The node's segmentation cloud: xyz (M, 3) and labels (M,)."""
        record = self._answered(stamp_ns, received_ns)
        record.labelled = np.bincount(labels, minlength=256)
        self._halves.setdefault((self.play, stamp_ns), _Halves()).answered = (xyz, labels)
        self._match(stamp_ns)

    def add_action(self, stamp_ns: int, received_ns: int, answer: ActionAnswer) -> None:
        """The node's action prediction."""
        self._answered(stamp_ns, received_ns).action = answer

    def add_true_action(self, stamp_ns: int, class_id: int) -> None:
        """The scene's action."""
        self._frame(stamp_ns).true_action = class_id

    def add_timings(self, stamp_ns: int, timings_ms: Mapping[str, float]) -> None:
        """The node's stage timings."""
        self._frame(stamp_ns).timings_ms = dict(timings_ms)

    def end_play(self, stamps_ns: Sequence[int]) -> None:
        """What the replay says it has sent in this scene."""
        self.sent.append(list(stamps_ns))

    def is_answered(self, play: int, stamp_ns: int) -> bool:
        """Whether everything that the model gives has arrived for a frame."""
        record = self.frames.get((play, stamp_ns))
        if record is None or record.answered_ns is None:
            return False
        return not (self.classes and record.labelled is None) and not (self.actions and record.action is None)

    @property
    def sent_frames(self) -> list[tuple[int, int]]:
        """(play, stamp) of every frame that the replays have sent, in order."""
        return [(play, stamp) for play, stamps in enumerate(self.sent) for stamp in stamps]

    def in_order(self) -> list[FrameRecord]:
        """Frames by scene and stamp."""
        return [self.frames[key] for key in sorted(self.frames)]

    def _frame(self, stamp_ns: int) -> FrameRecord:
        return self.frames.setdefault((self.play, stamp_ns), FrameRecord(self.play, stamp_ns))

    def _answered(self, stamp_ns: int, received_ns: int) -> FrameRecord:
        record = self._frame(stamp_ns)
        record.answered_ns = max(received_ns, record.answered_ns or received_ns)
        return record

    def _match(self, stamp_ns: int) -> None:
        """Score a cloud once both halves are there, then forget its points."""
        halves = self._halves[(self.play, stamp_ns)]
        if halves.sent is None or halves.answered is None:
            return
        del self._halves[(self.play, stamp_ns)]
        (xyz, truth), (answered_xyz, predicted) = halves.sent, halves.answered
        if xyz.shape != answered_xyz.shape or not np.array_equal(xyz, answered_xyz, equal_nan=True):
            self.faults.append(
                f"{self.name}: the labelled cloud at {stamp_ns} ns does not hold the points of its input"
            )
            return
        try:
            if self.segmentation is None:
                raise DataError("labels without a class list")
            self.segmentation.update(truth, predicted)
        except DataError as error:
            self.faults.append(f"{self.name}: {error}")
            return
        if self._clouds_of_play % self._picture_stride == self._picture_stride // 2:
            valid = np.isfinite(xyz).all(axis=1)
            picture = Picture(self.play, stamp_ns, halves.frame_id, xyz[valid], truth[valid], predicted[valid])
            self.pictures.append(picture)
        self._clouds_of_play += 1
