"""The light decoder of masked autoencoding: from visible tokens and the places of masked groups to their points."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from pointata.geometry.neighbours import gather
from pointata.model.backbone import Block
from pointata.model.tokenizer import position_embedding


class Decoder(nn.Module):
    """Transformer over visible tokens and mask tokens; a linear head for every group size.

    Point-MAE's decoder, with the encoder's width and position embeddings of its own, added before every block.
    """

    def __init__(self, width: int, heads: int, depth: int, position_hidden: int, group_sizes: Iterable[int]) -> None:
        super().__init__()
        self.mask_token = nn.Parameter(torch.zeros(width))
        nn.init.normal_(self.mask_token, std=0.02)
        self.position = position_embedding(position_hidden, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.heads = nn.ModuleDict({str(size): nn.Linear(width, 3 * size) for size in sorted(set(group_sizes))})

    def forward(self, tokens: Tensor, visible: Tensor, masked: Tensor, group_size: int) -> Tensor:
        """Reconstruct.

        Args:
            tokens: (B, V, D) the encoder's tokens.
            visible: (B, V, 3) their centres.
            masked: (B, M, 3) centres of the groups to reconstruct.
            group_size: points K of a group; one of the sizes given at construction.

        Returns:
            (B, M, K, 3) points relative to their centre.
        """
        missing = self.mask_token.expand(*masked.shape[:2], -1)  # (B, M, D)
        x = torch.cat([tokens, missing], dim=1)
        position = self.position(torch.cat([visible, masked], dim=1))
        for block in self.blocks:
            x = block(x + position)
        points: Tensor = self.heads[str(group_size)](self.norm(x[:, tokens.shape[1] :]))  # (B, M, 3 K)
        return points.view(*masked.shape[:2], group_size, 3)


def chamfer(first: Tensor, second: Tensor) -> Tensor:
    """Chamfer-L2: mean squared distance to the nearest point of the other set, summed over both directions.

    Args:
        first: (..., A, 3).
        second: (..., B, 3).

    Returns:
        (...).
    """
    with torch.no_grad():
        distance = torch.cdist(first, second, compute_mode="donot_use_mm_for_euclid_dist")  # (..., A, B)
        of_first, of_second = distance.argmin(dim=-1), distance.argmin(dim=-2)
    there = first - gather(second, of_first.unsqueeze(-1)).squeeze(-2)
    back = second - gather(first, of_second.unsqueeze(-1)).squeeze(-2)
    return there.square().sum(dim=-1).mean(dim=-1) + back.square().sum(dim=-1).mean(dim=-1)
