"""A step of the network on a GPU: pinned upload, autocast, and all its kernels replayed as one CUDA graph."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import fields

import torch
from torch import Tensor

from pointata.model.pointata import PointATA
from pointata.model.state import Clip, StreamState

# Runs before the capture, in which cuBLAS and cuDNN choose and allocate.
_WARM_UP_STEPS = 3


def autocast(device: torch.device, dtype: torch.dtype | None) -> AbstractContextManager[object]:
    """Matrix products in `dtype`; None leaves all in float32."""
    return torch.autocast(device.type, dtype, enabled=dtype is not None, cache_enabled=False)


def upload(clip: Clip, device: torch.device) -> Clip:
    """A clip on a device; through pinned memory and without waiting where the device is a GPU."""
    if device.type != "cuda":
        return clip.to(device)
    return clip.pinned().to(device)


class GraphedStep:
    """`PointATA.step` for one fixed number of streams, captured once; results are overwritten by the next call.

    A captured step launches as a whole: without a graph, the launches of some 600 small kernels are what a step of one
    stream takes.
    """

    def __init__(self, model: PointATA, clip: Clip, state: StreamState, dtype: torch.dtype | None) -> None:
        """Capture.

        Args:
            model: on the GPU, in eval mode.
            clip: one frame of every stream, on the GPU: the shapes, for good.
            state: of as many streams.
            dtype: of autocast; None for float32.

        Raises:
            RuntimeError: an operation cannot be captured.
        """
        with torch.inference_mode():
            self._clip = clip.copy()
            self._state = state.copy()
            stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream), autocast(clip.points.device, dtype):
                for _ in range(_WARM_UP_STEPS):
                    model.step(self._clip, self._state)
            torch.cuda.current_stream().wait_stream(stream)
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph), autocast(clip.points.device, dtype):
                self._result = model.step(self._clip, self._state)

    def __call__(self, clip: Clip, state: StreamState) -> tuple[Mapping[str, Tensor], StreamState]:
        """As `PointATA.step`."""
        for field in fields(Clip):
            source, target = getattr(clip, field.name), getattr(self._clip, field.name)
            if target is not None:
                target.copy_(source, non_blocking=True)
        for field in fields(StreamState):
            getattr(self._state, field.name).copy_(getattr(state, field.name))
        self._graph.replay()
        return self._result
