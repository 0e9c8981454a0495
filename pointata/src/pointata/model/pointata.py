"""PointATA: the adapter-augmented frozen 3D backbone, run on clips or frame by frame with equal results."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from pointata.model.adapter import PointVideoAdapter, with_history
from pointata.model.backbone import Backbone
from pointata.model.config import NetworkConfig
from pointata.model.context import SpatialContextEncoder
from pointata.model.correspondence import TAPS, Correspondences, correspond
from pointata.model.embedder import PointAlignEmbedder
from pointata.model.pooling import FramePool
from pointata.model.state import Clip, StreamState
from pointata.model.streaming import StreamingNetwork
from pointata.model.tokenizer import group
from pointata.tasks import TASKS, get
from pointata.tasks.encoded import Encoded, Tokens
from pointata.tasks.scope import Scope
from pointata.tasks.task import HeadSizes

_WIDE = ("qkv", "proj", "mlp.0", "mlp.2", "point_net.second_out")


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
        self._tasks = [get(task) for task in TASKS if task in config.heads]
        sizes = HeadSizes(width, FramePool.width(width), config.channels, config.window)
        heads: dict[str, nn.Module] = {}
        if any(task.scope is not Scope.POINT for task in self._tasks):
            heads["pool"] = FramePool(width)
        heads |= {task.name: task.make_head(sizes, config.heads[task.name]) for task in self._tasks}
        self.heads = nn.ModuleDict(heads)
        self._memories = [task.memory(sizes) for task in self._tasks]

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks that have a head."""
        return tuple(task.name for task in self._tasks)

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
            heads=zeros(streams, sum(self._memories)),
        )

    def channels(self, clip: Clip) -> Tensor | None:
        """Input channels besides x, y, z: (B, T, N, F), or None."""
        if not self.config.height:
            return clip.features
        z = clip.points[..., 2:]
        lowest = z.kthvalue(max(1, z.shape[2] // 50), dim=2, keepdim=True).values  # of 50 points, one may be a stray
        height = z - lowest
        return height if clip.features is None else torch.cat([clip.features, height], dim=-1)

    def embed(self, clip: Clip, state: StreamState) -> tuple[Tensor | None, Tensor, Correspondences, Tensor]:
        """`channels`, token centres (B, T, G, 3), what they correspond to, and embedded tokens (B, T, G, D)."""
        channels = self.channels(clip)
        centres, patches, features = group(clip.points, self.config.groups, self.config.group_size, channels)
        past = correspond(clip, centres, state)
        return channels, centres, past, self.embedder(patches, features, past)

    def encode(self, clip: Clip, state: StreamState) -> tuple[Encoded, StreamState]:
        """Run the trunk over a chunk that continues `state`; what the heads remember is carried unchanged."""
        c = self.config
        batch, length = clip.points.shape[:2]
        channels, centres, past, tokens = self.embed(clip, state)
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
            heads=state.heads,
        )
        of_points = Tokens(centres, layers, clip.points, channels, clip.neighbours)
        return Encoded(length, pooled, valid, of_points, attention), new_state

    def decode(self, seen: Encoded, state: StreamState, first: int = 0) -> tuple[dict[str, Tensor], StreamState]:
        """Apply the heads to a chunk of T frames; no one else does.

        Args:
            seen: as `encode` gives it; without tokens, points are not scored.
            state: of which the heads take what they remember of the frames before.
            first: frame of the chunk from which on windows and frames are scored.

        Returns:
            Logits by task: (B, T - first, C) for the windows ending at these frames, or for the frames, (B, S, N, C)
            for the sampled points of the newest S frames, those that `Clip.neighbours` covers; and the state with what
            the heads remember now.
        """
        logits: dict[str, Tensor] = {}
        memories = list(torch.split(state.heads, self._memories, dim=1))
        for number, task in enumerate(self._tasks):
            if task.scope is not Scope.POINT or seen.tokens is not None:
                head = self.heads[task.name]
                logits[task.name], memories[number] = task.score(head, seen, memories[number], first)
        return logits, replace(state, heads=torch.cat(memories, dim=1) if memories else state.heads)

    def run(self, clip: Clip, state: StreamState) -> tuple[dict[str, Tensor], StreamState]:
        """Continue the streams by a chunk of T >= 1 frames; see `decode` for the logits, of all frames here."""
        return self.decode(*self.encode(clip, state))

    def forward(self, clip: Clip) -> Mapping[str, Tensor]:
        """Run whole clips from an empty past; see `run` for the outputs."""
        return self.run(clip, self.initial_state(len(clip.points)))[0]

    def step(self, frame: Clip, state: StreamState) -> tuple[Mapping[str, Tensor], StreamState]:
        """Run one new frame (T = 1) of each stream at the cost of that frame alone; see `run` for the outputs."""
        if frame.points.shape[1] != 1:
            raise ValueError(f"step takes one frame, got {frame.points.shape[1]}; use run for a chunk")
        return self.run(frame, state)
