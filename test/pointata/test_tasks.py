"""Tasks: the registry, and one way to apply heads for streams, training and the training of frame heads."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_network import awake, clip, small

import pointata
from pointata.classes import class_list
from pointata.inference.options import PredictorOptions
from pointata.prediction import PointLabels
from pointata.tasks import TASKS, get, of_scope
from pointata.tasks.action import reported
from pointata.tasks.reporting import Moment
from pointata.tasks.scope import Scope

MODULES = Path(pointata.__file__).parent / "tasks"


def test_every_task_has_its_module_and_agrees_with_its_line() -> None:
    for name, kind in TASKS.items():
        assert (MODULES / f"{name}.py").is_file()
        assert (get(name).name, get(name).scope) == (name, kind.scope)
    figures = [get(name).figure_name for name in TASKS]
    assert len(set(figures)) == len(figures)
    with_a_task = {path.stem for path in MODULES.glob("*.py") if "\nTASK = " in path.read_text(encoding="utf-8")}
    assert with_a_task == set(TASKS)


def test_the_page_shows_a_task_as_it_is() -> None:
    page = (Path(__file__).parents[2] / "docs" / "model.md").read_text(encoding="utf-8")
    shown = page.split("## Another task")[1].split("```python\n")[1].split("```")[0]
    assert shown in (MODULES / "moving.py").read_text(encoding="utf-8")


def test_scopes() -> None:
    assert of_scope(TASKS, Scope.WINDOW, Scope.FRAME) == ("action", "segments")
    assert of_scope(("segments", "action"), Scope.FRAME) == ("segments",)
    assert of_scope(TASKS, Scope.POINT) == ("semantic", "moving")


def test_names_and_scopes_need_no_torch() -> None:
    code = (
        "import sys, pointata.tasks, pointata.inference.stream\n"
        "assert pointata.tasks.TASKS\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@torch.no_grad()
def test_streams_training_and_frame_heads_apply_the_heads_alike() -> None:
    """The same clip in a chunk, frame by frame, as a training batch whose first frames settle, and from features."""
    for module in ("lightning", "jsonargparse", "torchmetrics"):
        pytest.importorskip(module, reason=f"training needs {module} (the extra pointata[training])")
    from described import described

    from pointata.adaptation.adapt import Adaptation
    from pointata.adaptation.frame_heads import frame_features, frame_logits
    from pointata.adaptation.settings import AdaptSettings
    from pointata.training.clips import ClipBatch

    model, video, settle, dense = awake(small()), clip(9), 3, 2
    whole = model(video)

    trained = Adaptation(AdaptSettings("name", "backbone", settle_frames=settle), model, described())
    assert video.neighbours is not None
    tail = replace(video, neighbours=video.neighbours[:, -dense:])
    labels = {"semantic": torch.zeros(2, 9, video.points.shape[2], dtype=torch.int64)}
    _, logits = trained.losses(ClipBatch(tail, labels, torch.zeros(2, 9, dtype=torch.int64), torch.arange(2)))
    assert list(logits) == ["action", "segments", "semantic"]
    for task, scores in logits.items():
        newest = dense if TASKS[task].scope is Scope.POINT else 9 - settle
        assert scores.shape[1] == newest
        torch.testing.assert_close(scores, whole[task][:, -newest:], atol=1e-5, rtol=0)

    for stream in range(2):
        alone = replace(
            video, **{name: getattr(video, name)[stream : stream + 1] for name in ("points", "origins", "stamps")},
            neighbours=None,
        )  # fmt: skip
        features = frame_features(model, alone).unsqueeze(0)
        for task, scores in frame_logits(model, features, settle).items():
            torch.testing.assert_close(scores[0], whole[task][stream, settle:], atol=1e-5, rtol=0)
        assert set(frame_logits(model, features)) == {"action", "segments"}


def test_points_without_neighbours_are_a_sentence() -> None:
    model = awake(small())
    with pytest.raises(ValueError, match=r"the semantic head needs Clip\.neighbours"):
        model(replace(clip(3), neighbours=None))


def test_loss_and_its_gradient_are_those_of_the_labelled_alone() -> None:
    logits = torch.randn(2, 4, 3, requires_grad=True, generator=torch.Generator().manual_seed(0))
    truth = torch.tensor([[0, -1, 2, 255], [1, 1, -1, 0]])
    known = truth.flatten()[(truth.flatten() >= 0) & (truth.flatten() < 255)]
    shares = logits.flatten(0, 1)[(truth.flatten() >= 0) & (truth.flatten() < 255)].log_softmax(-1)
    exact = -shares[torch.arange(len(known)), known].mean()
    smooth = 0.8 * exact - 0.2 * shares.mean()  # a share of 0.2 is spread over all classes
    torch.testing.assert_close(get("action").loss(logits, truth, smoothing=0.2), smooth)
    torch.testing.assert_close(get("segments").loss(logits, truth), exact)


@pytest.mark.parametrize("same", [True, False])
def test_an_action_is_the_mean_of_both_heads_where_they_have_the_same_classes(same: bool) -> None:
    classes = class_list(("a", (1, 0, 0)), ("b", (0, 1, 0)))
    heads = {"action": classes, "segments": classes if same else classes[::-1]}
    action, segments = np.array([0.9, 0.1], np.float32), np.array([0.3, 0.7], np.float32)
    expected = [0.6, 0.4] if same else [0.9, 0.1]
    assert reported({"action": action, "segments": segments}, heads).tolist() == pytest.approx(expected)
    reporter = get("action").reporter(heads, 4, PredictorOptions(min_frames=2))
    for frame_count, familiar, unknown in ((1, True, True), (2, True, False), (3, False, True)):
        now = Moment(frame_count, frame_count, lambda familiar=familiar: familiar, {})  # type: ignore[misc]
        result = reporter.report({"action": action, "segments": segments}, now)
        assert not isinstance(result, (tuple, PointLabels))
        assert (result.class_id, result.unknown) == (0, unknown)
        assert result.scores.tolist() == pytest.approx(expected)
