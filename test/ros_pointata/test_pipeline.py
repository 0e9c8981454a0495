"""The stages of the pipeline: what runs beside what, what is prepared in vain, and what an error costs."""

import threading
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import ros_pointata.model
from pointata import DataError, Prediction
from pointata.data.pointcloud2 import DecodedCloud
from pointata.preprocessing.merging import RecentClouds
from pointata.preprocessing.picking import FramePicker
from ros_pointata.monitoring.health import Health
from ros_pointata.motion.buffer import PoseEstimate
from ros_pointata.pipeline import Job, Pipeline, PreparedJob
from ros_pointata.worker import Worker


class Model:
    """Prepares at once; answers when it is let."""

    def __init__(self) -> None:
        self.metadata: Any = SimpleNamespace(window_frames=4, feature_names=())
        self.device, self.precision = "cpu", "none"
        self.prepared: list[int] = []
        self.answered: list[int] = []
        self.resets = 0
        self.entered = threading.Semaphore(0)
        self.go = threading.Semaphore(0)

    def prepare(self, frame: Any) -> int:
        if frame.stamp_ns == 13:
            raise DataError("no point within range")
        if frame.stamp_ns == 14:
            raise RuntimeError("out of memory")
        self.prepared.append(frame.stamp_ns)
        return int(frame.stamp_ns)

    def predict(self, prepared: int) -> Prediction:
        self.entered.release()
        assert self.go.acquire(timeout=5)
        self.answered.append(prepared)
        return Prediction(stamp_ns=prepared, window_start_ns=0, frame_count=1)

    def reset(self) -> None:
        self.resets += 1

    def set_options(self, options: object) -> None:
        raise AssertionError("nobody changes a parameter here")


class Rig:
    """A pipeline between two workers, without ROS."""

    def __init__(self, overlap: bool = True) -> None:
        self.model, self.health = Model(), Health()
        sink = SimpleNamespace(publish=lambda *_: None, publish_timings=self._time)
        self.timings: list[dict[str, float]] = []
        motion = SimpleNamespace(pose_at=lambda *_: PoseEstimate(np.eye(4), True, ""))
        self.pipeline = Pipeline(
            model=self.model,
            picker=FramePicker(1, 0.1),
            recent=RecentClouds(1, 1.0),
            motion=motion,
            sink=sink,
            health=self.health,
            overlap=overlap,
            logger=SimpleNamespace(error=lambda *_: None, warning=lambda *_, **__: None, info=lambda *_: None),
        )
        drop = lambda: self.health.count("dropped")  # noqa: E731
        self.last: Worker[PreparedJob] = Worker(self.pipeline.predict, self.pipeline.on_error, drop)
        self.first: Worker[Job] = Worker(
            lambda job: self.pipeline.prepare(job, self.last), self.pipeline.on_prepare_error, drop
        )

    def _time(self, cloud: DecodedCloud, timings: dict[str, float]) -> None:
        self.timings.append(timings)

    def submit(self, stamp: int, layout: str = "same") -> None:
        header = SimpleNamespace(stamp=SimpleNamespace(sec=0, nanosec=stamp), frame_id="lidar")
        xyz = np.zeros((1, 3), dtype=np.float32)
        self.first.submit(Job((DecodedCloud(header, 1, 1, xyz, np.arange(1), {}),), layout, 0.0, 0.0))

    def wait(self, condition: Any) -> None:
        for _ in range(1000):
            if condition():
                return
            threading.Event().wait(0.005)
        raise AssertionError(f"prepared {self.model.prepared}, answered {self.model.answered}")

    def close(self) -> None:
        for _ in range(20):
            self.model.go.release()
        assert self.first.stop(5)
        assert self.last.stop(5)


@pytest.fixture
def rig() -> Any:
    made = Rig()
    yield made
    made.close()


