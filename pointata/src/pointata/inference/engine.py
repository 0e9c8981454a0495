"""The network of a deployment: the states of its streams on one device, and one step of any of them."""

import logging
import timeit
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pointata.errors import ConfigError, InferenceError
from pointata.inference.cuda_graph import GraphedStep
from pointata.inference.options import Precision
from pointata.inference.precision import DTYPES, autocast, check_precision
from pointata.inference.quantized import quantized
from pointata.inference.recording import Step, record
from pointata.model.streaming import StreamingNetwork
from pointata.model.tensors import finite, joined, kib, select, to_device, update, upload

#: Probabilities by task, (..., C): those of PointATA's are (C,), (C,), (P, C).
Scores = dict[str, NDArray[np.float32]]

_TRIALS = 5
_SAME = 0.02
_CANDIDATES: Mapping[str, tuple[Precision, ...]] = {"cpu": ("int8", "bf16"), "cuda": ("bf16",)}
_log = logging.getLogger(__name__)


class Engine:
    """Steps N independent streams through one network; not safe for use by several threads at once."""

    def __init__(
        self, network: StreamingNetwork, device: torch.device, streams: int = 1, precision: Precision = "fp32"
    ) -> None:
        """Take a network as it is.

        Args:
            network: it is moved to `device` and put into eval mode, without gradients.
            device: where it runs.
            streams: number of streams N, at least 1.
            precision: arithmetic of the network; states stay float32. "fp16" needs a GPU, "int8" a CPU. "auto" is
                float32 until `warm_up` has chosen.
        """
        if streams < 1:
            raise ConfigError(f"at least one stream is needed, got streams={streams}")
        check_precision(precision, device)
        if device.type == "cuda":
            torch.backends.cudnn.allow_tf32 = False  # float32 is to be float32 in convolution and recurrence, too
        self.device = device
        self.streams = streams
        self._wanted = precision
        self.network = network.to(device).eval().requires_grad_(False)
        self._example: Any = None
        self._step: Step
        try:
            self._use("fp32" if precision == "auto" else precision)
        except (RuntimeError, ImportError) as error:
            raise ConfigError(f"precision {precision} cannot be used with this torch: {error}; use fp32") from error
        self.reset()

    @property
    def state_kib(self) -> float:
        """What the past of one stream takes, KiB; fixed."""
        return kib(self._state) / self.streams

    def reset(self, stream: int | None = None) -> None:
        """Forget a stream's past, or everything."""
        if stream is None:
            self._state: Any = self.network.initial_state(self.streams)
        else:
            update(self._state, torch.tensor([stream], device=self.device), self.network.initial_state(1))

    def distance(self, stream: int) -> float:
        """How far the window of a stream that has a frame lies from the training; see `StreamingNetwork`."""
        return self.network.window_distance(self._state, stream)

    def warm_up(self, frames: Sequence[Any]) -> None:
        """Choose the arithmetic, and record the step: as a CUDA graph, or as a trace; streams are forgotten.

        Args:
            frames: inputs of one stream each, at least one, of a moving sensor; what is tried is tried on all of them.
        """
        self._example = frames[0]
        self._use(self._fastest(frames) if self._wanted == "auto" else self._wanted)
        self._record()
        self.reset()

    def load_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Give the network other weights; streams are forgotten, because what they remember is of the old ones.

        This is the way to do it: a quantised or recorded step has weights of its own, which are made again here.

        Args:
            weights: of any number type, by the names of the network's `state_dict`; those not named stay as they are.

        Raises:
            ConfigError: the network has no weight of a name, or one of another shape; nothing has changed.
        """
        own = self.network.state_dict()
        for name, value in weights.items():
            if name not in own or own[name].shape != value.shape:
                has = f"has {tuple(own[name].shape)} there" if name in own else "has no weight of that name"
                raise ConfigError(
                    f"weights of another architecture: {name} {tuple(value.shape)}, but the network {has}; "
                    "load their bundle as a network of its own"
                )
        self.network.load_state_dict(own | dict(weights))
        self._use(self.precision)
        self._record()
        self.reset()

    def _record(self) -> None:
        """Record the step, where there is an example of its inputs."""
        if self._example is None:
            return
        inputs = to_device(joined([self._example] * self.streams), self.device)
        try:
            self._step = record(self._served, inputs, self._state, self._dtype)
        except (RuntimeError, AttributeError, TypeError) as error:  # or another torch records otherwise
            _log.warning("the step could not be recorded and runs operation by operation: %s", error)

    def step(self, frames: Mapping[int, Any]) -> dict[int, Scores]:
        """One new frame of some streams, inputs by stream number; the others stay as they are.

        A stream whose scores or state are not finite is reset, and missing in the result.
        """
        rows = numbers = sorted(frames)
        graphed = isinstance(self._step, GraphedStep)
        if graphed:  # has one shape: streams without a frame run along, and are not kept
            rows = [number if number in frames else numbers[0] for number in range(self.streams)]
        inputs = joined([frames[number] for number in rows])
        with torch.inference_mode():
            index = torch.tensor(numbers, device=self.device)
            with autocast(self.device, self._dtype):
                # a network gets a copy, parts of which it may hand back as they are; a graph copies by itself
                given = self._state if graphed else select(self._state, index)
                logits, state = self._step(upload(inputs, self.device), given)
            if len(numbers) < len(rows):
                logits, state = {task: value[index] for task, value in logits.items()}, select(state, index)
            update(self._state, index, state)
            remembered = finite(state, len(numbers))
            scores = {task: value[:, 0].float().softmax(-1).cpu().numpy() for task, value in logits.items()}
        sound = remembered.cpu().numpy()
        for value in scores.values():
            sound = sound & np.isfinite(value).all(axis=tuple(range(1, value.ndim)))
        for number in np.array(numbers)[~sound]:
            self.reset(int(number))
        return {n: {task: value[row] for task, value in scores.items()} for row, n in enumerate(numbers) if sound[row]}

    def _use(self, precision: Precision) -> None:
        self._served = quantized(self.network) if precision == "int8" else self.network
        self._dtype = DTYPES.get(precision)
        self._step = self._served.step
        self.precision: Precision = precision

    def _fastest(self, frames: Sequence[Any]) -> Precision:
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

    def _trial(self, precision: Precision, frames: Sequence[Any]) -> tuple[float, Scores]:
        """Seconds of a step, and the first stream's probabilities after the last frame.

        Raises:
            InferenceError: they are not finite.
        """
        self._use(precision)
        self._record()
        self.reset()
        for frame in frames:
            newest = dict.fromkeys(range(self.streams), frame)
            answers = self.step(newest)
        if 0 not in answers:
            raise InferenceError(f"the scores are not finite in {precision}", [0])
        return min(timeit.repeat(lambda: self.step(newest), number=1, repeat=_TRIALS)), answers[0]
