"""Stage 1, align: train the point align embedder until features of clips lie near those of a labelled 3D set."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import lightning
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader

from pointata.alignment.transport.label_distances import LabelDistance
from pointata.alignment.transport.labels import MIN_SAMPLES, pseudo_labels
from pointata.alignment.transport.mmd import mmd
from pointata.alignment.transport.otdd import otdd
from pointata.alignment.transport.sinkhorn import sinkhorn_divergence
from pointata.errors import ConfigError, DataError
from pointata.model.backbone import Backbone
from pointata.model.pointata import PointATA
from pointata.model.state import Clip
from pointata.model.tensors import to_device
from pointata.model.tokenizer import group

# Points that pass the embedder at once in training; bounds its memory (at preset base about 2 GB).
_POINTS_AT_ONCE = 2**17


@dataclass(frozen=True)
class AlignSettings:
    """What is aligned, and how."""

    name: str
    """The result is written to <name>_align.safetensors."""
    backbone: str
    """Backbone bundle: a name or path."""
    method: Literal["otdd", "mmd", "sinkhorn"] = "otdd"
    """Distance that is lowered: "otdd", or, blind to labels, "mmd" or the "sinkhorn" divergence."""
    label_distance: LabelDistance = "diagonal"
    """Of OTDD in training: "diagonal" or "full" covariance of a Gaussian for each label, or "exact"."""
    epsilon: float = 0.1
    """Strength of the entropy, relative to the mean cost."""
    epochs: int = 60
    """Epochs; each is one step of AdamW."""
    learning_rate: float = 1e-4
    """Of AdamW."""
    samples_per_class: int = 128
    """Most clips of a class in an epoch, drawn again from those given."""
    pseudo_classes: int = 10
    """Clusters whose numbers stand in for the labels of clips without any."""

    def __post_init__(self) -> None:
        if min(self.epochs, self.pseudo_classes) < 1 or self.samples_per_class < MIN_SAMPLES:
            raise ConfigError(f"epochs and pseudo_classes must be at least 1, samples_per_class {MIN_SAMPLES}: {self}")
        if self.epsilon <= 0 or self.learning_rate <= 0:
            raise ConfigError(f"epsilon and learning_rate must be above 0: {self}")


@torch.no_grad()
def shape_features(backbone: Backbone, points: Tensor, groups: int, group_size: int) -> Tensor:
    """Features of single frames: tokens of the backbone's tokenizer, averaged over the frame, then normalised.

    Args:
        backbone: in eval mode.
        points: (S, P, 3) float32, farthest point order.
        groups: tokens of a frame.
        group_size: points of a token.

    Returns:
        (S, D), each of mean 0 and variance 1 over its channels (LayerNorm without parameters).
    """
    chunks = torch.split(points, max(1, _POINTS_AT_ONCE // (groups * group_size)))
    tokens = [backbone.tokenizer(group(chunk, groups, group_size)[1]).mean(1) for chunk in chunks]
    return _normalised(torch.cat(tokens))


def clip_features(model: PointATA, clip: Clip) -> Tensor:
    """Features of clips: the embedder's tokens averaged over each clip, normalised as in `shape_features`: (B, D)."""
    *_, tokens = model.embed(clip, model.initial_state(len(clip.points)))
    return _normalised(tokens.mean((1, 2)))


def _normalised(features: Tensor) -> Tensor:
    return F.layer_norm(features, features.shape[-1:])