def test_the_next_cloud_is_prepared_while_the_model_answers_and_none_in_vain(rig: Rig) -> None:
    rig.submit(1)
    assert rig.model.entered.acquire(timeout=5)
    rig.submit(2)
    rig.wait(lambda: rig.model.prepared == [1, 2])
    for stamp in (3, 4, 5):
        rig.submit(stamp)
    assert rig.model.prepared == [1, 2]  # 2 still waits for the model: nothing more is prepared
    rig.model.go.release()
    rig.wait(lambda: rig.model.prepared == [1, 2, 5])  # of those that came meanwhile, the newest
    for _ in range(2):
        rig.model.go.release()
    rig.wait(lambda: rig.model.answered == [1, 2, 5])
    assert rig.health.counts()["dropped"] == 2
    rig.wait(lambda: len(rig.timings) == 3)
    assert set(rig.timings[0]) == {"decode", "wait", "motion", "model", "publish", "total"}


def test_without_overlap_a_cloud_is_prepared_when_the_one_before_is_answered() -> None:
    rig = Rig(overlap=False)
    rig.submit(1)
    assert rig.model.entered.acquire(timeout=5)
    for stamp in (2, 3):
        rig.submit(stamp)
    assert rig.model.prepared == [1]
    for _ in range(2):
        rig.model.go.release()
    rig.wait(lambda: rig.model.answered == [1, 3])
    assert rig.model.prepared == [1, 3]
    rig.close()


@pytest.mark.parametrize(
    ("device", "threads", "expected"),
    [("cpu", 3, True), ("cpu", 4, False), ("cpu", 9, False), ("cpu", 0, True), ("cuda:0", 4, True)],
)
def test_sampling_overlaps_with_a_network_that_leaves_it_a_core(
    monkeypatch: pytest.MonkeyPatch, device: str, threads: int, expected: bool
) -> None:
    monkeypatch.setattr(ros_pointata.model, "core_count", lambda: 4)
    model = Model()
    model.device = device
    assert ros_pointata.model.overlaps(model, threads) is expected


def test_what_fails_before_the_model_leaves_the_window(rig: Rig) -> None:
    rig.submit(13)
    rig.wait(lambda: rig.health.counts()["rejected"] == 1)
    rig.submit(14)
    rig.wait(lambda: rig.health.counts()["failed"] == 1)
    rig.model.go.release()
    rig.submit(15)
    rig.wait(lambda: rig.model.answered == [15])
    assert rig.model.resets == 0


def test_another_layout_empties_the_window_in_the_order_of_the_clouds(rig: Rig) -> None:
    rig.submit(1, "xyz")
    assert rig.model.entered.acquire(timeout=5)
    rig.submit(2, "xyzi")
    rig.wait(lambda: rig.model.prepared == [1, 2])
    assert rig.model.resets == 0  # cloud 1 is still being answered
    rig.model.go.release()
    rig.wait(lambda: rig.model.resets == 1)
    assert rig.model.answered == [1]


class Hostile:
    """A message whose every attribute but the stamp raises something else than the project's own errors."""

    def __init__(self, stamp: object) -> None:
        self.header = SimpleNamespace(stamp=stamp, frame_id="lidar")

    def __getattr__(self, name: str) -> Any:
        raise OverflowError(f"no {name} today")


def test_whatever_taking_a_cloud_in_raises_is_counted_and_stays_inside(rig: Rig) -> None:
    stamps = (SimpleNamespace(sec=0, nanosec=1), None, SimpleNamespace(sec=float("nan"), nanosec=0))
    for stamp in stamps:
        rig.pipeline.accept(Hostile(stamp), rig.first)
    counts = rig.health.counts()
    assert (counts["received"], counts["failed"]) == (3, 3)
    rig.model.go.release()
    rig.submit(15)
    rig.wait(lambda: rig.model.answered == [15])


def test_a_failure_after_the_answer_is_counted_once(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("no timings today")

    monkeypatch.setattr(rig.pipeline._sink, "publish_timings", refuse)
    monkeypatch.setattr(rig.model, "reset", refuse)  # and the way back is barred, too
    rig.submit(1)
    rig.model.go.release()
    rig.wait(lambda: rig.health.counts()["failed"] == 1)
    assert rig.health.counts()["inferred"] == 0
    monkeypatch.undo()
    rig.model.go.release()
    rig.submit(2)
    rig.wait(lambda: rig.health.counts()["inferred"] == 1)
