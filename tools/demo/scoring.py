"""Figures of a demo run, from what the node published. Imports no ROS."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from demo.record import FrameRecord, ScenarioRecord
from pointata import UNLABELLED
from pointata.metrics.confusion import ConfusionMatrix
from pointata.metrics.summary import accuracy, iou_per_class, majority, mean_iou, percentiles


@dataclass(frozen=True)
class ScenarioScore:
    """Figures of one scenario.

    Attributes:
        sent, inferred: frames that the replay sent, and those of them that the node answered.
        received, overwritten: by the node's own counters, frames that reached it, and those of them that gave way to a
            newer one while the model was busy.
        latencies_ms: publish to last answer of each sent frame in order; NaN where not answered.
        stages_ms: p50 and p99 by stage of the node.
        segmentation: points; None where the model labels none.
        action: frames against the truth of the newest frame; None where the model names no action.
        action_window: frames against the majority truth over the published window.
    """

    name: str
    sent: int
    inferred: int
    received: int
    overwritten: int
    latencies_ms: tuple[float, ...]
    stages_ms: Mapping[str, Mapping[str, float]]
    segmentation: ConfusionMatrix | None
    action: ConfusionMatrix | None
    action_window: ConfusionMatrix | None

    @property
    def dropped(self) -> int:
        """Sent frames without an answer."""
        return self.sent - self.inferred

    @property
    def lost(self) -> int:
        """Sent frames that did not reach the node."""
        return self.sent - self.received

    @property
    def latency_ms(self) -> dict[str, float]:
        """p50 and p99 of the answered frames."""
        return percentiles([value for value in self.latencies_ms if math.isfinite(value)])

    def summary(self) -> dict[str, Any]:
        """For summary.json; None where a figure does not exist."""
        points, action = self.segmentation, self.action
        return {
            "frames_sent": self.sent,
            "frames_received": self.received,
            "frames_lost": self.lost,
            "frames_overwritten": self.overwritten,
            "frames_inferred": self.inferred,
            "frames_dropped": self.dropped,
            "action_accuracy": None if action is None else finite(accuracy(action)),
            "action_accuracy_window": None if self.action_window is None else finite(accuracy(self.action_window)),
            "action_frames_scored": 0 if action is None else action.total,
            **_segmentation_figures(points),
            "latency_ms": {name: finite(value) for name, value in self.latency_ms.items()},
            "stages_ms": {stage: dict(values) for stage, values in self.stages_ms.items()},
        }


def score(record: ScenarioRecord, min_frames: int) -> ScenarioScore:
    """Figures of a scenario.

    Args:
        record: what was sent and answered.
        min_frames: frames that a window needs before its action counts.
    """
    sent = [record.frames.get(key, FrameRecord(*key)) for key in record.sent_frames]
    inferred = [frame for frame in sent if frame.answered_ns is not None]
    names = [entry.name for entry in record.actions]
    newest, window = ConfusionMatrix(names), ConfusionMatrix(names)
    truth_of_play = _truth_of_plays(record)
    for frame in inferred:
        answer = frame.action
        if answer is None or frame.true_action is None or answer.frame_count < min_frames:
            continue
        said = np.array([UNLABELLED if answer.unknown else answer.class_id])
        newest.update(np.array([frame.true_action]), said)
        shown = [
            action for stamp, action in truth_of_play[frame.play] if answer.window_start_ns <= stamp <= frame.stamp_ns
        ]
        window.update(np.array([majority(shown)]), said)
    return ScenarioScore(
        name=record.name,
        sent=len(sent),
        inferred=len(inferred),
        received=record.node_counts["received"],
        overwritten=record.node_counts["dropped"],
        latencies_ms=tuple(frame.latency_ms for frame in sent),
        stages_ms=_stages(inferred),
        segmentation=record.segmentation if record.classes else None,
        action=newest if names else None,
        action_window=window if names else None,
    )


def summarise(scores: Sequence[ScenarioScore]) -> dict[str, Any]:
    """summary.json: figures over all scenarios, and one section for each of them."""
    latencies = [value for part in scores for value in part.latencies_ms if math.isfinite(value)]
    return {
        "frames_sent": sum(part.sent for part in scores),
        "frames_received": sum(part.received for part in scores),
        "frames_lost": sum(part.lost for part in scores),
        "frames_overwritten": sum(part.overwritten for part in scores),
        "frames_inferred": sum(part.inferred for part in scores),
        "frames_dropped": sum(part.dropped for part in scores),
        "action_accuracy": _pooled_accuracy({part.name: part.action for part in scores}),
        "action_accuracy_window": _pooled_accuracy({part.name: part.action_window for part in scores}),
        **_segmentation_figures(all_points(scores)),
        "latency_ms": {name: finite(value) for name, value in percentiles(latencies).items()},
        **{part.name: part.summary() for part in scores},
    }


def all_points(scores: Sequence[ScenarioScore]) -> ConfusionMatrix | None:
    """Points of all scenarios, classes named scenario/class; None where nothing was labelled."""
    parts = {part.name: part.segmentation for part in scores if part.segmentation is not None}
    return ConfusionMatrix.side_by_side(parts) if parts else None


def finite(value: float) -> float | None:
    """JSON cannot express NaN."""
    return float(value) if math.isfinite(value) else None


def _segmentation_figures(points: ConfusionMatrix | None) -> dict[str, Any]:
    if points is None:
        return {"segmentation_miou_present": None, "segmentation_miou_absent_as_zero": None, "per_class_iou": {}}
    return {
        "segmentation_miou_present": finite(mean_iou(points)),
        "segmentation_miou_absent_as_zero": finite(mean_iou(points, absent_as_zero=True)),
        "per_class_iou": {name: finite(v) for name, v in zip(points.names, iou_per_class(points), strict=True)},
        "per_class_points": {name: int(n) for name, n in zip(points.names, points.support, strict=True)},
    }


def _pooled_accuracy(matrices: Mapping[str, ConfusionMatrix | None]) -> float | None:
    present = {name: matrix for name, matrix in matrices.items() if matrix is not None}
    return finite(accuracy(ConfusionMatrix.side_by_side(present)))


def _truth_of_plays(record: ScenarioRecord) -> dict[int, list[tuple[int, int]]]:
    truth: dict[int, list[tuple[int, int]]] = {}
    for frame in record.in_order():
        entries = truth.setdefault(frame.play, [])
        if frame.true_action is not None:
            entries.append((frame.stamp_ns, frame.true_action))
    return truth


def _stages(frames: Sequence[FrameRecord]) -> dict[str, dict[str, float]]:
    """Percentiles by stage, in the order in which the node names them."""
    names = list(dict.fromkeys(name for frame in frames for name in frame.timings_ms))
    return {name: percentiles([f.timings_ms[name] for f in frames if name in f.timings_ms]) for name in names}
