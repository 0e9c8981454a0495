"""Point align embedder (PAE): the pre-trained tokenizer, copied, with a causal motion branch."""

import copy

import torch
from torch import Tensor, nn

from pointata.model.correspondence import Correspondences
from pointata.model.tokenizer import MiniPointNet


class PointAlignEmbedder(nn.Module):
    """Embeds groups of points and how their place moved since the last two frames.

    Starts as the 3D tokenizer it copies: the motion branch and the projection of further channels start at zero, so
    the first distance that optimal-transport alignment measures is the true gap between 3D and 4D data.
    """

    def __init__(self, tokenizer: MiniPointNet, features: int) -> None:
        super().__init__()
        self.point_net = copy.deepcopy(tokenizer)
        width = tokenizer.second_out.out_features
        self.motion = nn.Linear(4, width, bias=False)
        nn.init.zeros_(self.motion.weight)
        self.channels = nn.Linear(features, tokenizer.first_in.out_features, bias=False) if features else None
        if self.channels is not None:
            nn.init.zeros_(self.channels.weight)

    def forward(self, patches: Tensor, features: Tensor | None, past: Correspondences) -> Tensor:
        """Embed a chunk.

        Args:
            patches: (B, T, G, K, 3) points relative to their centre.
            features: (B, T, G, K, F) further channels, or None.
            past: correspondences with the frames before.

        Returns:
            (B, T, G, D) tokens.
        """
        extra = None if self.channels is None or features is None else self.channels(features)
        tokens: Tensor = self.point_net(patches, extra)
        motion = torch.stack([self.motion(offset) for offset in past.offset]).amax(dim=0)
        return tokens + motion
