"""A step of the network on a CPU, recorded once: the same numbers without Python between the operations."""

import warnings
from collections.abc import Mapping
from dataclasses import fields

import torch
from torch import Tensor

from pointata.model.pointata import PointATA
from pointata.model.state import Clip, StreamState

# The recording is optimised during its first runs.
_WARM_UP_STEPS = 3


class TracedStep:
    """`PointATA.step` for fixed shapes as a TorchScript graph.

    A small network spends a third of an eager step in Python. And a graph runs without the interpreter's lock, so that
    other threads decode and sample meanwhile.

    It is a function of its own, not a traced module: `torch.jit.trace` enters every module into a table of the process
    for good, with all that was made to run it, 16 MB a recording.
    """

    def __init__(self, model: PointATA, clip: Clip, state: StreamState) -> None:
        """Record.

        Args:
            model: on the CPU, in eval mode, without gradients; its weights are constants of the recording.
            clip: one frame of every stream: the shapes, for good.
            state: of as many streams.

        Raises:
            RuntimeError: an operation cannot be recorded.
        """
        self._inputs = [f.name for f in fields(Clip) if getattr(clip, f.name) is not None]
        self._states = [f.name for f in fields(StreamState)]
        self._tasks = list(model.config.heads)
        tensors = self._flat(clip, state)
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of shapes that become constants, which is what is wanted
            graph, _ = torch._C._create_graph_by_tracing(
                lambda *given: self._run(model, given), tensors, lambda value: "", True, False
            )
            torch._C._jit_pass_constant_propagation(graph)  # int8 weights are packed once, here
            self._recorded = torch._C._create_function_from_graph("step", graph)
            for _ in range(_WARM_UP_STEPS):
                self._recorded(*tensors)

    def __call__(self, clip: Clip, state: StreamState) -> tuple[Mapping[str, Tensor], StreamState]:
        """As `PointATA.step`."""
        results = self._recorded(*self._flat(clip, state))
        count = len(self._tasks)
        return dict(zip(self._tasks, results[:count], strict=True)), StreamState(*results[count:])

    def _flat(self, clip: Clip, state: StreamState) -> tuple[Tensor, ...]:
        inputs = [getattr(clip, name) for name in self._inputs]
        return (*inputs, *(getattr(state, name) for name in self._states))

    def _run(self, model: PointATA, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The step with tensors only, which is what can be recorded."""
        count = len(self._inputs)
        clip = Clip(**dict(zip(self._inputs, given[:count], strict=True)))
        logits, state = model.step(clip, StreamState(*given[count:]))
        return (*(logits[task] for task in self._tasks), *(getattr(state, name) for name in self._states))
