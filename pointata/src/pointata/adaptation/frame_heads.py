"""Train the heads that look at whole frames (action, segments) on frame features computed once.

The trunk is frozen, so its features of a recording can be kept: an epoch then costs seconds, and the heads see each
recording as a stream, from its first frame to its last, which short clips cannot offer.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from pointata.adaptation.heads_bundle import FrameHeadSettings, bundle_to_train
from pointata.bundles.adapter import save_bundle
from pointata.errors import ConfigError
from pointata.model.pointata import PointATA
from pointata.model.state import Clip
from pointata.tasks import get, of_scope
from pointata.tasks.encoded import Encoded
from pointata.tasks.scope import Scope
from pointata.training.clips import ClipBatch, ClipShape, FixedClips, RandomClips
from pointata.training.optimizer import warm_up_then_cosine
from pointata.training.progress import track
from pointata.training.recording_cache import SampledRecording
from pointata.training.video_clips import VideoClips

_log = logging.getLogger(__name__)

#: Frames that the trunk takes at once.
_CHUNK = 25


@dataclass(frozen=True)
class FrameFeatures:
    """A recording, or an augmented view of it, as the frame heads see it.

    Attributes:
        features: (T, F) float32 pooled features, as `Encoded.frames`.
        actions: (T,) int64, -1 = unknown.
    """

    features: Tensor
    actions: Tensor


def train_frame_heads(settings: FrameHeadSettings, data: VideoClips, out: Path) -> dict[str, float]:
    """Train, write a new bundle, and return the validation accuracies of frames ("action", "segments").

    Args:
        settings: how.
        data: recordings of any lengths, split and augmented as for `adapt`; set up here. Their seed is also that of the
            views, the batches, the noise and the dropout.
        out: folder of the bundle.

    Raises:
        ConfigError, BundleError: as of `bundle_to_train`; or no frame has an action.
    """
    model, metadata = bundle_to_train(settings, data.description, out)
    seed = data.description.seed
    data.setup("fit")
    for kind, recordings in (("training", data.train_recordings), ("validation", data.validation_recordings)):
        if not any((recording.actions[settings.settle_frames :] >= 0).any() for recording in recordings):
            raise ConfigError(
                f"no {kind} recording has an action after its first {settings.settle_frames} frames: "
                "shorten settings.settle_frames, or take data with actions"
            )
    torch.manual_seed(seed)
    views = augmented_views(model, settings.views, data, seed)
    held_out = [_seen(model, FixedClips([r], _whole(r))[0]) for r in data.validation_recordings]
    _optimise(model, settings, views, np.random.default_rng(seed))
    scores = frame_accuracies(model, settings.settle_frames, held_out)
    _log.info("validation accuracy: %s", ", ".join(f"{task} {value:.3f}" for task, value in scores.items()))
    _log.info("the bundle is %s", save_bundle(out, model, metadata))
    return scores


@torch.no_grad()
def frame_features(model: PointATA, clip: Clip) -> Tensor:
    """(T, F) pooled features of one whole recording, (1, T, ...), run as a stream from its first frame."""
    state, features = model.initial_state(1), []
    for start in range(0, clip.points.shape[1], _CHUNK):
        encoded, state = model.encode(clip.frames(start, start + _CHUNK), state)
        features.append(encoded.frames[0])
    return torch.cat(features)


def augmented_views(model: PointATA, count: int, data: VideoClips, seed: int) -> list[FrameFeatures]:
    """`count` views of every training recording, changed as the data's augmentation says; those of one come together.

    A recording's length stays, and its mirror image has the actions that the data set says it shows.
    """
    views: list[FrameFeatures] = []
    recordings = track(data.train_recordings, "features of recordings", len(data.train_recordings))
    for number, recording in enumerate(recordings):
        drawn = RandomClips([recording], _whole(recording), data.settings.augmentation, data.mirrored or {}, seed)
        views += [_seen(model, drawn[number * count + view]) for view in range(count)]  # every item is drawn otherwise
        if (number + 1) % 20 == 0:
            _log.info("features of %d of %d recordings", number + 1, len(data.train_recordings))
    return views


def _whole(recording: SampledRecording) -> ClipShape:
    """The clip that is the whole recording, without neighbours."""
    return ClipShape(frames=len(recording.stamps), stride=1, dense=0, point_neighbours=0)


def _seen(model: PointATA, batch: ClipBatch) -> FrameFeatures:
    return FrameFeatures(frame_features(model, batch.clip), batch.actions[0])


def frame_logits(model: PointATA, features: Tensor, first: int = 0) -> dict[str, Tensor]:
    """Logits (B, T - first, C) of (B, T, F) features of whole recordings; no frame looks at later ones."""
    batch, length = features.shape[:2]
    state = model.initial_state(batch)
    valid = torch.cat([state.valid, torch.ones(batch, length, dtype=torch.bool)], dim=1)
    seen = Encoded(length, torch.cat([state.pooled, features], dim=1), valid)
    return model.decode(seen, state, first)[0]


def frame_losses(model: PointATA, settings: FrameHeadSettings, batch: Sequence[FrameFeatures]) -> dict[str, Tensor]:
    """Losses by task of recordings of any lengths: means over all their frames that have an action and settled."""
    # filled up behind their ends, where nothing looks and nothing counts
    features = pad_sequence([item.features for item in batch], batch_first=True)  # (B, T, F)
    actions = pad_sequence([item.actions for item in batch], batch_first=True, padding_value=-1)  # (B, T)
    settle = settings.settle_frames
    return {
        task: get(task).loss(logits, actions[:, settle:], settings.label_smoothing)
        for task, logits in frame_logits(model, features, settle).items()
    }


def _optimise(
    model: PointATA, settings: FrameHeadSettings, views: Sequence[FrameFeatures], rng: np.random.Generator
) -> None:
    heads = nn.ModuleList(model.heads[task] for task in of_scope(model.tasks, Scope.WINDOW, Scope.FRAME))
    heads.train()
    optimizer = torch.optim.AdamW(heads.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    schedule = warm_up_then_cosine(optimizer, settings.warmup_steps, settings.steps)
    noise = torch.cat([view.features for view in views]).std(dim=0) * settings.noise  # (F,)
    for step in track(range(1, settings.steps + 1), "training the heads", settings.steps):
        chosen = [views[i] for i in rng.integers(len(views), size=settings.batch)]
        noisy = [replace(view, features=view.features + torch.randn_like(view.features) * noise) for view in chosen]
        losses = frame_losses(model, settings, noisy)
        optimizer.zero_grad()
        torch.autograd.backward(torch.stack(list(losses.values())).sum())
        nn.utils.clip_grad_norm_(heads.parameters(), 10.0)
        optimizer.step()
        schedule.step()
        if step % 100 == 0:
            said = ", ".join(f"{task} {value.item():.3f}" for task, value in losses.items())
            _log.info("step %d of %d: losses: %s", step, settings.steps, said)
    heads.eval()


@torch.no_grad()
def frame_accuracies(model: PointATA, settle_frames: int, recordings: Sequence[FrameFeatures]) -> dict[str, float]:
    """Share of right frames by task, of all frames that have an action and settled."""
    hits: dict[str, list[Tensor]] = {}
    for recording in recordings:
        truth = recording.actions[settle_frames:]
        for task, logits in frame_logits(model, recording.features.unsqueeze(0), settle_frames).items():
            right = logits[0].argmax(-1) == truth
            hits.setdefault(task, []).append(right[truth >= 0])
    return {task: torch.cat(values).float().mean().item() for task, values in hits.items()}
