"""What a network must offer to be served on streams: tasks, the state of a stream, and a step."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn


class StreamingNetwork(nn.Module, ABC):
    """A network that takes the frames of N independent streams one by one.

    Its inputs and its state are dataclasses of tensors whose first axis is that of the streams (see
    `pointata.model.tensors`); their shapes depend neither on the data nor on how long a stream is, so that a step can
    be recorded. What a frame must be made into stands beside it: see `pointata.preprocessing.preprocessor`.
    """

    @property
    @abstractmethod
    def tasks(self) -> Sequence[str]:
        """Names of what a step scores."""

    @abstractmethod
    def initial_state(self, streams: int) -> Any:
        """The state of so many streams that have seen nothing, on the device of the weights."""

    @abstractmethod
    def step(self, inputs: Any, state: Any) -> tuple[Mapping[str, Tensor], Any]:
        """One new frame of each of the N streams.

        Returns:
            Logits by task, (N, 1, ..., C), and the state after the frame.
        """

    def quantizable_layers(self) -> Sequence[str]:
        """Names of the linear layers that precision int8 computes in 8-bit integers; none, if not overridden."""
        return ()

    def window_distance(self, state: Any, stream: int) -> float:
        """How far the window of one of the streams of `state` lies from the training data, in units of the network.

        Bundles state the farthest one that they know actions in; 0 where a network cannot tell.
        """
        return 0.0
