"""Settings of stage 2."""

from dataclasses import dataclass
from pathlib import Path

from pointata.bundles.catalogue import resolve
from pointata.errors import ConfigError
from pointata.model.trainable import Mode


@dataclass(frozen=True)
class AdaptSettings:
    """What is trained, and how."""

    name: str
    """Name of the adapter bundle that is made."""
    backbone: str
    """Backbone bundle: used (a name or path), or made where mode is "scratch"."""
    mode: Mode = "adapters"
    """What is trained: "adapters", "linear_probe", "full" (makes <name>_backbone), "scratch"."""
    aligned: Path | None = None
    """Embedder that stage 1 aligned (what `pointata align` wrote); None to start from the backbone's tokenizer."""
    learning_rate: float = 1e-3
    """Peak rate of AdamW, reached after the warm-up, then cosine to zero."""
    embedder_rate_factor: float = 0.1
    """Share of the rate that the embedder's copy of the tokenizer learns at, except in mode "scratch"; 0 freezes it."""
    weight_decay: float = 0.05
    """Of AdamW; none on vectors."""
    warmup_steps: int = 50
    """Steps of linear warm-up."""
    foreground_class: str | None = None
    """Point class that acts: the pooling is taught to attend to its tokens. None leaves the attention to itself."""
    label_smoothing: float = 0.1
    """Of the action losses."""
    settle_frames: int = 4
    """First frames of a clip that the action losses leave out."""
    class_weight_power: float = 0.5
    """Point classes are weighted by (1 / share) ** power."""

    def __post_init__(self) -> None:
        if self.learning_rate <= 0 or not 0 <= self.label_smoothing < 1:
            raise ConfigError(f"learning_rate must be above 0 and label_smoothing from 0 to below 1: {self}")
        least = min(self.embedder_rate_factor, self.weight_decay, self.warmup_steps, self.class_weight_power)
        if least < 0:
            raise ConfigError(
                f"embedder_rate_factor, weight_decay, warmup_steps and class_weight_power must not be negative: {self}"
            )
        if self.aligned is not None and self.mode == "scratch":
            raise ConfigError("an aligned embedder belongs to a backbone: it cannot start a network from scratch")
        if self.aligned is not None and not self.aligned.is_file():
            raise ConfigError(f"aligned embedder {self.aligned} does not exist: make it with `pointata align`")

    @property
    def makes_backbone(self) -> bool:
        """Whether the run makes a backbone of its own."""
        return self.mode in ("scratch", "full")

    @property
    def made_from(self) -> list[Path]:
        """The files that the bundle is made from."""
        backbones = [] if self.mode == "scratch" else [resolve(self.backbone)]
        return backbones if self.aligned is None else [*backbones, self.aligned]

    @property
    def trains_point_net(self) -> bool:
        """Whether mode "adapters" also changes the embedder's copy of the tokenizer."""
        return self.embedder_rate_factor > 0
