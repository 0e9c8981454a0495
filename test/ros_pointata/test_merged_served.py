"""A sparse radar at 30 Hz to a bundle that joins three clouds: the node answers as the evaluation does, to the bit."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")
pytest.importorskip("ros_pointata.msg", reason="needs the generated messages of ros_pointata")

from nav_msgs.msg import Odometry
from node_harness import Harness, cloud

from pointata.bundles.adapter import save_bundle
from pointata.bundles.adapter_metadata import AdapterMetadata
from pointata.bundles.bundle import load_bundle
from pointata.data.open import open_recording
from pointata.data.pointcloud2 import stamp_to_ns
from pointata.data.served import ServedRecording
from pointata.evaluation.offline import evaluate
from pointata.geometry.pose import Pose
from pointata.inference.predictor import Predictor
from pointata.model.pointata import PointATA
from ros_pointata.io.cloud import ns_to_stamp
from ros_pointata.io.publishers import ACTION
from ros_pointata.model import load_predictor
from ros_pointata.replay.source import Selection, outgoing_frames

CLOUDS, POINTS = 61, 20


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    """mars_actions, as if it had been trained on frames of three clouds."""
    model, metadata = load_bundle("mars_actions")
    assert isinstance(model, PointATA)
    assert isinstance(metadata, AdapterMetadata)
    return str(save_bundle(tmp_path_factory.mktemp("bundle"), model, replace(metadata, name="sparse", merge=3)))


class Radar:
    """Sparse clouds whose stamps come in pairs, as true ones do; at rest, or carried along a curve."""

    def __init__(self, moving: bool) -> None:
        rng = np.random.default_rng(0)
        gaps = np.resize([0.0014, 1 / 15 - 0.0014], CLOUDS - 1)
        self.stamps_ns = 10**18 + np.rint(np.concatenate(([0], np.cumsum(gaps))) * 1e9).astype(np.int64)
        self.points = rng.normal([1.9, 0, 0.3], 0.5, (CLOUDS, POINTS, 3)).astype(np.float32)
        self.doppler = rng.normal(0, 0.3, (CLOUDS, POINTS)).astype(np.float32)
        self.moving = moving
        turn = np.linspace(0, 1, CLOUDS) if moving else np.zeros(CLOUDS)
        self.places = np.stack([2 * turn, turn**2, 0 * turn], axis=1)
        self.quaternions = Rotation.from_euler("z", turn[:, None]).as_quat()

    def write(self, file: Path) -> Path:
        poses = [Pose.of(*where).matrix() for where in zip(self.places, self.quaternions, strict=True)]
        np.savez(file, points=self.points, stamp_ns=self.stamps_ns, doppler=self.doppler, T_world_sensor=poses)
        return file

    def odometry(self, number: int) -> Odometry:
        message = Odometry(child_frame_id="sensor")
        message.header.stamp = ns_to_stamp(int(self.stamps_ns[number]))
        position, orientation = message.pose.pose.position, message.pose.pose.orientation
        position.x, position.y, position.z = map(float, self.places[number])
        orientation.x, orientation.y, orientation.z, orientation.w = map(float, self.quaternions[number])
        return message


def _offline(bundle: str, file: Path) -> dict[int, NDArray[np.float32]]:
    predictor = Predictor.load(bundle, device="cpu", threads=1)
    metadata = predictor.metadata
    recording = ServedRecording(open_recording(file, metadata.feature_names), metadata.frame_period_s, metadata.merge)
    scores = {}
    for item in recording:
        prediction = predictor.step(item.frame)
        assert prediction.action is not None
        scores[item.frame.stamp_ns] = prediction.action.scores
    assert evaluate(predictor, [recording]).frames == len(scores)
    return scores


def _live(bundle: str, radar: Radar, answered: int, **parameters: Any) -> dict[int, Any]:
    settings = {"model": bundle, "device": "cpu", "torch_threads": 1, "window__min_frames": 1, **parameters}
    if radar.moving:
        settings["motion__source"] = "odometry"
    with Harness(load_predictor, **settings) as harness:
        harness.start()
        harness.listen_to_outputs()
        if radar.moving:
            harness.wait_until(lambda: harness.odometry.get_subscription_count() > 0)
        for number, stamp_ns in enumerate(radar.stamps_ns.tolist()):
            if radar.moving:
                harness.odometry.publish(radar.odometry(number))
            harness.publish(cloud(stamp_ns, radar.points[number], doppler=radar.doppler[number]))
            harness.settled(number + 1)
        counts = harness.node.health.counts()
        assert counts["inferred"] + counts["skipped"] == CLOUDS == counts["received"]
        harness.wait_until(lambda: len(harness.received[ACTION]) == answered)
        return {stamp_to_ns(message.header.stamp): message for message in harness.received[ACTION]}


@pytest.mark.parametrize("moving", [False, True])
def test_merged_live_is_merged_offline(bundle: str, tmp_path: Path, moving: bool) -> None:
    radar = Radar(moving)
    offline = _offline(bundle, radar.write(tmp_path / "radar.npz"))
    assert abs(len(offline) - 21) <= 1
    live = _live(bundle, radar, len(offline))
    assert list(live) == list(offline)
    for stamp_ns, scores in offline.items():
        np.testing.assert_array_equal(np.array(live[stamp_ns].scores, np.float32), scores)


def test_it_is_the_merging_that_is_compared(bundle: str, tmp_path: Path) -> None:
    """Without it the scores are others, live as offline."""
    radar = Radar(moving=False)
    offline = _offline(bundle, radar.write(tmp_path / "radar.npz"))
    live = _live(bundle, radar, len(offline), window__merge=1)
    assert list(live) == list(offline)
    differ = [not np.array_equal(np.array(live[s].scores, np.float32), offline[s]) for s in offline]
    assert sum(differ) >= len(differ) - 1  # the first frame is one cloud in any case


def test_an_unreadable_cloud_between_is_rejected_and_not_merged(bundle: str) -> None:
    radar = Radar(moving=False)
    settings = {"model": bundle, "device": "cpu", "torch_threads": 1, "window__stride": 3}
    with Harness(load_predictor, **settings) as harness:
        harness.start()
        for number in range(7):
            message = cloud(int(radar.stamps_ns[number]), radar.points[number], doppler=radar.doppler[number])
            if number == 2:
                message.data = message.data[:-5]
            harness.publish(message)
            counts = harness.settled(number + 1)
    assert (counts["inferred"], counts["skipped"], counts["rejected"]) == (3, 3, 1)


def test_a_replayed_recording_has_the_channels_that_the_bundle_needs(bundle: str, tmp_path: Path) -> None:
    file = Radar(moving=False).write(tmp_path / "radar.npz")
    with Harness(load_predictor, model=bundle, device="cpu", torch_threads=1) as harness:
        harness.start()
        sent = list(outgoing_frames(open_recording(file, None), Selection(count=12)))
        for number, frame in enumerate(sent):
            frame.cloud.header.stamp = ns_to_stamp(frame.stamp_ns)
            harness.publish(frame.cloud)
            counts = harness.settled(number + 1)
    assert counts["rejected"] == 0
    assert counts["inferred"] >= 4
