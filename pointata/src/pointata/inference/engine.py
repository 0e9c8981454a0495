"""The network of a deployment: the states of its streams on one device, and one step of any of them."""

import logging
import timeit
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pointata.errors import ConfigError, InferenceError
from pointata.inference.cuda_graph import GraphedStep, autocast, upload
from pointata.inference.quantized import quantized
from pointata.inference.traced_step import TracedStep
from pointata.model.pointata import PointATA
from pointata.model.state import Clip, StreamState
from pointata.preprocessing.sampling import SampledFrame, to_clip

#: Arithmetic of a step. "auto" tries the others when it warms up, and keeps one that is faster and agrees.
Precision = Literal["fp32", "bf16", "fp16", "int8", "auto"]
#: Probabilities by task: (C,), (C,), (P, C).
Scores = dict[str, NDArray[np.float32]]

Step = Callable[[Clip, StreamState], tuple[Mapping[str, Tensor], StreamState]]

_TRIALS = 5
_SAME = 0.02
_CANDIDATES: Mapping[str, tuple[Precision, ...]] = {"cpu": ("int8", "bf16"), "cuda": ("bf16",)}
_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
_log = logging.getLogger(__name__)


def choose_device(device: str) -> torch.device:
    """ "auto" is the GPU where there is one; a GPU asked for by name must exist.

    Of several GPUs it is the first that the process sees: CUDA_VISIBLE_DEVICES chooses.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"device must be auto, cpu or cuda, got {device!r}; CUDA_VISIBLE_DEVICES chooses among GPUs")
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device 'cuda' was asked for, but torch finds no GPU: use auto or cpu")
    return torch.device(device)


class Engine:
    """Steps N independent streams through one network; not safe for use by several threads at once."""

    def __init__(self, model: PointATA, device: torch.device, streams: int = 1, precision: Precision = "fp32") -> None:
        """Take a network as it is.

        Args:
            model: the network; it is moved to `device` and put into eval mode, without gradients.
            device: where it runs.
            streams: number of streams N, at least 1.
            precision: arithmetic of the network; states stay float32. "fp16" needs a GPU, "int8" a CPU. "auto" is
                float32 until `warm_up` has chosen.
        """
        if streams < 1:
            raise ConfigError(f"at least one stream is needed, got streams={streams}")
        if precision not in get_args(Precision):
            raise ConfigError(f"precision must be one of {', '.join(get_args(Precision))}, got {precision!r}")
        if precision == {"cpu": "fp16", "cuda": "int8"}.get(device.type):
            raise ConfigError(f"precision {precision} does not run on {device.type}: use fp32 or auto")
        if device.type == "cuda":
            torch.backends.cudnn.allow_tf32 = False  # float32 is to be float32 in convolution and recurrence, too
        self.device = device
        self.streams = streams
        self._wanted = precision
        self._given = model.to(device).eval().requires_grad_(False)
        self._step: Step
        try:
            self._use("fp32" if precision == "auto" else precision)
        except (RuntimeError, ImportError) as error:
            raise ConfigError(f"precision {precision} cannot be used with this torch: {error}; use fp32") from error
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

    def distance(self, stream: int) -> float:
        """How far the window of a stream lies from the training: mean square of the mean of its pooled features.

        These have unit variance over the training data, so a window that holds all of it would give 0, and one whose
        frames are alike about 1. Of networks that pool frames, once the stream has a frame.
        """
        state = self._state
        return float(state.pooled[stream, state.valid[stream]].mean(dim=0).square().mean())

    def warm_up(self, frames: Sequence[SampledFrame]) -> None:
        """Choose the arithmetic, and record the step: as a CUDA graph, or as a trace; streams are forgotten.

        On a CPU only a single stream's step in float32 or int8 is recorded: a recording has a fixed number of streams,
        and a CPU had better not compute those that have no new frame.

        Args:
            frames: at least one, of a moving sensor; what is tried is tried on all of them in turn.
        """
        self._use(self._fastest(frames) if self._wanted == "auto" else self._wanted)
        self._record(frames[0])
        self.reset()

    def _record(self, frame: SampledFrame) -> None:
        clip = Clip.joined([to_clip([frame])] * self.streams).to(self.device)
        try:
            if self.device.type == "cuda":
                self._step = GraphedStep(self._model, clip, self._state, self._dtype)
            elif self.streams == 1 and self._dtype is None:
                self._step = TracedStep(self._model, clip, self._state)
        except (RuntimeError, AttributeError, TypeError) as error:  # or another torch records otherwise
            _log.warning("the step could not be recorded and runs operation by operation: %s", error)

    def step(self, frames: Mapping[int, SampledFrame]) -> dict[int, Scores]:
        """One new frame of some streams, by stream number; the others stay as they are.

        A stream whose scores or state are not finite is reset, and missing in the result.
        """
        numbers = sorted(frames)
        rows = numbers
        if isinstance(self._step, GraphedStep):  # has one shape: streams without a frame run along, and are not kept
            rows = [number if number in frames else numbers[0] for number in range(self.streams)]
        everyone = len(rows) == self.streams
        clip = Clip.joined([to_clip([frames[number]]) for number in rows])
        with torch.inference_mode():
            index = torch.tensor(numbers, device=self.device)
            with autocast(self.device, self._dtype):
                logits, state = self._step(
                    upload(clip, self.device), self._state if everyone else self._state.select(index)
                )
            if len(numbers) < len(rows):
                logits, state = {task: value[index] for task, value in logits.items()}, state.select(index)
            self._state.update(index, state)
            finite = state.finite()
            scores = {task: value[:, 0].float().softmax(-1).cpu().numpy() for task, value in logits.items()}
        sound = finite.cpu().numpy()
        for value in scores.values():
            sound = sound & np.isfinite(value).all(axis=tuple(range(1, value.ndim)))
        for number in np.array(numbers)[~sound]:
            self.reset(int(number))
        return {n: {task: value[row] for task, value in scores.items()} for row, n in enumerate(numbers) if sound[row]}

    def _use(self, precision: Precision) -> None:
        self._model = quantized(self._given) if precision == "int8" else self._given
        self._dtype = _DTYPES.get(precision)
        self._step = self._model.step
        self.precision: Precision = precision

    def _fastest(self, frames: Sequence[SampledFrame]) -> Precision:
        """Whose step, as deployed, is fastest here by a tenth, and gives float32's probabilities within 0.02."""
        seconds, exact = self._trial("fp32", frames)
        best: Precision = "fp32"
        for precision in _CANDIDATES.get(self.device.type, ()):
            try:
                taken, scores = self._trial(precision, frames)
            except (RuntimeError, ImportError, InferenceError) as error:  # no kernels in this build, or an overflow
                _log.info("%s cannot be used here: %s", precision, error)
                continue
            gap = float(np.max([np.abs(exact[task] - scores[task]).max() for task in exact]))
            if taken < 0.9 * seconds and gap < _SAME:
                best, seconds = precision, taken
            _log.info("a step in %s takes %.1f ms, probabilities within %.4f", precision, taken * 1e3, gap)
        return best

    def _trial(self, precision: Precision, frames: Sequence[SampledFrame]) -> tuple[float, Scores]:
        """Seconds of a step, and the first stream's probabilities after the last frame.

        Raises:
            InferenceError: they are not finite.
        """
        self._use(precision)
        self._record(frames[0])
        self.reset()
        for frame in frames:
            newest = dict.fromkeys(range(self.streams), frame)
            answers = self.step(newest)
        if 0 not in answers:
            raise InferenceError(f"the scores are not finite in {precision}", [0])
        return min(timeit.repeat(lambda: self.step(newest), number=1, repeat=_TRIALS)), answers[0]
