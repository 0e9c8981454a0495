"""What a network remembers of a stream, and the clip it takes."""

from dataclasses import dataclass

from torch import Tensor

from pointata.model.tensors import mapped


@dataclass(frozen=True)
class Clip:
    """Sampled frames of B streams, T frames each, oldest first.

    Attributes:
        points: (B, T, N, 3) float32, farthest point order, world-aligned axes with the origin at the sensor, in
            units of the normalisation (metres / scale).
        origins: (B, T, 3) float64, position of the sensor in the world, same units.
        stamps: (B, T) float64, seconds from any origin.
        neighbours: (B, T, N, k) int64, each point's nearest sampled points, itself included; needed by the semantic
            head only.
        features: (B, T, N, F) float32, or None where the network takes none.
    """

    points: Tensor
    origins: Tensor
    stamps: Tensor
    neighbours: Tensor | None = None
    features: Tensor | None = None

    def frames(self, start: int, stop: int) -> "Clip":
        """The frames [start, stop) of every stream."""
        return mapped(self, lambda value: value[:, start:stop])


@dataclass(frozen=True)
class StreamState:
    """Everything that the past contributes to the next frame; its size does not depend on the stream's length.

    H = window - 1 frames of history for the pooled features, of which the newest two also keep their tokens.

    Attributes:
        valid: (B, H) bool, whether that frame has been seen since the last reset; newest last.
        centres: (B, 2, G, 3) float32 of frames t-2 and t-1, sensor-centred at their own time.
        origins: (B, 2, 3) float64 sensor positions.
        stamps: (B, 2) float64 seconds.
        adapters: (B, L, 2, G, r) float32, down-projected tokens of each block.
        pooled: (B, H, F) float32, pooled tokens of each frame; width 0 where no head looks at whole frames.
        heads: (B, S) float32, what the heads remember, side by side.
    """

    valid: Tensor
    centres: Tensor
    origins: Tensor
    stamps: Tensor
    adapters: Tensor
    pooled: Tensor
    heads: Tensor
