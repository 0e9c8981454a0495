"""Clouds in, labels out over real DDS: every frame answered or accounted for, in order, on every point."""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")
pytest.importorskip("ros_pointata.msg", reason="needs the generated messages of ros_pointata")

from node_harness import (
    ACTIONS,
    MOTION,
    POINTS,
    SECOND,
    Harness,
    StandInModel,
    action_of,
    cloud,
    labels_of,
    some_points,
)
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from pointata import UNLABELLED
from pointata.data.pointcloud2 import decode_cloud, decode_field, stamp_to_ns
from pointata.tasks import TASKS
from ros_pointata.io.publishers import ACTION, SEGMENTATION, SEGMENTS, TIMINGS, TOPICS, VISUALIZATION
from ros_pointata.msg import ClassInfoList

STEP = SECOND // 10
MOVING = "~/output/pointcloud/moving"


@pytest.fixture
def running() -> Iterator[Harness]:
    with Harness() as harness:
        harness.start()
        yield harness


def _wait_for(messages: list[Any], count: int, running: Harness) -> None:
    running.wait_until(lambda: len(messages) == count)


def _stamps(messages: list[Any]) -> list[int]:
    return [stamp_to_ns(message.header.stamp) for message in messages]


def test_every_task_has_topics_that_no_other_has() -> None:
    names = [topic.name for task in TASKS for topic in TOPICS[task]]
    assert set(TOPICS) == set(TASKS)
    assert len(names) == len(set(names)) >= len(TASKS)


def test_every_cloud_is_answered_in_order_on_every_point(running: Harness) -> None:
    running.listen_to_outputs()
    stamps = [1_700_000_000 * SECOND + number * STEP for number in range(12)]
    clouds = [cloud(stamp, some_points(40 + number, number)) for number, stamp in enumerate(stamps)]
    for number, message in enumerate(clouds):
        running.publish(message, answered=number + 1)
    for topic in (ACTION, SEGMENTS, SEGMENTATION, VISUALIZATION, MOVING, TIMINGS):
        _wait_for(running.received[topic], 12, running)
        assert _stamps(running.received[topic]) == stamps
        assert {message.header.frame_id for message in running.received[topic]} == {"sensor"}

    for number, message in enumerate(running.received[SEGMENTATION]):
        points = some_points(40 + number, number)
        valid = np.isfinite(points).all(axis=1)
        expected = np.where(valid, labels_of(points), UNLABELLED)
        assert np.array_equal(decode_cloud(message).xyz, points, equal_nan=True)
        assert decode_field(message, "label").tolist() == expected.tolist()
        assert decode_field(message, "score").tolist() == np.where(valid, 0.75, 0.0).tolist()
        assert message.point_step == 20
        moving = decode_field(running.received[MOVING][number], "label")
        assert moving.tolist() == np.where(valid, expected == 2, UNLABELLED).tolist()
    colours = decode_field(running.received[VISUALIZATION][0], "rgb").view(np.uint32)
    person = decode_field(running.received[SEGMENTATION][0], "label") == 2
    assert set(colours[person]) == {0xFF0033}

    for number, message in enumerate(running.received[ACTION]):
        assert message.class_id == action_of(stamps[number])
        assert message.label == ("unknown" if number == 0 else ACTIONS[message.class_id].name)
        assert message.unknown == (number == 0)
        assert message.frame_count == min(number + 1, 4)
        assert stamp_to_ns(message.window_start) == stamps[max(number - 3, 0)]
        assert list(message.scores) == np.eye(2)[message.class_id].tolist()
    segment = running.received[SEGMENTS][5].segments[0]
    assert (stamp_to_ns(segment.start), stamp_to_ns(segment.end)) == (stamps[2], stamps[5])
    assert len(running.model.threads) == 1

    counts = running.settled(12)
    assert (counts["inferred"], counts["dropped"], counts["rejected"]) == (12, 0, 0)


