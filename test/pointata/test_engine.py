"""Several streams in one network, and the arithmetic of a step."""

import gc
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from pointata import Frame
from pointata.bundles.adapter_metadata import AdapterMetadata
from pointata.classes import class_list
from pointata.errors import ConfigError
from pointata.inference.cuda_graph import GraphedStep
from pointata.inference.engine import Engine
from pointata.inference.predictor import Predictor
from pointata.inference.quantized import quantized
from pointata.inference.traced_step import TracedStep
from pointata.model.config import preset
from pointata.model.pointata import PointATA
from pointata.model.state import Clip, StreamState
from pointata.model.streaming import StreamingNetwork
from pointata.model.trainable import adapter_state
from pointata.prediction import Prediction
from pointata.preprocessing.sampling import SamplingConfig, sample_frame, to_clip

CLASSES = class_list(("a", (1, 0, 0)), ("b", (0, 1, 0)), ("c", (0, 0, 1)))
HEADS = {"action": CLASSES, "segments": CLASSES, "semantic": CLASSES}
NETWORK = preset("tiny", groups=16, group_size=8, window=4, heads=dict.fromkeys(HEADS, 3))
SAMPLING = SamplingConfig(points=64, point_neighbours=4)


def network(seed: int = 0) -> PointATA:
    torch.manual_seed(seed)
    model = PointATA(NETWORK)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model


def video(seed: int, count: int) -> list[Frame]:
    rng = np.random.default_rng(seed)
    clouds = rng.normal(0, 1, (count, 300, 3)).astype(np.float32)
    return [Frame.from_points(cloud, stamp_ns=seed * 10**9 + i * 10**8) for i, cloud in enumerate(clouds)]


def sampled(seed: int, count: int) -> list[Clip]:
    return [to_clip([sample_frame(frame, SAMPLING)]) for frame in video(seed, count)]


def predictor(streams: int) -> Predictor:
    metadata = AdapterMetadata(
        name="test", network=NETWORK, sampling=SAMPLING, heads=HEADS, frame_period_s=0.1, backbone="none"
    )
    return Predictor(network(), metadata, streams=streams)


def assert_same(ours: Prediction, expected: Prediction) -> None:
    assert (ours.stamp_ns, ours.frame_count, ours.reset_reason) == (
        expected.stamp_ns, expected.frame_count, expected.reset_reason,
    )  # fmt: skip
    assert ours.action is not None
    assert expected.action is not None
    np.testing.assert_allclose(ours.action.scores, expected.action.scores, atol=1e-4)
    assert ours.semantic is not None
    assert expected.semantic is not None
    np.testing.assert_allclose(ours.semantic.scores, expected.semantic.scores, atol=1e-4)


def test_streams_that_share_a_network_do_not_see_each_other() -> None:
    """Three sensors with frames at different times answer as three nodes with a network each would."""
    shared, alone = predictor(3), [predictor(1) for _ in range(3)]
    videos = [video(seed, 7) for seed in range(3)]
    turns = [(0, 1, 2), (0,), (2, 0), (1,), (0, 1, 2), (1, 2), (2,), (0, 1)]
    for turn in turns:
        newest = {number: videos[number].pop(0) for number in turn}
        answers = shared.predict_batch({number: shared.prepare(frame) for number, frame in newest.items()})
        for number, frame in newest.items():
            assert_same(answers[number], alone[number].step(frame))


def test_resetting_one_stream_leaves_the_others() -> None:
    shared, alone = predictor(2), predictor(1)
    first, second = video(1, 6), video(2, 6)
    for t in range(3):
        shared.predict_batch({0: shared.prepare(first[t]), 1: shared.prepare(second[t])})
        alone.step(second[t])
    shared.reset(0)
    assert_same(shared.step(second[3], 1), alone.step(second[3]))
    fresh = predictor(1)
    assert_same(shared.step(first[3], 0), fresh.step(first[3]))


@pytest.mark.parametrize("task", ["action", "segments", "semantic"])
def test_a_network_with_one_head_goes_on_after_a_reset(task: str) -> None:
    """States that the other heads would need have no elements."""
    engine = Engine(PointATA(preset("tiny", groups=16, group_size=8, window=4, heads={task: 3})), torch.device("cpu"))
    frames = sampled(2, 3)
    first = engine.step({0: frames[0]})[0][task]
    engine.step({0: frames[1]})
    engine.reset(0)
    np.testing.assert_allclose(engine.step({0: frames[0]})[0][task], first, atol=1e-5)


def test_a_break_in_one_stream_empties_only_its_window() -> None:
    shared = predictor(2)
    for frame in video(1, 3):
        shared.predict_batch({0: shared.prepare(frame), 1: shared.prepare(frame)})
    late = video(9, 1)[0]
    answers = shared.predict_batch({0: shared.prepare(late)})
    assert answers[0].reset_reason is not None
    assert shared.step(video(1, 4)[3], 1).frame_count == 4


