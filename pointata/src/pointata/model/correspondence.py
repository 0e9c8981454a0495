"""Where each token's place was in the frames before: nearest centres in world coordinates."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pointata.geometry.neighbours import gather, nearest
from pointata.model.state import Clip, StreamState

#: Past frames that an adapter sees besides the newest one.
TAPS = 2


@dataclass(frozen=True)
class Correspondences:
    """For each frame t of a chunk and each tap k = 1, 2: the centre of frame t-k nearest to each centre of t.

    Attributes:
        index: per tap (B, T, G, 1) int64 into the tokens of frame t-k.
        offset: per tap (B, T, G, 4) float32: dx, dy, dz from that centre to this one in world coordinates, and dt in
            seconds; zero where frame t-k is unknown.
        valid: per tap (B, T) bool, whether frame t-k belongs to the stream.
    """

    index: tuple[Tensor, ...]
    offset: tuple[Tensor, ...]
    valid: tuple[Tensor, ...]

    def taps(self, history: Tensor) -> list[Tensor]:
        """Tokens of the past frames, in this frame's order of centres.

        Args:
            history: (B, T + 2, G, C), two frames of the past, then the chunk.

        Returns:
            Per tap (B, T, G, C), zero where the frame is unknown.
        """
        length = history.shape[1] - TAPS
        result = []
        for k, (index, valid) in enumerate(zip(self.index, self.valid, strict=True), start=1):
            past = gather(history[:, TAPS - k : TAPS - k + length], index).squeeze(-2)
            result.append(torch.where(valid[:, :, None, None], past, 0.0))
        return result


def correspond(clip: Clip, centres: Tensor, state: StreamState) -> Correspondences:
    """Find the correspondences of a chunk whose past is `state`.

    Args:
        clip: the chunk (origins and stamps are used).
        centres: (B, T, G, 3) of the chunk.
        state: the past.
    """
    length = centres.shape[1]
    all_centres = torch.cat([state.centres, centres], dim=1)  # (B, T + 2, G, 3)
    all_origins = torch.cat([state.origins, clip.origins], dim=1)  # (B, T + 2, 3)
    all_stamps = torch.cat([state.stamps, clip.stamps], dim=1)  # (B, T + 2)
    all_valid = torch.cat([state.valid[:, -TAPS:], torch.ones_like(clip.stamps, dtype=torch.bool)], dim=1)
    indices, offsets, valids = [], [], []
    for k in range(1, TAPS + 1):
        past = slice(TAPS - k, TAPS - k + length)
        shift = (all_origins[:, past] - clip.origins).to(centres.dtype)  # in float64 until small
        past_centres = all_centres[:, past] + shift.unsqueeze(-2)  # (B, T, G, 3), origin at the present sensor
        _, index = nearest(centres, past_centres, 1)  # (B, T, G, 1)
        moved = centres - gather(past_centres, index).squeeze(-2)  # (B, T, G, 3)
        elapsed = (clip.stamps - all_stamps[:, past]).to(centres.dtype)  # (B, T)
        offset = torch.cat([moved, elapsed[:, :, None, None].expand(*moved.shape[:3], 1)], dim=-1)
        valid = all_valid[:, past]
        indices.append(index)
        offsets.append(torch.where(valid[:, :, None, None], offset, 0.0))
        valids.append(valid)
    return Correspondences(tuple(indices), tuple(offsets), tuple(valids))
