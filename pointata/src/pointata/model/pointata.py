"""PointATA: the adapter-augmented frozen 3D backbone, run on clips or frame by frame with equal results."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pointata.model.adapter import PointVideoAdapter, with_history
from pointata.model.backbone import Backbone
from pointata.model.config import NetworkConfig
from pointata.model.context import SpatialContextEncoder
from pointata.model.correspondence import TAPS, correspond
from pointata.model.embedder import PointAlignEmbedder
from pointata.model.heads import ActionHead, SegmentsHead, SemanticHead
from pointata.model.pooling import FramePool
from pointata.model.state import Clip, StreamState
from pointata.model.streaming import StreamingNetwork
from pointata.model.tokenizer import group

_WIDE = ("qkv", "proj", "mlp.0", "mlp.2", "point_net.second_out")


@dataclass(frozen=True)
class Encoded:
    """What the heads see of a chunk of T frames.

    Attributes:
        centres: (B, T, G, 3).
        layers: tokens (B, T, G, D) after a third, two thirds and all of the blocks.
        pooled: (B, W - 1 + T, F), pooled tokens of each frame, W - 1 frames of history first; only the history, of
            width 0, where no head looks at whole frames.
        valid: (B, W - 1 + T) bool, frames that belong to the stream.
        channels: (B, T, N, F), the points' input channels besides x, y, z; None where there are none.
        attention: (B, T, G, 4), logarithm of the pooling's attention; None where frames are not pooled.
    """

    centres: Tensor
    layers: list[Tensor]
    pooled: Tensor
    valid: Tensor
    channels: Tensor | None
    attention: Tensor | None

    @property
    def frames(self) -> Tensor:
        """(B, T, F) pooled tokens of the chunk's own frames."""
        return self.pooled[:, -self.centres.shape[1] :]


