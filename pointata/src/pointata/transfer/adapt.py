"""Stage 2, adapt: train the network's adapters and heads, or more of it, on clips."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightning
import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics.classification import MulticlassAccuracy, MulticlassJaccardIndex

from pointata.classes import UNLABELLED
from pointata.errors import ConfigError
from pointata.model.backbone import Backbone
from pointata.model.bundle import BundleMetadata, load_backbone, save_bundle
from pointata.model.config import NetworkConfig, preset
from pointata.model.pointata import PointATA
from pointata.model.state import Clip
from pointata.model.trainable import Mode, freeze_statistics, is_trained, parameter_counts, set_trainable
from pointata.transfer.clips import ClipBatch


@dataclass(frozen=True)
class AdaptSettings:
    """What is trained, and how."""

    name: str
    """Name of the adapter bundle that is made."""
    backbone: str
    """Backbone bundle: used (a name or path), or made where mode is "scratch"."""
    preset: str = "tiny"
    """Size of the network: "tiny", "small" or "base"."""
    mode: Mode = "adapters"
    """What is trained: "adapters", "linear_probe", "full" (makes the backbone <name>_backbone) or "scratch"."""
    groups: int = 64
    """Tokens of a frame."""
    group_size: int = 32
    """Points of a token."""
    window: int = 16
    """Frames that the action head looks back over."""
    height: bool = False
    """Give the network each point's height above the lowest points of its frame."""
    learning_rate: float = 1e-3
    """Peak rate of AdamW, reached after the warm-up, then cosine to zero."""
    embedder_rate_factor: float = 0.1
    """The point align embedder's share of the rate, except in mode "scratch"."""
    weight_decay: float = 0.05
    """Of AdamW; none on vectors."""
    warmup_steps: int = 50
    """Steps of linear warm-up."""
    actor: str | None = None
    """Point class that acts: the pooling is taught to attend to its tokens. None leaves the attention to itself."""
    label_smoothing: float = 0.1
    """Of the action losses."""
    settle_frames: int = 4
    """First frames of a clip that the action losses leave out."""
    class_weight_power: float = 0.5
    """Point classes are weighted by (1 / share) ** power."""


