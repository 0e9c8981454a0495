"""A network of another shape than PointATA's through all that serves a network: engine, recordings, int8, bundles.

Its inputs hold a camera's light, its state is a running mean and the lowest point, its bundle a kind of its own. What
it takes to bring such a network is what stands here above the tests.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bundle_surgery import change_header
from numpy.typing import NDArray
from torch import Tensor, nn

from pointata import BundleError, DataError, Frame, Image, InferenceError, PointLabels, Prediction
from pointata.bundles.bundle import NetworkKind, describe, load_bundle, register_kind
from pointata.bundles.format import read_tensors, write
from pointata.bundles.metadata import NetworkMetadata
from pointata.bundles.schema import Rule, whole
from pointata.classes import UNLABELLED, class_list
from pointata.inference.engine import Engine
from pointata.inference.predictor import Predictor
from pointata.inference.quantized import Int8Linear
from pointata.inference.traced_step import TracedStep
from pointata.model.streaming import StreamingNetwork
from pointata.preprocessing.preprocessor import Crop

POINTS = 40
CLASSES = class_list(("low", (1, 0, 0)), ("high", (0, 1, 0)), ("far", (0, 0, 1)))


@dataclass(frozen=True)
class Lit:
    """Inputs: points (B, P, 3), and the mean brightness (B, 1) that a camera saw."""

    points: Tensor
    light: Tensor


@dataclass(frozen=True)
class Memory:
    """State: sum (B, 4) of frames' mean point and light, their number (B,) int64, the lowest z (B,), 9 at first.

    And the unit (B,) that lights are counted in, which no frame changes: a step hands it back as it is.
    """

    total: Tensor
    count: Tensor
    lowest: Tensor
    unit: Tensor


class PointMLP(StreamingNetwork):
    """Scores each point by itself, the mean of all frames, and its height above the lowest point ever seen."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(8, width), nn.Linear(width, len(CLASSES))

    @property
    def tasks(self) -> tuple[str, ...]:
        return ("semantic",)

    def initial_state(self, streams: int) -> Memory:
        weight = self.first.weight
        return Memory(
            weight.new_zeros(streams, 4),
            weight.new_zeros(streams, dtype=torch.int64),
            weight.new_full((streams,), 9.0),
            weight.new_full((streams,), 1.0),
        )

    def step(self, inputs: Lit, state: Memory) -> tuple[Mapping[str, Tensor], Memory]:
        light = inputs.light / state.unit[:, None]
        total = state.total + torch.cat([inputs.points.mean(dim=1), light], dim=-1)
        count = state.count + 1
        lowest = torch.minimum(state.lowest, inputs.points[..., 2].amin(dim=1))
        mean = (total / count[:, None]).unsqueeze(1).expand(-1, inputs.points.shape[1], -1)
        height = inputs.points[..., 2:] - lowest[:, None, None]
        logits = self.second(torch.relu(self.first(torch.cat([inputs.points, mean, height], dim=-1))))
        return {"semantic": logits.unsqueeze(1)}, Memory(total, count, lowest, state.unit)

    def quantizable_layers(self) -> tuple[str, ...]:
        return ("first", "second")


@dataclass(frozen=True)
class FirstPoints:
    """What the network sees of a frame: its first points, again and again where it has fewer."""

    points: NDArray[np.float32]
    light: float
    no_return: int = 0


