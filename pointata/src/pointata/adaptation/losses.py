"""What stage 2 minimises beside the losses of the tasks."""

import torch
from torch import Tensor


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
