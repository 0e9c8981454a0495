"""Stage 2, adapt: train the network's adapters and heads, or more of it, on clips."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import lightning
import torch
from torch import Tensor
from torchmetrics import Metric

from pointata.adaptation.losses import attention_loss, class_weights
from pointata.alignment.embedder_file import load_aligned
from pointata.bundles.adapter import check_bundle_output, save_bundle
from pointata.bundles.metadata import BundleMetadata
from pointata.errors import ConfigError
from pointata.metrics.summary import accuracy
from pointata.model.config import NetworkConfig, preset
from pointata.model.pointata import PointATA
from pointata.model.trainable import (
    POINT_NET,
    Mode,
    freeze_statistics,
    is_trained,
    parameter_counts,
    set_trainable,
)
from pointata.tasks import TASKS, get, of_scope
from pointata.tasks.action import reported
from pointata.tasks.scope import Scope
from pointata.training.clips import ClipBatch
from pointata.training.metrics import ConfusionMetric, VoteMetric
from pointata.training.network import on_backbone
from pointata.training.schedule import stepwise


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
    """What is trained: "adapters", "linear_probe", "full" (makes <name>_backbone), "scratch"."""
    aligned: Path | None = None
    """Embedder that stage 1 aligned (what `pointata align` wrote); None to start from the backbone's tokenizer."""
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


