"""The real model behind the real node: scores that are not finite are counted as failed, said, and not published."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")
pytest.importorskip("ros_pointata.msg", reason="needs the generated messages of ros_pointata")

from node_harness import Harness, cloud

from ros_pointata.config.parameters import Parameters
from ros_pointata.io.publishers import ACTION
from ros_pointata.model import load_predictor

STEP, BAD = 100_000_000, 3


def load_poisoned(parameters: Parameters) -> Any:
    """The shipped way of loading; the pose of one cloud overflows float32, behind all that looks at poses."""
    model: Any = load_predictor(parameters)
    prepare = model.prepare

    def poison(frame: Any) -> Any:
        prepared = prepare(frame)
        if frame.stamp_ns != BAD * STEP:
            return prepared
        return replace(prepared, sampled=replace(prepared.sampled, origin=np.array([1e39, 0.0, 0.0])))

    model.prepare = poison
    return model


def test_a_cloud_whose_scores_are_not_finite_is_failed_and_said() -> None:
    points = np.random.default_rng(0).uniform(-2, 2, (2000, 3)).astype(np.float32)
    with Harness(load_poisoned, model="sim_room", device="cpu", torch_threads=1) as harness:
        harness.wait_until(lambda: harness.change_state("configure"), 60)
        assert harness.change_state("activate")
        harness.wait_until(lambda: harness.publisher.get_subscription_count() > 0)
        harness.listen_to_outputs()
        for number in range(BAD + 1):
            harness.publish(cloud(number * STEP, points))
            harness.settled(number + 1)
        reason = harness.diagnosis("not finite")
        assert "InferenceError: the network's scores or state are not finite after the frame at 300000000 ns" in (
            reason.message
        )
        for number in range(BAD + 1, 7):
            harness.publish(cloud(number * STEP, points))
            counts = harness.settled(number + 1)
        assert (counts["inferred"], counts["failed"], counts["resets"]) == (6, 1, 1)
        harness.wait_until(lambda: len(harness.received[ACTION]) == 6)
        assert [message.frame_count for message in harness.received[ACTION]] == [1, 2, 3, 1, 2, 3]
        assert all(np.isfinite(message.scores).all() for message in harness.received[ACTION])
