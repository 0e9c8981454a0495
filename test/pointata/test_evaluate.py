"""Offline evaluation: scripted predictions against counts made by hand, and the command on a small bundle."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from own_folder import edit, frames_of, write_clip, write_folder, write_set

from pointata import UNLABELLED, DataError, Frame, LabelledFrame
from pointata.bundles.adapter import save_bundle
from pointata.bundles.adapter_metadata import AdapterMetadata
from pointata.bundles.bundle import load_bundle
from pointata.classes import ClassInfo, class_list
from pointata.cli import main
from pointata.data.dataset import Dataset, Video, VideoRecording
from pointata.data.formats.own_recordings import own_recordings
from pointata.data.open import names_dataset
from pointata.data.recording import Recording
from pointata.errors import ConfigError, PointataError
from pointata.evaluation.observer import Observer
from pointata.evaluation.offline import evaluate
from pointata.evaluation.sources import Choice, open_sources
from pointata.inference.predictor import Predictor, PredictorOptions
from pointata.model.config import preset
from pointata.model.pointata import PointATA
from pointata.prediction import ActionResult, ActionSegment, PointLabels, Prediction
from pointata.preprocessing.sampling import SamplingConfig

ACTIONS = class_list(("walk", (1, 0, 0)), ("sit", (0, 1, 0)))
THINGS = class_list(("floor", (9, 0, 0)), ("person", (0, 9, 0)), ("wall", (0, 0, 9)))
#: The classes of the folder that `write_set` writes.
OWN_ACTIONS = class_list(("sit", (0, 0, 1)), ("wave", (0, 1, 0)))
OWN_HEADS = {"action": OWN_ACTIONS, "segments": OWN_ACTIONS, "semantic": THINGS[:2]}


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
        default_factory=lambda: SimpleNamespace(
            heads={"action": ACTIONS, "segments": ACTIONS, "semantic": THINGS}, window_frames=2
        )
    )

    def reset(self) -> None:
        self.resets.append(self.seen)

    def step(self, frame: Frame) -> Prediction:
        answer = self.script[self.seen]
        self.seen += 1
        if isinstance(answer, DataError):
            raise answer
        return answer


class Listener(Observer):
    """Keeps what it is told, in order."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def begin(self, recording: Recording) -> None:
        self.told.append(f"begin {recording.name}")

    def take(self, item: LabelledFrame, prediction: Prediction, step_ms: float) -> None:
        self.told.append(f"take {item.frame.stamp_ns} at {prediction.frame_count}")

    def reject(self, item: LabelledFrame, error: PointataError) -> None:
        self.told.append(f"reject {item.frame.stamp_ns}: {error}")

    def end(self, recording: Recording, complete: bool) -> None:
        self.told.append(f"end {recording.name} {complete}")


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
        results={
            "action": ActionResult(action, 0.9, np.array([0.5, 0.5], dtype=np.float32), unknown),
            "segments": (ActionSegment(0, 0, 1 - segment, 0.9), ActionSegment(0, 0, segment, 0.9)),
            "semantic": PointLabels(np.array(labels, dtype=np.uint8), scores),
        },
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
    listener = Listener()
    score = evaluate(as_predictor(scripted), [Script(first), Script(second)], observers=[listener])
    assert score.confusions["semantic"].counts.tolist() == [[2, 0, 0, 0], [2, 4, 0, 0], [0, 1, 3, 1]]
    assert score.confusions["action"].counts.tolist() == [[1, 0, 0], [0, 1, 1]]
    assert score.confusions["segments"].counts.tolist() == [[0, 1, 0], [0, 2, 0]]
    miou = (2 / 4 + 4 / 7 + 3 / 5) / 3
    expected = {"action_accuracy": 2 / 3, "segments_accuracy": 2 / 3, "segmentation_miou_present": miou}
    assert score.figures() == pytest.approx(expected, abs=5e-5)
    assert score.details()["action_unknown"] == pytest.approx(1 / 3, abs=5e-5)
    assert (score.frames, len(score.step_ms), score.rejected) == (5, 5, ["frame 2 is bad"])
    assert scripted.resets == [0, 4]
    assert listener.told == [
        *("begin script", "take 0 at 1", "take 1 at 2", "reject 2: frame 2 is bad", "take 3 at 3", "end script True"),
        *("begin script", "take 4 at 4", "take 5 at 5", "end script True"),
    ]


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