class FirstPointsPreprocessor:
    """Takes the first points and the brightness of the camera "front"; other points stay unlabelled."""

    def prepare(self, frame: Frame) -> FirstPoints:
        if "front" not in frame.images:
            raise DataError("the model needs the camera front: publish its images")
        light = float(frame.images["front"].pixels.mean()) / 255
        return FirstPoints(np.resize(frame.points, (POINTS, 3)), light)

    def inputs(self, prepared: FirstPoints, elapsed_s: float) -> Lit:
        return Lit(torch.from_numpy(prepared.points)[None], torch.tensor([[prepared.light]]))

    def upsample(
        self, frame: Frame, prepared: FirstPoints, scores: Mapping[str, NDArray[np.float32]]
    ) -> dict[str, PointLabels]:
        return {task: self._labels(frame, of_task) for task, of_task in scores.items()}

    def _labels(self, frame: Frame, scores: NDArray[np.float32]) -> PointLabels:
        labels, best = np.full(len(frame.points), UNLABELLED, np.uint8), np.zeros(len(frame.points), np.float32)
        seen = min(POINTS, len(frame.points))
        labels[:seen], best[:seen] = scores[:seen].argmax(axis=-1), scores[:seen].max(axis=-1)
        return PointLabels(labels, best)

    def made_up(self, number: int) -> Frame:
        return frame(number)


@dataclass(frozen=True, kw_only=True)
class ToyMetadata(NetworkMetadata):
    width: int

    @property
    def window_frames(self) -> int:
        return 3

    @property
    def feature_names(self) -> tuple[str, ...]:
        return ()

    def preprocessor(self, crop: Crop, device: torch.device, threads: int) -> FirstPointsPreprocessor:
        return FirstPointsPreprocessor()

    @classmethod
    def own_rules(cls) -> Mapping[str, Rule[Any]]:
        return {"width": whole(1, 64)}

    def to_dict(self) -> dict[str, Any]:
        return super().to_dict() | {"width": self.width}


def build(path: Path, header: Mapping[str, Any], metadata: ToyMetadata, backbone: str | None) -> PointMLP:
    network = PointMLP(metadata.width)
    network.load_state_dict(read_tensors(path, header, network.state_dict()))
    return network.eval()


register_kind("toy", NetworkKind(ToyMetadata, build))


# --- The tests -------------------------------------------------------------------------------------------------------


def frame(number: int, light: int = 100, seed: int = 0) -> Frame:
    """The n-th frame of 50 points, 10 Hz, and its image."""
    rng = np.random.default_rng((seed, number))
    image = Image(np.full((4, 6, 3), light, np.uint8), np.diag([5.0, 5.0, 1.0]), np.eye(4), number * 10**8)
    return Frame.from_points(rng.normal((0, 0, 6), 1, (50, 3)), stamp_ns=number * 10**8, images={"front": image})


def network(seed: int = 0) -> PointMLP:
    torch.manual_seed(seed)
    return PointMLP(16)


def metadata() -> ToyMetadata:
    return ToyMetadata(name="toy", heads={"semantic": CLASSES}, frame_period_s=0.1, width=16)


def predictor(**deployment: Any) -> Predictor:
    made = Predictor(network(), metadata(), **deployment)
    made.warm_up()
    return made


def inputs(*numbers: int) -> list[Lit]:
    preprocessor = FirstPointsPreprocessor()
    return [preprocessor.inputs(preprocessor.prepare(frame(number)), 0.0) for number in numbers]


def labels(prediction: Prediction) -> PointLabels:
    assert prediction.semantic is not None
    return prediction.semantic


def by_hand(frames: list[Frame]) -> NDArray[np.float64]:
    """(P, C) probabilities of the last of a stream's frames, in NumPy."""
    weights = {name: value.double().numpy() for name, value in network().state_dict().items()}
    points = [item.points[:POINTS].astype(float) for item in frames]
    lights = [item.images["front"].pixels.mean() / 255 for item in frames]
    mean = np.mean([[*p.mean(axis=0), light] for p, light in zip(points, lights, strict=True)], axis=0)
    height = points[-1][:, 2:] - min(9.0, *(p[:, 2].min() for p in points))
    seen = np.concatenate([points[-1], np.tile(mean, (POINTS, 1)), height], axis=1)
    hidden = np.maximum(seen @ weights["first.weight"].T + weights["first.bias"], 0)
    logits = np.exp(hidden @ weights["second.weight"].T + weights["second.bias"])
    result: NDArray[np.float64] = logits / logits.sum(axis=1, keepdims=True)
    return result


