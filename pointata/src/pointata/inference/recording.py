"""The one place where a step is recorded for good speed: what a CPU or a GPU runs without Python between operations."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from pointata.inference.cuda_graph import GraphedStep
from pointata.inference.traced_step import TracedStep
from pointata.model.streaming import StreamingNetwork
from pointata.model.tensors import present

#: Inputs and state of some streams -> logits by task, and the new state: `StreamingNetwork.step`, or a recording.
Step = Callable[[Any, Any], tuple[Mapping[str, Tensor], Any]]


def record(network: StreamingNetwork, inputs: Any, state: Any, dtype: torch.dtype | None = None) -> Step:
    """A step for the shapes of these inputs and this state; the weights of now may be constants of it.

    On a CPU only a single stream's step in float32 or int8 is recorded: a recording has a fixed number of streams,
    and a CPU should not compute those that have no new frame.

    Args:
        network: in eval mode, without gradients.
        inputs: one frame of every stream, on the device of the network.
        state: of as many streams.
        dtype: of autocast; None for float32 or int8.

    Raises:
        RuntimeError, AttributeError, TypeError: the step cannot be recorded; or another torch records otherwise.
    """
    sample = next(iter(present(inputs).values()))
    if sample.is_cuda:
        return GraphedStep(network, inputs, state, dtype)
    if len(sample) == 1 and dtype is None:
        return TracedStep(network, inputs, state)
    return network.step