def votes(*of_walk: float) -> list[Prediction | DataError]:
    """Predictions of a video, given the probability of "walk" in each frame."""
    scores = [np.array([share, 1 - share], dtype=np.float32) for share in of_walk]
    made = [answer(count, [0], action=0, segment=0) for count in range(1, len(scores) + 1)]
    actions = [ActionResult(0, 0.9, shares, unknown=True) for shares in scores]
    return [replace(one, results={**one.results, "action": a}) for one, a in zip(made, actions, strict=True)]


def videos_of(*actions_and_frames: tuple[int, list[LabelledFrame]]) -> list[Recording]:
    videos = tuple(
        Video(f"video {number}", partial(list, frames), action=action)
        for number, (action, frames) in enumerate(actions_and_frames)
    )
    dataset = Dataset("set", videos, {"action": ACTIONS, "semantic": THINGS}, 0.1)
    return [VideoRecording(video, dataset) for video in videos]


def test_the_frames_of_a_video_vote_by_their_probabilities() -> None:
    frames = [truth(index, [0], None) for index in range(4)]
    videos = videos_of((0, frames), (1, frames[:2]), (1, frames[:1]))
    scripted = ScriptedPredictor(
        [
            *votes(0.0, 0.45, 0.45, 0.8),  # the first is too early: 1.7 for walk, though most frames say sit
            *votes(0.1, 0.6),  # wrong, though all frames together would be right
            *votes(0.1),  # no vote
        ]
    )
    report = evaluate(as_predictor(scripted), videos).report()
    assert (report["video_accuracy"], report["videos"], report["videos_without_vote"]) == (0.5, 2, ["video 2"])
    assert report["supports"]["action"] == {"walk": 3, "sit": 1}  # frames take the action of their video
    assert len(videos[0]) == 4


def test_a_frame_that_is_sure_of_one_class_votes_too() -> None:
    scripted = ScriptedPredictor(votes(0.5, 1.0, 0.2))
    report = evaluate(as_predictor(scripted), videos_of((0, [truth(i, [0], None) for i in range(3)]))).report()
    assert (report["video_accuracy"], report["videos"]) == (1.0, 1)


def test_videos_whose_frames_have_actions_of_their_own_do_not_vote() -> None:
    videos = videos_of((-1, [truth(0, [0], None), truth(1, [0], 1)]))
    report = evaluate(as_predictor(ScriptedPredictor(votes(1.0, 1.0))), videos).report()
    assert "video_accuracy" not in report
    assert (report["videos"], report["videos_without_vote"]) == (0, [])
    assert report["supports"]["action"] == {"walk": 0, "sit": 1}


def test_segments_are_scored_exactly_and_as_published() -> None:
    frames = [truth(index, [0], action) for index, action in enumerate([0, 0, None, 0, 1])]
    given = [answer(count, [0], action=0, segment=segment) for count, segment in enumerate([1, 0, 0, 1, 1], start=1)]
    report = evaluate(as_predictor(ScriptedPredictor(list(given))), [Script(frames)]).report()
    # From the second frame: walk, none, walk, sit against walk, sit. Sit is found with an IoU of 1/2; ended one frame
    # early, the true sit is empty.
    assert report["segments"] == pytest.approx(
        {"accuracy": 200 / 3, "edit": 200 / 3, "f1_10": 80, "f1_25": 80, "f1_50": 80}
    )
    assert report["segments_compat"] == pytest.approx(
        {"accuracy": 200 / 3, "edit": 200 / 3, "f1_10": 40, "f1_25": 40, "f1_50": 40}
    )


