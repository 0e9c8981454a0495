"""The figures of a measurement: counted by `pointata.evaluation.offline`, shown by `pointata.evaluation.display`."""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pointata.classes import ClassInfo
from pointata.metrics.confusion import ConfusionMatrix
from pointata.metrics.summary import percentiles
from pointata.tasks import TASKS, get
from pointata.tasks.task import Evaluation


@dataclass
class OfflineScore:
    """Figures by task, and wall time per frame."""

    evaluations: Mapping[str, Evaluation]
    """By task, of all tasks there are; those that the bundle does not have count nothing."""
    window_frames: int = 0
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
    def of(cls, heads: Mapping[str, tuple[ClassInfo, ...]], window_frames: int, recordings: int) -> "OfflineScore":
        """Nothing counted yet, for a bundle's heads and window, and a number of recordings."""
        names = {task: [entry.name for entry in heads.get(task, ())] for task in TASKS}
        return cls(
            {task: get(task).evaluation(names[task], window_frames, recordings) for task in TASKS}, window_frames
        )

    @property
    def confusions(self) -> dict[str, ConfusionMatrix]:
        """Of the bundle's tasks: frames or points."""
        return {task: one.matrix for task, one in self.evaluations.items() if one.matrix.names}

    def figures(self) -> dict[str, float]:
        """The figures a bundle's metadata states."""
        return _rounded(one.figures() for one in self.evaluations.values())

    def details(self) -> dict[str, float]:
        """Figures shown beside them."""
        return _rounded(one.details() for one in self.evaluations.values())

    def published(self) -> dict[str, float]:
        """Further figures, as published tables state them."""
        return _rounded(one.published() for one in self.evaluations.values())

    def report(self) -> dict[str, Any]:
        """All figures, JSON-ready: None where there is nothing to divide by."""
        report = {
            **self.figures(),
            **self.details(),
            **self.published(),
            "frames": self.frames,
            "warnings": self.warnings,
            "complete": self.complete,
            "left_out": self.left_out,
            "rejected": self.rejected,
            "window_frames": self.window_frames,
            "rates_hz": {name: round(rate, 3) for name, rate in self.rates_hz.items()},
            **{name: value for one in self.evaluations.values() for name, value in one.report().items()},
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


def _rounded(parts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    return {name: round(value, 4) for part in parts for name, value in part.items()}


def _without_nan(value: Any) -> Any:
    """A figure, or a mapping of figures, with None in place of NaN."""
    if isinstance(value, dict):
        return {name: _without_nan(entry) for name, entry in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value
