"""Finite, and absurd: a diverged odometry, an uninitialised channel. They must not poison a stream of a real bundle."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from pointata import DataError, Frame, Prediction
from pointata.geometry.pose import Pose
from pointata.geometry.rigid import is_rigid, yaw
from pointata.inference.predictor import Predictor


def pose(x: float) -> NDArray[np.float64]:
    transform = yaw(0.02 * x)
    transform[0, 3] = x
    return transform


def video(predictor: Predictor, count: int) -> list[Frame]:
    """A cloud of each moment of a drive."""
    result = []
    for number in range(count):
        rng = np.random.default_rng(number)
        points = rng.uniform(-3, 3, (3000, 3))
        features = {name: rng.normal(0, 1, 3000) for name in predictor.metadata.feature_names}
        result.append(
            Frame.from_points(points, stamp_ns=number * 10**8, features=features, T_world_sensor=pose(0.2 * number))
        )
    return result


def numbers(prediction: Prediction) -> list[NDArray[np.float32]]:
    """All scores of an answer."""
    found = [part.scores for part in (prediction.action, prediction.semantic) if part is not None]
    return [*found, np.array([run.score for run in prediction.segments or ()], dtype=np.float32)]


def answers(predictor: Predictor, frames: Iterable[Frame]) -> list[list[NDArray[np.float32]]]:
    predictor.reset()
    return [numbers(predictor.step(frame)) for frame in frames]


def assert_same(found: list[list[NDArray[np.float32]]], expected: list[list[NDArray[np.float32]]]) -> None:
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            assert np.isfinite(a).all()
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("place", [1.1e7, -1e30, 1e300])
def test_a_pose_beyond_the_earth_is_refused(place: float) -> None:
    with pytest.raises(DataError, match=r"has the odometry diverged\? Restart it"):
        Pose.of((0, place, 0), (0, 0, 0, 1))
    assert Pose.of((0, 9.9e6, 0), (0, 0, 0, 1)).translation[1] == 9.9e6


@pytest.mark.parametrize(
    "entry", [(0, 3, 1e30), (2, 3, np.nan), (0, 0, 1e300), (1, 1, 0.5), (3, 0, 1.0), (0, 2, np.inf)]
)
def test_a_frame_has_a_rigid_pose(entry: tuple[int, int, float]) -> None:
    transform = np.eye(4)
    transform[entry[:2]] = entry[2]
    with pytest.raises(DataError, match="must be rigid"):
        Frame.from_points(np.ones((5, 3)), T_world_sensor=transform)


def test_rotations_are_rigid_and_reflections_are_not() -> None:
    assert is_rigid(yaw(2.0))
    assert not is_rigid(np.diag([1.0, 1, -1, 1]))
    assert not is_rigid(np.eye(3))


@pytest.mark.parametrize("bundle", ["sim_room", "sim_street"])
def test_an_odometry_that_diverged_once_leaves_no_trace(bundle: str) -> None:
    predictor = Predictor.load(bundle, device="cpu")
    frames = video(predictor, 12)
    expected = answers(predictor, [*frames[:4], *frames[5:]])
    predictor.reset()
    found = [numbers(predictor.step(frame)) for frame in frames[:4]]
    with pytest.raises(DataError):
        predictor.step(replace(frames[4], T_world_sensor=pose(1e30)))
    assert_same(found + [numbers(predictor.step(frame)) for frame in frames[5:]], expected)


@pytest.mark.parametrize("bundle", ["sim_room", "sim_street", "mars_actions"])
def test_the_farthest_poses_that_are_taken_give_numbers(bundle: str) -> None:
    predictor = Predictor.load(bundle, device="cpu")
    frames = video(predictor, 10)
    for number in (3, 5):
        frames[number] = replace(frames[number], T_world_sensor=pose((-1) ** number * 1e7))
    assert all(np.isfinite(part).all() for answer in answers(predictor, frames) for part in answer)


@pytest.mark.parametrize(("value", "clipped"), [(1e30, 1e6), (-3e38, -1e6), (np.inf, 0), (np.nan, 0), (1e300, 0)])
@pytest.mark.parametrize("everywhere", [False, True])
def test_an_absurd_channel_is_one_at_its_limit(value: float, clipped: float, everywhere: bool) -> None:
    predictor = Predictor.load("mars_actions", device="cpu")
    results = []
    for used in (value, clipped):
        frames = video(predictor, 8)
        doppler = frames[2].features["doppler"].copy()
        with np.errstate(over="ignore"):
            doppler[slice(None) if everywhere else slice(0, 1)] = used
        frames[2] = replace(frames[2], features={"doppler": doppler})
        results.append(answers(predictor, frames))
    assert_same(*results)
