"""Several sensors around one network: newest only, one batch, an exact account each, and nobody pays for another."""

import threading
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")
pytest.importorskip("ros_pointata.msg", reason="needs the generated messages of ros_pointata")

from lane_rig import BROKEN, MS, NOT_FINITE, UNPREPARED, UNUSABLE, Model, Rig, RigLane, message
from node_harness import cloud
from sensor_msgs.msg import PointCloud2

from pointata import Frame, Prediction
from pointata.bundles.bundle import load_bundle
from pointata.data.pointcloud2 import decode_cloud
from pointata.inference.predictor import Predictor, PreparedFrame
from ros_pointata.monitoring.health import FRAME_COUNTERS

STEP = 100


@pytest.fixture
def rig() -> Iterator[Rig]:
    made = Rig(lanes=2)
    yield made
    made.close()


def test_what_waits_of_each_lane_is_answered_in_one_batch_and_only_the_newest(rig: Rig) -> None:
    front, rear = rig.lanes
    front.send(1)
    assert rig.model.entered.acquire(timeout=5)
    for stamp in (2, 3, 4):
        front.send(stamp)
        rig.wait(lambda: 2 in rig.model.prepared)
    for stamp in (5, 6, 7):
        rear.send(stamp)
        rig.wait(lambda: 5 in rig.model.prepared)
    rig.model.go.release()
    assert rig.model.entered.acquire(timeout=5)  # by 2 and 5, which have left room for the next
    rig.wait(lambda: all(lane.slot.number in rig.host.worker._waiting for lane in rig.lanes))
    for _ in range(2):
        rig.model.go.release()
    rig.wait(lambda: len(rig.model.batches) == 3)
    assert rig.model.batches == [{0: 1}, {0: 2, 1: 5}, {0: 4, 1: 7}]
    rig.settle()
    assert (front.stamps, rear.stamps) == ([1, 2, 4], [5, 7])
    assert [lane.health.counts()["dropped"] for lane in rig.lanes] == [1, 1]


def test_a_reset_of_one_lane_leaves_the_window_of_the_other(rig: Rig) -> None:
    for number in range(1, 6):
        if number == 4:
            rig.host.reset(0, "asked for")
        _together(rig, [message(number)] * 2)
    front, rear = rig.lanes
    assert [answer.frame_count for answer in front.answers] == [1, 2, 3, 1, 2]
    assert [answer.frame_count for answer in rear.answers] == [1, 2, 3, 4, 4]
    assert [lane.health.counts()["resets"] for lane in rig.lanes] == [1, 0]


@pytest.mark.parametrize(
    ("stamp", "counter", "counts_after"),
    [(UNUSABLE, "rejected", [1, 2, 3]), (UNPREPARED, "failed", [1, 2, 3]), (NOT_FINITE, "failed", [1, 2, 1])],
)
def test_what_goes_wrong_in_one_lane_is_its_own(rig: Rig, stamp: int, counter: str, counts_after: list[int]) -> None:
    front, rear = rig.lanes
    for number in (11, 12, stamp, 20):
        _together(rig, [message(number), message(50 + number)])
    assert front.health.counts()[counter] == 1
    assert [answer.frame_count for answer in front.answers] == counts_after
    assert [answer.frame_count for answer in rear.answers] == [1, 2, 3, 4]
    assert rear.counts == (4, 4)
    assert rear.health.counts()["resets"] == 0


def test_an_error_that_names_no_lane_costs_all_of_the_batch_that_cloud_and_their_windows(rig: Rig) -> None:
    for number in (11, 12, BROKEN, 20):
        _together(rig, [message(number), message(50 + number)])
    for lane in rig.lanes:
        assert [answer.frame_count for answer in lane.answers] == [1, 2, 1]
        assert (lane.health.counts()["failed"], lane.health.counts()["resets"]) == (1, 1)


