"""Frames in, predictions out: the one inference path of node and offline evaluation."""

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from pointata.classes import UNLABELLED
from pointata.decision import Hysteresis, merge_runs
from pointata.errors import ConfigError
from pointata.frame import Frame
from pointata.geometry.neighbours import cpu_nearest, inverse_distance_weights
from pointata.model.bundle import BundleMetadata, load_bundle
from pointata.model.pointata import PointATA
from pointata.prediction import ActionResult, ActionSegment, Prediction, SemanticResult
from pointata.sampling import SampledFrame, sample_frame, to_clip


@dataclass(frozen=True)
class PredictorOptions:
    """Settings of a deployment, apart from what the bundle fixes."""

    min_frames: int = 4
    """Frames in the window before an action is reported; until then it is unknown."""
    max_gap_s: float = 1.0
    """A longer pause between two frames empties the window, seconds."""
    min_range_m: float = 0.0
    """Nearer points are left unlabelled, metres; the bundle's own limit holds where it is stricter."""
    max_range_m: float = 0.0
    """Farther points are left unlabelled, metres; 0 for the bundle's own limit."""
    unknown_score: float = 0.0
    """An action below this probability is reported as unknown."""
    hysteresis_frames: int = 2
    """Frames in a row for which a new action must lead before it is reported."""

    def __post_init__(self) -> None:
        if self.min_frames < 1 or self.hysteresis_frames < 1 or self.max_gap_s <= 0:
            raise ConfigError(f"min_frames and hysteresis_frames must be >= 1 and max_gap_s > 0: {self}")
        if not 0 <= self.unknown_score <= 1 or self.min_range_m < 0 or self.max_range_m < 0:
            raise ConfigError(f"unknown_score must be 0 to 1 and ranges must not be negative: {self}")


