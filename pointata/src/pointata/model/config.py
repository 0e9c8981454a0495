"""Architecture of a network: what is stored in a bundle and needed to build it again."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pointata.errors import ConfigError
from pointata.tasks import TASKS


@dataclass(frozen=True)
class BackboneConfig:
    """The frozen 3D transformer (Point-MAE encoder)."""

    width: int = 384
    """Channels of a token."""
    depth: int = 12
    """Transformer blocks."""
    heads: int = 6
    """Attention heads; divides `width`."""
    tokenizer: tuple[int, int, int] = (128, 256, 512)
    """Hidden widths of the mini-PointNet: first layer, first pooling, second layer."""
    position_hidden: int = 128
    """Hidden width of the position embedding."""

    def __post_init__(self) -> None:
        if min(self.width, self.depth, self.heads, self.position_hidden, *self.tokenizer) < 1:
            raise ConfigError(f"all sizes of the backbone must be positive: {self}")
        if self.width % self.heads:
            raise ConfigError(f"backbone.heads ({self.heads}) must divide backbone.width ({self.width})")


@dataclass(frozen=True)
class NetworkConfig:
    """The whole network: backbone, tokens, adapters and heads."""

    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    groups: int = 64
    """Tokens per frame: the first `groups` of the sampled points are their centres."""
    group_size: int = 32
    """Points per token."""
    window: int = 24
    """Frames the action heads look back over, the newest included."""
    adapter_width: int = 64
    """Bottleneck of the point-video adapters and of the spatial-context encoder."""
    context_neighbours: int = 8
    """Centres that the spatial-context encoder looks at."""
    features: tuple[str, ...] = ()
    """Names of the per-point input channels besides x, y, z."""
    height: bool = False
    """Add a channel: each point's height above the lowest points of its frame. For gravity-aligned frames."""
    heads: Mapping[str, int] = field(default_factory=dict)
    """Number of classes of each task that has a head."""

    def __post_init__(self) -> None:
        if not 1 <= self.context_neighbours <= self.groups:
            raise ConfigError(f"context_neighbours must be 1 to groups ({self.groups}), got {self.context_neighbours}")
        if self.group_size < 1:
            raise ConfigError(f"group_size must be at least 1, got {self.group_size}")
        if self.window < 3:
            raise ConfigError(f"window must be at least 3 frames (the reach of an adapter), got {self.window}")
        unknown = set(self.heads) - set(TASKS)
        if unknown or any(not 2 <= count <= 255 for count in self.heads.values()):
            raise ConfigError(f"heads maps {', '.join(TASKS)} to 2 to 255 classes, got {dict(self.heads)}")

    @property
    def channels(self) -> int:
        """Input channels of a point besides x, y, z."""
        return len(self.features) + self.height

    def to_dict(self) -> dict[str, Any]:
        """Plain data for a bundle's metadata; `from_dict` is the inverse."""
        return asdict(self) | {"heads": dict(self.heads)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "NetworkConfig":
        """Build from `to_dict`'s result (lists where JSON made lists of tuples)."""
        backbone = dict(data["backbone"])
        backbone["tokenizer"] = tuple(backbone["tokenizer"])
        rest = {key: value for key, value in data.items() if key != "backbone"}
        return cls(backbone=BackboneConfig(**backbone), **(rest | {"features": tuple(data["features"])}))


#: Backbones by preset name. `base` is the Point-MAE encoder.
BACKBONES: Mapping[str, BackboneConfig] = {
    "tiny": BackboneConfig(width=96, depth=4, heads=4, tokenizer=(32, 64, 128), position_hidden=64),
    "small": BackboneConfig(width=192, depth=6, heads=6, tokenizer=(64, 128, 256), position_hidden=96),
    "base": BackboneConfig(),
}

_ADAPTER_WIDTHS = {"tiny": 32, "small": 48, "base": 64}


def preset_of(backbone: BackboneConfig) -> str:
    """Name of the preset that a backbone has the size of."""
    for name, config in BACKBONES.items():
        if config == backbone:
            return name
    raise ConfigError(f"the backbone is of none of the sizes {', '.join(BACKBONES)}: {backbone}")


def preset(name: str, **overrides: Any) -> NetworkConfig:
    """A network by preset name ("tiny", "small" or "base"), any field of `NetworkConfig` overridden."""
    if name not in BACKBONES:
        raise ConfigError(f"unknown preset {name!r}: choose one of {', '.join(BACKBONES)}")
    settings: dict[str, Any] = {"backbone": BACKBONES[name], "adapter_width": _ADAPTER_WIDTHS[name]}
    return NetworkConfig(**(settings | overrides))
