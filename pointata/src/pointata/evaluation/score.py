"""The figures of a measurement: counted by `pointata.evaluation.offline`, shown by `pointata.evaluation.display`."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pointata.classes import ClassInfo
from pointata.metrics.confusion import ConfusionMatrix
from pointata.metrics.segments import SegmentScore
from pointata.metrics.summary import accuracy, iou_per_class, mean_iou, percentiles
from pointata.metrics.vote import VideoVote


@dataclass
class OfflineScore:
    """Confusions by task and wall time per frame; "action" counts frames, "semantic" points.

    `segments` scores the newest frame's action segment, frame by frame, as a sequence, and `segments_compat` does so as
    HOI4D's script does; None without that task. `vote` scores videos of one action, `windows` runs of `window_frames`
    frames (see `pointata.metrics.summary.window_labels`); None without the task "action".
    """

    confusions: dict[str, ConfusionMatrix]
    window_frames: int = 0
    segments: SegmentScore | None = None
    segments_compat: SegmentScore | None = None
    vote: VideoVote | None = None
    windows: ConfusionMatrix | None = None
    unvoted: list[str] = field(default_factory=list)
    """Videos of one action without a frame that votes: all are before `min_frames`, or rejected."""
    frames: int = 0
    left_out: int = 0
    """Clouds of the recordings that could not be read."""
    rejected: list[str] = field(default_factory=list)
    """Why, of every frame that the predictor refused or had no finite scores for."""
    step_ms: list[float] = field(default_factory=list)
    rates_hz: dict[str, float] = field(default_factory=dict)
    """Frames a second that the network saw of each recording."""
    complete: bool = True
    """Whether all frames were measured that were to be; not after Ctrl-C."""
    warnings: list[str] = field(default_factory=list)
    """What whoever reads the figures must know."""

    @classmethod
    def of(cls, heads: Mapping[str, tuple[ClassInfo, ...]], window_frames: int, videos: int) -> "OfflineScore":
        """Nothing counted yet, for a bundle's heads and window, and a number of recordings."""
        names = {task: [c.name for c in classes] for task, classes in heads.items()}
        score = cls({task: ConfusionMatrix(of_task) for task, of_task in names.items()}, window_frames)
        if "segments" in names:
            score.segments = SegmentScore(names["segments"])
            score.segments_compat = SegmentScore(names["segments"], compat=True)
        if "action" in names:
            score.vote = VideoVote(names["action"], videos)
            score.windows = ConfusionMatrix(names["action"])
        return score

    def figures(self) -> dict[str, float]:
        """The figures a bundle's metadata states."""
        result: dict[str, float] = {}
        if "action" in self.confusions and self.confusions["action"].total:
            result["action_accuracy"] = accuracy(self.confusions["action"])
        if "segments" in self.confusions and self.confusions["segments"].total:
            result["segments_accuracy"] = accuracy(self.confusions["segments"])
        if "semantic" in self.confusions and self.confusions["semantic"].total:
            result["segmentation_miou_present"] = mean_iou(self.confusions["semantic"])
        return {name: round(value, 4) for name, value in result.items()}

    def action_figures(self) -> dict[str, float]:
        """Share of the windows whose action is right, and of the frames whose action is reported as unknown."""
        result: dict[str, float] = {}
        if self.windows is not None and self.windows.total:
            result["window_accuracy"] = accuracy(self.windows)
        if "action" in self.confusions and self.confusions["action"].total:
            frames = self.confusions["action"]
            result["action_unknown"] = float(frames.counts[:, -1].sum() / frames.total)
        return {name: round(value, 4) for name, value in result.items()}

    def published(self) -> dict[str, float]:
        """What published tables state besides: the video vote, and the mean IoU with absent classes counted as 0."""
        result: dict[str, float] = {}
        if self.vote is not None and self.vote.videos.total:
            result["video_accuracy"] = accuracy(self.vote.videos)
        if "semantic" in self.confusions and self.confusions["semantic"].total:
            result["segmentation_miou_absent_as_zero"] = mean_iou(self.confusions["semantic"], absent_as_zero=True)
        return {name: round(value, 4) for name, value in result.items()}

    def report(self) -> dict[str, Any]:
        """All figures, JSON-ready: None where there is nothing to divide by."""
        semantic = self.confusions.get("semantic")
        scored = semantic is not None and semantic.total > 0
        per_class = {} if semantic is None or not scored else dict(
            zip(semantic.names, (round(v, 4) for v in iou_per_class(semantic).tolist()), strict=True)
        )  # fmt: skip
        report = {
            **self.figures(),
            **self.action_figures(),
            **self.published(),
            "frames": self.frames,
            "warnings": self.warnings,
            "complete": self.complete,
            "left_out": self.left_out,
            "rejected": self.rejected,
            "windows": 0 if self.windows is None else self.windows.total,
            "window_frames": self.window_frames,
            "videos": 0 if self.vote is None else self.vote.videos.total,
            "videos_without_vote": self.unvoted,
            "rates_hz": {name: round(rate, 3) for name, rate in self.rates_hz.items()},
            "segments": _segment_figures(self.segments),
            "segments_compat": _segment_figures(self.segments_compat),
            "per_class_iou": per_class,
            "supports": {
                task: dict(zip(matrix.names, matrix.support.tolist(), strict=True))
                for task, matrix in self.confusions.items()
            },
            "confusion": {task: matrix.counts.tolist() for task, matrix in self.confusions.items()},
            "step_ms": percentiles(self.step_ms) if self.step_ms else {},
        }
        return {name: _without_nan(value) for name, value in report.items()}

    def save(self, path: Path) -> None:
        """Write the report as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.report(), indent=2, allow_nan=False) + "\n", encoding="utf-8")


def reasons(rejected: Sequence[str]) -> list[tuple[str, int]]:
    """Reasons that differ in more than their numbers: the first of each kind and how many there are, most first."""
    kinds: dict[str, tuple[str, int]] = {}
    for reason in rejected:
        kind = re.sub(r"\d+(\.\d+)?", "#", reason)
        first, count = kinds.get(kind, (reason, 0))
        kinds[kind] = (first, count + 1)
    return sorted(kinds.values(), key=lambda entry: -entry[1])


def _segment_figures(score: SegmentScore | None) -> dict[str, float]:
    return score.figures() if score is not None and score.frames.total else {}


def _without_nan(value: Any) -> Any:
    """A figure, or a mapping of figures, with None in place of NaN."""
    if isinstance(value, dict):
        return {name: _without_nan(entry) for name, entry in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value
