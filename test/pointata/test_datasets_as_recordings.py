"""Every data set replays and evaluates like any recording: tiny sets in each format, one video of each by its name."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from dataset_checks import write_clouds, write_depth, write_hoi4d, write_synthia
from own_folder import write_set

from pointata import DataError
from pointata.bundles.adapter_metadata import AdapterMetadata
from pointata.cli import main
from pointata.data.dataset import Dataset, VideoRecording
from pointata.data.layout import dataset_layouts
from pointata.data.open import open_dataset, open_recording
from pointata.evaluation.offline import evaluate
from pointata.evaluation.sources import Choice, open_sources
from pointata.inference.predictor import Predictor
from pointata.model.config import preset
from pointata.model.pointata import PointATA
from pointata.preprocessing.sampling import SamplingConfig


def hoi4d(root: Path) -> None:
    write_hoi4d(root / "train1.h5", 1)
    write_hoi4d(root / "test1.h5", 1, first=2000)


def msr_action3d(root: Path) -> None:
    for name, start in (("a01_s01_e01", 2000), ("a03_s06_e02", 3000)):
        pixels = {(u, v): start + 10 * u + v for u in range(8) for v in range(6)}
        write_depth(root / f"{name}_sdepth.bin", [pixels, pixels, pixels])


def ntu_rgbd(root: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("S001C001P001R001A004", "S001C001P003R001A060"):
        write_clouds(
            root / f"{name}.npz", "data", [rng.normal([0, 0, 0.04], 0.005, (count, 3)) for count in range(9, 14)]
        )


def synthia4d(root: Path) -> None:
    for number in (7, 9, 11):
        write_synthia(root / f"SYNTHIA-SEQS-01-DAWN-{number:06d}.npz")
        write_synthia(root / f"SYNTHIA-SEQS-06-SPRING-{number:06d}.npz")


#: The writer of a set, a video of its test split, its frames, and whether it has poses.
SETS: dict[str, tuple[Callable[[Path], None], str, int, bool]] = {
    "hoi4d": (hoi4d, "test1_0000", 4, False),
    "msr-action3d": (msr_action3d, "a03_s06_e02", 3, False),
    "ntu-rgbd": (ntu_rgbd, "S001C001P003R001A060", 5, False),
    "synthia4d": (synthia4d, "SEQS-06-SPRING", 3, True),
}


def predictor(dataset: Dataset) -> Predictor:
    """A network that predicts what a set has labels for."""
    torch.manual_seed(0)
    sizes = {task: len(classes) for task, classes in dataset.heads.items()}
    network = preset("tiny", groups=8, group_size=4, window=3, heads=sizes)
    sampling = SamplingConfig(points=8, scale_m=2.0)
    metadata = AdapterMetadata(
        name="test",
        network=network,
        sampling=sampling,
        heads=dict(dataset.heads),
        frame_period_s=dataset.frame_period_s,
        backbone="none",
    )
    return Predictor(PointATA(network), metadata)


@pytest.mark.parametrize("name", SETS)
def test_a_video_is_a_recording_by_its_name(tmp_path: Path, name: str) -> None:
    write, video, frames, has_poses = SETS[name]
    write(tmp_path)
    dataset = open_dataset(f"{name}:{tmp_path}")
    with pytest.raises(DataError, match=r"has 2 videos \(.*\); name one, as in .*\?video="):
        open_recording(f"{name}:{tmp_path}")
    with pytest.raises(DataError, match="has no video zzz; it has "):
        open_recording(f"{name}:{tmp_path}?video=zzz")
    with pytest.raises(DataError, match=f"has no video {video}0; did you mean {video}?"):
        open_recording(f"{name}:{tmp_path}?video={video}0")
    recording = open_recording(f"{name}:{tmp_path}?video={video}")
    assert (recording.name, recording.rate_hz, recording.has_poses) == (video, 1 / dataset.frame_period_s, has_poses)
    assert recording.origin is not None
    assert (recording.origin.data_set, recording.origin.split) == (dataset.name, "test")
    expected = list(dataset.video(video).source())
    assert len(recording) == len(expected) == frames
    for items, start in ((list(recording), 0), (list(recording.frames(1, 1)), 1)):
        for item, other in zip(items, expected[start:], strict=start == 0):
            np.testing.assert_array_equal(item.frame.points, other.frame.points)
            assert (item.frame.stamp_ns, item.action) == (other.frame.stamp_ns, other.action)
    assert len(list(recording.frames(1, 1))) == 1


@pytest.mark.parametrize("name", SETS)
def test_a_video_is_measured_by_its_name_or_by_its_split(tmp_path: Path, name: str) -> None:
    write, video, frames, _ = SETS[name]
    write(tmp_path)
    runner = predictor(open_dataset(f"{name}:{tmp_path}"))
    reports = []
    for source in (f"{name}:{tmp_path}", f"{name}:{tmp_path}?video={video}"):
        recordings = open_sources([source], Choice("test"), runner.metadata)
        assert [recording.name for recording in recordings] == [video]
        score = evaluate(runner, recordings)
        assert (score.frames, score.rejected) == (frames, [])
        score.step_ms.clear()  # the one figure that differs from run to run
        reports.append(score.report())
    assert repr(reports[0]) == repr(reports[1]), "figures that are not there are not equal to themselves"
    (training,) = open_sources([f"{name}:{tmp_path}"], Choice("train"), runner.metadata)
    assert training.name != video


def test_the_sets_above_are_those_that_have_no_recordings_of_their_own() -> None:
    assert set(SETS) | {"mars", "kitti-raw", "semantic-kitti", "recordings", "sim"} == set(dataset_layouts())


def test_the_page_names_every_data_set() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
    table = page.split("| name | what it expects | heads |")[1].split("\n\n")[0]
    assert set(re.findall(r"^\| `([\w-]+)`", table, re.M)) == set(dataset_layouts())


def test_own_recordings_replay_at_the_rate_of_their_manifest(tmp_path: Path) -> None:
    root = write_set(tmp_path / "set")
    recording = open_recording(f"{root}?video=c.npz")
    assert isinstance(recording, VideoRecording)
    assert len(recording) == len(list(recording)) == 5
    assert [item.action for item in recording] == [1, 1, None, 0, 0]


def test_check_data_says_what_a_set_holds_and_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ntu_rgbd(tmp_path)
    assert main(["check-data", f"ntu-rgbd:{tmp_path}"]) == 0
    assert capsys.readouterr().out == (
        "ntu_rgbd: 2 videos (1 train, 1 test), 30 frames a second\n"
        "  labels: action (60 classes)\n  point channels: none\n"
    )
    (tmp_path / "S001C001P001R001A004.npz").write_bytes(b"no archive")
    assert main(["check-data", f"ntu-rgbd:{tmp_path}"]) == 1
    output = capsys.readouterr()
    assert "S001C001P001R001A004: " in output.out
    assert output.err == "pointata check-data: 1 of 2 videos cannot be used, for the reasons above\n"