class Adapt(lightning.LightningModule):
    """Trains a `PointATA` network in one of the modes of `pointata.model.trainable`."""

    model: PointATA
    _point_weights: Tensor

    def __init__(self, settings: AdaptSettings) -> None:
        """Take the settings; the network is built when the data are known."""
        super().__init__()
        self.settings = settings

    def configure_model(self) -> None:
        """Build the network for the data at hand."""
        if hasattr(self, "model"):
            return
        p, data = self.settings, self.trainer.datamodule  # type: ignore[attr-defined]
        config = preset(
            p.preset,
            groups=p.groups,
            group_size=p.group_size,
            window=p.window,
            height=p.height,
            heads={task: len(classes) for task, classes in data.heads.items()},
        )
        self.model = self._build(config)
        set_trainable(self.model, p.mode)
        self._actor = self._actor_id([c.name for c in data.heads.get("semantic", ())])
        classes = config.heads
        if "action" in classes:
            self.action_accuracy = MulticlassAccuracy(classes["action"], average="micro", ignore_index=-1)
            self.segments_accuracy = MulticlassAccuracy(classes["segments"], average="micro", ignore_index=-1)
        self.miou = MulticlassJaccardIndex(classes["semantic"], ignore_index=UNLABELLED)

    def _actor_id(self, names: list[str]) -> int | None:
        if self.settings.actor is None:
            return None
        if self.settings.actor not in names:
            raise ConfigError(f"actor {self.settings.actor!r} is no point class of the data ({', '.join(names)})")
        return names.index(self.settings.actor)

    def _build(self, config: NetworkConfig) -> PointATA:
        if self.settings.mode == "scratch":
            return PointATA(config)
        found, state = load_backbone(self.settings.backbone)
        if found != config.backbone:
            raise ConfigError(
                f"backbone {self.settings.backbone!r} is {found}, but preset {self.settings.preset!r} "
                f"is {config.backbone}: choose the preset that the backbone was made with"
            )
        backbone = Backbone(found)
        backbone.load_state_dict({name.removeprefix("backbone."): value.float() for name, value in state.items()})
        return PointATA(config, backbone)

    def train(self, mode: bool = True) -> "Adapt":
        """Switch to training; the statistics of frozen normalisation layers stay as they are."""
        super().train(mode)
        if hasattr(self, "model"):
            freeze_statistics(self.model, self.settings.mode)
        return self

    def on_fit_start(self) -> None:
        """Weigh the point classes by their share in the training data, and say what is trained."""
        self.train()
        trained, total = parameter_counts(self.model, self.settings.mode)
        self.print(f"{trained:,} of {total:,} parameters are trained ({100 * trained / total:.1f} %)")
        labels = torch.from_numpy(self.trainer.datamodule.label_counts()).float()  # type: ignore[attr-defined]
        share = labels / labels.sum()
        weight = torch.where(share > 0, share.clamp(min=1e-4) ** -self.settings.class_weight_power, 0.0)
        self._point_weights = (weight / (weight * share).sum()).to(self.device)

    def losses(self, batch: ClipBatch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Losses and logits by task."""
        state = self.model.initial_state(len(batch.actions))
        clip = batch.clip
        dense = 0 if clip.neighbours is None else clip.neighbours.shape[1]
        encoded, _ = self.model.encode(replace(clip, neighbours=None), state)
        heads = self.model.heads
        losses, logits = {}, {}
        if "action" in heads:
            logits["action"] = heads["action"](encoded.pooled, encoded.valid)
            logits["segments"], _ = heads["segments"](encoded.frames, state.segments)
            for task in ("action", "segments"):
                late = slice(self.settings.settle_frames, None)
                losses[task] = F.cross_entropy(
                    logits[task][:, late].flatten(0, 1),
                    batch.actions[:, late].flatten(),
                    ignore_index=-1,
                    label_smoothing=self.settings.label_smoothing,
                )
            if self._actor is not None and encoded.attention is not None:
                losses["attention"] = attention_loss(encoded.attention, batch.labels, self._actor)
        if dense:
            logits["semantic"] = self.model.semantic(encoded, _tail(clip, dense))
            losses["semantic"] = F.cross_entropy(
                logits["semantic"].flatten(0, 2),
                batch.labels[:, -dense:].flatten(),
                weight=self._point_weights,
                ignore_index=UNLABELLED,
            )
        return losses, logits

    def training_step(self, batch: ClipBatch, batch_idx: int) -> Tensor:
        """Sum of the losses of all tasks."""
        losses, _ = self.losses(batch)
        total = torch.stack(list(losses.values())).sum()
        self.log_dict({f"train/{task}": value for task, value in losses.items()}, batch_size=len(batch.actions))
        self.log("train/loss", total, prog_bar=True, batch_size=len(batch.actions))
        return total

    def validation_step(self, batch: ClipBatch, batch_idx: int) -> None:
        """Accuracy at the newest frame of each clip, mIoU of its points."""
        losses, logits = self.losses(batch)
        self.log_dict({f"val/{task}": value for task, value in losses.items()}, batch_size=len(batch.actions))
        if "action" in logits:
            self.action_accuracy(logits["action"][:, -1], batch.actions[:, -1])
            self.segments_accuracy(logits["segments"][:, -1], batch.actions[:, -1])
            self.log("val/action_accuracy", self.action_accuracy, prog_bar=True)
            self.log("val/segments_accuracy", self.segments_accuracy)
        if "semantic" in logits:
            dense = logits["semantic"].shape[1]
            self.miou(logits["semantic"].flatten(0, 2), batch.labels[:, -dense:].flatten())
            self.log("val/miou", self.miou, prog_bar=True)

    def configure_optimizers(self) -> Any:
        """AdamW with linear warm-up and cosine decay; no decay on vectors."""
        p = self.settings
        slow = 1.0 if p.mode == "scratch" else p.embedder_rate_factor
        groups: dict[tuple[bool, bool], list[Tensor]] = {}
        for name, parameter in self.model.named_parameters():
            if is_trained(name, p.mode):
                key = (name.startswith("embedder.point_net."), parameter.dim() > 1)
                groups.setdefault(key, []).append(parameter)
        optimizer = torch.optim.AdamW(
            [
                {
                    "params": parameters,
                    "lr": p.learning_rate * (slow if embedder else 1.0),
                    "weight_decay": p.weight_decay if matrix else 0.0,
                }
                for (embedder, matrix), parameters in groups.items()
            ]
        )
        steps = int(self.trainer.estimated_stepping_batches)
        warmup = min(p.warmup_steps, max(1, steps // 5))
        schedule = torch.optim.lr_scheduler.SequentialLR(
            optimizer,
            [
                torch.optim.lr_scheduler.LinearLR(optimizer, 0.01, total_iters=warmup),
                torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, steps - warmup)),
            ],
            milestones=[warmup],
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def save(self, folder: Path, score: dict[str, float] | None = None) -> Path:
        """Write the bundle (and, where it was trained, the backbone) into a folder."""
        p, data = self.settings, self.trainer.datamodule  # type: ignore[attr-defined]
        makes_backbone = p.mode in ("scratch", "full")
        if makes_backbone:
            self.model.adopt_embedder()
        metadata = BundleMetadata(
            name=p.name,
            network=self.model.config,
            sampling=data.sampling,
            heads=data.heads,
            frame_period_s=data.frame_period_s,
            backbone=f"{p.name}_backbone" if p.mode == "full" else Path(p.backbone).stem,
            training={
                **data.description,
                "mode": p.mode,
                "steps": self.trainer.global_step,
                "preset": p.preset,
                "torch": torch.__version__,
            },
            score=score or {},
        )
        return save_bundle(folder, self.model, metadata, replace_backbone=makes_backbone)


def attention_loss(attention: Tensor, labels: Tensor, actor: int) -> Tensor:
    """How much of the pooling's attention misses the actor: - log of its share, mean over frames that show the actor.

    Args:
        attention: (B, T, G, H) logarithm of the weights.
        labels: (B, T, P) truth of the points, of which the first G are the tokens' centres.
        actor: class that acts.
    """
    on_actor = labels[:, :, : attention.shape[2]] == actor  # (B, T, G)
    share = attention.masked_fill(~on_actor.unsqueeze(-1), -torch.inf).logsumexp(dim=2)  # (B, T, H)
    shown = on_actor.any(dim=2)
    return -share[shown].mean() if shown.any() else attention.sum() * 0.0


def _tail(clip: Clip, frames: int) -> Clip:
    """The newest frames of a clip whose neighbours cover only these."""
    total = clip.points.shape[1]
    return replace(replace(clip, neighbours=None).frames(total - frames, total), neighbours=clip.neighbours)
