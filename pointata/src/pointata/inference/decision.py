"""From scores per frame to what is reported: hysteresis over actions, runs of equal frames."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointata.prediction import ActionSegment


def action_voters(heads: Mapping[str, Any]) -> tuple[str, ...]:
    """Tasks whose mean probabilities are the window's action: "action", and "segments" where it has the same classes.

    Args:
        heads: classes by task; "action" is one of them.
    """
    return ("action", "segments") if heads["action"] == heads.get("segments") else ("action",)


class Hysteresis:
    """Holds the reported class until another one has led for some frames in a row."""

    def __init__(self, frames: int, unknown_score: float) -> None:
        """Args: frames: leads in a row that a new class needs. unknown_score: least probability of a known class."""
        self._frames = frames
        self._unknown_score = unknown_score
        self._reported: int | None = None
        self._challenger: int | None = None
        self._leads = 0

    def adjust(self, frames: int, unknown_score: float) -> None:
        """Take other settings; what is reported, and what challenges it, stays."""
        self._frames, self._unknown_score = frames, unknown_score

    def update(self, scores: NDArray[np.float32]) -> tuple[int, bool]:
        """Take the (C,) probabilities of a frame; returns the reported class and whether it is confident enough."""
        leader = int(scores.argmax())
        if self._reported is None:
            self._reported = leader
        if leader == self._reported:
            self._challenger, self._leads = None, 0
        else:
            self._leads = self._leads + 1 if leader == self._challenger else 1
            self._challenger = leader
            if self._leads >= self._frames:
                self._reported, self._challenger, self._leads = leader, None, 0
        return self._reported, bool(scores[self._reported] >= self._unknown_score)


def merge_runs(frames: Sequence[tuple[int, NDArray[np.float32]]]) -> tuple[ActionSegment, ...]:
    """Merge consecutive frames with the same leading class.

    Args:
        frames: (stamp_ns, (C,) probabilities), oldest first.
    """
    runs: list[tuple[int, list[tuple[int, float]]]] = []
    for stamp, scores in frames:
        leader = int(scores.argmax())
        if not runs or runs[-1][0] != leader:
            runs.append((leader, []))
        runs[-1][1].append((stamp, float(scores[leader])))
    return tuple(
        ActionSegment(run[0][0], run[-1][0], class_id, float(np.mean([score for _, score in run])))
        for class_id, run in runs
    )
