"""The way of one cloud through the node: message -> decode -> slot -> pose, sampling -> slot -> model -> outputs.

Each slot holds the newest item only, and stands before a thread of its own.
"""

import traceback
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Protocol

from pointata import DataError, Frame, Prediction
from pointata.preprocessing.merging import RecentClouds, merge_frames
from pointata.preprocessing.picking import FramePicker
from pointata.text import cut
from ros_pointata.io.cloud import DecodedCloud, decode_cloud, layout_key, stamp_to_ns
from ros_pointata.model import Model
from ros_pointata.monitoring.continuity import Continuity, Repetition
from ros_pointata.monitoring.health import LONGEST, Health
from ros_pointata.motion.buffer import PoseEstimate
from ros_pointata.motion.sources import MotionSource
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
    """A decoded cloud on its way to the worker; times are of time.perf_counter, seconds.

    `clouds` are those that become one frame, oldest first; the last one is answered.
    """

    clouds: tuple[DecodedCloud, ...]
    layout: Hashable
    received: float
    decoded: float

    @property
    def cloud(self) -> DecodedCloud:
        """The cloud that is answered."""
        return self.clouds[-1]


@dataclass(frozen=True)
class PreparedJob:
    """A cloud that has been placed and sampled, on its way to the model."""

    job: Job
    pose: PoseEstimate
    prepared: Any
    taken: float
    placed: float
    done: float


