"""What the trunk of a network gives to the heads."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Tokens:
    """Tokens and points of a chunk of T frames, for heads that score points.

    Attributes:
        centres: (B, T, G, 3).
        layers: tokens (B, T, G, D) after a third, two thirds and all of the blocks.
        points: (B, T, N, 3) sampled points.
        channels: (B, T, N, F), the points' input channels besides x, y, z; None where there are none.
        neighbours: (B, S, N, k) int64, nearest sampled points in the newest S frames, which are those to be scored;
            None where no points are to be.
    """

    centres: Tensor
    layers: list[Tensor]
    points: Tensor
    channels: Tensor | None
    neighbours: Tensor | None


@dataclass(frozen=True)
class Encoded:
    """What the heads see of a chunk of T frames.

    Attributes:
        length: T.
        pooled: (B, W - 1 + T, F), pooled tokens of each frame, W - 1 frames of history first; only the history, of
            width 0, where no head looks at whole frames.
        valid: (B, W - 1 + T) bool, frames that belong to the stream.
        tokens: what heads that score points see; None where they have nothing to score.
        attention: (B, T, G, 4), logarithm of the pooling's attention; None where frames are not pooled.
    """

    length: int
    pooled: Tensor
    valid: Tensor
    tokens: Tokens | None = None
    attention: Tensor | None = None

    @property
    def frames(self) -> Tensor:
        """(B, T, F) pooled tokens of the chunk's own frames."""
        return self.pooled[:, -self.length :]
