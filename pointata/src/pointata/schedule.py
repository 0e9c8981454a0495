"""The learning-rate schedule of stage 2."""

from typing import Any

import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR


def warm_up_then_cosine(optimizer: torch.optim.Optimizer, warmup_steps: int, steps: int) -> dict[str, Any]:
    """Linear warm-up, at most a fifth of all steps, then cosine to zero; what `configure_optimizers` returns.

    Args:
        optimizer: its rates are the peaks.
        warmup_steps: wanted length of the warm-up.
        steps: of the whole training.
    """
    warmup = min(warmup_steps, max(1, steps // 5))
    rise = LinearLR(optimizer, 0.01, total_iters=warmup)
    fall = CosineAnnealingLR(optimizer, max(1, steps - warmup))
    schedule = SequentialLR(optimizer, [rise, fall], milestones=[warmup])
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
