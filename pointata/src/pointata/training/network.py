"""The shape of the network of a training, stated once: what its backbone and its embedder decide is read from them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pointata.errors import ConfigError
from pointata.model.backbone import Backbone
from pointata.model.config import NetworkConfig, preset, preset_of


@dataclass(frozen=True)
class BackboneSettings:
    """Shape of a backbone."""

    preset: str = "tiny"
    """Size: "tiny", "small" or "base"."""


@dataclass(frozen=True)
class NetworkSettings:
    """Shape of the network; what is null follows from the aligned embedder and the backbone."""

    preset: str | None = None
    """Size: "tiny", "small" or "base"; null for the backbone's, in mode "scratch" for "tiny"."""
    groups: int | None = None
    """Tokens of a frame; null for the aligned embedder's, or 64."""
    group_size: int | None = None
    """Points of a token; null for the aligned embedder's, or 32."""
    height: bool | None = None
    """Give the network each point's height above the lowest points of its frame; null for as the embedder, or not."""
    window: int = NetworkConfig.window
    """Frames that the action head looks back over."""

    def config(self, backbone: Backbone | None, aligned: Mapping[str, Any] = {}, **others: Any) -> NetworkConfig:
        """The network's architecture.

        Args:
            backbone: that it stands on; None for one from scratch.
            aligned: the network that the file of an aligned embedder states.
            others: further fields of the architecture.

        Raises:
            ConfigError: the settings contradict the backbone or each other.
        """
        name = self.preset or ("tiny" if backbone is None else preset_of(backbone.config))
        for field in ("groups", "group_size", "height"):
            value = getattr(self, field)
            if value is not None or field in aligned:
                others[field] = aligned[field] if value is None else value
        config = preset(name, window=self.window, **others)
        if backbone is not None and backbone.config != config.backbone:
            raise ConfigError(
                f"the backbone is of preset {preset_of(backbone.config)}, not {name}: leave network.preset out"
            )
        return config
