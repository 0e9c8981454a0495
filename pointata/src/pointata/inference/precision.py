"""The arithmetic of a step, and the device that it runs on."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import get_args

import torch

from pointata.errors import ConfigError
from pointata.inference.options import Device, Precision

#: What autocast computes in; None leaves float32.
DTYPES: Mapping[str, torch.dtype] = {"bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(device: torch.device, dtype: torch.dtype | None) -> AbstractContextManager[object]:
    """Matrix products in `dtype`; None leaves all in float32."""
    return torch.autocast(device.type, dtype, enabled=dtype is not None, cache_enabled=False)


def check_precision(precision: str, device: torch.device) -> None:
    """Refuse an arithmetic that there is not, or not on that device."""
    if precision not in get_args(Precision):
        raise ConfigError(f"precision must be one of {', '.join(get_args(Precision))}, got {precision!r}")
    if precision == {"cpu": "fp16", "cuda": "int8"}.get(device.type):
        raise ConfigError(f"precision {precision} does not run on {device.type}: use fp32 or auto")


def choose_device(device: str) -> torch.device:
    """The device of a name: "auto" is the GPU where there is one; a GPU asked for by name must exist.

    Of several GPUs it is the first that the process sees: CUDA_VISIBLE_DEVICES chooses.
    """
    if device not in get_args(Device):
        raise ConfigError(f"device must be auto, cpu or cuda, got {device!r}; CUDA_VISIBLE_DEVICES chooses among GPUs")
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device 'cuda' was asked for, but torch finds no GPU: use auto or cpu")
    return torch.device(device)