class PointATA(StreamingNetwork):
    """Align then Adapt (arXiv 2602.23069), reconstructed as a streaming network.

    Attention is spatial; time enters through the motion branch, the adapters, the pooling and the heads, and only
    backwards. So a clip and the same frames one by one give the same numbers.
    """

    backbone: Backbone
    embedder: PointAlignEmbedder
    context: SpatialContextEncoder

    def __init__(self, config: NetworkConfig, backbone: Backbone | None = None) -> None:
        super().__init__()
        self.config = config
        width, bottleneck = config.backbone.width, config.adapter_width
        self.backbone = Backbone(config.backbone) if backbone is None else backbone
        self.embedder = PointAlignEmbedder(self.backbone.tokenizer, config.channels)
        self.adapters = nn.ModuleList(PointVideoAdapter(width, bottleneck) for _ in range(config.backbone.depth))
        self.context = SpatialContextEncoder(width, bottleneck, config.context_neighbours)
        heads: dict[str, nn.Module] = {}
        if "action" in config.heads or "segments" in config.heads:
            heads["pool"] = FramePool(width)
        if "action" in config.heads:
            heads["action"] = ActionHead(FramePool.width(width), width, config.heads["action"], config.window)
        if "segments" in config.heads:
            heads["segments"] = SegmentsHead(FramePool.width(width), width, config.heads["segments"])
        if "semantic" in config.heads:
            heads["semantic"] = SemanticHead(width, config.heads["semantic"], config.channels)
        self.heads = nn.ModuleDict(heads)

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks that have a head."""
        return tuple(self.config.heads)

    def quantizable_layers(self) -> list[str]:
        """What makes most of a step: attention and MLPs of the blocks, wide layers of tokenizer and point head."""
        return [name for name, layer in self.named_modules() if isinstance(layer, nn.Linear) and name.endswith(_WIDE)]

    def window_distance(self, state: StreamState, stream: int) -> float:
        """Mean square of the mean of a window's pooled features: how far it lies from the training data.

        These have unit variance over the training data, so a window that holds all of it would give 0, and one whose
        frames are alike about 1. Of networks that pool frames, once the stream has a frame.
        """
        return float(state.pooled[stream, state.valid[stream]].mean(dim=0).square().mean())

    def adopt_embedder(self) -> None:
        """Make the embedder's PointNet the backbone's tokenizer: the 3D network that full training leaves behind."""
        self.backbone.tokenizer.load_state_dict(self.embedder.point_net.state_dict())

    def initial_state(self, streams: int) -> StreamState:
        """The state of `streams` streams that have seen nothing."""
        c = self.config
        weight = self.context.up.weight
        width, history = c.backbone.width, c.window - 1

        def zeros(*shape: int, dtype: torch.dtype = weight.dtype) -> Tensor:
            return torch.zeros(shape, dtype=dtype, device=weight.device)

        return StreamState(
            valid=zeros(streams, history, dtype=torch.bool),
            centres=zeros(streams, TAPS, c.groups, 3),
            origins=zeros(streams, TAPS, 3, dtype=torch.float64),
            stamps=zeros(streams, TAPS, dtype=torch.float64),
            adapters=zeros(streams, c.backbone.depth, TAPS, c.groups, c.adapter_width),
            pooled=zeros(streams, history, FramePool.width(width) if "pool" in self.heads else 0),
            segments=zeros(streams, width if "segments" in c.heads else 0),
        )

    def channels(self, clip: Clip) -> Tensor | None:
        """Input channels besides x, y, z: (B, T, N, F), or None."""
        if not self.config.height:
            return clip.features
        z = clip.points[..., 2:]
        lowest = z.kthvalue(max(1, z.shape[2] // 50), dim=2, keepdim=True).values  # of 50 points, one may be a stray
        height = z - lowest
        return height if clip.features is None else torch.cat([clip.features, height], dim=-1)

    def encode(self, clip: Clip, state: StreamState) -> tuple[Encoded, StreamState]:
        """Run the trunk over a chunk that continues `state`; the recurrent state of the heads is carried unchanged."""
        c = self.config
        batch, length = clip.points.shape[:2]
        channels = self.channels(clip)
        centres, patches, features = group(clip.points, c.groups, c.group_size, channels)
        past = correspond(clip, centres, state)
        tokens = self.embedder(patches, features, past)  # (B, T, G, D)
        position = self.backbone.position(centres)
        near, offsets = self.context.surroundings(centres)
        depth = c.backbone.depth
        taken = {max(1, depth // 3) - 1, max(1, 2 * depth // 3) - 1, depth - 1}
        layers, adapter_states = [], []
        for i, (block, adapter) in enumerate(zip(self.backbone.blocks, self.adapters, strict=True)):
            assert isinstance(adapter, PointVideoAdapter)
            spatial = block((tokens + position).flatten(0, 1)).unflatten(0, (batch, length))
            present = adapter.down(spatial)  # (B, T, G, r)
            taps, remembered = with_history(state.adapters[:, i], present, past)
            tokens = spatial + adapter(present, taps) + self.context(spatial, near, offsets)
            adapter_states.append(remembered)
            if i in taken:
                layers.append(tokens)
        layers[-1] = self.backbone.norm(tokens)
        layers = [layers[0]] * (3 - len(layers)) + layers  # a backbone of one or two blocks
        pooled, attention = state.pooled, None
        if "pool" in self.heads:
            places = centres
            if channels is not None and c.height:
                places = torch.cat([centres[..., :2], channels[..., : c.groups, -1:]], dim=-1)
            frame, attention = self.heads["pool"](layers[-1], places, past)
            pooled = torch.cat([state.pooled, frame], dim=1)
        valid = torch.cat([state.valid, torch.ones_like(clip.stamps, dtype=torch.bool)], dim=1)
        new_state = StreamState(
            valid=valid[:, length:],
            centres=torch.cat([state.centres, centres], dim=1)[:, -TAPS:],
            origins=torch.cat([state.origins, clip.origins], dim=1)[:, -TAPS:],
            stamps=torch.cat([state.stamps, clip.stamps], dim=1)[:, -TAPS:],
            adapters=torch.stack(adapter_states, dim=1),
            pooled=pooled[:, -(c.window - 1) :],
            segments=state.segments,
        )
        return Encoded(centres, layers, pooled, valid, channels, attention), new_state

    def semantic(self, encoded: Encoded, clip: Clip) -> Tensor:
        """Scores of the sampled points: (B, T, N, C) logits. The clip may be the tail of the encoded chunk."""
        if clip.neighbours is None:
            raise ValueError("the semantic head needs Clip.neighbours")
        tail = -clip.points.shape[1]
        layers = [layer[:, tail:] for layer in encoded.layers]
        channels = None if encoded.channels is None else encoded.channels[:, tail:]
        scores: Tensor = self.heads["semantic"](
            layers, encoded.centres[:, tail:], clip.points, clip.neighbours, channels
        )
        return scores

    def run(self, clip: Clip, state: StreamState) -> tuple[dict[str, Tensor], StreamState]:
        """Continue the streams by a chunk of T >= 1 frames.

        Returns:
            Logits by task: "action" (B, T, C) for the window ending at each frame, "segments" (B, T, C) for each
            frame, "semantic" (B, T, N, C) for each sampled point; and the state after the chunk.
        """
        encoded, new_state = self.encode(clip, state)
        outputs: dict[str, Tensor] = {}
        if "action" in self.heads:
            outputs["action"] = self.heads["action"](encoded.pooled, encoded.valid)
        if "segments" in self.heads:
            outputs["segments"], segments = self.heads["segments"](encoded.frames, state.segments)
            new_state = StreamState(**{**vars(new_state), "segments": segments})
        if "semantic" in self.heads:
            outputs["semantic"] = self.semantic(encoded, clip)
        return outputs, new_state

    def forward(self, clip: Clip) -> Mapping[str, Tensor]:
        """Run whole clips from an empty past; see `run` for the outputs."""
        return self.run(clip, self.initial_state(len(clip.points)))[0]

    def step(self, frame: Clip, state: StreamState) -> tuple[Mapping[str, Tensor], StreamState]:
        """Run one new frame (T = 1) of each stream at the cost of that frame alone; see `run` for the outputs."""
        if frame.points.shape[1] != 1:
            raise ValueError(f"step takes one frame, got {frame.points.shape[1]}; use run for a chunk")
        return self.run(frame, state)