def test_timings_name_every_stage_and_add_up(running: Harness) -> None:
    running.model.delay_s = 0.03
    running.listen_to_outputs()
    running.publish(cloud(SECOND, some_points()), answered=1)
    running.wait_until(lambda: len(running.received[TIMINGS]) == 1)
    message = running.received[TIMINGS][0]
    times = dict(zip(message.stages, message.milliseconds, strict=True))
    assert list(times) == ["decode", "wait", "motion", "sample", "model", "restore", "publish", "total"]
    assert (times["sample"], times["model"], times["restore"]) == (1.0, 2.0, 3.0)
    assert min(times.values()) >= 0
    assert times["total"] >= 30 + times["decode"] + times["wait"] + times["motion"] + times["publish"] - 0.01


def test_a_slow_model_answers_the_newest_and_counts_the_dropped() -> None:
    with Harness() as harness:
        harness.model.delay_s = 0.2
        harness.start()
        harness.listen_to_outputs()
        stamps = [SECOND + number * STEP for number in range(20)]
        for stamp in stamps:
            harness.publish(cloud(stamp, some_points()))
            time.sleep(0.02)
        counts = harness.settled(20)
        assert counts["dropped"] >= 15
        assert counts["inferred"] == 20 - counts["dropped"]
        harness.wait_until(lambda: len(harness.received[SEGMENTATION]) == counts["inferred"])
        answered = _stamps(harness.received[SEGMENTATION])
        assert answered == sorted(answered)
        assert (answered[0], answered[-1]) == (stamps[0], stamps[-1])


def test_bad_clouds_are_rejected_with_a_reason_and_the_next_good_one_is_answered(running: Harness) -> None:
    running.listen_to_outputs()
    truncated = cloud(SECOND, some_points())
    truncated.data = truncated.data[:-5]
    nameless = cloud(2 * SECOND, some_points())
    nameless.fields = nameless.fields[1:]
    stepless = cloud(3 * SECOND, some_points())
    stepless.point_step = 0
    for message in (truncated, nameless, stepless):
        running.publish(message)
    running.settled(3)
    status = running.diagnosis("clouds were rejected")
    assert status.level == b"\x01"
    noted = {value.key: value.value for value in status.values}
    assert (noted["model"], noted["device"], noted["precision"]) == ("stand_in", "cpu", "none")
    running.publish(cloud(4 * SECOND, some_points()), answered=1)
    running.publish(cloud(5 * SECOND, np.empty((0, 3), dtype=np.float32)), answered=2)
    running.publish(cloud(6 * SECOND, np.full((9, 3), np.inf, dtype=np.float32)), answered=3)
    counts = running.settled(6)
    assert (counts["rejected"], counts["inferred"], counts["failed"]) == (3, 3, 0)
    running.wait_until(lambda: len(running.received[SEGMENTATION]) == 3)
    assert [message.width for message in running.received[SEGMENTATION]] == [50, 0, 9]
    assert set(decode_field(running.received[SEGMENTATION][2], "label")) == {UNLABELLED}


def test_a_model_that_raises_costs_one_cloud_and_empties_the_window(running: Harness) -> None:
    running.listen_to_outputs()
    running.model.fail_at = {2 * STEP, 3 * STEP}
    for number in range(6):
        running.publish(cloud(number * STEP, some_points()))
        running.settled(number + 1)
    counts = running.settled(6)
    assert (counts["inferred"], counts["failed"], counts["resets"]) == (4, 2, 2)
    running.wait_until(lambda: len(running.received[ACTION]) == 4)
    assert [message.frame_count for message in running.received[ACTION]] == [1, 2, 1, 2]


