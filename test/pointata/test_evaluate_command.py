"""`pointata evaluate` with real bundles: what it shows, what it warns of, how it ends."""

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bundle_surgery import SHIPPED
from own_folder import write_set

from pointata.bundles.bundle import load_bundle, read_metadata
from pointata.cli import main
from pointata.data.dataset import VideoRecording
from pointata.data.formats.own_recordings import own_recordings
from pointata.data.open import open_recording
from pointata.data.recording import Origin
from pointata.evaluation.caveats import caveats
from pointata.evaluation.display import FrameCount
from pointata.evaluation.offline import Part
from pointata.evaluation.score import reasons
from pointata.evaluation.training_overlap import TrainedOn
from pointata.inference.predictor import Predictor
from pointata.training.split import _listed

CPU = ["--device", "cpu", "--threads", "1"]


def radar_clip(file: Path, frames: int = 30, rate_hz: float = 10.0, empty: tuple[int, ...] = ()) -> Path:
    """A clip that mars_actions takes; the frames in `empty` have no point."""
    rng = np.random.default_rng(0)
    points = rng.normal((1.9, 0, 0.3), 0.4, (frames, 40, 3)).astype(np.float32)
    points[list(empty)] = np.nan
    stamps = (np.arange(frames) * 1e9 / rate_hz).astype(np.int64)
    np.savez(file, points=points, stamp_ns=stamps, doppler=rng.normal(0, 0.5, (frames, 40)).astype(np.float32))
    return file


def radar_file(folder: Path, subject: int, movement: int, frames: int = 40) -> Path:
    """A recording of MARS's format."""
    h5py = pytest.importorskip("h5py", reason="MARS's files need h5py (pip install 'pointata[recordings]')")
    folder = folder / f"subject{subject}"
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(subject)
    count = 20 * frames
    number = np.repeat(np.arange(frames), 20)
    x, y, z, doppler = rng.normal(0, 0.4, (4, count)) + np.array([[0], [1.9], [0.3], [0]])
    columns = np.stack([number, np.zeros(count), x, y, z, doppler, np.ones(count), 1.6e9 + number / 10])
    with h5py.File(folder / f"radar_data{movement}.mat", "w") as file:
        file["radar_data_cropped"] = columns
    return folder / f"radar_data{movement}.mat"


