"""Frames in, predictions out: the one inference path of node and offline evaluation."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pointata.bundles.bundle import load_bundle
from pointata.bundles.metadata import NetworkMetadata
from pointata.errors import BundleError, InferenceError
from pointata.frame import Frame
from pointata.inference.engine import Engine, Scores
from pointata.inference.options import Precision, PredictorOptions
from pointata.inference.precision import choose_device
from pointata.inference.stream import Stream
from pointata.model.streaming import StreamingNetwork
from pointata.prediction import PointLabels, Prediction
from pointata.system.cores import core_count
from pointata.tasks import of_scope
from pointata.tasks.scope import Scope

__all__ = ["Predictor", "PredictorOptions", "PreparedFrame"]

# The third is the first to see two frames before it.
_WARM_UP_FRAMES = 4


@dataclass(frozen=True)
class PreparedFrame:
    """A frame and what its network sees of it; belongs to no stream yet.

    Attributes:
        frame: the whole frame.
        sampled: what the network's preprocessor made of it.
        timings_ms: milliseconds per stage so far.
    """

    frame: Frame
    sampled: Any
    timings_ms: Mapping[str, float]


class Predictor:
    """Runs a network on one or more streams, frame by frame.

    `prepare` may be called from any thread, also while another one is in `predict`; all other methods belong to one
    thread.
    """

    def __init__(
        self,
        network: StreamingNetwork,
        metadata: NetworkMetadata,
        *,
        device: str = "cpu",
        threads: int = 0,
        streams: int = 1,
        precision: Precision = "fp32",
        options: PredictorOptions | None = None,
    ) -> None:
        """Take a network as it is.

        Args:
            network: it is moved to the device and put into eval mode, without gradients.
            metadata: its bundle's metadata.
            device: "auto", "cpu" or "cuda".
            threads: CPU threads of torch, which has one setting for the whole process; 0 leaves it alone.
            streams: independent streams that share the network, numbered from 0.
            precision: see `pointata.inference.engine.Engine`.
            options: settings of the deployment; None for the defaults.
        """
        if threads > 0:
            torch.set_num_threads(threads)
        # the search holds the interpreter's lock: what samples beside it must wait, so it may have that core, too
        self._search_threads = min((threads or torch.get_num_threads()) + 1, core_count())
        self.metadata = metadata
        self.options = PredictorOptions() if options is None else options
        self._engine = Engine(network, choose_device(device), streams, precision)
        self._streams = [Stream(metadata.window_frames, self.options, metadata.heads) for _ in range(streams)]
        self._preprocessor = metadata.preprocessor(self.options.crop, self.device, self._search_threads)

    @classmethod
    def load(cls, model: str, *, backbone: str | None = None, device: str = "auto", **deployment: Any) -> "Predictor":
        """Load a bundle by path or shipped name, and warm it up.

        Args:
            model: path or name of the bundle.
            backbone: see `load_bundle`.
            device: as of `Predictor`.
            deployment: further keyword arguments of `Predictor`.

        Raises:
            BundleError: see `load_bundle`; or its scores of made-up frames are not finite.
            ConfigError: a device or precision that cannot be had.
        """
        network, metadata = load_bundle(model, backbone)
        predictor = cls(network, metadata, device=device, **deployment)
        try:
            predictor.warm_up()
        except InferenceError as error:
            raise BundleError(
                f"bundle {metadata.name} cannot be used: its scores of made-up frames are not finite ({error}). Its "
                "training diverged, or the precision is too low: train it again, or use precision fp32"
            ) from error
        return predictor

    @property
    def device(self) -> torch.device:
        """Where the network runs."""
        return self._engine.device

    @property
    def precision(self) -> Precision:
        """Arithmetic of the network: what `warm_up` chose, where that was "auto"."""
        return self._engine.precision

    @property
    def state_kib(self) -> float:
        """What the past of one stream takes, KiB; fixed."""
        return self._engine.state_kib

    @property
    def network(self) -> StreamingNetwork:
        """The network, in float32; other weights are given to it by `load_weights`."""
        return self._engine.network

    def load_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Give the network other weights, for example `adapter_state` of one of its architecture; then `reset`.

        Raises:
            ConfigError: the network has no weight of a name, or one of another shape; nothing has changed.
        """
        self._engine.load_weights(weights)
        self.reset()

    def set_options(self, options: PredictorOptions) -> None:
        """Take other settings, for frames that are prepared and answered from now on; no window is emptied."""
        self.options = options
        self._preprocessor = self.metadata.preprocessor(options.crop, self.device, self._search_threads)
        for stream in self._streams:
            stream.set_options(options)

    def warm_up(self) -> None:
        """Run made-up frames, so that the first real one does not pay for lazy initialisation; then reset."""
        preprocessor = self._preprocessor
        prepared = [self.prepare(preprocessor.made_up(number)) for number in range(_WARM_UP_FRAMES)]
        self._engine.warm_up([preprocessor.inputs(item.sampled, item.frame.stamp_ns * 1e-9) for item in prepared])
        for item in prepared:
            self.predict(item)
        self.reset()

    def reset(self, stream: int | None = None) -> None:
        """Forget a stream, or all of them; its next frame starts a new window."""
        self._engine.reset(stream)
        for number in range(len(self._streams)) if stream is None else (stream,):
            self._streams[number].reset()

    def step(self, frame: Frame, stream: int = 0) -> Prediction:
        """Predict on the next frame of a stream: `prepare`, then `predict`.

        Raises:
            DataError: the frame cannot be used; the window is kept.
        """
        return self.predict(self.prepare(frame), stream)

    def predict(self, prepared: PreparedFrame, stream: int = 0) -> Prediction:
        """Make a prepared frame the newest of a stream and predict; see `predict_batch` for the errors."""
        return self.predict_batch({stream: prepared})[stream]

    def prepare(self, frame: Frame) -> PreparedFrame:
        """Make of a frame what the network sees of it; touches no stream.

        Raises:
            DataError: the frame cannot be used (too few points within range, a feature is missing).
        """
        # 1. Prepare: sample the frame; on any thread, before its turn
        start = time.perf_counter()
        sampled = self._preprocessor.prepare(frame)
        return PreparedFrame(frame, sampled, {"sample": _ms_since(start)})

    def predict_batch(self, prepared: Mapping[int, PreparedFrame]) -> dict[int, Prediction]:
        """The newest frames of several streams, by stream number, in one step of the network.

        A frame that cannot continue its stream's window (see `Stream.discontinuity`) empties it first.

        Raises:
            InferenceError: the network's scores or state are not finite. The streams that it names start anew; the
                others went on, and it holds their predictions.
        """
        if not prepared:
            return {}
        # 2. Discontinuity: a frame that cannot continue its window starts a new one
        breaks = {number: self._streams[number].discontinuity(item.frame) for number, item in prepared.items()}
        for number, reason in breaks.items():
            if reason is not None:
                self.reset(number)
        # 3. Window: the frame becomes the newest of its stream
        start = time.perf_counter()
        elapsed = {number: self._streams[number].append(item.frame) for number, item in prepared.items()}
        # 4. Step: all streams in one call of the network
        try:
            inputs = {n: self._preprocessor.inputs(item.sampled, elapsed[n]) for n, item in prepared.items()}
            scores = self._engine.step(inputs)
        except Exception:
            for number in prepared:  # their windows would count a frame that the states lack
                self.reset(number)
            raise
        model_ms = _ms_since(start)
        # 5. Results: what the scores say, by the rules of the deployment, on every point
        answered = {
            number: self._to_prediction(item, number, scores[number], breaks[number], model_ms)
            for number, item in prepared.items()
            if number in scores
        }
        # 6. Not finite: those streams start anew, and the caller is told
        broken = {number: item for number, item in prepared.items() if number not in scores}
        if broken:
            raise self._not_finite(broken, answered)
        return answered

    def _not_finite(self, broken: Mapping[int, PreparedFrame], answered: Mapping[int, Prediction]) -> InferenceError:
        """The error of streams that left the numbers; they are reset."""
        for number in broken:
            self.reset(number)
        places = ", ".join(
            f"{item.frame.stamp_ns} ns" + (f" of stream {number}" if len(self._streams) > 1 else "")
            for number, item in broken.items()
        )
        return InferenceError(
            f"the network's scores or state are not finite after the frame at {places}, so its window was emptied: a "
            "value of a cloud or pose is out of all proportion, or the weights are damaged",
            list(broken),
            answered,
        )

    def _to_prediction(
        self, item: PreparedFrame, number: int, scores: Scores, reason: str | None, model_ms: float
    ) -> Prediction:
        stream = self._streams[number]
        timings = {**item.timings_ms, "model": model_ms}
        of_points = {task: scores[task] for task in of_scope(scores, Scope.POINT)}
        labels: Mapping[str, PointLabels] = {}
        if of_points:
            start = time.perf_counter()
            labels = self._preprocessor.upsample(item.frame, item.sampled, of_points)
            timings["restore"] = _ms_since(start)
        return Prediction(
            stamp_ns=item.frame.stamp_ns,
            window_start_ns=stream.window_start_ns,
            frame_count=stream.frame_count,
            results=stream.report(scores, lambda: self._familiar(number), labels),
            timings_ms=timings,
            reset_reason=reason,
            no_return=item.sampled.no_return,
        )

    def _familiar(self, stream: int) -> bool:
        """Whether a window is near enough to what the bundle was trained on; always where nothing may be unknown."""
        limit = self.metadata.farthest_window
        return limit == 0 or self.options.unknown_score == 0 or self._engine.distance(stream) <= limit


def _ms_since(start: float) -> float:
    return (time.perf_counter() - start) * 1e3
