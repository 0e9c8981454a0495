"""Lanes around one host, without a node: messages in, predictions kept."""

import threading
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
from node_harness import cloud, some_points
from sensor_msgs.msg import PointCloud2

from pointata import ActionResult, DataError, Frame, InferenceError, Prediction
from pointata.inference.options import PredictorOptions
from pointata.inference.stream import Stream
from pointata.preprocessing.merging import RecentClouds
from pointata.preprocessing.picking import FramePicker
from ros_pointata.monitoring.health import FRAME_COUNTERS, Health
from ros_pointata.motion.buffer import PoseEstimate
from ros_pointata.runtime.delivery import Delivery
from ros_pointata.runtime.intake import Intake, Job
from ros_pointata.runtime.model_host import ModelHost
from ros_pointata.runtime.sampling import Sampling
from ros_pointata.runtime.worker import Worker, stop_all

MS = 1_000_000
#: Stamps, in ms and modulo 100, at which the stand-in fails.
UNUSABLE, UNPREPARED, NOT_FINITE, BROKEN = 13, 14, 15, 16


def message(stamp_ms: int, **fields: Any) -> PointCloud2:
    """A cloud of random points, with further fields."""
    return cloud(stamp_ms * MS, some_points(seed=stamp_ms), **fields)


class Model:
    """Prepares at once; answers when it is let, and fails at some stamps."""

    def __init__(self, streams: int = 1) -> None:
        self.metadata: Any = SimpleNamespace(window_frames=4, feature_names=(), heads={})
        self.device, self.precision = "cpu", "none"
        self.action: ActionResult | None = None
        self.prepared: list[int] = []
        self.batches: list[dict[int, int]] = []
        self.entered = threading.Semaphore(0)
        self.go = threading.Semaphore(0)
        self._streams = [Stream(4, PredictorOptions(), {}) for _ in range(streams)]

    def prepare(self, frame: Frame) -> Frame:
        stamp = frame.stamp_ns // MS
        if stamp % 100 == UNUSABLE:
            raise DataError("no point within range")
        if stamp % 100 == UNPREPARED:
            raise RuntimeError("out of memory")
        self.prepared.append(stamp)
        return frame

    def predict_batch(self, prepared: Mapping[int, Frame]) -> dict[int, Prediction]:
        self.entered.release()
        assert self.go.acquire(timeout=5)
        stamps = {number: frame.stamp_ns // MS for number, frame in prepared.items()}
        self.batches.append(stamps)
        if any(stamp % 100 == BROKEN for stamp in stamps.values()):
            raise RuntimeError("no kernel")
        answers = {number: self._predict(number, frame) for number, frame in prepared.items()}
        broken = [number for number, stamp in stamps.items() if stamp % 100 == NOT_FINITE]
        if broken:
            raise InferenceError("not finite", broken, {n: answers[n] for n in answers if n not in broken})
        return answers

    def _predict(self, number: int, frame: Frame) -> Prediction:
        stream = self._streams[number]
        reason = stream.discontinuity(frame)
        if reason is not None:
            stream.reset()
        stream.append(frame)
        results = {} if self.action is None else {"action": self.action}
        return Prediction(frame.stamp_ns, stream.window_start_ns, stream.frame_count, results, reset_reason=reason)

    def reset(self, stream: int) -> None:
        self._streams[stream].reset()

    def set_options(self, options: object) -> None:
        raise AssertionError("nobody changes a parameter here")


class RigLane:
    """One lane; what it published stands in `answers` and `timings`."""

    def __init__(self, host: ModelHost, overlap: bool = True, stride: int = 1) -> None:
        self.health = Health()
        self.answers: list[Prediction] = []
        self.timings: list[dict[str, float]] = []
        self.pose = PoseEstimate(np.eye(4))
        self.sink = SimpleNamespace(
            is_open=True,
            publish=lambda _, prediction: self.answers.append(prediction),
            publish_timings=lambda _, timings: self.timings.append(timings),
        )
        self.log: list[str] = []
        logger = SimpleNamespace(error=lambda *_: None, warning=lambda *_, **__: None, info=self.log.append)
        motion: Any = SimpleNamespace(pose_at=lambda *_: self.pose)
        delivery = Delivery(self.sink, host.model.metadata, self.health, logger)
        self.slot = host.connect(delivery)
        sampling = Sampling(self.slot, host.prepare, motion, overlap, self.health)
        self.sampler: Worker[Job] = Worker(sampling.handle, delivery.lose, "test_sampler")
        features = host.model.metadata.feature_names
        recent: RecentClouds[Any] = RecentClouds(1, 1.0)
        slot = self.sampler.open_slot(delivery.drop)
        self.intake = Intake(slot, delivery, FramePicker(stride, 0.1), recent, features, self.health)

    def send(self, stamp_ms: int, **fields: Any) -> None:
        """See `message`."""
        self.accept(message(stamp_ms, **fields))

    def accept(self, message: Any) -> None:
        """Any message."""
        self.intake.accept(message)

    @property
    def stamps(self) -> list[int]:
        """Of the answers, ms."""
        return [answer.stamp_ns // MS for answer in self.answers]

    @property
    def counts(self) -> tuple[int, int]:
        """Clouds that arrived, and those of them that are accounted for."""
        counts = self.health.counts()
        return counts["received"], sum(counts[name] for name in FRAME_COUNTERS[1:])


class Rig:
    """A host and its lanes; close() ends their threads."""

    def __init__(self, model: Any = None, lanes: int = 1, **settings: Any) -> None:
        self.model = Model(lanes) if model is None else model
        self.errors: list[str] = []
        self.host = ModelHost(lambda: self.model, SimpleNamespace(error=self.errors.append))
        self.lanes = [RigLane(self.host, **settings) for _ in range(lanes)]

    def wait(self, condition: Callable[[], bool]) -> None:
        """Poll until true."""
        for _ in range(2000):
            if condition():
                return
            threading.Event().wait(0.005)
        raise AssertionError(str([lane.health.values() for lane in self.lanes]))

    def settle(self) -> None:
        """Until every cloud of every lane is accounted for."""
        self.wait(lambda: all(received == ends for received, ends in (lane.counts for lane in self.lanes)))

    def hold(self) -> threading.Event:
        """Keep the host from its next batch until the event is set."""
        event = threading.Event()
        self.host.worker.call(lambda: event.wait(10))
        return event

    def close(self) -> None:
        """End all threads."""
        if isinstance(self.model, Model):
            for _ in range(100):
                self.model.go.release()
        assert stop_all([*(lane.sampler for lane in self.lanes), self.host.worker], 10)
        assert self.errors == []
