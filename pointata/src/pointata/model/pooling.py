"""From the tokens of a frame to one vector: what the attention sees, and where it rests."""

import torch
from torch import Tensor, nn

from pointata.model.correspondence import TAPS, Correspondences
from pointata.model.tokenizer import PointwiseNorm

_HEADS = 4
# Of each token: place (3), and displacement since t-1 and t-2 (3 each).
_PLACE = 3 * (1 + TAPS)


class FramePool(nn.Module):
    """Attention-weighted mean and maximum over a frame's tokens, and mean and spread of the places attended to.

    All are brought to unit variance over the training data: tokens are of order 1, displacements of order 0.01, and
    heads learn from either. Each of four heads weighs the tokens for a quarter of the channels, all equally at the
    start. The places make the path of what acts explicit: the mean over many tokens is steadier than any single,
    re-sampled centre.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.score = nn.Linear(width, _HEADS)
        self.norm = PointwiseNorm(self.width(width), eps=1e-8)
        nn.init.zeros_(self.score.weight)

    @staticmethod
    def width(tokens: int) -> int:
        """Size of the result for tokens of that width."""
        return 2 * tokens + _HEADS * (_PLACE + 3)

    def forward(self, tokens: Tensor, centres: Tensor, past: Correspondences) -> tuple[Tensor, Tensor]:
        """Pool frames.

        Args:
            tokens: (B, T, G, D).
            centres: (B, T, G, 3); z may be a height.
            past: their displacements.

        Returns:
            (B, T, width(D)) vectors and (B, T, G, 4) logarithms of the attention.
        """
        attention = self.score(tokens).log_softmax(dim=2)
        weight = attention.exp().unsqueeze(-1)  # (B, T, G, 4, 1)
        mean = (tokens.reshape(*tokens.shape[:-1], _HEADS, -1) * weight).sum(dim=2).flatten(-2)  # (B, T, D)
        place = torch.cat([centres, *(offset[..., :3] for offset in past.offset)], dim=-1).unsqueeze(-2)
        where = (place * weight).sum(dim=2)  # (B, T, 4, 9)
        deviation = place[..., :3] - where[..., :3].unsqueeze(2)  # (B, T, G, 4, 3)
        spread = ((deviation.square() * weight).sum(dim=2) + 1e-6).sqrt()
        vector = torch.cat([mean, tokens.amax(dim=2), where.flatten(-2), spread.flatten(-2)], dim=-1)
        return self.norm(vector), attention
