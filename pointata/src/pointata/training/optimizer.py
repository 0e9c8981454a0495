"""AdamW and the learning-rate schedule of every training: a linear rise, then a cosine to zero."""

import math
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR


class AdamWSettings(Protocol):
    """The settings of AdamW."""

    @property
    def learning_rate(self) -> float:
        """Peak rate."""

    @property
    def weight_decay(self) -> float:
        """Of matrices; none on vectors."""


def adamw(
    named_parameters: Iterable[tuple[str, Tensor]], settings: AdamWSettings, slow: Mapping[str, float] = {}
) -> torch.optim.AdamW:
    """AdamW without decay on vectors.

    Args:
        named_parameters: what is trained.
        settings: rate and decay.
        slow: share of the rate that the parameters learn at whose names begin with a prefix.
    """
    groups: dict[tuple[str, bool], list[Tensor]] = {}
    for name, parameter in named_parameters:
        prefix = next((prefix for prefix in slow if name.startswith(prefix)), "")
        groups.setdefault((prefix, parameter.dim() > 1), []).append(parameter)
    return torch.optim.AdamW(
        [
            {
                "params": parameters,
                "lr": settings.learning_rate * slow.get(prefix, 1.0),
                "weight_decay": settings.weight_decay if matrix else 0.0,
            }
            for (prefix, matrix), parameters in groups.items()
        ]
    )


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