def shown(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def test_the_headline_comes_first_and_absent_classes_are_dashes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = tmp_path / "figures.json"
    file = radar_file(tmp_path, subject=4, movement=6)
    assert main(["evaluate", "mars_actions", str(file), *CPU, "--json", str(figures)]) == 0
    lines = shown(capsys)
    report = json.loads(figures.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert lines[0] == (
        f"40 frames, 0 rejected: action_accuracy {report['action_accuracy']:.3f}, "
        f"window_accuracy {report['window_accuracy']:.3f}, action_unknown {report['action_unknown']:.3f}"
    )
    text = "\n".join(lines)
    assert "nan" not in text
    assert re.search(r"action +│ squat +│ 37 ", text)
    assert re.search(r"action +│ left front lunge +│ 0 +│ - ", text)
    assert "window_accuracy: share of the windows" in text


def test_window_accuracy_is_that_of_the_predictors_own_probabilities(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    files = [radar_file(tmp_path, subject=4, movement=movement, frames=60) for movement in (3, 6)]
    assert main(["evaluate", "mars_actions", *map(str, files), *CPU, "--json", str(figures)]) == 0
    report = json.loads(figures.read_text())
    predictor = Predictor(*load_bundle("mars_actions"))
    assert report["window_frames"] == predictor.metadata.window_frames == 24
    right = []
    for file in files:
        predictor.reset()
        recording = open_recording(file, ("doppler",))
        scores = [predictor.step(item.frame).action for item in recording]
        rows = np.stack([one.scores for one in scores if one is not None])[3:]  # min_frames is 4
        for window in (rows[:24], rows[24:48]):  # of the 57, 9 are less than half a window
            right.append(window.sum(axis=0).argmax() == recording.action)
    assert (report["windows"], report["window_accuracy"]) == (4, np.mean(right))


def test_rejected_frames_are_listed_by_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = radar_clip(tmp_path / "clip.npz", frames=12, empty=(2, 5, 6))
    assert main(["evaluate", "mars_actions", str(clip), *CPU]) == 0
    lines = shown(capsys)
    assert lines[0].startswith("9 frames, 3 rejected: ")
    (rejected,) = (line for line in lines if line.startswith("rejected"))
    assert rejected.startswith("rejected 3: frame at 200000000 ns has no finite point within range")


def test_a_recording_of_rejected_frames_only_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip, figures = radar_clip(tmp_path / "clip.npz", frames=6, empty=tuple(range(6))), tmp_path / "figures.json"
    assert main(["evaluate", "mars_actions", str(clip), *CPU, "--json", str(figures)]) == 1
    output = capsys.readouterr()
    assert "\nrejected 6: " in output.out
    assert output.err == (
        "pointata evaluate: nothing was measured: all 6 frames were rejected, for the reasons above\n"
    )
    assert len(json.loads(figures.read_text())["rejected"]) == 6


def test_reasons_are_told_apart_by_their_words() -> None:
    given = ["frame at 1 ns: 3.5 m", "no field", "frame at 2 ns: 4 m", "frame at 3 ns: 0.25 m"]
    assert reasons(given) == [("frame at 1 ns: 3.5 m", 3), ("no field", 1)]


def test_a_part_of_each_recording_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clips = [radar_clip(tmp_path / f"{n}.npz", frames=n) for n in (12, 8)]
    figures = tmp_path / "figures.json"
    given = ["evaluate", "mars_actions", *map(str, clips), *CPU, "--json", str(figures)]
    for part, frames in (([], 20), (["--frames=5"], 10), (["--start=9"], 3), (["--start=6", "--frames=4"], 6)):
        assert main([*given, *part]) == 0
        assert json.loads(figures.read_text())["frames"] == frames
    capsys.readouterr()
    assert main([*given, "--start=12"]) == 1
    assert capsys.readouterr().err.endswith("no recording has a frame after its first 12 (--start)\n")
    assert main([*given, "--frames=0"]) == 2
    assert "--frames: must be a whole number of at least 1, not '0'" in capsys.readouterr().err


def test_one_topic_of_a_bag_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bags: Any = pytest.importorskip("rosbags.rosbag2", reason="bags need rosbags (pip install 'pointata[recordings]')")
    import test_recordings_bag as recorded

    bag = tmp_path / "bag"
    with bags.Writer(bag, version=9) as writer:
        for topic, frames in (("/front", 3), ("/rear", 5)):
            connection = writer.add_connection(topic, "sensor_msgs/msg/PointCloud2", typestore=recorded.STORE)
            for index in range(frames):
                stamp = recorded.START_NS + index * recorded.PERIOD_NS
                cloud = recorded.cloud(index, stamp)
                writer.write(connection, stamp, recorded.STORE.serialize_cdr(cloud, "sensor_msgs/msg/PointCloud2"))
    for topic, frames in (("/front", 3), ("/rear", 5)):
        assert main(["evaluate", "sim_street", str(bag), *CPU, "--topic", topic]) == 0
        assert shown(capsys)[0].startswith(f"{frames} frames, 0 rejected")
    assert main(["evaluate", "sim_street", str(bag), *CPU]) == 1
    assert "/front, /rear" in capsys.readouterr().err
    clip = radar_clip(tmp_path / "clip.npz", frames=5)
    assert main(["evaluate", "mars_actions", str(clip), *CPU, "--topic", "/front"]) == 1
    assert "--topic /front chooses clouds of a bag, but no source is one" in capsys.readouterr().err


def warnings_of(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> list[str]:
    assert main(["evaluate", *arguments, *CPU]) == 0
    return [line.removeprefix("warning: ") for line in shown(capsys) if line.startswith("warning: ")]


def test_a_subject_that_the_bundle_was_trained_on_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trained, held_out = (str(radar_file(tmp_path, subject, movement=2)) for subject in (2, 4))
    assert warnings_of(["mars_actions", held_out], capsys) == []
    (warning,) = warnings_of(["mars_actions", held_out, trained], capsys)
    assert warning == (
        "1 of 2 recordings (mars_subject2_radar_data2) show what the bundle was trained on (subject 2): no test of it"
    )
    (same,) = warnings_of(["mars_actions", f"mars:{tmp_path}", "--subjects", "2"], capsys)
    assert "(subject2_radar_data2) show what the bundle was trained on (subject 2)" in same
    assert warnings_of(["mars_actions", f"mars:{tmp_path}", "--subjects", "4"], capsys) == []


@pytest.mark.parametrize(
    ("origin", "trained"),
    [
        (Origin("simulated_room", "room_train_139", "room_train_139"), True),  # it was trained on 140
        (Origin("simulated_room", "room_train_140", "room_train_140"), False),
        (Origin("simulated_room", "room_test_3", "room_test_3"), False),
        (Origin("simulated_street", "street_train_3", "street_train_3"), False),
    ],
)
def test_scenes_of_the_simulator_are_told_by_their_seed(origin: Origin, trained: bool) -> None:
    recording = open_clip_of(origin)
    assert bool(TrainedOn.of(read_metadata("sim_room").training).overlap(recording)) == trained


def test_a_simulated_bundle_is_not_to_be_believed_on_real_recordings() -> None:
    bundle = read_metadata("sim_room")
    scene = open_clip_of(Origin("simulated_room", "room_test_1", simulated=True))
    assert caveats(bundle, [scene], {}) == []
    (warning,) = caveats(bundle, [scene, open_clip_of(None, "office")], {})
    assert warning == "the bundle was trained on simulated data only: do not rely on its results for office"


def open_clip_of(origin: Origin | None, name: str = "clip") -> Any:
    return type("Stub", (), {"origin": origin, "name": name})()


def test_the_simulator_says_which_recording_it_shows() -> None:
    pytest.importorskip("open3d", reason="the simulator casts its rays with open3d (pip install open3d)")
    from pointata.data.formats.simulation import simulated

    assert open_recording("sim:room?seed=3&frames=5").origin == Origin(
        "simulated_room", "room_train_3", "room_train_3", simulated=True
    )
    names = {video.name for video in simulated("street", 4, 5, 0, 2).videos}
    for spec in ("sim:street?seed=3", "sim:street?seed=1&split=test"):
        origin = open_recording(spec).origin
        assert origin is not None
        assert origin.video in names


def test_a_training_names_what_it_trained_on(tmp_path: Path) -> None:
    videos = pytest.importorskip(
        "pointata.training.video_clips", reason="training needs lightning (pip install lightning)"
    )
    settings = {"tasks": ["action"], "augmentation": videos.Augmentation(mirror=False)}
    root = write_set(tmp_path / "set")
    known = own_recordings(root)
    data = videos.VideoClips(videos.DataSettings(f"recordings:{root}", **settings))
    assert data.description.provenance["trained_on"] == {"videos": ["a", "b"], "subjects": ["ann"]}
    trained = TrainedOn.of(json.loads(json.dumps(data.description.provenance)))
    overlaps = [trained.overlap(VideoRecording(video, known)) for video in known.videos]
    assert overlaps == ["recording a", "recording b", ""]
    assert trained.overlap(open_clip_of(None, "b")) == "a recording named b"
    assert trained.overlap(open_clip_of(None, "c")) == ""
    assert trained.overlap(open_clip_of(Origin("another", "a", "ann"))) == ""
    heads = TrainedOn.of({"data": "set", "trained_on": {}, "frame_heads": data.description.provenance})
    assert heads.overlap(open_clip_of(Origin("set", "new", "ann"))) == "subject ann"
    held_out = videos.VideoClips(videos.DataSettings(f"recordings:{root}", held_out=["ann"], **settings))
    assert held_out.description.provenance["trained_on"] == {"videos": ["c.npz"], "subjects": ["bob"]}
    assert TrainedOn.of(held_out.description.provenance).overlap(open_clip_of(None, "c")) == "a recording named c"


def test_names_in_a_bundle_are_bounded() -> None:
    assert _listed(["x", "y", "x"]) == ["x", "y"]
    assert _listed(f"video number {number:07}" for number in range(2000)) == []


@pytest.mark.parametrize(("rate_hz", "told"), [(10.0, False), (13.0, False), (14.0, True), (7.0, True), (30.0, False)])
def test_another_frame_rate_than_the_bundles_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rate_hz: float, told: bool
) -> None:
    clip = radar_clip(tmp_path / "clip.npz", frames=60, rate_hz=rate_hz)  # at 30 Hz it takes every third
    found = warnings_of(["mars_actions", str(clip)], capsys)
    if not told:
        assert found == []
        return
    (warning,) = found
    assert warning.startswith(f"clip came at {rate_hz:.3g} frames a second, the bundle was trained at 10: ")


def test_many_recordings_are_named_briefly() -> None:
    rates = {f"r{number}": 30.0 + number for number in range(9)}
    (warning,) = caveats(read_metadata("mars_actions"), [], rates)
    assert warning.startswith("r0, r1, r2 and 6 more came at 30 to 38 frames a second")


def test_frames_to_come_are_counted_or_guessed(tmp_path: Path) -> None:
    clips = [open_recording(radar_clip(tmp_path / f"{n}.npz", frames=n)) for n in (12, 8)]
    assert FrameCount(clips, Part()).total == 20
    assert FrameCount(clips, Part(start=9, count=2)).total == 2
    known = own_recordings(write_set(tmp_path / "set"))
    count = FrameCount([VideoRecording(video, known) for video in known.videos], Part())
    assert count.total is None
    for frames in (5, 7):
        count.begin()
        count.done += frames
    assert count.total == 15  # one of 5 is through: three such, at least
    count.begin()
    assert count.total == 18


def in_a_terminal(arguments: list[str], until: str, folder: Path) -> tuple[int, str]:
    """Run `pointata` in a terminal until a text shows, press Ctrl-C there; exit code and all that was shown."""
    # tests that run in the background of a shell inherit from it that Ctrl-C is ignored
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from pointata.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "200"}
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder,
        env=environment, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    text, deadline, pressed = "", time.monotonic() + 120, False
    try:
        while time.monotonic() < deadline:
            try:
                text += os.read(ours, 4096).decode(errors="replace")
            except OSError:  # the other end is closed
                break
            if not pressed and re.search(until, text):
                pressed = True
                process.send_signal(signal.SIGINT)
        return process.wait(timeout=60), text
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def test_ctrl_c_ends_in_a_sentence_with_the_figures_so_far(tmp_path: Path) -> None:
    radar_clip(tmp_path / "long.npz", frames=20_000)
    given = ["evaluate", "mars_actions", "long.npz", *CPU, "--json", "figures.json"]
    code, raw = in_a_terminal(given, r"[1-9]\d*/20000", tmp_path)
    text = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", raw)  # colours and movements of the cursor
    assert code == 130
    assert re.search(r"/20000 frames, .* left, +[\d.]+ ms a frame long", text)
    figures = re.search(r"\n?(\d+) frames, 0 rejected: no ground truth to score", text)
    assert figures is not None
    assert 0 < int(figures[1]) < 20_000
    assert "partial: stopped before the end" in text
    last = text.strip().splitlines()[-1]
    assert last.startswith("pointata evaluate: stopped by Ctrl-C; the figures above are those of the frames so far")
    assert "Traceback" not in text
    assert not (tmp_path / "figures.json").exists()


def test_nothing_but_figures_is_printed_where_there_is_no_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = radar_clip(tmp_path / "clip.npz", frames=12)
    assert main(["evaluate", "mars_actions", str(clip), *CPU]) == 0
    output = capsys.readouterr()
    assert output.out == "12 frames, 0 rejected: no ground truth to score\n"
    assert output.err == ""


def test_a_folder_with_another_backbone_is_refused_before_the_measurement(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip, scored = radar_clip(tmp_path / "clip.npz"), tmp_path / "scored"
    backbone = scored / f"{read_metadata('mars_actions').to_dict()['backbone']}.safetensors"
    scored.mkdir()
    shutil.copy(SHIPPED / "sim_street_backbone.safetensors", backbone)
    assert main(["evaluate", "mars_actions", str(clip), *CPU, f"--state-score={scored}"]) == 1
    shown = capsys.readouterr()
    assert "already holds another backbone" in shown.err
    assert shown.out == ""
    assert list(scored.iterdir()) == [backbone]