class Pipeline:
    """Takes messages on the executor's thread, prepares clouds on a second one, and answers them on a third.

    Args:
        model: prepares frames on the second thread, all else on the third.
        picker: which clouds the model takes.
        recent: the clouds that are joined into one frame.
        motion: where the sensor was; asked on the second thread.
        sink: where predictions go.
        health: what is counted and noted.
        overlap: prepare the next cloud while the model answers. Not where the model's threads take every core: they
            run in step, and one that is held up holds up all.
        logger: of the node.
        alive: False once ROS is shutting down or the outputs are gone, when a failure to publish is no news.
    """

    def __init__(
        self, *, model: Model, picker: FramePicker, recent: RecentClouds[DecodedCloud], motion: MotionSource,
        sink: Sink, health: Health, overlap: bool, logger: Any, alive: Callable[[], bool] = lambda: True,
    ) -> None:  # fmt: skip
        self.enabled = True
        self._model = model
        self._picker = picker
        self._recent = recent
        self._motion = motion
        self._sink = sink
        self._health = health
        self._overlap = overlap
        self._logger = logger
        self._alive = alive
        self._layout: Hashable = None
        self._pose_known: bool | None = None
        self._repetition, self._continuity = Repetition(), Continuity()
        self._seen_errors: set[str] = set()

    def accept(self, msg: Any, worker: "Worker[Job]") -> None:
        """Take a sensor_msgs/PointCloud2 in: count, pick, decode, hand over. What goes wrong is counted, not raised."""
        received = perf_counter()
        self._health.count("received")
        try:
            self._take(msg, received, worker)
        except Exception as error:
            self.on_prepare_error(error)

    def _take(self, msg: Any, received: float, worker: "Worker[Job]") -> None:
        if not self.enabled:
            self._health.count("ignored")
            return
        repeated = self._repetition.add(msg)
        self._health.warn("repetition", self._repetition.warning)
        if repeated:
            self._health.count("skipped")
            return
        picked = self._picker.pick(stamp_to_ns(msg.header.stamp))
        self._health.note("stride", str(self._picker.stride))
        self._health.warn("frame period", self._picker.warning)
        if not picked and self._recent.count == 1:
            self._health.count("skipped")
            return
        cloud = decode_cloud(msg, self._model.metadata.feature_names)
        layout = layout_key(msg)
        clouds = self._recent.add(cloud, cloud.stamp_ns, (cloud.frame_id, layout))
        if picked:
            worker.submit(Job(clouds, layout, received, perf_counter()))
        else:
            self._health.count("skipped")

    def prepare(self, job: Job, worker: "Worker[PreparedJob]") -> None:
        """Place and sample one cloud, and hand it over; returns when the model has taken (or answered) it, so that none
        is prepared in vain. On the second thread; what it raises goes to `on_prepare_error`.
        """
        taken = perf_counter()
        pose = self._motion.pose_at(job.cloud.stamp_ns, job.cloud.frame_id)
        placed = perf_counter()
        prepared = self._model.prepare(self._frame(job.clouds, pose))
        self._health.warn("input", "")
        worker.submit(PreparedJob(job, pose, prepared, taken, placed, perf_counter()))
        if self._overlap:
            worker.wait_taken()
        else:
            worker.wait_done()

    def predict(self, item: PreparedJob) -> None:
        """Answer one cloud. On the third thread; what it raises goes to `on_error`."""
        job, begun = item.job, perf_counter()
        own_reason = self._watch_motion(item.pose) or self._watch_layout(job.layout)
        prediction = self._model.predict(item.prepared)
        answered = perf_counter()
        self._sink.publish(job.cloud, prediction)
        published = perf_counter()
        stages = {
            "decode": (job.decoded - job.received) * 1e3,
            "wait": (item.taken - job.decoded + begun - item.done) * 1e3,
            "motion": (item.placed - item.taken) * 1e3,
            **(prediction.timings_ms or {"model": (answered - begun) * 1e3}),
            "publish": (published - answered) * 1e3,
            "total": (published - job.received) * 1e3,
        }
        self._sink.publish_timings(job.cloud, stages)
        self._continuity.add(prediction.reset_reason or own_reason)
        self._note(prediction, stages["total"])  # last: what was counted as answered must not fail after that

    def on_prepare_error(self, error: Exception) -> None:
        """Count what a cloud raised before the model saw it; the window is as it was."""
        if isinstance(error, DataError):
            self._reject(error)
        else:
            self._failed(error)

    def on_error(self, error: Exception) -> None:
        """Count what a cloud raised and go on: unusable data is rejected, anything else also empties the window."""
        if isinstance(error, DataError):
            self._reject(error)
        elif self._failed(error):
            try:
                self.reset(f"after {type(error).__name__}")
            except Exception as further:
                self._logger.error(f"the window could not be emptied: {type(further).__name__}: {further}")

    def reset(self, reason: str) -> str:
        """Empty the window; returns the reason. On the third thread."""
        self._model.reset()
        self._count_reset(reason)
        return reason

    def forget(self) -> None:
        """Join no later cloud with those so far. On the first thread."""
        self._recent.clear()

    def _frame(self, clouds: tuple[DecodedCloud, ...], pose: PoseEstimate) -> Frame:
        """The newest cloud, at its pose, joined with those before it whose place relative to it is known."""
        frames = [clouds[-1].frame(pose.T_world_sensor)]
        for cloud in reversed(clouds[:-1]):
            theirs = self._motion.pose_at(cloud.stamp_ns, cloud.frame_id)
            if theirs.known != pose.known:
                break
            frames.insert(0, cloud.frame(theirs.T_world_sensor))
        return merge_frames(frames)

    def _watch_layout(self, layout: Hashable) -> str:
        """The reason where the window was emptied, here and below."""
        before, self._layout = self._layout, layout
        if before in (None, layout):
            return ""
        return self.reset("the point layout of the clouds changed")

    def _watch_motion(self, pose: PoseEstimate) -> str:
        self._health.warn("ego motion", pose.warning)
        before, self._pose_known = self._pose_known, pose.known
        if before in (None, pose.known):
            return ""
        return self.reset("ego motion became known" if pose.known else "ego motion was lost")

    def _reject(self, error: DataError) -> None:
        self._health.count("rejected")
        self._health.note("last rejection", str(error))
        self._health.warn("input", f"clouds were rejected, last: {error}")
        self._logger.warning(f"cloud rejected: {cut(str(error), LONGEST)}", throttle_duration_sec=5.0)

    def _failed(self, error: Exception) -> bool:
        """Count and say an unexpected error; False where the outputs are gone, when it is no news: a dropped cloud."""
        if not self._alive():
            self._health.count("dropped")
            return False
        self._health.count("failed")
        self._health.note("last failure", f"{type(error).__name__}: {error}")
        self._health.warn("failure", f"clouds failed, last with {type(error).__name__}: {error}")
        where = traceback.format_exception(type(error), error, error.__traceback__)
        key = f"{type(error).__name__} {where[-2:-1]}"
        if key not in self._seen_errors:
            self._seen_errors.add(key)
            self._logger.error(f"a cloud failed and is left out (this error is logged once):\n{''.join(where)}")
        return True

    def _note(self, prediction: Prediction, latency_ms: float) -> None:
        self._health.note("window fill", f"{prediction.frame_count}/{self._model.metadata.window_frames}")
        self._health.note("points without a return in the last cloud", str(prediction.no_return))
        self._health.warn("failure", "")
        self._health.warn("continuity", self._continuity.warning)
        if prediction.reset_reason is not None:
            self._count_reset(prediction.reset_reason)
        self._health.answered(latency_ms)

    def _count_reset(self, reason: str) -> None:
        self._health.count("resets")
        self._health.note("last reset", reason)
        self._logger.info(f"window emptied: {reason}")