def test_a_stream_is_answered_as_computed_by_hand() -> None:
    runner = predictor()
    assert isinstance(runner._engine._step, TracedStep)
    frames = [frame(number, light=40 * number) for number in range(5)]
    for count, item in enumerate(frames, start=1):
        result, expected = labels(runner.step(item)), by_hand(frames[:count])
        np.testing.assert_allclose(result.scores[:POINTS], expected.max(axis=1), atol=1e-6)
        np.testing.assert_array_equal(result.labels[:POINTS], expected.argmax(axis=1))
        np.testing.assert_array_equal(result.labels[POINTS:], UNLABELLED)


def test_streams_in_one_batch_are_as_alone_and_one_can_be_reset() -> None:
    shared = predictor(streams=3)
    seen: list[list[Frame]] = [[], [], []]
    for turn in range(6):
        if turn == 4:
            shared.reset(1)
            seen[1] = []
        active = [stream for stream in range(3) if (turn + stream) % 3]
        newest = {stream: frame(turn, light=50 * stream, seed=stream) for stream in active}
        answers = shared.predict_batch({stream: shared.prepare(item) for stream, item in newest.items()})
        for stream, item in newest.items():
            seen[stream].append(item)
            assert answers[stream].frame_count == min(3, len(seen[stream]))
            expected = by_hand(seen[stream]).max(axis=1)
            np.testing.assert_allclose(labels(answers[stream]).scores[:POINTS], expected, atol=1e-6)


def test_int8_is_near_and_follows_other_weights() -> None:
    lower, exact = (Engine(network(), torch.device("cpu"), precision=p) for p in ("int8", "fp32"))
    lower.warm_up(inputs(0))
    assert isinstance(lower._served.get_submodule("first"), Int8Linear)
    assert isinstance(lower._step, TracedStep)
    for weights in (network().state_dict(), network(seed=1).state_dict()):
        lower.load_weights(weights)
        exact.load_weights(weights)
        for item in inputs(1, 2, 3):
            ours, expected = lower.step({0: item})[0]["semantic"], exact.step({0: item})[0]["semantic"]
            assert 0 < np.abs(ours - expected).max() < 0.03


def test_a_bundle_of_its_kind_is_saved_described_loaded_and_checked(tmp_path: Path) -> None:
    path = tmp_path / "toy.safetensors"
    write(path, "toy", network().state_dict(), {"metadata": metadata().to_dict()})
    assert load_bundle(str(path))[1] == metadata()
    assert (describe(str(path))["kind"], describe(str(path))["width"]) == ("toy", 16)
    loaded, fresh = Predictor.load(str(path), device="cpu", streams=2), predictor(streams=2)
    for t in range(3):
        ours, expected = loaded.step(frame(t), 1), fresh.step(frame(t), 1)
        np.testing.assert_array_equal(labels(ours).scores, labels(expected).scores)
    path.write_bytes(path.read_bytes()[:-1] + b"\x42")
    with pytest.raises(BundleError, match="do not match its checksum"):
        load_bundle(str(path))
    with pytest.raises(BundleError, match=r"metadata\.width is 65, allowed: a whole number from 1 to 64"):
        load_bundle(str(change_header(path, lambda header: header["metadata"].update(width=65))))


def test_a_value_out_of_all_proportion_empties_the_window() -> None:
    runner, fresh = predictor(), predictor()
    runner.step(frame(0))
    prepared = runner.prepare(frame(1))
    with pytest.raises(InferenceError, match="not finite after the frame at 100000000 ns"):
        runner.predict(replace(prepared, sampled=replace(prepared.sampled, light=float("inf"))))
    for t in (2, 3):
        ours, expected = runner.step(frame(t)), fresh.step(frame(t))
        assert ours.frame_count == expected.frame_count == t - 1
        np.testing.assert_array_equal(labels(ours).scores, labels(expected).scores)


def test_a_frame_without_the_image_that_is_needed_is_a_sentence() -> None:
    with pytest.raises(DataError, match="needs the camera front"):
        predictor().step(replace(frame(0), images={}))
