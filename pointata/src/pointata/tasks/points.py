"""What tasks that give each point a class have in common."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pointata.frame import LabelledFrame
from pointata.geometry.neighbours import gather, interpolate, inverse_distance_weights, nearest
from pointata.metrics.summary import iou_per_class
from pointata.prediction import PointLabels, Prediction
from pointata.tasks.encoded import Encoded
from pointata.tasks.reporting import Heads, Moment, Options, Reporter, Scores
from pointata.tasks.scope import Scope
from pointata.tasks.task import Evaluation, HeadSizes, Task


class PointHead(nn.Module):
    """Class of each sampled point: tokens of three depths interpolated to it, and its own local geometry."""

    def __init__(self, width: int, classes: int, features: int) -> None:
        super().__init__()
        local = max(32, width // 3)
        self.tokens = nn.Linear(3 * width, width)
        self.near = nn.Sequential(nn.Linear(3 + features, local), nn.GELU(), nn.Linear(local, local))
        self.point = nn.Linear(3 + local, width)
        self.mlp = nn.Sequential(
            nn.LayerNorm(width), nn.GELU(), nn.Linear(width, width), nn.GELU(), nn.Linear(width, classes)
        )

    def forward(
        self, layers: list[Tensor], centres: Tensor, points: Tensor, neighbours: Tensor, features: Tensor | None
    ) -> Tensor:
        """Score points.

        Args:
            layers: three (..., G, D) token tensors.
            centres: (..., G, 3).
            points: (..., N, 3) sampled points.
            neighbours: (..., N, k) int64 nearest sampled points.
            features: (..., N, F) further channels, or None.

        Returns:
            (..., N, C) logits.
        """
        offsets = gather(points, neighbours) - points.unsqueeze(-2)  # (..., N, k, 3)
        if features is not None:
            offsets = torch.cat([offsets, gather(features, neighbours)], dim=-1)
        local = self._local(offsets)  # (..., N, local)
        distance, index = nearest(points, centres, 3)  # (..., N, 3)
        tokens = self.tokens(torch.cat(layers, dim=-1))  # (..., G, D): linear before interpolation, the same sum
        spread = interpolate(tokens, index, inverse_distance_weights(distance))  # (..., N, D)
        logits: Tensor = self.mlp(spread + self.point(torch.cat([points, local], dim=-1)))
        return logits

    def _local(self, offsets: Tensor) -> Tensor:
        """`near` and its maximum over neighbours, the last bias after it: (..., N, k, 3 + F) -> (..., N, h)."""
        first, activation, second = self.near
        assert isinstance(second, nn.Linear)
        local: Tensor = F.linear(activation(first(offsets)), second.weight).amax(dim=-2) + second.bias
        return local


class PointTask(Task):
    """A class for each point."""

    scope = Scope.POINT

    def make_head(self, sizes: HeadSizes, classes: int) -> nn.Module:
        """See `Task`."""
        return PointHead(sizes.width, classes, sizes.channels)

    def score(self, head: nn.Module, seen: Encoded, memory: Tensor, first: int) -> tuple[Tensor, Tensor]:
        """See `Task`."""
        tokens = seen.tokens
        if tokens is None or tokens.neighbours is None:
            raise ValueError(f"the {self.name} head needs Clip.neighbours")
        newest = slice(-tokens.neighbours.shape[1], None)
        layers = [layer[:, newest] for layer in tokens.layers]
        channels = None if tokens.channels is None else tokens.channels[:, newest]
        return head(layers, tokens.centres[:, newest], tokens.points[:, newest], tokens.neighbours, channels), memory

    def reporter(self, heads: Heads, window_frames: int, options: Options) -> Reporter:
        """See `Task`."""
        return _PointReporter(self.name)

    def evaluation(self, names: Sequence[str], window_frames: int, recordings: int) -> Evaluation:
        """See `Task`."""
        return PointEvaluation(self, names)


class _PointReporter(Reporter):
    def __init__(self, task: str) -> None:
        self._task = task

    def report(self, scores: Scores, now: Moment) -> PointLabels:
        """See `Reporter`."""
        return now.labels[self._task]


class PointEvaluation(Evaluation):
    """Counts the points of the newest cloud; an unlabelled one with truth counts as wrong."""

    def take(self, truth: LabelledFrame, prediction: Prediction, settled: bool) -> None:
        """See `Evaluation`."""
        labels = truth.point_labels.get(self._task.name)
        given = prediction.results.get(self._task.name)
        if labels is not None and isinstance(given, PointLabels):
            self.matrix.update(labels[: truth.frame.own_count], given.labels)

    def ious(self) -> dict[str, Any]:
        """Intersection over union by class; empty where nothing was counted."""
        shares = [round(share, 4) for share in iou_per_class(self.matrix).tolist()]
        return dict(zip(self.matrix.names, shares, strict=True)) if self.matrix.total else {}
