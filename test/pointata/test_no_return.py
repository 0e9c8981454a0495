"""(0, 0, 0), what drivers write where no echo came back: left out in inference and training alike, and counted."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pointata import UNLABELLED, DataError, Frame
from pointata.data.formats.semantic_kitti import SemanticKittiRecording
from pointata.frame import LabelledFrame
from pointata.geometry.rigid import yaw
from pointata.inference.predictor import Predictor, PredictorOptions
from pointata.preprocessing.merging import merge_frames
from pointata.preprocessing.sampling import SamplingConfig, sample_frame
from pointata.training.recording_cache import sample_recording

Cloud = NDArray[np.float32]


def room(count: int, seed: int = 0) -> Cloud:
    return np.random.default_rng(seed).uniform(-3, 3, (count, 3)).astype(np.float32)


def with_zeros(points: Cloud, zeros: int, seed: int = 0) -> tuple[Cloud, NDArray[np.bool_]]:
    """The points in order, zeros (some of them -0.0) scattered among them; and which are zeros."""
    rng = np.random.default_rng(seed)
    lost = np.zeros(len(points) + zeros, dtype=bool)
    lost[rng.choice(len(lost), zeros, replace=False)] = True
    mixed = np.empty((len(lost), 3), np.float32)
    mixed[~lost], mixed[lost] = points, np.copysign(np.float32(0), rng.normal(size=(zeros, 3)))
    return mixed, lost


@pytest.fixture(scope="module", params=["sim_room", "sim_street"])
def predictor(request: pytest.FixtureRequest) -> Predictor:
    return Predictor.load(request.param, device="cpu")


def test_answers_are_those_of_the_cloud_without_zeros(predictor: Predictor) -> None:
    mixed, lost = with_zeros(room(6000), 4000)
    results = []
    for points in (room(6000), mixed):
        predictor.reset()
        results.append([predictor.step(Frame.from_points(points, stamp_ns=i * 10**8)) for i in range(3)])
    for clean, full in zip(*results, strict=True):
        assert (clean.no_return, full.no_return) == (0, 4000)
        assert clean.semantic is not None
        assert full.semantic is not None
        np.testing.assert_array_equal(full.semantic.labels[~lost], clean.semantic.labels)
        np.testing.assert_array_equal(full.semantic.scores[~lost], clean.semantic.scores)
        assert (full.semantic.labels[lost] == UNLABELLED).all()
        assert (full.semantic.scores[lost] == 0).all()
        assert (full.action is None) == (clean.action is None)
        if full.action is not None and clean.action is not None:
            np.testing.assert_array_equal(full.action.scores, clean.action.scores)


def test_a_cloud_of_zeros_is_a_sentence_and_the_window_goes_on(predictor: Predictor) -> None:
    predictor.reset()
    predictor.step(Frame.from_points(room(3000), stamp_ns=0))
    with pytest.raises(DataError, match=r"all 500 points are \(0, 0, 0\).*no return.*crop\.drop_zeros"):
        predictor.step(Frame.from_points(np.zeros((500, 3)), stamp_ns=10**8))
    assert predictor.step(Frame.from_points(room(3000), stamp_ns=2 * 10**8)).frame_count == 2


def test_zeros_that_are_meant_are_labelled() -> None:
    predictor = Predictor.load("sim_room", device="cpu", options=PredictorOptions(drop_zeros=False))
    mixed, lost = with_zeros(room(3000), 10)
    prediction = predictor.step(Frame.from_points(mixed))
    assert prediction.no_return == 0
    assert prediction.semantic is not None
    assert (prediction.semantic.labels[lost] != UNLABELLED).all()


@pytest.mark.parametrize("points", [[[0.0, 0, 1e-3]], [[0.0, 1, 0]], [[1e-30, 0, 0]]])
def test_a_zero_in_one_coordinate_is_a_point(points: list[list[float]]) -> None:
    frame = Frame.from_points(np.concatenate([room(50), points]))
    assert sample_frame(frame, SamplingConfig(points=16)).no_return == 0


def test_merged_frames_do_not_move_zeros_to_a_place() -> None:
    frames = []
    for number in range(3):
        pose = yaw(0.3 * number)
        pose[:3, 3] = (2.0 * number, 1, 0)
        frames.append(Frame.from_points(with_zeros(room(100, number), 7)[0], stamp_ns=number, T_world_sensor=pose))
    sampled = sample_frame(merge_frames(frames), SamplingConfig(points=64))
    assert len(sampled.used) == 300
    assert sampled.no_return == 7  # of the newest message


def test_training_takes_the_same_points() -> None:
    """Frames that the predictor refuses are left out, the others are sampled as if they had no zeros."""
    sampling = SamplingConfig(points=1024, point_neighbours=0)
    mixed, lost = with_zeros(room(500), 300)
    labels = np.arange(800, dtype=np.uint8) % 5
    clean = LabelledFrame(Frame.from_points(room(500)), labels[~lost], action=1)
    full = LabelledFrame(Frame.from_points(mixed), labels, action=1)
    empty, single = (replace(clean, frame=Frame.from_points(p), labels=None) for p in (np.zeros((9, 3)), room(1)))
    expected, found = (
        sample_recording([clean, clean], sampling),
        sample_recording([full, empty, single, full], sampling),
    )
    np.testing.assert_array_equal(found.points, expected.points)
    np.testing.assert_equal(found.labels, expected.labels)


def test_a_recording_of_zeros_cannot_be_trained_on() -> None:
    with pytest.raises(DataError, match="no frame of the recording has enough points"):
        sample_recording([LabelledFrame(Frame.from_points(np.zeros((9, 3))))], SamplingConfig(points=4))


def test_a_livox_drops_a_fifth_to_a_half(data_root: Path) -> None:
    """Real recordings whose driver writes zeros: counted against the files' own bytes."""
    predictor = Predictor.load("sim_street", device="cpu")
    for folder in sorted((data_root / "livox_places" / "sequences").iterdir()):
        predictor.reset()
        recording = SemanticKittiRecording(folder)
        for index, file in list(enumerate(sorted((folder / "velodyne").glob("*.bin"))))[:2]:
            zeros = (np.fromfile(file, dtype=np.float32).reshape(-1, 4)[:, :3] == 0).all(axis=1)
            assert 0.15 < zeros.mean() < 0.6
            prediction = predictor.step(recording[index].frame)
            assert prediction.no_return == zeros.sum()
            assert prediction.semantic is not None
            np.testing.assert_array_equal(prediction.semantic.labels == UNLABELLED, zeros)
            assert np.isfinite(prediction.semantic.scores).all()
