"""Stage 2, adapt: train the network's adapters and heads, or more of it, on clips."""

from pathlib import Path
from typing import Any, cast

import lightning
import torch
from torch import Tensor
from torchmetrics import Metric

from pointata.adaptation.losses import attention_loss, class_weights
from pointata.adaptation.network import build_network, bundle_metadata
from pointata.adaptation.settings import AdaptSettings
from pointata.bundles.adapter import check_bundle_output, save_bundle
from pointata.errors import ConfigError
from pointata.metrics.summary import accuracy
from pointata.model.pointata import PointATA
from pointata.model.trainable import POINT_NET, freeze_statistics, is_trained, parameter_counts
from pointata.tasks import TASKS, get, of_scope
from pointata.tasks.action import reported
from pointata.tasks.scope import Scope
from pointata.training.clips import ClipBatch
from pointata.training.description import DataDescription
from pointata.training.metrics import ConfusionMetric, VoteMetric
from pointata.training.network import NetworkSettings
from pointata.training.optimizer import adamw, stepwise


class Adaptation(lightning.LightningModule):
    """Trains a `PointATA` network in one of the modes of `pointata.model.trainable`."""

    #: Of the classes, by task; tasks without any weigh all alike.
    _weights: dict[str, Tensor]
    #: Confusion of the last validation's clips, rows truth, columns prediction; empty without the task "action".
    clip_confusion: list[list[int]]

    def __init__(self, settings: AdaptSettings, model: PointATA, data: DataDescription) -> None:
        """Take a network made by `build_network`; `for_data` makes it.

        Raises:
            ConfigError: the foreground class is not a point class of the data.
        """
        super().__init__()
        self.settings, self.data, self.model = settings, data, model
        self.clip_confusion, self._weights = [], {}
        self._foreground = _foreground_id(settings.foreground_class, [c.name for c in data.heads.get("semantic", ())])
        self.metrics = torch.nn.ModuleDict(_validation_metrics(model, data))

    @classmethod
    def for_data(cls, settings: AdaptSettings, network: NetworkSettings, data: DataDescription) -> "Adaptation":
        """Build the network for some data: its heads, features and classes; errors as of `build_network`."""
        return cls(settings, build_network(settings, network, data), data)

    def parameter_counts(self) -> tuple[int, int]:
        """Number of trained parameters and of all parameters."""
        return parameter_counts(self.model, self.settings.mode, self.settings.trains_point_net)

    def train(self, mode: bool = True) -> "Adaptation":
        """Switch to training; the statistics of frozen normalisation layers stay as they are."""
        super().train(mode)
        freeze_statistics(self.model, self.settings.mode, self.settings.trains_point_net)
        return self

    def on_fit_start(self) -> None:
        """Freeze what is frozen, and weigh the point classes."""
        self.train()
        self.weigh_classes()

    def weigh_classes(self) -> None:
        """Weigh the point classes by their share in the training data, which are set up."""
        for task in of_scope(self.model.tasks, Scope.POINT):
            counts = torch.from_numpy(self.data.class_counts(task))
            self._weights[task] = class_weights(counts, self.settings.class_weight_power).to(self.device)

    def on_train_epoch_start(self) -> None:
        """Draw dropout afresh, by seed and epoch alone: a resumed run goes on as if it had never stopped."""
        torch.manual_seed(self.data.seed + 1_000_003 * (self.current_epoch + 1) + self.global_rank)

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
            losses["attention"] = attention_loss(seen.attention, batch.labels["semantic"], self._foreground)
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
        """The inverse of `on_save_checkpoint`."""
        self.clip_confusion = checkpoint.get("clip_confusion", [])

    def _of_action(self, logits: dict[str, Tensor]) -> Tensor:
        """(B, C) probabilities of the newest frame's action, as `Predictor` reports them."""
        return reported({task: logits[task][:, -1].softmax(-1) for task in logits}, self.data.heads)

    def configure_optimizers(self) -> Any:
        """AdamW with linear warm-up and cosine decay; the embedder's copy of the tokenizer learns slowly."""
        p = self.settings
        trained = [
            (name, parameter)
            for name, parameter in self.model.named_parameters()
            if is_trained(name, p.mode, p.trains_point_net)
        ]
        optimizer = adamw(trained, p, slow={POINT_NET: 1.0 if p.mode == "scratch" else p.embedder_rate_factor})
        return stepwise(optimizer, p.warmup_steps, int(self.trainer.estimated_stepping_batches))

    def check_bundle_output(self, folder: Path) -> None:
        """Refuse a folder that `save` could not write into, before there is anything to save."""
        p = self.settings
        metadata = bundle_metadata(p, self.model.config, self.data)
        check_bundle_output(folder, self.model, metadata, p.makes_backbone, p.made_from)

    def save(self, folder: Path) -> Path:
        """Write the bundle (and, where it was trained, the backbone) into a folder."""
        p = self.settings
        if p.makes_backbone:
            self.model.adopt_embedder()
        metadata = bundle_metadata(
            p,
            self.model.config,
            self.data,
            aligned=None if p.aligned is None else p.aligned.stem,
            steps=self.trainer.global_step,
            seed=self.data.seed,
            torch=torch.__version__,
        )
        return save_bundle(folder, self.model, metadata, replace_backbone=p.makes_backbone)


def _validation_metrics(model: PointATA, data: DataDescription) -> dict[str, Metric]:
    """By the name of the figure; see `validation_step`."""
    heads = model.config.heads
    metrics: dict[str, Metric] = {
        get(task).figure_name: ConfusionMetric(classes, get(task).figure) for task, classes in heads.items()
    }
    if "action" in heads:
        metrics["accuracy"] = ConfusionMetric(heads["action"], accuracy)
        if "segments" not in data.own_heads:  # else frames have classes, not whole videos
            metrics["video_accuracy"] = VoteMetric(data.validation_videos, heads["action"])
    return metrics


def _foreground_id(name: str | None, names: list[str]) -> int | None:
    if name is not None and name not in names:
        raise ConfigError(
            f"foreground_class {name!r} is not a point class of the data: choose one of "
            f"{', '.join(names) or '(none: the data have no labelled points)'}"
        )
    return None if name is None else names.index(name)


def _truth(batch: ClipBatch, task: str, logits: Tensor) -> Tensor:
    """Truth (B, T', ...) of the newest frames, those that logits (B, T', ..., C) are of."""
    truth = batch.labels[task] if TASKS[task].scope is Scope.POINT else batch.actions
    return truth[:, -logits.shape[1] :]
