"""A step of the network on a CPU, recorded once: the same numbers without Python between the operations."""

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.jit._trace import TracerWarning

from pointata.model.streaming import StreamingNetwork
from pointata.model.tensors import present

# The recording is optimised during its first runs.
_WARM_UP_STEPS = 3


class TracedStep:
    """`StreamingNetwork.step` for fixed shapes as a TorchScript graph.

    A small network spends a third of an eager step in Python. And a graph runs without the interpreter's lock, so that
    other threads decode and sample meanwhile.

    It is a function of its own, not a traced module: `torch.jit.trace` enters every module into a table of the process
    for good, with all that was made to run it, 16 MB a recording.
    """

    def __init__(self, network: StreamingNetwork, inputs: Any, state: Any) -> None:
        """Record.

        Args:
            network: on the CPU, in eval mode, without gradients; its weights are constants of the recording.
            inputs: one frame of every stream: the shapes, for good.
            state: of as many streams.

        Raises:
            RuntimeError: an operation cannot be recorded.
        """
        self._inputs, self._states = list(present(inputs)), list(present(state))
        self._input_type, self._state_type = type(inputs), type(state)
        self._tasks = list(network.tasks)
        tensors = self._flat(inputs, state)
        with torch.no_grad(), warnings.catch_warnings():
            # shapes become constants, which is what is wanted
            warnings.simplefilter("ignore", TracerWarning)
            graph, _ = torch._C._create_graph_by_tracing(
                lambda *given: self._run(network, given), tensors, lambda value: "", True, False
            )
            torch._C._jit_pass_constant_propagation(graph)  # int8 weights are packed once, here
            self._recorded = torch._C._create_function_from_graph("step", graph)
            for _ in range(_WARM_UP_STEPS):
                self._recorded(*tensors)

    def __call__(self, inputs: Any, state: Any) -> tuple[Mapping[str, Tensor], Any]:
        """As `StreamingNetwork.step`."""
        results = self._recorded(*self._flat(inputs, state))
        count = len(self._tasks)
        return dict(zip(self._tasks, results[:count], strict=True)), self._state_type(
            **dict(zip(self._states, results[count:], strict=True))
        )

    def _flat(self, inputs: Any, state: Any) -> tuple[Tensor, ...]:
        given = [getattr(inputs, name) for name in self._inputs]
        return (*given, *(getattr(state, name) for name in self._states))

    def _run(self, network: StreamingNetwork, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The step with tensors only, which is what can be recorded."""
        count = len(self._inputs)
        inputs = self._input_type(**dict(zip(self._inputs, given[:count], strict=True)))
        state = self._state_type(**dict(zip(self._states, given[count:], strict=True)))
        logits, new = network.step(inputs, state)
        return (*(logits[task] for task in self._tasks), *(getattr(new, name) for name in self._states))
