"""A predictor measured on recordings, frame by frame, as it runs on the robot."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pointata.classes import UNLABELLED, ClassInfo
from pointata.data.recording import Recording
from pointata.errors import DataError
from pointata.evaluation.confusion import ConfusionMatrix
from pointata.evaluation.metrics import accuracy, iou_per_class, mean_iou, percentiles
from pointata.evaluation.segment_metrics import SegmentScore
from pointata.prediction import Prediction
from pointata.predictor import Predictor


@dataclass
class OfflineScore:
    """Confusions by task and wall time per frame; "action" counts frames, "semantic" points.

    `segments` scores the newest frame's action segment, frame by frame, as a sequence; None without that task.
    """

    confusions: dict[str, ConfusionMatrix]
    segments: SegmentScore | None = None
    frames: int = 0
    left_out: int = 0
    """Clouds of the recordings that could not be read."""
    rejected: list[str] = field(default_factory=list)
    step_ms: list[float] = field(default_factory=list)

    def figures(self) -> dict[str, float]:
        """The figures a bundle's metadata states."""
        result: dict[str, float] = {}
        if "action" in self.confusions and self.confusions["action"].total:
            result["action_accuracy"] = accuracy(self.confusions["action"])
        if "segments" in self.confusions and self.confusions["segments"].total:
            result["segments_accuracy"] = accuracy(self.confusions["segments"])
        if "semantic" in self.confusions and self.confusions["semantic"].total:
            result["segmentation_miou"] = mean_iou(self.confusions["semantic"])
        return {name: round(value, 4) for name, value in result.items()}

    def report(self) -> dict[str, Any]:
        """All figures, JSON-ready."""
        semantic = self.confusions.get("semantic")
        scored = semantic is not None and semantic.total > 0
        per_class = {} if semantic is None or not scored else dict(
            zip(semantic.names, (round(v, 4) for v in iou_per_class(semantic).tolist()), strict=True)
        )  # fmt: skip
        return {
            "frames": self.frames,
            "left_out": self.left_out,
            "rejected": self.rejected,
            **self.figures(),
            "segments": self.segments.figures() if self.segments is not None and self.segments.frames.total else {},
            "per_class_iou": per_class,
            "supports": {
                task: dict(zip(matrix.names, matrix.support.tolist(), strict=True))
                for task, matrix in self.confusions.items()
            },
            "confusion": {task: matrix.counts.tolist() for task, matrix in self.confusions.items()},
            "step_ms": percentiles(self.step_ms) if self.step_ms else {},
        }

    def save(self, path: Path) -> None:
        """Write the report as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.report(), indent=2) + "\n", encoding="utf-8")


def _agree(mine: tuple[ClassInfo, ...], theirs: tuple[ClassInfo, ...] | None, where: str) -> bool:
    """Whether ground truth can be scored; classes of another list cannot."""
    if theirs is None:
        return False
    if [c.name for c in mine] != [c.name for c in theirs]:
        raise DataError(
            f"{where} is labelled with {', '.join(c.name for c in theirs)}, but the bundle predicts "
            f"{', '.join(c.name for c in mine)}: choose a bundle trained on these classes"
        )
    return True


def _newest_action(prediction: Prediction, task: str) -> int:
    """Class that a task gives the newest frame; 255 where it gives none."""
    if task == "segments":
        return prediction.segments[-1].class_id if prediction.segments else UNLABELLED
    action = prediction.action
    return UNLABELLED if action is None or action.unknown else action.class_id


def evaluate(
    predictor: Predictor,
    recordings: Sequence[Recording],
    progress: Callable[[str, int], None] = lambda name, frames: None,
) -> OfflineScore:
    """Run a predictor over recordings, each from an empty window.

    Frames are scored once the window holds `min_frames`; unknown counts as wrong, as does an unlabelled point.

    Raises:
        DataError: a recording is labelled with other classes than the bundle's.
    """
    heads: Mapping[str, tuple[ClassInfo, ...]] = predictor.metadata.heads
    score = OfflineScore({task: ConfusionMatrix([c.name for c in classes]) for task, classes in heads.items()})
    if "segments" in heads:
        score.segments = SegmentScore([c.name for c in heads["segments"]])
    for recording in recordings:
        predictor.reset()
        points = "semantic" in heads and _agree(heads["semantic"], recording.classes, recording.name)
        scored = [
            t for t in ("action", "segments") if t in heads and _agree(heads[t], recording.actions, recording.name)
        ]
        sequence: list[tuple[int, int]] = []  # truth and prediction of the frames' action segments
        for item in recording:
            start = time.perf_counter()
            try:
                prediction = predictor.step(item.frame)
            except DataError as error:
                score.rejected.append(str(error))
                continue
            score.step_ms.append((time.perf_counter() - start) * 1e3)
            score.frames += 1
            if points and item.labels is not None and prediction.semantic is not None:
                score.confusions["semantic"].update(item.labels, prediction.semantic.labels)
            if item.action is None or prediction.frame_count < predictor.options.min_frames:
                continue
            for task in scored:
                score.confusions[task].update(np.array([item.action]), np.array([_newest_action(prediction, task)]))
            if "segments" in scored:
                sequence.append((item.action, _newest_action(prediction, "segments")))
        if sequence and score.segments is not None:
            truth, predicted = np.array(sequence).T
            score.segments.update(truth, predicted)
        score.left_out += recording.left_out
        progress(recording.name, score.frames)
    return score
