"""Spatial-context encoder (SCE): one instance, shared by all blocks."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pointata.geometry.neighbours import gather, nearest


class SpatialContextEncoder(nn.Module):
    """MLP over the offsets and features of the nearest centres in the same frame; starts at zero."""

    def __init__(self, width: int, bottleneck: int, neighbours: int) -> None:
        super().__init__()
        self.neighbours = neighbours
        self.down = nn.Linear(width, bottleneck)
        self.offset = nn.Linear(3, bottleneck)
        self.up = nn.Linear(bottleneck, width)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def surroundings(self, centres: Tensor) -> tuple[Tensor, Tensor]:
        """Geometry shared by all blocks.

        Args:
            centres: (..., G, 3).

        Returns:
            index (..., G, m) of the nearest centres and their embedded offsets (..., G, m, r).
        """
        _, index = nearest(centres, centres, self.neighbours)
        offsets = gather(centres, index) - centres.unsqueeze(-2)
        return index, self.offset(offsets)

    def forward(self, tokens: Tensor, index: Tensor, offsets: Tensor) -> Tensor:
        """What to add to tokens (..., G, D), given `surroundings`."""
        near = gather(self.down(tokens), index) + offsets  # (..., G, m, r)
        result: Tensor = self.up(torch.amax(F.gelu(near), dim=-2))
        return result
