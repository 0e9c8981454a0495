"""Train the heads that look at whole frames (action, segments) on frame features computed once.

The trunk is frozen, so its features of a recording can be kept: an epoch then costs seconds, and the heads see each
recording as a stream, from its first frame to its last, which short clips cannot offer.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pointata.errors import ConfigError
from pointata.model.bundle import load_bundle, rewrite_adapter
from pointata.model.pointata import PointATA
from pointata.model.state import Clip
from pointata.transfer.augmentation import Augmentation
from pointata.transfer.cache import SampledRecording

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FrameHeadSettings:
    """How the heads are trained."""

    bundle: Path
    """Adapter bundle (a path) whose heads are trained; it is rewritten."""
    views: int = 4
    """Augmented views of each training recording."""
    steps: int = 1500
    """Optimizer steps."""
    batch: int = 32
    """Recordings of a batch."""
    learning_rate: float = 1e-3
    """Peak rate of AdamW, cosine to zero."""
    weight_decay: float = 0.05
    """Of AdamW."""
    noise: float = 0.05
    """Standard deviation of noise on the features, in units of their own deviation."""
    label_smoothing: float = 0.1
    """Of both losses."""
    settle_frames: int = 4
    """First frames of a recording that the losses leave out."""

    def __post_init__(self) -> None:
        if min(self.views, self.steps, self.batch) < 1:
            raise ConfigError(f"views, steps and batch must be at least 1: {self}")


@torch.inference_mode()
def frame_features(model: PointATA, recording: SampledRecording, matrix: np.ndarray | None = None) -> Tensor:
    """(T, F) pooled features of a recording, run as a stream; `matrix` (3, 3) turns, mirrors and scales it first."""
    points, origins = recording.points, recording.origins
    if matrix is not None:
        points, origins = points @ matrix.T.astype(np.float32), origins @ matrix.T
    device = next(model.parameters()).device
    state, features = model.initial_state(1), []
    for start in range(0, len(points), 25):
        part = slice(start, start + 25)
        clip = Clip(
            points=torch.from_numpy(np.ascontiguousarray(points[part])).unsqueeze(0),
            origins=torch.from_numpy(origins[part] - origins[0]).unsqueeze(0),
            stamps=torch.from_numpy(recording.stamps[part]).unsqueeze(0),
            features=torch.from_numpy(recording.features[part]).unsqueeze(0) if model.config.features else None,
        ).to(device)
        encoded, state = model.encode(clip, state)
        features.append(encoded.frames[0])
    return torch.cat(features)


def train_frame_heads(
    settings: FrameHeadSettings,
    train: Sequence[SampledRecording],
    validation: Sequence[SampledRecording],
    seed: int = 0,
) -> dict[str, float]:
    """Train, rewrite the bundle, and return the validation accuracies ("action", "segments").

    Raises:
        ConfigError: the bundle has no head that looks at whole frames.
        BundleError: the bundle cannot be loaded.
    """
    model, _ = load_bundle(str(settings.bundle))
    if "pool" not in model.heads:
        raise ConfigError(f"{settings.bundle} has neither an action nor a segments head to train")
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    augmentation = Augmentation()
    views: list[tuple[Tensor, Tensor]] = []
    for number, recording in enumerate(train, start=1):
        truth = torch.from_numpy(recording.actions)
        views += [
            (frame_features(model, recording, augmentation.linear(rng)).clone(), truth) for _ in range(settings.views)
        ]
        if number % 20 == 0:
            _log.info("features of %d of %d recordings", number, len(train))
    held_out = [(frame_features(model, r).clone(), torch.from_numpy(r.actions)) for r in validation]
    _optimise(model, settings, views, rng)
    scores = _validate(model, settings, held_out)
    _log.info("validation accuracy: %s", ", ".join(f"{task} {value:.3f}" for task, value in scores.items()))
    rewrite_adapter(settings.bundle, model)
    return scores


def _scores(model: PointATA, features: Tensor) -> dict[str, Tensor]:
    """Logits (B, T, C) of the heads on (B, T, F) features of whole recordings."""
    batch, length = features.shape[:2]
    state = model.initial_state(batch)
    result = {}
    if "action" in model.heads:
        valid = torch.cat([state.valid, torch.ones(batch, length, dtype=torch.bool)], dim=1)
        result["action"] = model.heads["action"](torch.cat([state.pooled, features], dim=1), valid)
    if "segments" in model.heads:
        result["segments"], _ = model.heads["segments"](features, state.segments)
    return result


def _optimise(
    model: PointATA, settings: FrameHeadSettings, views: Sequence[tuple[Tensor, Tensor]], rng: np.random.Generator
) -> None:
    model.train()
    trained = [p for task in ("action", "segments") if task in model.heads for p in model.heads[task].parameters()]
    optimizer = torch.optim.AdamW(trained, lr=settings.learning_rate, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.learning_rate, settings.steps)
    deviation = torch.cat([features for features, _ in views]).std(dim=0)
    for step in range(1, settings.steps + 1):
        chosen = [views[i] for i in rng.integers(len(views), size=settings.batch)]
        features = torch.stack([f for f, _ in chosen])
        features = features + torch.randn_like(features) * deviation * settings.noise
        truth = torch.stack([t for _, t in chosen])[:, settings.settle_frames :]
        losses = [
            F.cross_entropy(
                logits[:, settings.settle_frames :].flatten(0, 1),
                truth.flatten(),
                ignore_index=-1,
                label_smoothing=settings.label_smoothing,
            )
            for logits in _scores(model, features).values()
        ]
        optimizer.zero_grad()
        torch.autograd.backward(torch.stack(losses).sum())
        torch.nn.utils.clip_grad_norm_(trained, 10.0)
        optimizer.step()
        schedule.step()
        if step % 100 == 0:
            _log.info("step %d of %d: losses %s", step, settings.steps, [round(v.item(), 3) for v in losses])
    model.eval()


@torch.inference_mode()
def _validate(
    model: PointATA, settings: FrameHeadSettings, held_out: Sequence[tuple[Tensor, Tensor]]
) -> dict[str, float]:
    right: dict[str, list[float]] = {}
    for features, truth in held_out:
        for task, logits in _scores(model, features.unsqueeze(0)).items():
            hits = (logits[0].argmax(-1) == truth)[settings.settle_frames :]
            right.setdefault(task, []).append(hits.float().mean().item())
    return {task: float(np.mean(values)) for task, values in right.items()}
