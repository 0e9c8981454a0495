"""The three heads: action recognition, action segmentation, semantic segmentation."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pointata.geometry.neighbours import gather, interpolate, inverse_distance_weights, nearest


class ActionHead(nn.Module):
    """Class of the window: its pooled frames -> convolution over time -> mean, maximum and newest -> MLP."""

    def __init__(self, inputs: int, width: int, classes: int, window: int) -> None:
        super().__init__()
        self.window = window
        hidden = max(64, width // 3)
        self.time = nn.Sequential(
            nn.Conv1d(inputs, hidden, kernel_size=1), nn.GELU(), nn.Conv1d(hidden, hidden, kernel_size=5, padding=2)
        )
        self.mlp = nn.Sequential(nn.Linear(3 * hidden, width), nn.GELU(), nn.Dropout(0.2), nn.Linear(width, classes))

    def forward(self, pooled: Tensor, valid: Tensor) -> Tensor:
        """Scores of every window that ends in the chunk.

        Args:
            pooled: (B, W - 1 + T, F), pooled tokens of each frame; history first.
            valid: (B, W - 1 + T) bool, frames that belong to the stream.

        Returns:
            (B, T, C) logits.
        """
        mask = valid.unfold(1, self.window, 1).unsqueeze(2)  # (B, T, 1, W)
        frames = torch.where(mask, pooled.unfold(1, self.window, 1), 0.0)  # (B, T, F, W)
        seen = F.gelu(self.time(frames.flatten(0, 1))).reshape(*mask.shape[:2], -1, self.window)  # (B, T, h, W)
        mean = torch.where(mask, seen, 0.0).sum(-1) / mask.sum(-1)
        largest = torch.where(mask, seen, -torch.inf).amax(-1)
        logits: Tensor = self.mlp(torch.cat([mean, largest, seen[..., -1]], dim=-1))
        return logits


class SegmentsHead(nn.Module):
    """Class of each frame: its pooled tokens -> causal recurrent layer -> linear."""

    def __init__(self, inputs: int, width: int, classes: int) -> None:
        super().__init__()
        self.recurrent = nn.GRU(inputs, width, batch_first=True)
        self.out = nn.Linear(width, classes)

    def forward(self, frames: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Scores of the frames of a chunk.

        Args:
            frames: (B, T, F) pooled features.
            state: (B, D) recurrent state before the chunk.

        Returns:
            (B, T, C) logits and the new state (B, D).
        """
        features, last = self.recurrent(frames, state.unsqueeze(0).contiguous())
        return self.out(features), last.squeeze(0)


class SemanticHead(nn.Module):
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
