"""A step of the network on a CPU, recorded once: the same numbers without Python between the operations."""

import warnings
from collections.abc import Mapping
from dataclasses import fields

import torch
from torch import Tensor, nn

from pointata.model.pointata import PointATA
from pointata.model.state import Clip, StreamState

# The recording is optimised during its first runs.
_WARM_UP_STEPS = 3


class TracedStep:
    """`PointATA.step` for fixed shapes as a TorchScript trace.

    A small network spends a third of an eager step in Python. And a trace runs without the interpreter's lock, so that
    other threads decode and sample meanwhile.
    """

    def __init__(self, model: PointATA, clip: Clip, state: StreamState) -> None:
        """Record.

        Args:
            model: on the CPU, in eval mode; its weights are shared.
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
            self._traced = torch.jit.trace(  # type: ignore[no-untyped-call]
                _Flat(model, self._inputs, self._states, self._tasks), tensors, check_trace=False
            )
            for _ in range(_WARM_UP_STEPS):
                self._traced(*tensors)

    def __call__(self, clip: Clip, state: StreamState) -> tuple[Mapping[str, Tensor], StreamState]:
        """As `PointATA.step`."""
        results = self._traced(*self._flat(clip, state))
        count = len(self._tasks)
        return dict(zip(self._tasks, results[:count], strict=True)), StreamState(*results[count:])

    def _flat(self, clip: Clip, state: StreamState) -> tuple[Tensor, ...]:
        inputs = [getattr(clip, name) for name in self._inputs]
        return (*inputs, *(getattr(state, name) for name in self._states))


class _Flat(nn.Module):
    """The step with tensors only, which is what can be recorded."""

    def __init__(self, model: PointATA, inputs: list[str], states: list[str], tasks: list[str]) -> None:
        super().__init__()
        self.model = model
        self._inputs, self._states, self._tasks = inputs, states, tasks

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        count = len(self._inputs)
        clip = Clip(**dict(zip(self._inputs, tensors[:count], strict=True)))
        logits, state = self.model.step(clip, StreamState(*tensors[count:]))
        return (*(logits[task] for task in self._tasks), *(getattr(state, name) for name in self._states))
