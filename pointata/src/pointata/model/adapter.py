"""Point-video adapter (PVA): a bottleneck with a causal depth-wise separable convolution over time."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pointata.model.correspondence import TAPS, Correspondences


class PointVideoAdapter(nn.Module):
    """down -> depth-wise convolution over {t, t-1, t-2} of corresponding tokens -> point-wise -> GELU -> up.

    The up-projection starts at zero: a new adapter leaves the frozen network as it was.
    """

    def __init__(self, width: int, bottleneck: int) -> None:
        super().__init__()
        self.down = nn.Linear(width, bottleneck)
        self.depthwise = nn.Parameter(torch.empty(TAPS + 1, bottleneck).uniform_(-0.6, 0.6))
        self.pointwise = nn.Linear(bottleneck, bottleneck)
        self.up = nn.Linear(bottleneck, width)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, present: Tensor, taps: list[Tensor]) -> Tensor:
        """What to add to the tokens.

        Args:
            present: (B, T, G, r) down-projected tokens, `self.down(tokens)`.
            taps: the same of frames t-1 and t-2, in this frame's order of centres.

        Returns:
            (B, T, G, D).
        """
        mixed = present * self.depthwise[0]
        for weight, tap in zip(self.depthwise[1:], taps, strict=True):
            mixed = mixed + tap * weight
        result: Tensor = self.up(F.gelu(self.pointwise(mixed)))
        return result


def with_history(state: Tensor, present: Tensor, past: Correspondences) -> tuple[list[Tensor], Tensor]:
    """Taps for a chunk, and what the next chunk needs.

    Args:
        state: (B, 2, G, r) down-projected tokens before the chunk.
        present: (B, T, G, r) of the chunk.
        past: correspondences of the chunk.

    Returns:
        taps as `PointVideoAdapter.forward` takes them, and the new state (B, 2, G, r).
    """
    history = torch.cat([state, present], dim=1)  # (B, T + 2, G, r)
    return past.taps(history), history[:, -TAPS:]