class Adapt(lightning.LightningModule):
    """Trains a `PointATA` network in one of the modes of `pointata.model.trainable`."""

    model: PointATA
    #: Of the classes, by task; tasks without any weigh all alike.
    _weights: dict[str, Tensor]
    #: Confusion of the last validation's clips, rows truth, columns prediction; empty without the task "action".
    clip_confusion: list[list[int]]

    def __init__(self, settings: AdaptSettings) -> None:
        """Take the settings; `build` makes the network when the data are known, before training."""
        super().__init__()
        self.settings = settings
        self.clip_confusion = []
        self._weights = {}

    def build(self, data: Any) -> None:
        """Build the network for a data module: its heads, features and classes.

        Raises:
            ConfigError, BundleError: the settings contradict the data, or a bundle is missing or does not fit.
        """
        p = self.settings
        config = preset(
            p.preset,
            groups=p.groups,
            group_size=p.group_size,
            window=p.window,
            height=p.height,
            features=data.features,
            heads={task: len(classes) for task, classes in data.heads.items()},
        )
        if of_scope(config.heads, Scope.WINDOW, Scope.FRAME) and not 0 <= p.settle_frames < data.shortest_clip:
            raise ConfigError(f"settle_frames ({p.settle_frames}) must be below the clip's {data.shortest_clip} frames")
        self._metadata(config, data)  # refuses what no bundle can hold, before any training
        self.model = self._network(config)
        if p.aligned is not None:
            load_aligned(p.aligned, self.model)
        set_trainable(self.model, p.mode, self._trains_point_net)
        self._foreground = self._foreground_id([c.name for c in data.heads.get("semantic", ())])
        self.metrics = torch.nn.ModuleDict(self._validation_metrics(config, data))

    @staticmethod
    def _validation_metrics(config: NetworkConfig, data: Any) -> dict[str, Metric]:
        """By the name of the figure; see `validation_step`."""
        heads = config.heads
        metrics: dict[str, Metric] = {
            get(task).figure_name: ConfusionMetric(classes, get(task).figure) for task, classes in heads.items()
        }
        if "action" in heads:
            metrics["accuracy"] = ConfusionMetric(heads["action"], accuracy)
            if "segments" not in data.own_heads:  # else frames have classes, not whole videos
                metrics["video_accuracy"] = VoteMetric(len(data.validation_videos), heads["action"])
        return metrics

    @property
    def _trains_point_net(self) -> bool:
        return self.settings.embedder_rate_factor > 0

    def parameter_counts(self) -> tuple[int, int]:
        """Number of trained parameters and of all parameters."""
        return parameter_counts(self.model, self.settings.mode, self._trains_point_net)

    def _foreground_id(self, names: list[str]) -> int | None:
        if self.settings.foreground_class is None:
            return None
        if self.settings.foreground_class not in names:
            raise ConfigError(
                f"foreground_class {self.settings.foreground_class!r} is not a point class of the data: choose one of "
                f"{', '.join(names) or '(none: the data have no labelled points)'}"
            )
        return names.index(self.settings.foreground_class)

    def _network(self, config: NetworkConfig) -> PointATA:
        return PointATA(config) if self.settings.mode == "scratch" else on_backbone(self.settings.backbone, config)

    def train(self, mode: bool = True) -> "Adapt":
        """Switch to training; the statistics of frozen normalisation layers stay as they are."""
        super().train(mode)
        if hasattr(self, "model"):
            freeze_statistics(self.model, self.settings.mode, self._trains_point_net)
        return self

    def on_fit_start(self) -> None:
        """Freeze what is frozen, and weigh the point classes."""
        self.train()
        self.weigh_classes(self.trainer.datamodule)  # type: ignore[attr-defined]

    def weigh_classes(self, data: Any) -> None:
        """Weigh the point classes by their share in the training data."""
        for task in of_scope(self.model.tasks, Scope.POINT):
            counts = torch.from_numpy(data.label_counts())
            self._weights[task] = class_weights(counts, self.settings.class_weight_power).to(self.device)

    def on_train_epoch_start(self) -> None:
        """Draw dropout afresh, by seed and epoch alone: a resumed run goes on as if it had never stopped."""
        seed = self.trainer.datamodule.seed  # type: ignore[attr-defined]
        torch.manual_seed(seed + 1_000_003 * (self.current_epoch + 1) + self.global_rank)

    def losses(self, batch: ClipBatch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Losses and logits by task; those of windows and frames begin after the frames that settle."""
        p, start = self.settings, self.model.initial_state(len(batch.actions))
        seen, state = self.model.encode(batch.clip, start)
        logits, _ = self.model.decode(seen, state, first=p.settle_frames)
        losses = {}
        for task, scores in logits.items():
            smoothing = 0.0 if TASKS[task].scope is Scope.POINT else p.label_smoothing
            losses[task] = get(task).loss(scores, _truth(batch, task, scores), smoothing, self._weights.get(task))
        if self._foreground is not None and seen.attention is not None:
            losses["attention"] = attention_loss(seen.attention, batch.labels, self._foreground)
        return losses, logits

    def training_step(self, batch: ClipBatch, batch_idx: int) -> Tensor:
        """Sum of the losses of all tasks."""
        losses, _ = self.losses(batch)
        total = torch.stack(list(losses.values())).sum()
        self.log_dict({f"train/{task}": value for task, value in losses.items()}, batch_size=len(batch.actions))
        self.log("train/loss", total, prog_bar=True, batch_size=len(batch.actions))
        return total

    def validation_step(self, batch: ClipBatch, batch_idx: int) -> None:
        """Accuracy at the newest frame of each clip, mIoU of its points over the classes that occur.

        "val/accuracy" is that of the action the node would report, before hysteresis: the mean of the scores of both
        frame heads where both have the same classes. "val/video_accuracy" lets the clips of a video vote, where whole
        videos have a class.
        """
        losses, logits = self.losses(batch)
        self.log_dict(
            {f"val/{task}_loss": value for task, value in losses.items()},
            batch_size=len(batch.actions),
            sync_dist=True,
        )
        for task, scores in logits.items():
            frames = slice(None) if TASKS[task].scope is Scope.POINT else slice(-1, None)
            truth = _truth(batch, task, scores)[:, frames].flatten()
            self._count(get(task).figure_name, truth, scores[:, frames].flatten(0, -2))
        if "action" in logits:
            newest, shares = batch.actions[:, -1], self._of_action(logits)
            self._count("accuracy", newest, shares)
            if "video_accuracy" in self.metrics:
                self._count("video_accuracy", batch.videos, newest, shares)

    def _count(self, name: str, *samples: Tensor) -> None:
        metric = cast(Metric, self.metrics[name])
        metric.update(*samples)
        self.log(f"val/{name}", metric, prog_bar=True)

    def on_validation_epoch_end(self) -> None:
        """Keep the confusion of the clips, of all processes."""
        if "accuracy" in self.metrics:
            metric = cast(ConfusionMetric, self.metrics["accuracy"])
            with metric.sync_context():
                self.clip_confusion = metric.matrix.counts[:, :-1].tolist()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the last validation's confusion: a run resumed after its last epoch validates no more."""
        checkpoint["clip_confusion"] = self.clip_confusion

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The way back."""
        self.clip_confusion = checkpoint.get("clip_confusion", [])

    def _of_action(self, logits: dict[str, Tensor]) -> Tensor:
        """(B, C) probabilities of the newest frame's action, as `Predictor` reports them."""
        heads = self.trainer.datamodule.heads  # type: ignore[attr-defined]
        return reported({task: logits[task][:, -1].softmax(-1) for task in logits}, heads)

    def configure_optimizers(self) -> Any:
        """AdamW with linear warm-up and cosine decay; no decay on vectors."""
        p = self.settings
        slow = 1.0 if p.mode == "scratch" else p.embedder_rate_factor
        groups: dict[tuple[bool, bool], list[Tensor]] = {}
        for name, parameter in self.model.named_parameters():
            if is_trained(name, p.mode, self._trains_point_net):
                groups.setdefault((name.startswith(POINT_NET), parameter.dim() > 1), []).append(parameter)
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
        return stepwise(optimizer, p.warmup_steps, int(self.trainer.estimated_stepping_batches))

    def _metadata(self, config: NetworkConfig, data: Any, **training: Any) -> BundleMetadata:
        p = self.settings
        return BundleMetadata(
            name=p.name,
            network=config,
            sampling=data.sampling,
            heads=data.heads,
            frame_period_s=data.frame_period_s,
            merge=data.merge,
            backbone=f"{p.name}_backbone" if p.mode == "full" else Path(p.backbone).stem,
            training={**data.description, "mode": p.mode, "preset": p.preset, **training},
            simulated=data.simulated,
            data_licence=data.data_licence,
        )

    @property
    def _makes_backbone(self) -> bool:
        return self.settings.mode in ("scratch", "full")

    def check_bundle_output(self, folder: Path, data: Any) -> None:
        """Refuse a folder that `save` could not write into, before there is anything to save."""
        check_bundle_output(folder, self.model, self._metadata(self.model.config, data), self._makes_backbone)

    def save(self, folder: Path) -> Path:
        """Write the bundle (and, where it was trained, the backbone) into a folder."""
        if self._makes_backbone:
            self.model.adopt_embedder()
        metadata = self._metadata(
            self.model.config,
            self.trainer.datamodule,  # type: ignore[attr-defined]
            aligned=None if self.settings.aligned is None else self.settings.aligned.stem,
            steps=self.trainer.global_step,
            seed=self.trainer.datamodule.seed,  # type: ignore[attr-defined]
            torch=torch.__version__,
        )
        return save_bundle(folder, self.model, metadata, replace_backbone=self._makes_backbone)


def _truth(batch: ClipBatch, task: str, logits: Tensor) -> Tensor:
    """Truth (B, T', ...) of the newest frames, those that logits (B, T', ..., C) are of."""
    truth = batch.labels if TASKS[task].scope is Scope.POINT else batch.actions
    return truth[:, -logits.shape[1] :]
