"""The node says why: what is wrong with input and surroundings stands in /diagnostics, and goes with its cause."""

import time
from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")
pytest.importorskip("ros_pointata.msg", reason="needs the generated messages of ros_pointata")

from node_harness import SECOND, Harness, cloud, some_points
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import PointCloud2

import ros_pointata.monitoring.watch
from ros_pointata.io.publishers import ACTION
from ros_pointata.model import load_predictor
from ros_pointata.msg import ActionPrediction

STEP = SECOND // 10


@pytest.fixture
def running() -> Iterator[Harness]:
    with Harness() as harness:
        harness.start()
        yield harness


def _until_quiet(harness: Harness) -> None:
    """Wait for a level of OK that is newer than this call."""
    harness.received["/diagnostics"].clear()
    harness.diagnosis("no complaints")


def test_an_input_that_nobody_publishes_is_named_with_what_could_be_meant(running: Harness) -> None:
    running.publish(cloud(STEP, some_points()), answered=1)
    _until_quiet(running)
    running.client.create_publisher(PointCloud2, "/camera/points", 1)
    running.client.destroy_publisher(running.publisher)
    status = running.diagnosis("nobody publishes /pointata/input/pointcloud: did you remap ~/input/pointcloud?")
    assert status.level == b"\x01"
    assert status.message.endswith("PointCloud2 topics here: /camera/points")
    running.publisher = running.client.create_publisher(PointCloud2, "/pointata/input/pointcloud", 10)
    running.wait_until(lambda: running.publisher.get_subscription_count() > 0)
    _until_quiet(running)


def test_a_publisher_that_falls_silent_is_told_until_it_sends_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ros_pointata.monitoring.watch, "SILENCE_S", 0.5)
    with Harness() as harness:
        harness.start()
        harness.diagnosis("no cloud for ")
        harness.publish(cloud(STEP, some_points()), answered=1)
        _until_quiet(harness)
        harness.diagnosis("though somebody publishes there")


def test_a_qos_warning_goes_with_the_publisher_it_is_about() -> None:
    with Harness(input_reliability=ReliabilityPolicy.BEST_EFFORT, input__reliability="reliable") as harness:
        assert harness.change_state("configure")
        assert harness.change_state("activate")
        harness.diagnosis("a publisher of the input (client) offers an incompatible RELIABILITY")
        harness.client.destroy_publisher(harness.publisher)
        harness.publisher = harness.client.create_publisher(PointCloud2, "/pointata/input/pointcloud", 10)
        harness.wait_until(lambda: harness.publisher.get_subscription_count() > 0)
        harness.publish(cloud(STEP, some_points()), answered=1)
        _until_quiet(harness)


def test_a_subscriber_that_gets_nothing_is_named_until_it_goes() -> None:
    with Harness(output__reliability="best_effort") as harness:
        harness.start()
        topic = ACTION.replace("~", "/pointata")
        reliable = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
        subscription = harness.client.create_subscription(ActionPrediction, topic, lambda _: None, reliable)
        harness.diagnosis(f"a subscriber of {ACTION} (client) asks for another RELIABILITY: set output.reliability")
        harness.client.destroy_subscription(subscription)
        _until_quiet(harness)


def test_another_publisher_of_the_outputs_is_told(running: Harness) -> None:
    other = running.client.create_publisher(ActionPrediction, ACTION.replace("~", "/pointata"), 1)
    running.diagnosis("/pointata/output/action has another publisher: do two nodes run under one name?")
    running.client.destroy_publisher(other)
    _until_quiet(running)


def test_two_sensors_on_one_topic_are_a_standing_warning_that_ends_with_them() -> None:
    with Harness(load_predictor, model="sim_room") as harness:
        harness.start()
        points = np.random.default_rng(0).uniform(1, 4, (2000, 3)).astype(np.float32)
        for number in range(8):
            frame_id = ("front", "x" * 1_000_000)[number % 2]
            harness.publish(cloud(SECOND + number * STEP, points, frame_id), answered=number + 1)
        status = harness.diagnosis("the window was emptied at 7 of the last 8 clouds, last: frame_id changed from ")
        assert "(1000000 characters)" in status.message
        assert "one driver alone" in status.message
        assert len(status.message) < 2000
        assert max(len(value.value) for value in status.values) < 2000
        for number in range(8, 18):
            harness.publish(cloud(SECOND + number * STEP, points, "front"), answered=number + 1)
        _until_quiet(harness)


def test_stamps_that_are_never_set_are_told_and_answered() -> None:
    with Harness(load_predictor, model="sim_room") as harness:
        harness.start()
        for number in range(7):
            points = np.random.default_rng(number).uniform(1, 4, (2000, 3)).astype(np.float32)
            harness.publish(cloud(0, points), answered=number + 1)
        harness.diagnosis("two clouds have the same stamp, 0: the driver does not set it; let one driver")


def test_a_cloud_that_comes_twice_is_skipped_and_the_window_goes_on(running: Harness) -> None:
    actions = running.listen(ActionPrediction, ACTION)
    running.wait_until(lambda: running.node.count_subscribers("/pointata/output/action") > 0)
    time.sleep(0.2)
    for number in range(4):
        for _ in range(2):
            running.publish(cloud(number * STEP, some_points(seed=number)))
        running.settled(2 * (number + 1))
    running.diagnosis("4 of the last 8 clouds repeat another and are skipped")
    counts = running.settled(8)
    assert (counts["inferred"], counts["skipped"], counts["resets"]) == (4, 4, 0)
    running.wait_until(lambda: len(actions) == 4)
    assert [action.frame_count for action in actions] == [1, 2, 3, 4]


def test_what_the_middleware_overwrote_is_counted() -> None:
    with Harness(input__depth=1) as harness:
        harness.start()
        harness.publish(cloud(0, some_points()), answered=1)
        harness.wait_until(lambda: harness.node.health.counts()["received"] == 1)
        release = harness.node.create_guard_condition(lambda: time.sleep(0.5))  # holds the executor up
        release.trigger()
        time.sleep(0.1)
        for number in range(1, 21):
            harness.publisher.publish(cloud(number * STEP, some_points(seed=number)))
        counts = harness.node.health.counts
        harness.wait_until(lambda: counts()["received"] + counts()["messages lost"] == 21)
        assert harness.node.health.counts()["messages lost"] > 10


def test_diagnostics_go_on_without_a_clock() -> None:
    with Harness(use_sim_time=True) as harness:
        assert harness.node.get_parameter("use_sim_time").type_ == Parameter.Type.BOOL
        harness.start()
        harness.publish(cloud(STEP, some_points()), answered=1)
        _until_quiet(harness)
        harness.wait_until(lambda: len(harness.received["/diagnostics"]) > 5)
        assert {message.header.stamp.sec for message in harness.received["/diagnostics"]} == {0}
