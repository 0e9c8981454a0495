"""What a network remembers of a stream, and the clip it takes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor


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

    def _map(self, change: Callable[[Tensor], Tensor]) -> "Clip":
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        changed: dict[str, Any] = {name: None if value is None else change(value) for name, value in values.items()}
        return Clip(**changed)

    @classmethod
    def joined(cls, clips: Sequence["Clip"]) -> "Clip":
        """The streams of several clips of equal shapes as one clip, in order; a single clip as it is."""
        if len(clips) == 1:
            return clips[0]

        def join(name: str) -> Tensor | None:
            values = [getattr(clip, name) for clip in clips]
            return None if values[0] is None else torch.cat(values)

        joined: dict[str, Any] = {f.name: join(f.name) for f in fields(cls)}
        return cls(**joined)

    def frames(self, start: int, stop: int) -> "Clip":
        """The frames [start, stop) of every stream."""
        return self._map(lambda value: value[:, start:stop])

    def to(self, device: torch.device | str) -> "Clip":
        """Copy to a device; without waiting, where the tensors are pinned."""
        return self._map(lambda value: value.to(device, non_blocking=value.is_pinned()))

    def pinned(self) -> "Clip":
        """A copy in page-locked memory, which a GPU reads by itself."""
        return self._map(lambda value: value.pin_memory())

    def copy(self) -> "Clip":
        """A copy in memory of its own."""
        return self._map(torch.clone)


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
        segments: (B, S) float32, recurrent state of the action segmentation head.
    """

    valid: Tensor
    centres: Tensor
    origins: Tensor
    stamps: Tensor
    adapters: Tensor
    pooled: Tensor
    segments: Tensor

    def _map(self, change: Callable[[Tensor], Tensor]) -> "StreamState":
        return StreamState(**{f.name: change(getattr(self, f.name)) for f in fields(self)})

    def kib(self) -> float:
        """Size of one stream's state in KiB."""
        tensors: list[Tensor] = [getattr(self, f.name) for f in fields(self)]
        return sum(t.numel() * t.element_size() for t in tensors) / len(self.valid) / 1024

    def finite(self) -> Tensor:
        """(B,) bool, whether all that is remembered of a stream is finite, and its sum in float32 is."""
        remembered = (self.centres, self.origins, self.stamps, self.adapters, self.pooled, self.segments)
        sums = [values.flatten(1).sum(dim=1, dtype=torch.float32) for values in remembered]  # a third of isfinite
        return torch.stack(sums).sum(dim=0).isfinite()

    def reset(self, streams: Tensor) -> "StreamState":
        """Forget the past of the streams chosen by a (B,) bool mask: as they were before their first frame."""
        return self._map(lambda tensor: tensor.masked_fill(streams.view(-1, *(1,) * (tensor.dim() - 1)), 0))

    def copy(self) -> "StreamState":
        """A copy in memory of its own."""
        return self._map(torch.clone)

    def select(self, streams: Tensor) -> "StreamState":
        """The states of some streams, by (S,) int64 index; a copy."""
        return self._map(lambda tensor: tensor[streams])

    def update(self, streams: Tensor, values: "StreamState") -> None:
        """Overwrite the states of the streams (S,) by those of `values`, in place, keeping the own dtypes."""
        for f in fields(self):
            tensor, new = getattr(self, f.name), getattr(values, f.name)
            if tensor.numel():  # a head that is not there has no state
                tensor.index_copy_(0, streams, new.to(tensor.dtype))
