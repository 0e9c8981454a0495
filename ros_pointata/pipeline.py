"""The way of one cloud through the node: message -> decode -> latest-only slot -> pose -> model -> outputs."""

import traceback
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Protocol

from pointata import DataError, Prediction
from ros_pointata.cloud import DecodedCloud, decode_cloud, layout_key, stamp_to_ns
from ros_pointata.ego_motion import PoseEstimate
from ros_pointata.frame_picking import FramePicker
from ros_pointata.health import Health
from ros_pointata.model import Model
from ros_pointata.motion_sources import MotionSource
from ros_pointata.worker import Worker


class Sink(Protocol):
    """Where predictions go; `publishers.Outputs` in the node."""

    def publish(self, cloud: DecodedCloud, prediction: Prediction) -> None:
        """Publish a prediction under the header of its cloud."""
        ...

    def publish_timings(self, cloud: DecodedCloud, timings_ms: dict[str, float]) -> None:
        """Publish milliseconds per stage."""
        ...


@dataclass(frozen=True)
class Job:
    """A decoded cloud on its way to the worker; times are of time.perf_counter, seconds."""

    cloud: DecodedCloud
    layout: Hashable
    received: float
    decoded: float


class Pipeline:
    """Takes messages on the executor's thread, and answers them on the worker's.

    Args:
        model: used on the worker thread only.
        picker: which clouds the model takes.
        motion: where the sensor was.
        sink: where predictions go.
        health: what is counted and noted.
        logger: of the node.
        alive: False once ROS is shutting down, when a failure to publish is no news.
    """

    def __init__(
        self, *, model: Model, picker: FramePicker, motion: MotionSource, sink: Sink, health: Health, logger: Any,
        alive: Callable[[], bool] = lambda: True,
    ) -> None:  # fmt: skip
        self.enabled = True
        self._model = model
        self._picker = picker
        self._motion = motion
        self._sink = sink
        self._health = health
        self._logger = logger
        self._alive = alive
        self._layout: Hashable = None
        self._pose_known: bool | None = None
        self._seen_errors: set[str] = set()

    def accept(self, msg: Any, worker: "Worker[Job]") -> None:
        """Take a sensor_msgs/PointCloud2 in: count, pick, decode, hand over. Never raises on account of the message."""
        received = perf_counter()
        self._health.count("received")
        if not self.enabled:
            self._health.count("ignored")
            return
        picked = self._picker.pick(stamp_to_ns(msg.header.stamp))
        self._health.note("stride", str(self._picker.stride))
        self._health.warn("frame period", self._picker.warning)
        if not picked:
            self._health.count("skipped")
            return
        try:
            cloud = decode_cloud(msg, self._model.metadata.feature_names)
        except DataError as error:
            self._reject(error)
            return
        worker.submit(Job(cloud, layout_key(msg), received, perf_counter()))

    def process(self, job: Job) -> None:
        """Answer one cloud. On the worker thread; what it raises goes to `on_error`."""
        taken = perf_counter()
        pose = self._motion.pose_at(job.cloud.stamp_ns, job.cloud.frame_id)
        self._watch_motion(pose)
        self._watch_layout(job.layout)
        placed = perf_counter()
        prediction = self._model.step(job.cloud.frame(pose.T_world_sensor))
        answered = perf_counter()
        self._sink.publish(job.cloud, prediction)
        published = perf_counter()
        self._note(prediction, (published - job.received) * 1e3)
        stages = {
            "decode": (job.decoded - job.received) * 1e3,
            "wait": (taken - job.decoded) * 1e3,
            "motion": (placed - taken) * 1e3,
            **(prediction.timings_ms or {"model": (answered - placed) * 1e3}),
            "publish": (published - answered) * 1e3,
            "total": (published - job.received) * 1e3,
        }
        self._sink.publish_timings(job.cloud, stages)

    def on_error(self, error: Exception) -> None:
        """Count what a cloud raised and go on: unusable data is rejected, anything else also empties the window."""
        if isinstance(error, DataError):
            self._reject(error)
            return
        if not self._alive():
            return
        self._health.count("failed")
        self._health.note("last failure", f"{type(error).__name__}: {error}")
        self._health.warn("failure", f"clouds failed, last with {type(error).__name__}: {error}")
        where = traceback.format_exception(type(error), error, error.__traceback__)
        key = f"{type(error).__name__} {where[-2:-1]}"
        if key not in self._seen_errors:
            self._seen_errors.add(key)
            self._logger.error(f"a cloud failed and is left out (this error is logged once):\n{''.join(where)}")
        self.reset(f"after {type(error).__name__}")

    def reset(self, reason: str) -> None:
        """Empty the window. On the worker thread."""
        self._model.reset()
        self._count_reset(reason)

    def _watch_layout(self, layout: Hashable) -> None:
        if self._layout not in (None, layout):
            self.reset("the point layout of the clouds changed")
        self._layout = layout

    def _watch_motion(self, pose: PoseEstimate) -> None:
        self._health.warn("ego motion", pose.warning)
        if self._pose_known not in (None, pose.known):
            self.reset("ego motion became known" if pose.known else "ego motion was lost")
        self._pose_known = pose.known

    def _reject(self, error: DataError) -> None:
        self._health.count("rejected")
        self._health.note("last rejection", str(error))
        self._health.warn("input", f"clouds were rejected, last: {error}")
        self._logger.warning(f"cloud rejected: {error}", throttle_duration_sec=5.0)

    def _note(self, prediction: Prediction, latency_ms: float) -> None:
        self._health.answered(latency_ms)
        self._health.note("window fill", f"{prediction.frame_count}/{self._model.metadata.window_frames}")
        self._health.warn("input", "")
        self._health.warn("failure", "")
        if prediction.reset_reason is not None:
            self._count_reset(prediction.reset_reason)

    def _count_reset(self, reason: str) -> None:
        self._health.count("resets")
        self._health.note("last reset", reason)
        self._logger.info(f"window emptied: {reason}")
