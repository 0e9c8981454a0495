"""From points to tokens: groups around centres, and the mini-PointNet that embeds them (Point-MAE)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pointata.geometry.neighbours import gather, nearest


def group(
    points: Tensor, groups: int, group_size: int, features: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Cut a sampled frame into groups of near points.

    Args:
        points: (..., N, 3), farthest point order: the first `groups` are the centres.
        groups: number of groups G.
        group_size: points per group K.
        features: (..., N, F) further channels, or None.

    Returns:
        centres (..., G, 3), patches (..., G, K, 3) relative to their centre, features of the patches
        (..., G, K, F) or None.
    """
    centres = points[..., :groups, :]
    _, index = nearest(centres, points, group_size)  # (..., G, K)
    patches = gather(points, index) - centres.unsqueeze(-2)
    return centres, patches, None if features is None else gather(features, index)


class PointwiseNorm(nn.BatchNorm1d):
    """BatchNorm over the last axis of a tensor of any rank."""

    def forward(self, input: Tensor) -> Tensor:
        if self.training:
            return super().forward(input.reshape(-1, input.shape[-1])).view(input.shape)
        # the same by hand: torch's backward pass through frozen statistics is several times slower on a CPU
        scale, shift = self.scale_and_shift()
        return torch.addcmul(shift, input, scale)

    def scale_and_shift(self) -> tuple[Tensor, Tensor]:
        """Scale and shift (C,) that the frozen statistics amount to."""
        assert self.running_mean is not None
        assert self.running_var is not None
        scale = self.weight * torch.rsqrt(self.running_var + self.eps)
        return scale, self.bias - self.running_mean * scale


class MiniPointNet(nn.Module):
    """Embeds each group of points as one token: 3-h0-BN-ReLU-h1, max, concatenated, h2-BN-ReLU-width, max.

    Point-MAE's patch encoder; with widths (128, 256, 512) and 384 its weights import into it.
    """

    def __init__(self, hidden: tuple[int, int, int], width: int) -> None:
        super().__init__()
        self.first_in = nn.Linear(3, hidden[0])
        self.first_norm = PointwiseNorm(hidden[0])
        self.first_out = nn.Linear(hidden[0], hidden[1])
        self.second_in = nn.Linear(2 * hidden[1], hidden[2])
        self.second_norm = PointwiseNorm(hidden[2])
        self.second_out = nn.Linear(hidden[2], width)

    def forward(self, patches: Tensor, extra: Tensor | None = None) -> Tensor:
        """Embed patches.

        Args:
            patches: (..., K, 3) points relative to their centre.
            extra: (..., K, h0) added to the first layer's output (further input channels), or None.

        Returns:
            (..., width) tokens.
        """
        first = self.first_in(patches)  # (..., K, h0)
        if extra is not None:
            first = first + extra
        hidden = F.relu(self.first_norm(first), inplace=True)
        whole = self.first_out(hidden).amax(dim=-2, keepdim=True)  # (..., 1, h1)
        # second_in(concat(whole, first_out(hidden))): the part of `whole` is computed once a group instead of once a
        # point, second_in after first_out is fused into one matrix, and a frozen norm is folded into the weights
        on_whole, on_points = self.second_in.weight.chunk(2, dim=1)
        bias: Tensor = self.second_in.bias
        if not self.second_norm.training:
            scale, shift = self.second_norm.scale_and_shift()
            on_whole, on_points, bias = on_whole * scale[:, None], on_points * scale[:, None], bias * scale + shift
        bias = bias + on_points @ self.first_out.bias
        second = F.linear(hidden, on_points @ self.first_out.weight)  # (..., K, h2)
        second.add_(F.linear(whole, on_whole, bias))
        if self.second_norm.training:
            second = self.second_norm(second)
        tokens: Tensor = self.second_out(F.relu(second, inplace=True)).amax(dim=-2)
        return tokens


def position_embedding(hidden: int, width: int) -> nn.Sequential:
    """MLP from a centre (3) to an embedding (width)."""
    return nn.Sequential(nn.Linear(3, hidden), nn.GELU(), nn.Linear(hidden, width))


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(M, G, D) -> (M, heads, G, D / heads)."""
    return x.reshape(*x.shape[:2], heads, -1).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """(M, heads, G, d) -> (M, G, heads * d)."""
    return torch.flatten(x.transpose(1, 2), 2)
