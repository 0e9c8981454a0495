"""The 3D transformer that stays frozen: Point-MAE's encoder. Tokens attend within their own frame only."""

import torch.nn.functional as F
from torch import Tensor, nn

from pointata.model.config import BackboneConfig
from pointata.model.tokenizer import MiniPointNet, merge_heads, position_embedding, split_heads


class Attention(nn.Module):
    """Multi-head self-attention; the query-key-value projection has no bias."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(M, G, D) -> (M, G, D)."""
        query, key, value = (split_heads(part, self.heads) for part in self.qkv(x).chunk(3, dim=-1))
        result: Tensor = self.proj(merge_heads(F.scaled_dot_product_attention(query, key, value)))
        return result


class Block(nn.Module):
    """Pre-norm transformer block with a four times wider MLP."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        """(M, G, D) -> (M, G, D)."""
        x = x + self.attn(self.norm1(x))
        result: Tensor = x + self.mlp(self.norm2(x))
        return result


class Backbone(nn.Module):
    """Tokenizer, position embedding, blocks and the final norm.

    By itself it is the 3D network of pre-training; inside `PointATA` the point align embedder takes the tokenizer's
    place and an adapter follows each block.
    """

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.config = config
        self.tokenizer = MiniPointNet(config.tokenizer, config.width)
        self.position = position_embedding(config.position_hidden, config.width)
        self.blocks = nn.ModuleList(Block(config.width, config.heads) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width)

    def forward(self, patches: Tensor, centres: Tensor) -> Tensor:
        """Encode single frames.

        Args:
            patches: (M, G, K, 3) points relative to their centre, in units of the normalisation.
            centres: (M, G, 3).

        Returns:
            (M, G, D) tokens after the final norm.
        """
        tokens = self.tokenizer(patches)
        position = self.position(centres)
        for block in self.blocks:
            tokens = block(tokens + position)
        result: Tensor = self.norm(tokens)
        return result