def choose_device(device: str) -> torch.device:
    """ "auto" is the GPU where there is one; a GPU asked for by name must exist."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(f"device {device!r} was asked for, but torch finds no GPU: use auto or cpu")
    return torch.device(device)


class _Stopwatch:
    """Collects the wall time of named stages, in milliseconds."""

    def __init__(self) -> None:
        self.stages: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.stages[name] = (time.perf_counter() - start) * 1e3


class Predictor:
    """Runs a network on a stream, one frame at a time; not safe for use by several threads at once."""

    def __init__(
        self,
        model: PointATA,
        metadata: BundleMetadata,
        *,
        device: str = "cpu",
        threads: int = 0,
        options: PredictorOptions | None = None,
    ) -> None:
        """Take a network as it is.

        Args:
            model: the network; it is moved to `device` and put into eval mode.
            metadata: its bundle's metadata.
            device: "auto", "cpu" or "cuda".
            threads: CPU threads of torch, which has one setting for the whole process; 0 leaves it alone.
            options: settings of the deployment; None for the defaults.
        """
        self.metadata = metadata
        self.options = PredictorOptions() if options is None else options
        self.device = choose_device(device)
        if threads > 0:
            torch.set_num_threads(threads)
        self._threads = threads or torch.get_num_threads()
        self._model = model.to(self.device).eval()
        limits = metadata.sampling
        self._sampling = replace(
            limits,
            min_range_m=max(limits.min_range_m, self.options.min_range_m),
            max_range_m=min((m for m in (limits.max_range_m, self.options.max_range_m) if m > 0), default=0.0),
        )
        self._frame_id: str | None = None
        self.reset()

    @classmethod
    def load(
        cls,
        model: str,
        *,
        backbone: str | None = None,
        device: str = "auto",
        threads: int = 0,
        options: PredictorOptions | None = None,
    ) -> "Predictor":
        """Load an adapter bundle by path or shipped name, and warm it up; see `load_bundle` for the errors."""
        network, metadata = load_bundle(model, backbone)
        predictor = cls(network, metadata, device=device, threads=threads, options=options)
        predictor.warm_up()
        return predictor

    def warm_up(self) -> None:
        """Run one made-up frame, so that the first real one does not pay for lazy initialisation; then reset."""
        points = np.random.default_rng(0).normal(0, 1, (self._sampling.points, 3))
        points *= 2 * max(1.0, self._sampling.min_range_m) / np.linalg.norm(points, axis=1, keepdims=True)
        features = {name: np.zeros(len(points)) for name in self.metadata.feature_names}
        self._infer(sample_frame(Frame.from_points(points, features=features), replace(self._sampling, max_range_m=0)))
        self.reset()

    def reset(self) -> None:
        """Forget the stream; the next frame starts a new window."""
        self._state = self._model.initial_state(1)
        self._stamps: deque[int] = deque(maxlen=self.metadata.window_frames)
        self._segments: deque[tuple[int, NDArray[np.float32]]] = deque(maxlen=self.metadata.window_frames)
        self._action = Hysteresis(self.options.hysteresis_frames, self.options.unknown_score)
        self._time_origin_s = 0.0

    def step(self, frame: Frame) -> Prediction:
        """Predict on the next frame of the stream.

        A backward time jump, a pause over `max_gap_s` or another `frame_id` empties the window first.

        Raises:
            DataError: the frame cannot be used (no point within range, a feature is missing); the window is kept.
        """
        watch = _Stopwatch()
        with watch.stage("sample"):
            sampled = sample_frame(frame, self._sampling, self.metadata.feature_names)
        reason = self._break_in_stream(frame)
        if reason is not None:
            self.reset()
        if not self._stamps:
            self._time_origin_s = sampled.stamp_s
        self._frame_id = frame.frame_id
        self._stamps.append(frame.stamp_ns)
        with watch.stage("model"):
            scores = self._infer(sampled)
        action = self._decide(self._opinion(scores)) if "action" in scores else None
        segments = self._segment(frame.stamp_ns, scores["segments"]) if "segments" in scores else None
        semantic = None
        if "semantic" in scores:
            with watch.stage("restore"):
                semantic = self._restore(frame, sampled, scores["semantic"])
        return Prediction(
            stamp_ns=frame.stamp_ns,
            window_start_ns=self._stamps[0],
            frame_count=len(self._stamps),
            action=action,
            segments=segments,
            semantic=semantic,
            timings_ms=watch.stages,
            reset_reason=reason,
        )

    def _break_in_stream(self, frame: Frame) -> str | None:
        if not self._stamps:
            return None
        gap = (frame.stamp_ns - self._stamps[-1]) * 1e-9
        if gap <= 0:
            return f"time went back by {-gap:.3f} s"
        if gap > self.options.max_gap_s:
            return f"gap of {gap:.3f} s, more than {self.options.max_gap_s} s"
        if frame.frame_id != self._frame_id:
            return f"frame_id changed from {self._frame_id!r} to {frame.frame_id!r}"
        return None

    def _infer(self, sampled: SampledFrame) -> dict[str, NDArray[np.float32]]:
        """Probabilities by task: (C,), (C,), (P, C)."""
        clip = to_clip([replace(sampled, stamp_s=sampled.stamp_s - self._time_origin_s)])
        with torch.inference_mode():
            logits, self._state = self._model.step(clip.to(self.device), self._state)
            return {task: value[0, 0].softmax(-1).cpu().numpy() for task, value in logits.items()}

    def _opinion(self, scores: dict[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        """Action scores of the window; where a segments head has the same classes, their mean with its scores."""
        heads = self.metadata.heads
        if heads["action"] == heads.get("segments"):
            mean: NDArray[np.float32] = np.mean([scores["action"], scores["segments"]], axis=0, dtype=np.float32)
            return mean
        return scores["action"]

    def _decide(self, scores: NDArray[np.float32]) -> ActionResult:
        class_id, confident = self._action.update(scores)
        enough = len(self._stamps) >= self.options.min_frames
        return ActionResult(class_id, float(scores[class_id]), scores, unknown=not (confident and enough))

    def _segment(self, stamp_ns: int, scores: NDArray[np.float32]) -> tuple[ActionSegment, ...]:
        self._segments.append((stamp_ns, scores))
        return merge_runs(list(self._segments))

    def _restore(self, frame: Frame, sampled: SampledFrame, scores: NDArray[np.float32]) -> SemanticResult:
        """Spread the scores of the sampled points to all points within range: three nearest, weighted by distance."""
        count = len(frame.points)
        labels = np.full(count, UNLABELLED, dtype=np.uint8)
        values = np.zeros(count, dtype=np.float32)
        support = frame.points[sampled.index]
        distance, index = cpu_nearest(frame.points[sampled.used], support, 3, jobs=self._threads)
        weight = inverse_distance_weights(torch.from_numpy(distance)).numpy()
        spread = np.einsum("nk,nkc->nc", weight, scores[index], optimize=False)
        best = spread.argmax(axis=1)
        labels[sampled.used] = best
        values[sampled.used] = np.take_along_axis(spread, best[:, None], axis=1)[:, 0]
        return SemanticResult(labels, values)