def test_absent_classes_are_left_out_or_count_as_zero() -> None:
    scripted = ScriptedPredictor([answer(1, [0, 1, 1, 2], action=0, segment=0)])
    report = evaluate(as_predictor(scripted), [Script([truth(0, [0, 0, 1, 1], None)])]).report()
    assert report["segmentation_miou_present"] == pytest.approx((1 / 2 + 1 / 3) / 2, abs=5e-5)
    assert report["segmentation_miou_absent_as_zero"] == pytest.approx((1 / 2 + 1 / 3) / 3, abs=5e-5)


def metadata(heads: dict[str, tuple[ClassInfo, ...]], features: tuple[str, ...] = ()) -> AdapterMetadata:
    sizes = {task: len(classes) for task, classes in heads.items()}
    network = preset("tiny", groups=16, group_size=8, window=5, heads=sizes, features=features)
    return AdapterMetadata(
        name="small",
        network=network,
        sampling=SamplingConfig(points=128, scale_m=2.0),
        heads=heads,
        frame_period_s=0.1,
        backbone="small_backbone",
    )


def small_bundle(folder: Path, heads: dict[str, tuple[ClassInfo, ...]], features: tuple[str, ...] = ()) -> Path:
    torch.manual_seed(0)
    content = metadata(heads, features)
    return save_bundle(folder, PointATA(content.network), content)


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
    assert {"action_accuracy", "segments_accuracy", "segmentation_miou_present"} <= set(report)
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


@pytest.mark.parametrize(
    ("choice", "stated", "chosen", "supports"),
    [
        ([], "split test", [2], {"sit": 2, "wave": 0}),  # of wave, wave, none, sit, sit
        (["--split", "train"], "split train", [0, 1], {"sit": 2, "wave": 2}),
        (["--subjects", "bob", "ann"], "subjects bob ann", [0, 1, 2], {"sit": 4, "wave": 2}),
    ],
)
def test_a_data_set_is_measured_by_split_or_by_subjects(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    choice: list[str],
    stated: str,
    chosen: list[int],
    supports: dict[str, int],
) -> None:
    root, figures = write_set(tmp_path / "set"), tmp_path / "figures.json"
    bundle = small_bundle(tmp_path, OWN_HEADS, ("intensity",))
    source = f"recordings:{root}"
    rest = ["--device", "cpu", "--threads", "1", "--json", str(figures), "--state-score", str(tmp_path / "scored")]
    assert main(["evaluate", str(bundle), source, *choice, *rest]) == 0
    report, shown = json.loads(figures.read_text()), " ".join(capsys.readouterr().out.split())

    assert report["supports"]["action"] == report["supports"]["segments"] == supports
    predictor = Predictor(*load_bundle(str(bundle)))  # once more, by hand
    action, semantic, right = np.zeros((2, 3), int), np.zeros((2, 3), int), []
    for video in (own_recordings(root).videos[number] for number in chosen):
        predictor.reset()
        total = np.zeros(2)
        for index, item in enumerate(frames_of(video)):
            given = predictor.step(item.frame)
            assert given.action is not None
            assert given.semantic is not None
            assert item.labels is not None
            for true, label in zip(item.labels, given.semantic.labels, strict=True):
                if true != UNLABELLED:
                    semantic[true, min(label, 2)] += 1
            if index >= 3:  # min_frames is 4
                total += given.action.scores
                assert item.action is not None
                action[item.action, given.action.class_id] += 1
        if video.action >= 0:
            right.append(total.argmax() == video.action)
    assert report["confusion"]["action"] == action.tolist()
    assert report["confusion"]["semantic"] == semantic.tolist()
    assert (report["frames"], report["rejected"], report["videos"]) == (5 * len(chosen), [], len(right))
    assert report.get("video_accuracy") == (np.mean(right) if right else None)
    assert ("video_accuracy" in shown) == bool(right)
    assert f"action segments, percent: accuracy {report['segments']['accuracy']:.1f}, edit" in shown
    compat = f"f1_50 {report['segments_compat']['f1_50']:.1f}"
    assert compat in shown.split("as HOI4D's script counts")[1].split("as published tables")[0]
    stored = load_bundle(str(tmp_path / "scored" / bundle.name))[1]
    assert stored.scored_on == (f"{source} ({stated})",)
    assert set(stored.score) == {"action_accuracy", "segments_accuracy", "segmentation_miou_present"}


