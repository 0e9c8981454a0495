"""What stage 2 minimises."""

import torch
import torch.nn.functional as F
from torch import Tensor

from pointata.classes import UNLABELLED


def frames_loss(logits: Tensor, actions: Tensor, smoothing: float) -> Tensor:
    """Cross entropy of frames; those of action -1 do not count.

    Args:
        logits: (B, T, C).
        actions: (B, T) int64.
        smoothing: of the labels.
    """
    truth = actions.flatten()
    loss = F.cross_entropy(logits.flatten(0, 1), truth, ignore_index=-1, label_smoothing=smoothing)
    return loss if (truth >= 0).any() else logits.sum() * 0.0


def points_loss(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Weighted cross entropy of points; unlabelled ones do not count, and without others it is 0.

    Args:
        logits: (B, T, P, C).
        labels: (B, T, P) int64, 255 = unlabelled.
        weights: (C,).
    """
    truth = labels.flatten()
    if not (truth != UNLABELLED).any():
        return logits.sum() * 0.0
    return F.cross_entropy(logits.flatten(0, 2), truth, weight=weights, ignore_index=UNLABELLED)


def attention_loss(attention: Tensor, labels: Tensor, foreground_class: int) -> Tensor:
    """How much of the pooling's attention misses the foreground: - log of its share, mean over frames that show it.

    Args:
        attention: (B, T, G, H) logarithm of the weights.
        labels: (B, T, P) truth of the points, of which the first G are the tokens' centres.
        foreground_class: class that the pooling is to attend to.
    """
    on_foreground = labels[:, :, : attention.shape[2]] == foreground_class  # (B, T, G)
    share = attention.masked_fill(~on_foreground.unsqueeze(-1), -torch.inf).logsumexp(dim=2)  # (B, T, H)
    shown = on_foreground.any(dim=2)
    return -share[shown].mean() if shown.any() else attention.sum() * 0.0


def class_weights(counts: Tensor, power: float) -> Tensor:
    """Weights (1 / share) ** power of point classes, 1 on average over the points; 0 for a class without points.

    Args:
        counts: (C,) points of each class.
        power: 0 weighs all points alike, 1 all classes.
    """
    share = counts.float() / counts.sum()
    weight = torch.where(share > 0, share.clamp(min=1e-4) ** -power, 0.0)
    return weight / (weight * share).sum()
