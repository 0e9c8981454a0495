"""A step of the network on a GPU: all its kernels replayed as one CUDA graph."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from pointata.inference.precision import autocast
from pointata.model.streaming import StreamingNetwork
from pointata.model.tensors import cloned, present

# Runs before the capture, in which cuBLAS and cuDNN choose and allocate.
_WARM_UP_STEPS = 3


class GraphedStep:
    """`StreamingNetwork.step` for one fixed number of streams, captured once; its results are overwritten by the next.

    A captured step launches as a whole: without a graph, the launches of some 600 small kernels are what a step of one
    stream takes.
    """

    def __init__(self, network: StreamingNetwork, inputs: Any, state: Any, dtype: torch.dtype | None) -> None:
        """Capture.

        Args:
            network: on the GPU, in eval mode.
            inputs: one frame of every stream, on the GPU: the shapes, for good.
            state: of as many streams.
            dtype: of autocast; None for float32.

        Raises:
            RuntimeError: an operation cannot be captured.
        """
        device = next(iter(present(inputs).values())).device
        with torch.inference_mode():
            self._inputs, self._state = cloned(inputs), cloned(state)
            stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream), autocast(device, dtype):
                for _ in range(_WARM_UP_STEPS):
                    network.step(self._inputs, self._state)
            torch.cuda.current_stream().wait_stream(stream)
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph), autocast(device, dtype):
                self._result = network.step(self._inputs, self._state)

    def __call__(self, inputs: Any, state: Any) -> tuple[Mapping[str, Tensor], Any]:
        """As `StreamingNetwork.step`."""
        for name, target in present(self._inputs).items():
            target.copy_(getattr(inputs, name), non_blocking=True)
        for name, target in present(self._state).items():
            target.copy_(getattr(state, name))
        self._graph.replay()
        return self._result
