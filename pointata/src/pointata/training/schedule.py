"""The learning-rate schedule of every training: a linear rise, then a cosine to zero."""

import math
from functools import partial
from typing import Any

import torch
from torch.optim.lr_scheduler import LambdaLR


def rate_factor(step: int, steps: int, warmup: int) -> float:
    """Share of the peak rate at a step: rises linearly to 1 over `warmup` steps, then falls by a cosine to 0."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1.0 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, steps - warmup))))


def warm_up_then_cosine(optimizer: torch.optim.Optimizer, warmup_steps: int, steps: int) -> LambdaLR:
    """`rate_factor` on an optimizer.

    Args:
        optimizer: its rates are the peaks.
        warmup_steps: wanted length of the warm-up; it takes at most a fifth of all steps.
        steps: of the whole training.
    """
    return LambdaLR(optimizer, partial(rate_factor, steps=steps, warmup=min(warmup_steps, steps // 5)))


def stepwise(optimizer: torch.optim.Optimizer, warmup_steps: int, steps: int) -> dict[str, Any]:
    """An optimizer with `warm_up_then_cosine`, as Lightning's `configure_optimizers` returns it."""
    schedule = warm_up_then_cosine(optimizer, warmup_steps, steps)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
