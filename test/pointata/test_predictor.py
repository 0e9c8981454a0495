"""The predictor: windows, resets, labels on every point, and equality with the clip."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from pointata import UNLABELLED, DataError, Frame, PointLabels
from pointata.bundles.adapter_metadata import AdapterMetadata
from pointata.classes import class_list
from pointata.errors import ConfigError
from pointata.geometry.rigid import yaw
from pointata.inference.options import Precision
from pointata.inference.precision import choose_device
from pointata.inference.predictor import Predictor, PredictorOptions
from pointata.model.config import preset
from pointata.model.pointata import PointATA
from pointata.preprocessing.sampling import SamplingConfig, sample_frame, to_clip
from pointata.tasks.action import Hysteresis
from pointata.tasks.segments import merge_runs

ACTIONS = class_list(("a", (1, 0, 0)), ("b", (0, 1, 0)), ("c", (0, 0, 1)))
THINGS = class_list(("p", (9, 0, 0)), ("q", (0, 9, 0)), ("r", (0, 0, 9)), ("s", (9, 9, 9)))

SAMPLING = SamplingConfig(points=128, scale_m=3.0, voxel_m=0.05)


def predictor(
    options: PredictorOptions | None = None,
    features: tuple[str, ...] = (),
    points: int = 128,
    precision: Precision = "fp32",
    seed: int = 0,
) -> Predictor:
    torch.manual_seed(seed)
    heads = {"action": ACTIONS, "segments": ACTIONS, "semantic": THINGS, "moving": ACTIONS[:2]}
    network = preset(
        "tiny",
        groups=16,
        group_size=8,
        window=5,
        features=features,
        heads={task: len(classes) for task, classes in heads.items()},
    )
    model = PointATA(network)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    metadata = AdapterMetadata(
        name="test",
        network=network,
        sampling=replace(SAMPLING, points=points),
        heads=heads,
        frame_period_s=0.1,
        backbone="none",
    )
    return Predictor(model, metadata, options=options, precision=precision)


def frames(count: int, points: int = 700, seed: int = 0, start_ns: int = 10**18) -> list[Frame]:
    rng = np.random.default_rng(seed)
    result = []
    for i in range(count):
        pose = yaw(0.05 * i)
        pose[:3, 3] = (0.1 * i, 0, 0)
        cloud = rng.normal(0, 3, (points, 3)).astype(np.float32)
        result.append(Frame.from_points(cloud, stamp_ns=start_ns + i * 10**8, T_world_sensor=pose, frame_id="lidar"))
    return result


def test_frame_by_frame_equals_the_whole_clip() -> None:
    runner, video = predictor(PredictorOptions(hysteresis_frames=1)), frames(8)
    clip = to_clip([sample_frame(frame, SAMPLING) for frame in video])
    with torch.inference_mode():
        whole = runner.network(clip)
    for t, frame in enumerate(video):
        prediction = runner.step(frame)
        assert prediction.action is not None
        opinions = [whole[task][0, t].softmax(-1) for task in ("action", "segments")]
        np.testing.assert_allclose(prediction.action.scores, torch.stack(opinions).mean(0), atol=1e-4)
        assert prediction.stamp_ns == frame.stamp_ns
        assert prediction.frame_count == min(t + 1, 5)
        assert prediction.window_start_ns == video[max(0, t - 4)].stamp_ns
        assert prediction.segments is not None
        assert prediction.segments[0].start_ns == prediction.window_start_ns
        assert prediction.segments[-1].end_ns == frame.stamp_ns


def test_labels_are_the_three_nearest_samples_vote() -> None:
    runner, frame = predictor(), frames(1, points=3000)[0]
    sampled = sample_frame(frame, SAMPLING)
    with torch.inference_mode():
        logits = runner.network(to_clip([replace(sampled, stamp_s=0.0)]))
    results = runner.step(frame).results
    distance, index = cKDTree(frame.points[sampled.index]).query(frame.points, 3)
    weight = 1 / (distance + 1e-6)
    for task in ("semantic", "moving"):  # each by its own scores
        result, scores = results[task], logits[task][0, 0].softmax(-1).numpy()
        assert isinstance(result, PointLabels)
        expected = (weight[..., None] * scores[index]).sum(1) / weight.sum(1, keepdims=True)
        assert np.mean(result.labels == expected.argmax(1)) > 0.999  # ties apart
        np.testing.assert_allclose(result.scores, expected.max(1), atol=1e-4)


def test_the_points_of_a_voxel_share_the_label_of_its_first() -> None:
    runner, frame = predictor(), frames(1, points=3000)[0]
    rng = np.random.default_rng(0)
    twins = np.floor(frame.points / 0.05) * 0.05 + rng.uniform(0.001, 0.049, frame.points.shape)  # in the same voxels
    doubled = replace(frame, points=np.concatenate([frame.points, twins.astype(np.float32)]),
                      source_index=np.arange(6000), source_count=6000)  # fmt: skip
    semantic = runner.step(doubled).semantic
    assert semantic is not None
    cells = np.floor(doubled.points / np.float32(0.05))
    _, first, cell = np.unique(cells, axis=0, return_index=True, return_inverse=True)
    np.testing.assert_array_equal(semantic.labels, semantic.labels[first[cell.reshape(-1)]])
    np.testing.assert_array_equal(semantic.scores, semantic.scores[first[cell.reshape(-1)]])


def test_points_out_of_range_are_unlabelled() -> None:
    runner, frame = predictor(PredictorOptions(min_range_m=1, max_range_m=4)), frames(1)[0]
    semantic = runner.step(frame).semantic
    assert semantic is not None
    reach = np.linalg.norm(frame.points, axis=1)
    outside = (reach < 1) | (reach > 4)
    assert outside.any()
    np.testing.assert_array_equal(semantic.labels == UNLABELLED, outside)
    np.testing.assert_array_equal(semantic.scores == 0, outside)


@pytest.mark.parametrize("count", [1, 3, 16, 127, 260_000])
def test_clouds_of_any_size(count: int) -> None:
    runner = predictor()
    for frame in frames(2, points=count):
        prediction = runner.step(frame)
    assert prediction.semantic is not None
    assert prediction.semantic.labels.shape == (count,)
    assert (prediction.semantic.labels < len(THINGS)).all()
    assert np.isfinite(prediction.semantic.scores).all()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"stamp_ns": 10**18}, "time went back"),
        ({"stamp_ns": 10**18 + 5 * 10**9}, "gap"),
        ({"frame_id": "other"}, "frame_id changed"),
        ({"layout": "xyzi"}, "the point layout of the clouds changed"),
        ({"pose_known": False}, "ego motion was lost"),
    ],
)
def test_a_broken_stream_starts_a_new_window(change: dict[str, object], reason: str) -> None:
    runner, video = predictor(), frames(4)
    for frame in video[:3]:
        assert runner.step(frame).reset_reason is None
    broken = runner.step(replace(video[3], **change))  # type: ignore[arg-type]
    assert reason in (broken.reset_reason or "")
    assert broken.frame_count == 1
    fresh = predictor().step(replace(video[3], **change))  # type: ignore[arg-type]
    assert broken.action is not None
    assert fresh.action is not None
    np.testing.assert_allclose(broken.action.scores, fresh.action.scores, atol=1e-6)


def test_a_bad_frame_leaves_the_window_as_it_was() -> None:
    runner, other, video = predictor(), predictor(), frames(4)
    for frame in video[:3]:
        runner.step(frame)
        other.step(frame)
    with pytest.raises(DataError):
        runner.step(Frame.from_points(np.full((10, 3), np.nan, np.float32), stamp_ns=1, frame_id="lidar"))
    a, b = runner.step(video[3]).action, other.step(video[3]).action
    assert a is not None
    assert b is not None
    np.testing.assert_array_equal(a.scores, b.scores)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_other_weights_start_a_new_window_and_answer_as_a_predictor_made_with_them(precision: Precision) -> None:
    video, other = frames(6), predictor(seed=1)
    served, fresh = predictor(precision=precision), predictor(precision=precision, seed=1)
    for runner in (served, fresh):
        runner.warm_up()
    for frame in video[:3]:
        served.step(frame)
    served.load_weights(other.network.state_dict())
    for count, frame in enumerate(video[3:], start=1):
        ours, expected = served.step(frame), fresh.step(frame)
        assert ours.frame_count == expected.frame_count == count
        assert ours.action is not None
        assert expected.action is not None
        np.testing.assert_array_equal(ours.action.scores, expected.action.scores)


def test_features_reach_the_network() -> None:
    runner, frame = predictor(features=("doppler",)), frames(1)[0]
    results = []
    for value in (0.0, 100.0):
        runner.reset()
        doppler = np.full(len(frame.points), value, dtype=np.float32)
        action = runner.step(replace(frame, features={"doppler": doppler})).action
        assert action is not None
        results.append(action.scores)
    assert np.abs(results[0] - results[1]).max() > 1e-4
    with pytest.raises(DataError, match="doppler"):
        runner.step(frame)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_bad_feature_does_not_spread(value: float) -> None:
    runner = predictor(features=("doppler",))
    for i, frame in enumerate(frames(6)):
        doppler = np.ones(len(frame.points), dtype=np.float32)
        doppler[5] = value if i == 1 else 1
        prediction = runner.step(replace(frame, features={"doppler": doppler}))
        assert prediction.action is not None
        assert np.isfinite(prediction.action.scores).all()


@pytest.mark.parametrize("far", [1e6, 1e20, 3e38])
def test_absurd_coordinates_are_unlabelled(far: float) -> None:
    runner, video = predictor(), frames(2)
    points = video[0].points.copy()
    points[3] = (far, 0, 0)
    semantic = runner.step(replace(video[0], points=points)).semantic
    assert semantic is not None
    assert np.flatnonzero(semantic.labels == UNLABELLED).tolist() == [3]


def test_unknown_until_the_window_has_filled() -> None:
    runner = predictor(PredictorOptions(min_frames=3))
    unknown = [p.action.unknown for p in map(runner.step, frames(5)) if p.action is not None]
    assert unknown == [True, True, False, False, False]


def scores(*leaders: int) -> list[NDArray[np.float32]]:
    return [np.eye(3, dtype=np.float32)[leader] * 0.6 + 0.1 for leader in leaders]


def test_hysteresis_by_hand() -> None:
    filter_ = Hysteresis(frames=2, unknown_score=0.0)
    assert [filter_.update(s)[0] for s in scores(0, 1, 0, 1, 1, 2, 1, 2, 2)] == [0, 0, 0, 0, 1, 1, 1, 1, 2]
    assert not Hysteresis(1, unknown_score=0.9).update(scores(1)[0])[1]


def test_a_filter_that_is_adjusted_keeps_the_class_and_the_leads_so_far() -> None:
    filter_ = Hysteresis(frames=4, unknown_score=0.0)
    assert [filter_.update(s)[0] for s in scores(0, 1, 1)] == [0, 0, 0]
    filter_.adjust(3, unknown_score=0.9)
    assert filter_.update(scores(1)[0]) == (1, False)  # the third lead of class 1


def test_runs_by_hand() -> None:
    runs = merge_runs([(i, s) for i, s in enumerate(scores(0, 0, 2, 2, 2, 0))])
    assert [(r.start_ns, r.end_ns, r.class_id) for r in runs] == [(0, 1, 0), (2, 4, 2), (5, 5, 0)]
    assert runs[0].score == pytest.approx(0.7)


def test_a_gpu_that_is_not_there_is_a_sentence() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(ConfigError, match="no GPU"):
        choose_device("cuda")
    with pytest.raises(ConfigError, match="CUDA_VISIBLE_DEVICES"):
        choose_device("cuda:1")
    assert choose_device("auto").type == "cpu"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_and_cpu_agree() -> None:
    cpu, gpu = predictor(), predictor()
    gpu = Predictor(gpu.network, gpu.metadata, device="cuda")
    for frame in frames(6):
        a, b = cpu.step(frame).action, gpu.step(frame).action
        assert a is not None
        assert b is not None
        np.testing.assert_allclose(a.scores, b.scores, atol=1e-3)