@pytest.mark.parametrize(
    ("source", "is_set"),
    [
        ("recordings:x", True),
        ("mars:x?video=y", True),
        ("sim:room?seed=0", False),
        ("sim:room", False),
        ("sim:room?recordings=2", True),
        ("a/b:c", False),
        ("walk.mcap", False),
        ("bag:walk.mcap", False),
    ],
)
def test_a_data_set_is_told_from_a_recording(source: str, is_set: bool) -> None:
    assert names_dataset(source) == is_set


def test_a_file_with_a_colon_in_its_name_is_a_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("run:3.npz").touch()
    assert not names_dataset("run:3.npz")


SET_ERRORS: list[tuple[str, Choice, str]] = [
    ("record:set", Choice(), "record:set: there is no format record; did you mean recordings?"),
    ("recordings:nowhere", Choice(), "nowhere does not exist; recordings needs a folder"),
    ("recordings:set", Choice("val"), "no video in the split val; it has videos in train (2), test (1), of the subj"),
    ("recordings:set", Choice(subjects=("bob", "eve")), "data set set has no subject eve; it has videos in train (2)"),
]


@pytest.mark.parametrize(("source", "choice", "sentence"), SET_ERRORS)
def test_a_data_set_without_such_videos_says_what_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, choice: Choice, sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_set(Path("set"))
    with pytest.raises(PointataError, match=re.escape(sentence)):
        open_sources([source], choice, metadata(OWN_HEADS))


@pytest.mark.parametrize(
    ("heads", "features", "sentence"),
    [
        (OWN_HEADS, ("doppler",), "the point channel doppler, which data set set does not have; it has: intensity"),
        ({"semantic": THINGS[:2]}, (), "data set set has labels for: action, segments; the bundle predicts semantic"),
    ],
)
def test_a_set_that_does_not_fit_the_bundle_is_refused(
    tmp_path: Path, heads: dict[str, tuple[ClassInfo, ...]], features: tuple[str, ...], sentence: str
) -> None:
    root = edit(write_set(tmp_path / "set"), ("point_classes: [floor, person]\n", ""))
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        open_sources([f"recordings:{root}"], Choice(), metadata(heads, features))


def test_a_set_without_labels_is_refused_with_what_to_do(tmp_path: Path) -> None:
    sweeps = tmp_path / "drive" / "velodyne_points" / "data"
    sweeps.mkdir(parents=True)
    np.ones((3, 4), dtype="<f4").tofile(sweeps / "0000000000.bin")
    with pytest.raises(ConfigError, match=r"has no labels, .* give the path of one of its recordings, without a name"):
        open_sources([f"kitti-raw:{tmp_path}"], Choice(), metadata(OWN_HEADS))
    (recording,) = open_sources([str(tmp_path / "drive")], Choice(), metadata(OWN_HEADS))
    assert len(list(recording)) == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["set/a", "--split", "test"], "--split and --subjects choose videos of a data set, but no source is one"),
        (["sim:room", "--subjects", "ann"], "--split and --subjects choose videos of a data set, but no source is one"),
        (["recordings:set", "--json", "set"], "--json set is a folder; give a file, as set/figures.json"),
        (["recordings:set", "--json", "set/c.npz/x.json"], "set/c.npz cannot be a folder for results"),
        (["recordings:set", "--json", "set/c.npz"], "no bundle 'none'"),
        (["recordings:set", "--json", "new/x.json"], "no bundle 'none'"),
        (["recordings:set", "--state-score", "set/c.npz"], "set/c.npz cannot be a folder for results"),
    ],
)
def test_what_cannot_be_done_is_a_sentence_before_the_bundle_is_loaded(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_set(Path("set"))
    assert main(["evaluate", "none", *arguments]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"pointata evaluate: {sentence}")
    assert "Traceback" not in error
