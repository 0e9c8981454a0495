"""Classification of shapes, the check of a backbone: what do its features know before and after fine-tuning?"""

import copy
import logging
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pointata.errors import ConfigError, DataError
from pointata.model.backbone import Backbone
from pointata.model.config import BackboneConfig
from pointata.model.tokenizer import group
from pointata.pretraining.masked import DENSITIES, Density
from pointata.pretraining.shape_data import ShapeAugmentation
from pointata.pretraining.shapes import ShapeSet
from pointata.training.optimizer import warm_up_then_cosine
from pointata.training.progress import track

_log = logging.getLogger(__name__)

#: The backbone frozen under a linear layer, the whole network trained on from it, or from random weights.
Start = Literal["linear_probe", "fine_tuned", "scratch"]
STARTS: tuple[Start, ...] = ("linear_probe", "fine_tuned", "scratch")


@dataclass(frozen=True)
class ClassifySettings:
    """How the classifiers are trained: all of them alike."""

    steps: int = 600
    """Optimizer steps."""
    batch: int = 32
    """Shapes of a batch."""
    learning_rate: float = 1e-3
    """Peak rate of AdamW, cosine to zero."""
    probe_learning_rate: float = 1e-2
    """The same where only the linear layer is trained, which bears more."""
    weight_decay: float = 0.05
    """Of AdamW."""
    label_smoothing: float = 0.1
    """Of the loss."""
    density: Density = DENSITIES[0]
    """How shapes are cut into groups."""

    def __post_init__(self) -> None:
        if min(self.steps, self.batch) < 1:
            raise ConfigError(f"steps and batch must be at least 1: {self}")


class ShapeClassifier(nn.Module):
    """A backbone, mean and maximum of its tokens, a linear layer."""

    def __init__(self, backbone: Backbone, classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        # features differ much in size; without this a linear probe learns slowly (usual for masked autoencoders)
        self.norm = nn.BatchNorm1d(2 * backbone.config.width, affine=False)
        self.head = nn.Linear(2 * backbone.config.width, classes)

    def features(self, points: Tensor, density: Density) -> Tensor:
        """(B, 2 D) of points (B, P, 3) in farthest point order."""
        centres, patches, _ = group(points[:, : density.points], density.groups, density.group_size)
        tokens = self.backbone(patches, centres)
        features: Tensor = self.norm(torch.cat([tokens.mean(dim=1), tokens.amax(dim=1)], dim=-1))
        return features


def train_classifier(
    shapes: ShapeSet,
    start: Start,
    config: BackboneConfig,
    backbone: Backbone,
    settings: ClassifySettings,
    seed: int = 0,
) -> ShapeClassifier:
    """Train a classifier of labelled shapes.

    Args:
        shapes: training shapes; those without a label are left out.
        start: what is trained, from what.
        config: of the backbone.
        backbone: pre-trained; it is copied, not changed.
        settings: how.
        seed: of weights, batches and augmentation.
    """
    known = np.flatnonzero(shapes.labels >= 0)
    if len(shapes.classes) < 2 or not len(known):
        raise DataError("classification needs shapes of two or more classes: one folder per class")
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    trunk = Backbone(config) if start == "scratch" else copy.deepcopy(backbone)
    model = ShapeClassifier(trunk, len(shapes.classes)).train()
    trunk.requires_grad_(start != "linear_probe").train(start != "linear_probe")
    trained = [p for p in model.parameters() if p.requires_grad]
    rate = settings.probe_learning_rate if start == "linear_probe" else settings.learning_rate
    optimizer = torch.optim.AdamW(trained, lr=rate, weight_decay=settings.weight_decay)
    schedule = warm_up_then_cosine(optimizer, settings.steps // 20, settings.steps)
    augmentation = ShapeAugmentation(scale=(0.8, 1.2), shift=0.1)
    for step in track(range(1, settings.steps + 1), start, settings.steps):
        chosen = known[rng.integers(len(known), size=settings.batch)]
        points = torch.from_numpy(np.stack([augmentation.apply(shapes.points[i], rng) for i in chosen]))
        logits = model.head(model.features(points, settings.density))
        truth = torch.from_numpy(shapes.labels[chosen])
        loss = F.cross_entropy(logits, truth, label_smoothing=settings.label_smoothing)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(trained, 10.0)
        optimizer.step()
        schedule.step()
        if step % 100 == 0:
            _log.info("%s: step %d of %d, loss %.3f", start, step, settings.steps, loss.item())
    return model.eval()


@torch.inference_mode()
def accuracy(model: ShapeClassifier, shapes: ShapeSet, density: Density) -> float:
    """Share of the labelled shapes whose class is found."""
    known = np.flatnonzero(shapes.labels >= 0)
    if not len(known):
        raise DataError("there are no labelled shapes to test on: add meshes, or put some into a folder named test")
    right = 0
    for start in range(0, len(known), 64):
        part = known[start : start + 64]
        found = model.head(model.features(torch.from_numpy(shapes.points[part]), density)).argmax(dim=-1)
        right += int((found.numpy() == shapes.labels[part]).sum())
    return right / len(known)