def test_nothing_is_built_that_nobody_subscribes_to(running: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[str] = []

    def spy(name: str) -> None:
        import ros_pointata.io.publishers as module

        original = getattr(module, name)

        def noting(*args: Any) -> Any:
            built.append(name)
            return original(*args)

        monkeypatch.setattr(module, name, noting)

    for name in ("segmentation_cloud", "visualization_cloud", "action_message", "segments_message", "timings_message"):
        spy(name)
    running.publish(cloud(SECOND, some_points()), answered=1)
    assert built == []
    running.listen_to_outputs()
    running.publish(cloud(2 * SECOND, some_points()), answered=2)
    running.wait_until(lambda: len(running.received[TIMINGS]) == 1)
    assert sorted(built) == sorted(
        [*2 * ["segmentation_cloud"], "visualization_cloud", "action_message", "segments_message", "timings_message"]
    )


def test_a_late_joiner_gets_the_classes(running: Harness) -> None:
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL, reliability=ReliabilityPolicy.RELIABLE)
    for topic, classes in ((ACTION, ACTIONS), (SEGMENTS, ACTIONS), (SEGMENTATION, POINTS), (MOVING, MOTION)):
        lists = running.listen(ClassInfoList, f"{topic}/classes", latched)
        _wait_for(lists, 1, running)
        assert lists[0].model == "stand_in"
        assert [(entry.id, entry.name) for entry in lists[0].classes] == [(c.id, c.name) for c in classes]
        for entry, info in zip(lists[0].classes, classes, strict=True):
            assert [entry.color.r, entry.color.g, entry.color.b] == pytest.approx([v / 255 for v in info.color])


def test_a_best_effort_publisher_is_heard_by_default() -> None:
    with Harness(input_reliability=ReliabilityPolicy.BEST_EFFORT) as harness:
        harness.start()
        for number in range(5):
            harness.publish(cloud(number * STEP, some_points()), answered=number + 1)
        assert harness.settled(5)["inferred"] == 5


def test_a_publisher_with_incompatible_qos_shows_in_diagnostics() -> None:
    with Harness(input_reliability=ReliabilityPolicy.BEST_EFFORT, input__reliability="reliable") as harness:
        assert harness.change_state("configure")
        assert harness.change_state("activate")
        status = harness.diagnosis("offers an incompatible RELIABILITY")
        assert {value.key: value.value for value in status.values}["incompatible qos"] == "1"


def test_a_20_hz_sensor_is_thinned_to_the_10_hz_of_the_bundle(running: Harness) -> None:
    for number in range(20):
        running.publish(cloud(number * SECOND // 20, some_points()))
        running.settled(number + 1)
    counts = running.settled(20)
    assert (counts["inferred"], counts["skipped"]) == (10, 10)
    assert [frame.stamp_ns for frame in running.model.frames] == [number * STEP for number in range(10)]


def test_a_sensor_that_no_stride_mends_is_warned_of(running: Harness) -> None:
    for number in range(8):
        running.publish(cloud(number * SECOND // 4, some_points()), answered=number + 1)
    assert running.diagnosis("does not match the 0.1 s").level == b"\x01"


def test_a_changed_point_layout_empties_the_window(running: Harness) -> None:
    running.listen_to_outputs()
    for number in range(3):
        running.publish(cloud(number * STEP, some_points()), answered=number + 1)
    for number in range(3, 6):
        running.publish(cloud(number * STEP, some_points(), intensity=np.zeros(50)), answered=number + 1)
    running.wait_until(lambda: len(running.received[ACTION]) == 6)
    assert [message.frame_count for message in running.received[ACTION]] == [1, 2, 3, 1, 2, 3]
    assert running.settled(6)["resets"] == 1
    running.wait_until(lambda: "the point layout" in running.node.health.values()["last reset"])


def test_features_that_the_bundle_reads_arrive_and_their_absence_is_a_rejection() -> None:
    model = StandInModel()
    model.metadata.feature_names = ("doppler",)
    with Harness(lambda parameters: model) as harness:
        harness.start()
        points = some_points(10)
        doppler = np.arange(10, dtype=np.float32)
        harness.publish(cloud(SECOND, points, doppler=doppler), answered=1)
        assert model.frames[0].features["doppler"].tolist() == [1, 2, 3, 4, 5, 6, 8, 9]
        harness.publish(cloud(2 * SECOND, points))
        assert harness.settled(2)["rejected"] == 1
        harness.diagnosis("'doppler'")
