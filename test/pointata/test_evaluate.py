"""Offline evaluation: scripted predictions against counts made by hand, and the command on a small bundle."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from own_folder import write_clip, write_folder

from pointata import UNLABELLED, DataError, Frame, LabelledFrame
from pointata.classes import ClassInfo, class_list
from pointata.cli import main
from pointata.data.recording import Recording
from pointata.evaluation.offline import evaluate
from pointata.model.bundle import BundleMetadata, save_bundle
from pointata.model.config import preset
from pointata.model.pointata import PointATA
from pointata.prediction import ActionResult, ActionSegment, Prediction, SemanticResult
from pointata.predictor import Predictor, PredictorOptions
from pointata.sampling import SamplingConfig

ACTIONS = class_list(("walk", (1, 0, 0)), ("sit", (0, 1, 0)))
THINGS = class_list(("floor", (9, 0, 0)), ("person", (0, 9, 0)), ("wall", (0, 0, 9)))


class Script(Recording):
    """Frames given one by one."""

    name, rate_hz = "script", 10.0

    def __init__(self, items: Sequence[LabelledFrame], things: tuple[ClassInfo, ...] | None = THINGS) -> None:
        self._items, self.classes, self.actions = items, things, ACTIONS

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[LabelledFrame]:
        return iter(self._items)


@dataclass
class ScriptedPredictor:
    """Gives the predictions it was told to, one a frame; an error among them is raised."""

    script: list[Prediction | DataError]
    resets: list[int] = field(default_factory=list)
    seen: int = 0
    options: PredictorOptions = field(default_factory=lambda: PredictorOptions(min_frames=2))
    metadata: Any = field(
        default_factory=lambda: SimpleNamespace(heads={"action": ACTIONS, "segments": ACTIONS, "semantic": THINGS})
    )

    def reset(self) -> None:
        self.resets.append(self.seen)

    def step(self, frame: Frame) -> Prediction:
        answer = self.script[self.seen]
        self.seen += 1
        if isinstance(answer, DataError):
            raise answer
        return answer


def truth(index: int, labels: list[int], action: int | None) -> LabelledFrame:
    points = np.ones((len(labels), 3), dtype=np.float32)
    frame = Frame.from_points(points, stamp_ns=index)
    return LabelledFrame(frame, np.array(labels, dtype=np.uint8), action)


def answer(frame_count: int, labels: list[int], action: int, segment: int, unknown: bool = False) -> Prediction:
    scores = np.zeros(len(labels), dtype=np.float32)
    return Prediction(
        stamp_ns=0,
        window_start_ns=0,
        frame_count=frame_count,
        action=ActionResult(action, 0.9, np.array([0.5, 0.5], dtype=np.float32), unknown),
        segments=(ActionSegment(0, 0, 1 - segment, 0.9), ActionSegment(0, 0, segment, 0.9)),
        semantic=SemanticResult(np.array(labels, dtype=np.uint8), scores),
    )


def as_predictor(scripted: ScriptedPredictor) -> Predictor:
    return cast(Predictor, scripted)


def test_counts_are_those_made_by_hand() -> None:
    first = [
        truth(0, [0, 1, 2, UNLABELLED], 0),
        truth(1, [0, 1, 2, 2], 0),
        truth(2, [0, 0, 0, 0], 1),
        truth(3, [1, 1, 1, 1], 1),
    ]
    second = [truth(4, [2], 1), truth(5, [2], None)]
    scripted = ScriptedPredictor(
        [
            answer(1, [0, 1, 2, 2], action=1, segment=1),  # too early for actions
            answer(2, [0, 0, 2, UNLABELLED], action=0, segment=1),
            DataError("frame 2 is bad"),
            answer(3, [1, 1, 1, 0], action=0, segment=1, unknown=True),
            answer(4, [1], action=1, segment=1),
            answer(5, [2], action=0, segment=0),  # no true action
        ]
    )
    told: list[tuple[str, int]] = []
    score = evaluate(as_predictor(scripted), [Script(first), Script(second)], lambda *of: told.append(of))
    assert score.confusions["semantic"].counts.tolist() == [[2, 0, 0, 0], [2, 4, 0, 0], [0, 1, 3, 1]]
    assert score.confusions["action"].counts.tolist() == [[1, 0, 0], [0, 1, 1]]
    assert score.confusions["segments"].counts.tolist() == [[0, 1, 0], [0, 2, 0]]
    miou = (2 / 4 + 4 / 7 + 3 / 5) / 3
    expected = {"action_accuracy": 2 / 3, "segments_accuracy": 2 / 3, "segmentation_miou": miou}
    assert score.figures() == pytest.approx(expected, abs=5e-5)
    assert (score.frames, len(score.step_ms), score.rejected) == (5, 5, ["frame 2 is bad"])
    assert scripted.resets == [0, 4]
    assert told == [("script", 3), ("script", 5)]


def test_classes_that_disagree_are_refused() -> None:
    recording = Script([truth(0, [0], 0)], class_list(("floor", (9, 0, 0)), ("car", (0, 9, 0)), ("wall", (0, 0, 9))))
    with pytest.raises(
        DataError, match="script is labelled with floor, car, wall, but the bundle predicts floor, pers"
    ):
        evaluate(as_predictor(ScriptedPredictor([answer(1, [0], 0, 0)])), [recording])


def test_a_recording_without_point_classes_scores_only_its_actions() -> None:
    scripted = ScriptedPredictor([answer(2, [0], action=0, segment=0)])
    figures = evaluate(as_predictor(scripted), [Script([truth(0, [0], 0)], things=None)]).figures()
    assert figures == {"action_accuracy": 1.0, "segments_accuracy": 1.0}


def small_bundle(folder: Path, heads: dict[str, tuple[ClassInfo, ...]], features: tuple[str, ...] = ()) -> Path:
    torch.manual_seed(0)
    sizes = {task: len(classes) for task, classes in heads.items()}
    network = preset("tiny", groups=16, group_size=8, window=5, heads=sizes, features=features)
    sampling = SamplingConfig(points=128, scale_m=2.0)
    metadata = BundleMetadata("small", network, sampling, heads, 0.1, "small_backbone")
    return save_bundle(folder, PointATA(network), metadata)


@pytest.mark.parametrize("write", [write_folder, write_clip])
def test_the_channels_that_a_bundle_takes_are_read_from_files(tmp_path: Path, write: Callable[[Path], Any]) -> None:
    source = tmp_path / ("wave.npz" if write is write_clip else "wave")
    write(source)
    bundle, figures = small_bundle(tmp_path, {"action": ACTIONS}, ("intensity",)), tmp_path / "figures.json"
    assert main(["evaluate", str(bundle), str(source), "--device", "cpu", "--json", str(figures)]) == 0
    report = json.loads(figures.read_text())
    assert (report["frames"], report["rejected"]) == (5, [])


def test_the_command_writes_its_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("open3d", reason="the simulator casts its rays with open3d (pip install open3d)")
    from pointata.data.simulator import ACTIONS as ROOM_ACTIONS
    from pointata.data.simulator import ROOM_CLASSES

    bundle = small_bundle(tmp_path, {"action": ROOM_ACTIONS, "segments": ROOM_ACTIONS, "semantic": ROOM_CLASSES})
    figures = tmp_path / "out" / "figures.json"
    source = "sim:room?seed=0&split=test&frames=6"
    assert main(["evaluate", str(bundle), source, "--device", "cpu", "--threads", "1", "--json", str(figures)]) == 0
    report = json.loads(figures.read_text())
    assert {"frames", "rejected", "per_class_iou", "supports", "confusion", "step_ms"} <= set(report)
    assert {"action_accuracy", "segments_accuracy", "segmentation_miou"} <= set(report)
    assert (report["frames"], report["rejected"]) == (6, [])
    assert sum(report["supports"]["action"].values()) == 6 - PredictorOptions().min_frames + 1
    assert "6 frames, 0 rejected" in capsys.readouterr().out


@pytest.mark.parametrize("model", ["nowhere/none.safetensors", "no_such_bundle"])
def test_a_missing_bundle_is_a_sentence_and_exit_code_1(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("open3d", reason="the simulator casts its rays with open3d (pip install open3d)")
    assert main(["evaluate", model, "sim:room?frames=6"]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"pointata evaluate: no bundle '{model}'")
    assert "Traceback" not in error
