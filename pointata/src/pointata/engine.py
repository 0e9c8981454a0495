"""The network of a deployment: the states of its streams on one device, and one step of any of them."""

import logging
import timeit
from collections.abc import Callable, Mapping
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pointata.cuda_graph import GraphedStep, autocast, upload
from pointata.errors import ConfigError
from pointata.model.pointata import PointATA
from pointata.model.state import Clip, StreamState
from pointata.sampling import SampledFrame, to_clip
from pointata.traced_step import TracedStep

#: Arithmetic of a step. "auto" tries bf16 when it warms up, and keeps it where it is faster and the results agree.
Precision = Literal["fp32", "bf16", "fp16", "auto"]
#: Probabilities by task: (C,), (C,), (P, C).
Scores = dict[str, NDArray[np.float32]]

Step = Callable[[Clip, StreamState], tuple[Mapping[str, Tensor], StreamState]]

_TRIALS = 5
_SAME = 0.02
_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
_log = logging.getLogger(__name__)


def choose_device(device: str) -> torch.device:
    """ "auto" is the GPU where there is one; a GPU asked for by name must exist."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(f"device {device!r} was asked for, but torch finds no GPU: use auto or cpu")
    return torch.device(device)


class Engine:
    """Steps N independent streams through one network; not safe for use by several threads at once."""

    def __init__(self, model: PointATA, device: torch.device, streams: int = 1, precision: Precision = "fp32") -> None:
        """Take a network as it is.

        Args:
            model: the network; it is moved to `device` and put into eval mode.
            device: where it runs.
            streams: number of streams N, at least 1.
            precision: arithmetic of matrix products; sums, norms and states stay float32. "fp16" needs a GPU.
        """
        if streams < 1:
            raise ConfigError(f"at least one stream is needed, got streams={streams}")
        if precision not in get_args(Precision):
            raise ConfigError(f"precision must be one of {', '.join(get_args(Precision))}, got {precision!r}")
        if precision == "fp16" and device.type == "cpu":
            raise ConfigError("precision fp16 needs a GPU: use fp32 or auto")
        self.device = device
        self.precision = precision
        self.streams = streams
        self._model = model.to(device).eval()
        self._step: Step = self._model.step
        self._dtype = _DTYPES.get(precision)
        self.reset()

    @property
    def state_kib(self) -> float:
        """What the past of one stream takes, KiB; fixed."""
        return self._state.kib()

    def reset(self, stream: int | None = None) -> None:
        """Forget a stream's past, or everything."""
        if stream is None:
            self._state: StreamState = self._model.initial_state(self.streams)
        else:
            chosen = torch.arange(self.streams, device=self.device) == stream
            self._state = self._state.reset(chosen)

    def warm_up(self, frame: SampledFrame) -> None:
        """Choose the arithmetic, and record the step: as a CUDA graph, or as a trace; streams are forgotten.

        On a CPU only a single stream's step is recorded: a recording has a fixed number of streams, and a CPU had
        better not compute those that have no new frame.
        """
        frames = dict.fromkeys(range(self.streams), frame)
        if self.precision == "auto":
            self._dtype = torch.bfloat16 if self._bf16_pays(frames) else None
        self.step(frames)
        clip = stack([to_clip([frame])] * self.streams).to(self.device)
        try:
            if self.device.type == "cuda":
                self._step = GraphedStep(self._model, clip, self._state, self._dtype)
            elif self.streams == 1 and self._dtype is None:
                self._step = TracedStep(self._model, clip, self._state)
        except RuntimeError as error:
            _log.warning("the step could not be recorded and runs operation by operation: %s", error)
        self.reset()

    def step(self, frames: Mapping[int, SampledFrame]) -> dict[int, Scores]:
        """One new frame of some streams, by stream number; the others stay as they are."""
        numbers = sorted(frames)
        rows = numbers
        if isinstance(self._step, GraphedStep):  # has one shape: streams without a frame run along, and are not kept
            rows = [number if number in frames else numbers[0] for number in range(self.streams)]
        everyone = len(rows) == self.streams
        clip = stack([to_clip([frames[number]]) for number in rows])
        with torch.inference_mode():
            index = torch.tensor(numbers, device=self.device)
            with autocast(self.device, self._dtype):
                logits, state = self._step(
                    upload(clip, self.device), self._state if everyone else self._state.pick(index)
                )
            if len(numbers) < len(rows):
                logits, state = {task: value[index] for task, value in logits.items()}, state.pick(index)
            self._state.put(index, state)
            scores = {task: value[:, 0].float().softmax(-1).cpu().numpy() for task, value in logits.items()}
        return {number: {task: value[row] for task, value in scores.items()} for row, number in enumerate(numbers)}

    def _bf16_pays(self, frames: Mapping[int, SampledFrame]) -> bool:
        """Whether a step in bfloat16 is faster here by a tenth, and gives the same probabilities within 0.02."""
        seconds, scores = {}, {}
        for dtype in (None, torch.bfloat16):
            self._dtype = dtype
            self.reset()
            scores[dtype] = self.step(frames)[0]
            seconds[dtype] = min(timeit.repeat(lambda: self.step(frames), number=1, repeat=_TRIALS))
        gap = max(float(np.abs(scores[None][task] - scores[torch.bfloat16][task]).max()) for task in scores[None])
        pays = seconds[torch.bfloat16] < 0.9 * seconds[None] and gap < _SAME
        _log.info(
            "bf16 takes %.2f of the time of fp32, probabilities differ by %.4f at most: %s is used",
            seconds[torch.bfloat16] / seconds[None], gap, "bf16" if pays else "fp32",
        )  # fmt: skip
        return pays


def stack(clips: list[Clip]) -> Clip:
    """Clips of one stream each as one of several."""
    if len(clips) == 1:
        return clips[0]

    def join(tensors: list[Tensor | None]) -> Tensor | None:
        present = [tensor for tensor in tensors if tensor is not None]
        return torch.cat(present) if present else None

    return Clip(
        points=torch.cat([clip.points for clip in clips]),
        origins=torch.cat([clip.origins for clip in clips]),
        stamps=torch.cat([clip.stamps for clip in clips]),
        neighbours=join([clip.neighbours for clip in clips]),
        features=join([clip.features for clip in clips]),
    )
