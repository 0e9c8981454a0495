"""The task "moving", from the simulator's truth over a bundle to its figure; and the truth of numpy files."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from own_folder import edit, write_folder

from pointata import UNLABELLED, DataError, open_dataset, open_recording
from pointata.cli import main
from pointata.evaluation.score import OfflineScore
from pointata.frame import Frame, LabelledFrame
from pointata.inference.predictor import Predictor
from pointata.prediction import PointLabels, Prediction
from pointata.tasks import TASKS

CLASSES = TASKS["moving"].classes
#: Options of the smallest training.
SMALL: dict[str, Any] = {
    "settings.name": "moving", "settings.backbone": "trunk", "settings.mode": "scratch",
    "network.groups": 16, "network.group_size": 8, "network.window": 3,
    "data.tasks": "[moving]", "data.clips.frames": 3, "data.clips.dense_frames": 1, "data.clips.per_epoch": 4,
    "data.clips.batch_size": 2, "data.workers": 0, "data.sampling.points": 256,
    "trainer.max_epochs": 1, "accelerator": "cpu", "trainer.logger": "false",
    "trainer.enable_progress_bar": "false", "trainer.enable_checkpointing": "false",
}  # fmt: skip


@pytest.fixture
def training() -> None:
    for module in ("lightning", "jsonargparse", "torchmetrics", "open3d"):
        pytest.importorskip(module, reason=f"training on the simulator needs {module} (pip install {module})")


def test_the_figure_is_the_iou_of_what_moves() -> None:
    assert CLASSES is not None
    score = OfflineScore.of({"moving": CLASSES}, 4, 1)
    truth, given = np.array([1, 1, 1, 0, 0, 255], np.uint8), np.array([1, 1, 0, 1, 255, 1], np.uint8)
    frame = Frame.from_points(np.ones((6, 3), np.float32))
    results = {"moving": PointLabels(given, np.ones(6, np.float32))}
    score.evaluations["moving"].take(LabelledFrame(frame, other_labels={"moving": truth}), prediction(results), True)
    assert score.figures() == {"moving_iou": 0.5}  # two found, one missed, one static point taken for moving
    score = OfflineScore.of({"moving": CLASSES}, 4, 1)
    still = LabelledFrame(frame, other_labels={"moving": np.zeros(6, np.uint8)})
    score.evaluations["moving"].take(still, prediction({"moving": PointLabels(truth * 0, truth * 0.0)}), True)
    assert score.figures() == {}  # nothing moves, nothing is said to


def prediction(results: dict[str, PointLabels]) -> Prediction:
    return Prediction(stamp_ns=0, window_start_ns=0, frame_count=1, results=results)


def test_an_array_of_that_name_in_numpy_files_is_its_truth(tmp_path: Path) -> None:
    points = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)
    points[0, 2] = np.nan
    moving = np.array([[0, 1, 1, 255, 0], [1, 1, 0, 0, 0]], np.uint8)
    folder = tmp_path / "folder"
    folder.mkdir()
    for number in range(2):
        np.savez(folder / f"{number}.npz", points=points[number], moving=moving[number], stamp_ns=number)
    np.savez(tmp_path / "clip.npz", points=points, moving=moving, stamp_ns=np.arange(2))
    for source in (folder, tmp_path / "clip.npz"):
        recording = open_recording(source)
        first, second = recording
        assert recording.classes_of("moving") == CLASSES
        assert recording.classes_of("semantic") is None
        assert first.other_labels["moving"].tolist() == [0, 1, 255, 0]  # the third is no point
        assert second.other_labels["moving"].tolist() == [1, 1, 0, 0, 0]
        assert not first.frame.features


@pytest.mark.usefixtures("training")
def test_it_is_trained_stored_served_and_measured(tmp_path: Path) -> None:
    given = SMALL | {
        "out": tmp_path, "data.set": "sim:street?recordings=2&validation=1&test=0&frames=4",
        "data.cache": tmp_path / "cache", "trainer.default_root_dir": tmp_path,
        "data.sampling.scale_m": 20.0, "data.sampling.voxel_m": 0.1,
    }  # fmt: skip
    assert main(["adapt", *(f"--{key}={value}" for key, value in given.items())]) == 0
    assert 0 <= json.loads((tmp_path / "moving.json").read_text())["last"]["val/moving_iou"] <= 1

    bundle, source = str(tmp_path / "moving.safetensors"), "sim:street?seed=0&split=test&frames=3"
    predictor = Predictor.load(bundle, device="cpu")
    assert predictor.metadata.heads == {"moving": CLASSES}
    both = both_moving = 0
    for item in open_recording(source):
        prediction = predictor.step(item.frame)
        assert set(prediction.results) == {"moving"}
        labels = prediction.results["moving"]
        assert isinstance(labels, PointLabels)
        assert labels.labels.shape == item.other_labels["moving"].shape
        assert set(np.unique(labels.labels)) <= {0, 1, UNLABELLED}
        both += int(((labels.labels == 1) | (item.other_labels["moving"] == 1)).sum())
        both_moving += int(((labels.labels == 1) & (item.other_labels["moving"] == 1)).sum())
    figures, scored = tmp_path / "figures.json", tmp_path / "scored"
    assert main(["evaluate", bundle, source, "--device=cpu", f"--json={figures}", f"--state-score={scored}"]) == 0
    assert json.loads(figures.read_text())["moving_iou"] == pytest.approx(both_moving / both, abs=5e-5)
    stated = Predictor.load(str(scored / "moving.safetensors"), device="cpu").metadata
    assert stated.score.keys() == {"moving_iou"}


MANIFEST = """\
frame_period_s: 0.1
recordings:
  - {path: a, split: train, subject: a}
  - {path: b, split: val, subject: b}
  - {path: c, split: test, subject: c}
