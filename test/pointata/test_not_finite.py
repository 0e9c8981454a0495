"""What happens when a network leaves the numbers: the shipped bundles, given values that overflow float32."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bundle_surgery import copied, parts
from safetensors.torch import load_file

from pointata import BundleError, Frame, InferenceError, Prediction
from pointata.bundles.bundle import load_bundle
from pointata.bundles.format import write
from pointata.data.open import open_recording
from pointata.evaluation.offline import evaluate
from pointata.inference.predictor import Predictor, PreparedFrame


@cache
def predictor(name: str, number: int = 0) -> Predictor:
    """One of several equal predictors, from an empty window; loaded once."""
    return Predictor.load(name, device="cpu", threads=1)


@pytest.fixture(autouse=True)
def _anew() -> None:
    for name in ("mars_actions", "sim_room"):
        for number in range(2):
            predictor(name, number).reset()


def frame(runner: Predictor, number: int) -> Frame:
    """The n-th frame, 10 Hz, of a crowd of points before the sensor."""
    rng = np.random.default_rng(number)
    features = {name: rng.normal(0, 0.5, 400) for name in runner.metadata.feature_names}
    return Frame.from_points(rng.normal((2, 0, 0), 0.7, (400, 3)), stamp_ns=number * 10**8, features=features)


def poisoned(prepared: PreparedFrame, **values: Any) -> PreparedFrame:
    """A frame whose checked values were replaced by unchecked ones, behind all that looks at clouds and poses."""
    return replace(prepared, sampled=replace(prepared.sampled, **values))


def doppler(prepared: PreparedFrame) -> PreparedFrame:
    """One channel of one point that a driver left uninitialised."""
    features = prepared.sampled.features.copy()
    features[0, 0] = 1e30
    return poisoned(prepared, features=features)


def diverged(prepared: PreparedFrame) -> PreparedFrame:
    """A pose as a filter that diverged gives it."""
    return poisoned(prepared, origin=np.array([1e39, 0.0, 0.0]))


def assert_equal(ours: Prediction, expected: Prediction) -> None:
    assert ours.frame_count == expected.frame_count
    if expected.action is not None:
        assert ours.action is not None
        np.testing.assert_array_equal(ours.action.scores, expected.action.scores)
    if expected.semantic is not None:
        assert ours.semantic is not None
        np.testing.assert_array_equal(ours.semantic.scores, expected.semantic.scores)


@pytest.mark.parametrize(
    ("name", "poison"), [("mars_actions", doppler), ("mars_actions", diverged), ("sim_room", diverged)]
)
def test_the_stream_starts_anew_and_then_answers_as_a_fresh_one(name: str, poison: Any) -> None:
    """No cloud after the bad one is answered with NaN, and nothing of it is left."""
    runner, fresh = predictor(name), predictor(name, 1)
    frames = [frame(runner, number) for number in range(12)]
    for item in frames[:5]:
        runner.step(item)
    with pytest.raises(InferenceError, match=r"not finite after the frame at 500000000 ns, so its window was emptied"):
        runner.predict(poison(runner.prepare(frames[5])))
    for item in frames[6:]:
        assert_equal(runner.step(item), fresh.step(item))


def test_evaluation_passes_over_such_a_frame_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = predictor("mars_actions")
    rng = np.random.default_rng(0)
    points = rng.normal((1.9, 0, 0.3), 0.4, (8, 40, 3)).astype(np.float32)
    np.savez(tmp_path / "clip.npz", points=points, stamp_ns=np.arange(8) * 10**8, doppler=np.zeros((8, 40), np.float32))
    prepare = runner.prepare
    monkeypatch.setattr(
        runner, "prepare", lambda item: doppler(prepare(item)) if item.stamp_ns == 3 * 10**8 else prepare(item)
    )
    score = evaluate(runner, [open_recording(tmp_path / "clip.npz", ("doppler",))])
    assert (score.frames, score.complete) == (7, True)
    (reason,) = score.rejected
    assert "scores or state are not finite after the frame at 300000000 ns" in reason


def test_of_several_streams_only_the_broken_one_starts_anew() -> None:
    """And the answers of the others, which went on, come with the error."""
    shared = Predictor(*load_bundle("mars_actions"), device="cpu", streams=3)
    alone = [Predictor(*load_bundle("mars_actions"), device="cpu") for _ in range(3)]
    frames = [frame(shared, number) for number in range(10)]
    for item in frames[:4]:
        shared.predict_batch({number: shared.prepare(item) for number in range(3)})
        for runner in alone:
            runner.step(item)
    prepared = {number: shared.prepare(frames[4]) for number in range(3)}
    with pytest.raises(InferenceError, match="400000000 ns of stream 1") as caught:
        shared.predict_batch(prepared | {1: doppler(prepared[1])})
    assert caught.value.streams == (1,)
    assert set(caught.value.answered) == {0, 2}
    alone[1].reset()
    for number in (0, 2):
        close(caught.value.answered[number], alone[number].step(frames[4]))
    for item in frames[5:]:
        answers = shared.predict_batch({number: shared.prepare(item) for number in range(3)})
        for number, runner in enumerate(alone):
            close(answers[number], runner.step(item))


def close(ours: Prediction, expected: Prediction) -> None:
    """A batch of streams is another order of sums."""
    assert ours.frame_count == expected.frame_count
    assert ours.action is not None
    assert expected.action is not None
    np.testing.assert_allclose(ours.action.scores, expected.action.scores, atol=1e-4)


@pytest.mark.parametrize("part", ["centres", "origins", "adapters", "pooled", "heads"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_state_that_is_not_finite_does_not_linger(part: str, value: float) -> None:
    """Also where the scores do not show it yet: the oldest of ten frames' pooled features, when two have been seen."""
    runner = predictor("sim_room")
    frames = [frame(runner, number) for number in range(6)]
    for item in frames[:2]:
        runner.step(item)
    tensor = getattr(runner._engine._state, part)
    tensor[0, -1 if part in ("centres", "origins") else 2 if part == "pooled" else 0] = value
    with pytest.raises(InferenceError, match="scores or state are not finite"):
        runner.step(frames[2])
    fresh = predictor("sim_room", 1)
    for item in frames[3:]:
        assert_equal(runner.step(item), fresh.step(item))


def test_a_stream_that_was_reset_is_as_one_that_has_seen_nothing() -> None:
    runner = predictor("sim_room")
    for number in range(4):
        runner.step(frame(runner, number))
    runner.reset(0)
    for name, value in vars(runner._engine._state).items():
        assert torch.equal(value, vars(runner.network.initial_state(1))[name])


def test_weights_whose_scores_are_not_finite_are_refused_at_load(tmp_path: Path) -> None:
    """Finite weights with a right checksum, as a diverged training leaves them."""
    path = copied("sim_room", tmp_path)
    copied("pointmae_tiny", tmp_path)
    header, state = parts(path)[1], load_file(path)
    state["heads.pool.norm.running_mean"].fill_(3e38)
    state["heads.pool.norm.running_var"].fill_(0.0)
    write(path, "adapter", state, {key: header[key] for key in ("metadata", "backbone_checksum")})
    load_bundle(str(path))
    for precision in ("fp32", "auto"):
        with pytest.raises(BundleError, match="sim_room cannot be used: its scores of made-up frames are not finite"):
            Predictor.load(str(path), device="cpu", precision=precision)