def test_outputs_that_raise_in_one_lane_do_not_reach_the_other(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    front, rear = rig.lanes

    def refuse(*_: object) -> None:
        raise RuntimeError("this subscriber is one too many")

    monkeypatch.setattr(front.sink, "publish", refuse)
    for number in range(1, 4):
        _together(rig, [message(number)] * 2)
    assert front.health.counts()["failed"] == front.health.counts()["resets"] == 3
    assert [answer.frame_count for answer in rear.answers] == [1, 2, 3]


@pytest.mark.parametrize("overlap", [True, False])
def test_every_cloud_of_every_lane_is_accounted_for(overlap: bool) -> None:
    rig = Rig(lanes=3, overlap=overlap, stride=2)
    sent = 100

    def drive(lane: RigLane, seed: int) -> None:
        rng = np.random.default_rng(seed)
        for number in range(sent):
            lane.intake.enabled = bool(rng.random() < 0.9)
            lane.send(number * STEP + int(rng.choice([UNUSABLE, UNPREPARED, NOT_FINITE, BROKEN, *range(20, 28)])))
            threading.Event().wait(float(rng.exponential(0.002)))

    senders = [threading.Thread(target=drive, args=(lane, seed)) for seed, lane in enumerate(rig.lanes)]
    for sender in senders:
        sender.start()
    while any(sender.is_alive() for sender in senders):
        rig.model.go.release()
        threading.Event().wait(0.005)
    for _ in range(100):
        rig.model.go.release()
    rig.settle()
    for lane in rig.lanes:
        assert lane.counts == (sent, sent), lane.health.counts()
        assert lane.health.counts()["inferred"] == len(lane.answers)
    for counter in FRAME_COUNTERS:
        assert any(lane.health.counts()[counter] for lane in rig.lanes), counter
    assert any(len(batch) > 1 for batch in rig.model.batches)
    rig.close()


def test_two_lanes_of_one_network_answer_as_two_networks_do() -> None:
    """The shipped network with two streams, against two of it with one; a cloud of one lane is poisoned on its way."""
    shared = _poisoned(Predictor(*load_bundle("sim_room"), device="cpu", threads=1, streams=2))
    rig = Rig(shared, lanes=2)
    alone = [Predictor(*load_bundle("sim_room"), device="cpu", threads=1) for _ in range(2)]
    rng = np.random.default_rng(0)
    expected: list[list[Prediction]] = [[], []]
    for number in range(1, 8):
        points = [rng.uniform(1, 4, (1500, 3)).astype(np.float32) for _ in rig.lanes]
        stamps = [(number * STEP + (_POISON if number == 4 and lane == 1 else 0)) * MS for lane in range(2)]
        messages = [cloud(stamp, cloud_points) for stamp, cloud_points in zip(stamps, points, strict=True)]
        _together(rig, messages)
        for index, sent in enumerate(messages):
            if index == 1 and number == 4:
                alone[1].reset()
            else:
                expected[index].append(alone[index].step(decode_cloud(sent).frame()))
    front, rear = rig.lanes
    assert [answer.frame_count for answer in front.answers] == [1, 2, 3, 4, 5, 6, 7]
    assert [answer.frame_count for answer in rear.answers] == [1, 2, 3, 1, 2, 3]
    assert [lane.health.counts()["failed"] for lane in rig.lanes] == [0, 1]
    for lane, theirs in zip(rig.lanes, expected, strict=True):
        for mine, other in zip(lane.answers, theirs, strict=True):
            _assert_same(mine, other)
    rig.close()


#: Milliseconds into a step at which the stamp of a cloud that is to fail lies.
_POISON = 7


def _poisoned(predictor: Predictor) -> Predictor:
    """The pose of clouds at some stamps overflows float32, behind all that looks at poses."""
    prepare = predictor.prepare

    def poison(frame: Frame) -> PreparedFrame:
        prepared = prepare(frame)
        if frame.stamp_ns // MS % STEP != _POISON:
            return prepared
        return replace(prepared, sampled=replace(prepared.sampled, origin=np.array([1e39, 0.0, 0.0])))

    predictor.prepare = poison  # type: ignore[method-assign]
    return predictor


def _together(rig: Rig, messages: list[PointCloud2]) -> None:
    """One cloud for each lane while the host is held, so that those that get through are one batch; wait for all."""
    held = rig.hold()
    lost = [_lost(lane) for lane in rig.lanes]
    for lane, sent in zip(rig.lanes, messages, strict=True):
        lane.accept(sent)
    rig.wait(
        lambda: all(
            lane.slot.number in rig.host.worker._waiting or _lost(lane) > before
            for lane, before in zip(rig.lanes, lost, strict=True)
        )
    )
    if isinstance(rig.model, Model):
        rig.model.go.release()
    held.set()
    rig.settle()


def _lost(lane: RigLane) -> int:
    counts = lane.health.counts()
    return counts["rejected"] + counts["failed"]


def _assert_same(mine: Prediction, other: Prediction) -> None:
    assert (mine.stamp_ns, mine.frame_count) == (other.stamp_ns, other.frame_count)
    assert mine.action is not None
    assert other.action is not None
    np.testing.assert_allclose(mine.action.scores, other.action.scores, atol=1e-5)
    assert mine.action.unknown == other.action.unknown
    assert mine.semantic is not None
    assert other.semantic is not None
    np.testing.assert_allclose(mine.semantic.scores, other.semantic.scores, atol=1e-4)
    assert np.mean(mine.semantic.labels == other.semantic.labels) > 0.999  # ties apart