class Align(lightning.LightningModule):
    """Trains a network's point align embedder, and nothing else, after ORCA (ICML 2023).

    With OTDD an epoch's loss is the sum over the classes i of n_i / n times the distance between the 3D set and the
    clips of class i; the methods without labels compare the 3D set with all clips at once. The gradients of an epoch
    are accumulated into one step, so the order of the classes changes no more than rounding. The network stays in
    eval mode: batch statistics neither move nor enter the features, which start as the 3D tokenizer's.
    """

    source: Tensor
    source_labels: Tensor

    def __init__(
        self,
        settings: AlignSettings,
        model: PointATA,
        source: Tensor,
        source_labels: Tensor,
        clips: Clip,
        labels: Tensor,
        seed: int = 0,
    ) -> None:
        """Take network and data.

        Args:
            settings: how to train; the network's architecture is taken from `model`.
            model: the network, with a fresh embedder.
            source: (S, D), `shape_features` of the 3D set.
            source_labels: (S,) int64; samples of label -1 are left out.
            clips: n clips, without neighbours.
            labels: (n,) int64 classes, -1 = none. Clips without a class are left out, unless all are: then k-means
                of their first features gives the classes.
            seed: of what is drawn.

        Raises:
            DataError: no class of two samples on either side.
        """
        super().__init__()
        self.automatic_optimization = False
        self.settings, self.model, self.clips = settings, model, clips
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name.startswith("embedder."))
        model.eval()
        known = source_labels >= 0
        self.register_buffer("source", source[known], persistent=False)
        self.register_buffer("source_labels", source_labels[known], persistent=False)
        self._random = torch.Generator().manual_seed(seed)
        self.pseudo = bool((labels < 0).all())
        if self.pseudo:
            first = self.features(torch.arange(len(labels)))
            labels = pseudo_labels(first, min(settings.pseudo_classes, len(labels)), seed)
        self.labels = labels
        self._classes = [
            members
            for label in labels.unique(sorted=True).tolist()  # type: ignore[no-untyped-call]
            if label >= 0 and len(members := torch.nonzero(labels == label).squeeze(1)) >= MIN_SAMPLES
        ]
        if not self._classes:
            raise DataError(f"no class has {MIN_SAMPLES} of the {len(labels)} clips: give more clips, or fewer classes")
        # measured on these before, in the same way after
        self._fixed = torch.cat([members[: settings.samples_per_class] for members in self._classes])
        self.history: list[dict[str, float]] = []
        self.before: dict[str, float] = {}
        self.after: dict[str, float] = {}

    def train(self, mode: bool = True) -> "Align":
        """Stay in eval mode, whatever the trainer asks for."""
        return super().train(False)

    def _part(self, index: Tensor) -> Clip:
        features = self.clips.features
        part = Clip(
            self.clips.points[index],
            self.clips.origins[index],
            self.clips.stamps[index],
            features=None if features is None else features[index],
        )
        return to_device(part, self.device)

    def _chunks(self, index: Tensor) -> Sequence[Tensor]:
        c, frames = self.model.config, self.clips.points.shape[1]
        chunks: Sequence[Tensor] = torch.split(index, max(1, _POINTS_AT_ONCE // (frames * c.groups * c.group_size)))
        return chunks

    @torch.no_grad()
    def features(self, index: Tensor) -> Tensor:
        """Features of the clips of given numbers, as the embedder is now: (n, D)."""
        return torch.cat([clip_features(self.model, self._part(chunk)) for chunk in self._chunks(index)])

    def distance(self, features: Tensor, labels: Tensor) -> Tensor:
        """Distance of the 3D set and clip features by the chosen method, () float."""
        p = self.settings
        if p.method == "mmd":
            return mmd(self.source, features)
        if p.method == "sinkhorn":
            return sinkhorn_divergence(self.source, features, epsilon=p.epsilon)
        return otdd(
            self.source, self.source_labels, features, labels, label_distance=p.label_distance, epsilon=p.epsilon
        )

    def measure(self) -> dict[str, float]:
        """OTDD between the 3D set and the clips, by Gaussian and exact label distances; spreads of the features.

        `variance` and `source_variance` are the variances between samples, mean over the channels: a share of 1 at
        most, since each sample's own variance is 1; near 0 the features have collapsed. `within_class_variance` is what
        is left of `variance` inside the classes.
        """
        features, labels = self.features(self._fixed), self.labels[self._fixed].to(self.device)
        centred = [features[labels == label] - features[labels == label].mean(0) for label in set(labels.tolist())]
        figures = {"variance": features.var(0, unbiased=False), "source_variance": self.source.var(0, unbiased=False)}
        figures["within_class_variance"] = torch.cat(centred).square().mean(0)
        result = {name: float(value.mean()) for name, value in figures.items()}
        kinds: tuple[LabelDistance, ...] = ("diagonal", "exact")
        with torch.no_grad():
            for kind in kinds:
                distance = otdd(self.source, self.source_labels, features, labels, label_distance=kind)
                result[f"otdd_{kind}"] = float(distance)
        return result

    def train_dataloader(self) -> DataLoader[Tensor]:
        """Numbers of an epoch's clips: class by class in random order, or all at once where labels do not count."""
        drawn = [members[torch.randperm(len(members), generator=self._random)] for members in self._classes]
        limited = [members[: self.settings.samples_per_class] for members in drawn]
        if self.settings.method != "otdd":
            limited = [torch.cat(limited)]
        self._drawn = sum(len(members) for members in limited)
        batches: Any = limited
        return DataLoader(batches, batch_size=None, shuffle=True, generator=self._random)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW on the embedder."""
        return torch.optim.AdamW(self.model.embedder.parameters(), lr=self.settings.learning_rate)

    def on_fit_start(self) -> None:
        """Measure the gap that there is."""
        self.before = self.measure()

    def on_train_epoch_start(self) -> None:
        """Nothing seen yet."""
        self._seen: list[tuple[Tensor, Tensor, float]] = []

    def training_step(self, index: Tensor, batch_idx: int) -> None:
        """Add a class's share of the gradient.

        The distance needs all features at once, the embedder's memory allows a few clips at a time. So features first,
        without gradients; then the distance's gradient with regard to them; then the features again in chunks, each
        with its part of that gradient. This equals one large step.
        """
        index = index.cpu()
        features, labels = self.features(index), self.labels[index].to(self.device)
        with torch.enable_grad():
            features.requires_grad_()
            loss = len(index) / self._drawn * self.distance(features, labels)
        (gradient,) = torch.autograd.grad(loss, features)
        start = 0
        for chunk in self._chunks(index):
            again = clip_features(self.model, self._part(chunk))
            torch.autograd.backward(again, gradient[start : start + len(chunk)])
            start += len(chunk)
        self._seen.append((features.detach(), labels, float(loss.detach())))

    def on_train_epoch_end(self) -> None:
        """One step for the epoch; log loss, OTDD and variance as they were before it."""
        optimizer = self.optimizers()
        assert isinstance(optimizer, lightning.pytorch.core.optimizer.LightningOptimizer)
        optimizer.step()
        optimizer.zero_grad()
        features = torch.cat([features for features, _, _ in self._seen])
        labels = torch.cat([labels for _, labels, _ in self._seen])
        with torch.no_grad():
            diagonal = otdd(self.source, self.source_labels, features, labels, epsilon=self.settings.epsilon)
        figures = {
            "loss": sum(loss for _, _, loss in self._seen),
            "otdd": float(diagonal),
            "variance": float(features.var(0, unbiased=False).mean()),
        }
        self.history.append(figures)
        self.log_dict({f"align/{name}": value for name, value in figures.items()}, prog_bar=True)

    def on_fit_end(self) -> None:
        """Measure what is left of the gap."""
        self.after = self.measure()
