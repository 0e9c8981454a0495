"""The stages of a lane: what runs beside what, what is prepared for nothing, and what an error costs."""

from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")
pytest.importorskip("ros_pointata.msg", reason="needs the generated messages of ros_pointata")

from lane_rig import UNPREPARED, UNUSABLE, Model, Rig

import ros_pointata.model
import ros_pointata.runtime.delivery
from pointata import ActionResult
from pointata.classes import class_list
from ros_pointata.motion.buffer import PoseEstimate


@pytest.fixture
def rig() -> Iterator[Rig]:
    made = Rig()
    yield made
    made.close()


def test_the_next_cloud_is_prepared_while_the_model_answers_and_none_for_nothing(rig: Rig) -> None:
    (lane,) = rig.lanes
    lane.send(1)
    assert rig.model.entered.acquire(timeout=5)
    lane.send(2)
    rig.wait(lambda: rig.model.prepared == [1, 2])
    for stamp in (3, 4, 5):
        lane.send(stamp)
    assert rig.model.prepared == [1, 2]  # 2 still waits for the model: nothing more is prepared
    rig.model.go.release()
    rig.wait(lambda: rig.model.prepared == [1, 2, 5])  # of those that came meanwhile, the newest
    for _ in range(2):
        rig.model.go.release()
    rig.wait(lambda: lane.stamps == [1, 2, 5])
    assert lane.health.counts()["dropped"] == 2
    rig.wait(lambda: len(lane.timings) == 3)
    assert list(lane.timings[0]) == ["decode", "wait", "motion", "model", "publish", "total"]
    for timings in lane.timings:
        assert 0 < sum(timings.values()) - timings["total"] <= timings["total"]


def test_without_overlap_a_cloud_is_prepared_when_the_one_before_is_answered() -> None:
    rig = Rig(overlap=False)
    (lane,) = rig.lanes
    lane.send(1)
    assert rig.model.entered.acquire(timeout=5)
    for stamp in (2, 3):
        lane.send(stamp)
    assert rig.model.prepared == [1]
    for _ in range(2):
        rig.model.go.release()
    rig.wait(lambda: lane.stamps == [1, 3])
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
    (lane,) = rig.lanes
    for _ in range(2):
        rig.model.go.release()
    lane.send(12)
    rig.wait(lambda: lane.stamps == [12])
    for stamp in (UNUSABLE, UNPREPARED):
        lane.send(stamp)
        rig.settle()
    assert lane.health.counts()["rejected"] == lane.health.counts()["failed"] == 1
    lane.send(20)
    rig.wait(lambda: lane.stamps == [12, 20])
    assert lane.answers[-1].frame_count == 2
    assert lane.health.counts()["resets"] == 0


@pytest.mark.parametrize("rule", ["layout", "pose"])
def test_another_layout_or_a_lost_pose_empties_the_window_once(rig: Rig, rule: str) -> None:
    (lane,) = rig.lanes
    for number in range(1, 5):
        rig.model.go.release()
        if number == 3 and rule == "pose":
            lane.pose = PoseEstimate(np.eye(4), known=False, warning="no odometry")
        extra = {"intensity": np.zeros(50, np.float32)} if number >= 3 and rule == "layout" else {}
        lane.send(number, **extra)
        rig.settle()
    assert [answer.frame_count for answer in lane.answers] == [1, 2, 1, 2]
    reason = {"layout": "the point layout of the clouds changed", "pose": "ego motion was lost"}[rule]
    assert (lane.health.counts()["resets"], lane.health.values()["last reset"]) == (1, reason)


class Hostile:
    """A message whose every attribute but the stamp raises something else than the project's own errors."""

    def __init__(self, stamp: object) -> None:
        self.header = SimpleNamespace(stamp=stamp, frame_id="lidar")

    def __getattr__(self, name: str) -> Any:
        raise OverflowError(f"no {name} today")


def test_whatever_taking_a_cloud_in_raises_is_counted_and_stays_inside(rig: Rig) -> None:
    (lane,) = rig.lanes
    stamps = (SimpleNamespace(sec=0, nanosec=1), None, SimpleNamespace(sec=float("nan"), nanosec=0))
    for stamp in stamps:
        lane.accept(Hostile(stamp))
    counts = lane.health.counts()
    assert (counts["received"], counts["failed"]) == (3, 3)
    rig.model.go.release()
    lane.send(20)
    rig.wait(lambda: lane.stamps == [20])


def test_a_failure_after_the_answer_is_counted_once(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    (lane,) = rig.lanes

    def refuse(*_: object) -> None:
        raise RuntimeError("no timings today")

    monkeypatch.setattr(lane.sink, "publish_timings", refuse)
    monkeypatch.setattr(rig.model, "reset", refuse)  # and the way back is barred, too
    lane.send(1)
    rig.model.go.release()
    rig.wait(lambda: lane.health.counts()["failed"] == 1)
    assert lane.health.counts()["inferred"] == 0
    rig.wait(lambda: bool(rig.errors))
    assert rig.errors.pop() == "the window could not be emptied: RuntimeError: no timings today"
    monkeypatch.undo()
    rig.model.go.release()
    lane.send(2)
    rig.wait(lambda: lane.health.counts()["inferred"] == 1)


def test_what_fails_when_the_outputs_are_gone_is_a_dropped_cloud(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    (lane,) = rig.lanes

    def refuse(*_: object) -> None:
        raise RuntimeError("the publisher was destroyed")

    monkeypatch.setattr(lane.sink, "publish", refuse)
    lane.sink.is_open = False
    lane.send(1)
    rig.model.go.release()
    rig.settle()
    counts = lane.health.counts()
    assert (counts["dropped"], counts["failed"], counts["resets"]) == (1, 0, 0)


def test_the_log_tells_of_the_first_answer_and_of_actions_that_last(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model()
    model.metadata.heads["action"] = class_list(("stand", (255, 0, 0)), ("walk", (0, 255, 0)))
    rig = Rig(model)
    (lane,) = rig.lanes
    given = ((0.0, 0, True), (0.1, 0, False), (1.2, 1, False), (1.3, 0, False), (3.0, 1, False), (3.1, 1, True))
    for number, (now, class_id, unknown) in enumerate((*given, (4.5, 1, True))):
        monkeypatch.setattr(ros_pointata.runtime.delivery, "monotonic", partial(float, now))
        model.action = ActionResult(class_id, 0.5, np.full(2, 0.5, np.float32), unknown)
        model.go.release()
        lane.send(20 + number)
        rig.settle()
    first, *actions = lane.log
    assert first.startswith("the first cloud was answered after ")
    assert actions == ["action: unknown", "action: walk", "action: unknown"]
    rig.close()