@pytest.mark.parametrize("name", ["tiny", "small", "base"])
def test_a_recorded_step_is_the_step(name: str) -> None:
    config = preset(name, groups=16, group_size=8, window=4, height=True, heads=dict.fromkeys(HEADS, 3))
    torch.manual_seed(1)
    model = PointATA(config)
    recorded, eager = (Engine(model, torch.device("cpu")) for _ in range(2))
    frames = sampled(5, 7)
    recorded.warm_up(frames[:2])
    assert isinstance(recorded._step, TracedStep)
    for number, frame in enumerate(frames):
        if number == 5:
            recorded.reset()
            eager.reset()
        ours, expected = recorded.step({0: frame})[0], eager.step({0: frame})[0]
        for task in HEADS:
            np.testing.assert_array_equal(ours[task], expected[task])


def test_a_step_that_cannot_be_recorded_still_runs(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("unsupported operation")

    monkeypatch.setattr(torch._C, "_create_graph_by_tracing", refuse)
    engine = Engine(network(), torch.device("cpu"))
    frames = sampled(0, 2)
    engine.warm_up(frames[:1])
    assert "could not be recorded" in caplog.text
    assert set(engine.step({0: frames[1]})[0]) == set(HEADS)


class FixedShape(GraphedStep):
    """A step that accepts one batch size only and reuses its result's memory, as a captured graph does."""

    def __init__(self, network: StreamingNetwork) -> None:
        self._network = network
        self._memory: dict[str, Tensor] = {}

    def __call__(self, clip: Clip, state: StreamState) -> tuple[Mapping[str, Tensor], StreamState]:
        assert len(clip.points) == 3
        logits, new = self._network.step(clip, state)
        for task, value in logits.items():
            self._memory.setdefault(task, torch.empty_like(value)).copy_(value)
        return self._memory, new


def test_a_step_of_fixed_shape_serves_any_of_its_streams() -> None:
    """What stands around a CUDA graph, proven without a GPU."""
    graphed, eager = (Engine(network(), torch.device("cpu"), streams=3) for _ in range(2))
    graphed._step = FixedShape(graphed.network)
    videos = [sampled(seed, 5) for seed in range(3)]
    for turn in [(0, 1, 2), (1,), (2, 0), (1, 2), (0,)]:
        newest = {number: videos[number].pop(0) for number in turn}
        ours, expected = graphed.step(newest), eager.step(newest)
        assert sorted(ours) == sorted(turn)
        for number in turn:
            for task in HEADS:
                np.testing.assert_allclose(ours[number][task], expected[number][task], atol=1e-5)


@pytest.mark.parametrize("precision", ["bf16", "int8", "auto"])
def test_lower_precision_gives_nearly_the_same(precision: str) -> None:
    fp32 = Engine(network(), torch.device("cpu"))
    lower = Engine(network(), torch.device("cpu"), precision=precision)  # type: ignore[arg-type]
    frames = sampled(3, 4)
    lower.warm_up(frames[:3])
    for frame in frames:
        ours, expected = lower.step({0: frame})[0], fp32.step({0: frame})[0]
        for task in HEADS:
            np.testing.assert_allclose(ours[task], expected[task], atol=0.1)
    assert lower._state.pooled.dtype == torch.float32


def test_int8_products_are_near_the_exact_ones_and_not_the_same() -> None:
    """Against the layer itself in float64: an error of a few steps of the 8-bit scales, not zero, not more."""
    model = network()
    name = "backbone.blocks.0.mlp.0"
    layer, copy = model.get_submodule(name), quantized(model).get_submodule(name)
    assert isinstance(layer, torch.nn.Linear)
    x = torch.randn(50, layer.in_features)
    exact = x.double() @ layer.weight.double().T + layer.bias.double()
    error = (copy(x) - exact).abs().max() / exact.abs().max()
    assert 0 < error < 0.03
    assert not isinstance(copy, torch.nn.Linear)


@pytest.mark.parametrize(
    ("device", "precision"),
    [
        ("cpu", "fp32"),
        ("cpu", "int8"),
        pytest.param("cuda", "fp32", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")),
    ],
)
def test_other_weights_are_those_of_a_recorded_and_of_a_quantised_step(device: str, precision: str) -> None:
    """Adapters given to a network that serves: as one that was built with them, from an empty past."""

    def engine(model: PointATA) -> Engine:
        made = Engine(model, torch.device(device), precision=precision)  # type: ignore[arg-type]
        made.warm_up(frames[:1])
        assert isinstance(made._step, TracedStep if device == "cpu" else GraphedStep)
        return made

    frames, other = sampled(4, 5), adapter_state(network(seed=1))
    served, combined = engine(network()), network()
    before = [served.step({0: frame})[0] for frame in frames]
    combined.load_state_dict(other, strict=False)
    fresh = engine(combined)
    served.load_weights(other)
    assert isinstance(served._step, type(fresh._step))
    for old, frame in zip(before, frames, strict=True):
        ours, expected = served.step({0: frame})[0], fresh.step({0: frame})[0]
        for task in HEADS:
            np.testing.assert_array_equal(ours[task], expected[task])
            assert np.abs(ours[task] - old[task]).max() > 0.01


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_recording_and_quantising_silence_what_they_know_of_and_nothing_else(precision: str) -> None:
    """What another torch says of either is an error here, and is seen where it runs."""
    engine = Engine(network(), torch.device("cpu"), precision=precision)  # type: ignore[arg-type]
    engine.warm_up(sampled(0, 1))
    assert isinstance(engine._step, TracedStep)


def test_weights_of_another_architecture_change_nothing() -> None:
    engine, frame = Engine(network(), torch.device("cpu")), sampled(4, 1)[0]
    before, weights = engine.step({0: frame})[0], adapter_state(network(seed=1))
    engine.reset()
    for wrong in ({"heads.action.mlp.4.weight": torch.zeros(9, 9)}, {"nothing": torch.zeros(1)}):
        with pytest.raises(ConfigError, match=f"another architecture: {next(iter(wrong))}"):
            engine.load_weights(weights | wrong)
    np.testing.assert_array_equal(engine.step({0: frame})[0]["action"], before["action"])


def test_what_auto_chose_is_said() -> None:
    engine = Engine(network(), torch.device("cpu"), precision="auto")
    assert engine.precision == "fp32"
    engine.warm_up(sampled(0, 2))
    assert engine.precision in ("fp32", "int8", "bf16")


def test_a_step_that_fails_leaves_windows_and_states_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    runner, frames = predictor(2), video(0, 4)
    for frame in frames[:2]:
        runner.predict_batch({number: runner.prepare(frame) for number in range(2)})
    step = runner._engine.step

    def fail(newest: Mapping[int, Clip]) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(runner._engine, "step", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        runner.predict_batch({1: runner.prepare(frames[2])})
    monkeypatch.setattr(runner._engine, "step", step)
    assert runner.predict_batch({}) == {}
    answers = runner.predict_batch({number: runner.prepare(frames[3]) for number in range(2)})
    assert (answers[0].frame_count, answers[1].frame_count) == (3, 1)
    assert_same(answers[1], predictor(1).step(frames[3]))


def test_auto_keeps_float32_where_nothing_is_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(network(), torch.device("cpu"), precision="auto")
    frame = sampled(0, 1)[0]
    exact = engine.step({0: frame})[0]
    same = {task: scores.copy() for task, scores in exact.items()}
    off = {task: scores + 0.05 for task, scores in exact.items()}
    trials = {"fp32": (1.0, exact), "int8": (0.95, same), "bf16": (0.1, off)}
    monkeypatch.setattr(engine, "_trial", lambda precision, frames: trials[precision])
    assert engine._fastest([frame]) == "fp32"  # int8 is hardly faster, bf16 does not agree
    trials["int8"] = (0.6, same)
    assert engine._fastest([frame]) == "int8"


def test_state_does_not_grow() -> None:
    engine = Engine(network(), torch.device("cpu"))
    before = engine.state_kib
    for frame in sampled(0, 12):
        engine.step({0: frame})
    assert engine.state_kib == before > 0


def test_nothing_accumulates_while_frames_come() -> None:
    """Tensors and arrays alive, after the window has filled, and as many frames again later."""
    runner, frames = predictor(1), video(0, 8)

    def alive_after(count: int, first: int) -> int:
        for number in range(first, first + count):
            runner.step(replace(frames[number % 8], stamp_ns=10**8 * (number + 1)))
        gc.collect()
        return sum(issubclass(type(thing), Tensor) for thing in gc.get_objects())

    assert alive_after(20, 0) == alive_after(40, 20)


def test_settings_that_cannot_work_are_sentences() -> None:
    cpu = torch.device("cpu")
    with pytest.raises(ConfigError, match="at least one stream"):
        Engine(network(), cpu, streams=0)
    with pytest.raises(ConfigError, match="precision must be one of fp32"):
        Engine(network(), cpu, precision="int3")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="fp16 does not run on cpu"):
        Engine(network(), cpu, precision="fp16")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-3), ("bf16", 0.05), ("fp16", 0.02)])
def test_captured_steps_on_a_gpu_equal_the_cpu(precision: str, tolerance: float) -> None:
    gpu = Engine(network(), torch.device("cuda"), streams=2, precision=precision)  # type: ignore[arg-type]
    cpu = Engine(network(), torch.device("cpu"), streams=2)
    frames = sampled(1, 6)
    gpu.warm_up(frames[:2])
    assert isinstance(gpu._step, GraphedStep)
    for turn, frame in enumerate(frames):
        newest = {0: frame, 1: frame} if turn % 2 else {1: frame}
        ours, expected = gpu.step(newest), cpu.step(newest)
        for number in newest:
            for task in HEADS:
                np.testing.assert_allclose(ours[number][task], expected[number][task], atol=tolerance)