"""


def write_moving(root: Path, names: str = "abc") -> Path:
    """Recordings of points, of which the half beside the sensor moves; a manifest that names no classes."""
    for name in "abc":
        write_folder(root / name, 4, **(MOVING if name in names else BARE))
    (root / "manifest.yaml").write_text(MANIFEST)
    return root


POINTS = np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32)
BARE: dict[str, Any] = {"points": POINTS, "intensity": None, "labels": None}
MOVING = BARE | {"moving": (POINTS[:, 1] > 0).astype(np.uint8)}


def test_own_recordings_bring_it_by_their_arrays(tmp_path: Path) -> None:
    dataset = open_dataset(f"recordings:{write_moving(tmp_path)}")
    assert dataset.heads == {"moving": CLASSES}
    for video in dataset.videos:
        for item in dataset.open(video):
            np.testing.assert_array_equal(item.other_labels["moving"], POINTS[:, 1] > 0)


def test_own_recordings_train_it_only_where_training_recordings_have_it(tmp_path: Path) -> None:
    root = write_moving(tmp_path, "bc")
    with pytest.raises(DataError, match="a has neither an action nor labels"):
        open_dataset(root)
    edit(root, ("recordings:", "actions: [stand]\nrecordings:"), ("path: a", "action: stand, path: a"))
    assert list(open_dataset(root).heads) == ["action", "segments"]


def test_labels_beyond_its_two_classes_are_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "a", 1, **MOVING | {"moving": np.full(300, 2, np.uint8)})
    with pytest.raises(DataError, match=r"0000\.npz: moving are 0 to 1, or 255 for unlabelled, got 2"):
        next(iter(open_recording(folder)))


@pytest.mark.usefixtures("training")
def test_own_recordings_train_and_measure_it(tmp_path: Path) -> None:
    source = f"recordings:{write_moving(tmp_path / 'set')}"
    given = SMALL | {
        "out": tmp_path, "data.set": source, "data.cache": tmp_path / "cache", "trainer.default_root_dir": tmp_path,
        "data.sampling.scale_m": 2.0,
    }  # fmt: skip
    assert main(["adapt", *(f"--{key}={value}" for key, value in given.items())]) == 0
    figures = tmp_path / "figures.json"
    assert main(["evaluate", str(tmp_path / "moving.safetensors"), source, "--device=cpu", f"--json={figures}"]) == 0
    assert 0 <= json.loads(figures.read_text())["moving_iou"] <= 1
