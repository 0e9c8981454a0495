"""Folders of own recordings: what is written comes back, as Dataset says it."""

import pickle
import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from own_folder import MANIFEST, PERIOD_NS, arrays, edit, frames_of, write_clip, write_folder, write_set

from pointata import DataError
from pointata.bundles.bundle import read_metadata
from pointata.classes import ClassInfo
from pointata.data.formats.own_recordings import own_recordings
from pointata.errors import ConfigError
from pointata.evaluation.sources import Choice, open_sources
from pointata.geometry.rigid import rigid
from pointata.preprocessing.sampling import SamplingConfig
from pointata.training.augmentation import Augmentation
from pointata.training.clips import ClipSettings
from pointata.training.recording_cache import _fingerprint
from pointata.training.video_clips import DataSettings, VideoClips

T_WORLD_SENSOR = rigid(np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]), np.array([1.0, 2.0, 3.0]))


PLAIN: dict[str, Any] = {"clips": ClipSettings(dense_frames=1), "augmentation": Augmentation(mirror=False)}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder of `write_set`."""
    return write_set(tmp_path)


def test_a_set_says_what_its_manifest_says(root: Path) -> None:
    videos = own_recordings(root)
    assert videos.name == root.name
    assert videos.frame_period_s == pytest.approx(0.1)
    assert videos.features == ("intensity",)
    assert videos.mirrored is None
    assert list(videos.heads) == ["action", "segments", "semantic"]
    assert [(c.id, c.name) for c in videos.heads["semantic"]] == [(0, "floor"), (1, "person")]
    assert videos.heads["action"] == videos.heads["segments"]
    assert videos.heads["action"][1] == ClassInfo(1, "wave", (1, 2, 3))
    assert [(v.name, v.subject, v.split, v.action) for v in videos.videos] == [
        ("a", "ann", "train", 0), ("b", "ann", "train", 1), ("c.npz", "bob", "test", -1),
    ]  # fmt: skip


@pytest.mark.parametrize("video", [0, 2], ids=["folder", "clip"])
def test_frames_come_back_bit_by_bit(root: Path, video: int) -> None:
    items = frames_of(own_recordings(root).videos[video])
    assert len(items) == 5
    for index, item in enumerate(items):
        written = arrays(index)
        np.testing.assert_array_equal(item.frame.points, written["points"])
        np.testing.assert_array_equal(item.frame.features["intensity"], written["intensity"])
        np.testing.assert_array_equal(item.labels, written["labels"])
        assert item.frame.stamp_ns == 10**18 + index * PERIOD_NS
        np.testing.assert_array_equal(item.frame.T_world_sensor, np.eye(4))


def test_segments_hold_from_their_beginning_to_just_before_their_end(root: Path) -> None:
    segmented = own_recordings(root).videos[2]
    assert [item.action for item in frames_of(segmented)] == [1, 1, None, 0, 0]
    assert [item.action for item in frames_of(own_recordings(root).videos[1])] == [1] * 5


def test_only_actions_or_only_points(root: Path) -> None:
    without_segments = re.sub(r"\n    action:\n.*\n.*", "", MANIFEST)
    points_only = re.sub(r"actions: .*\n|action: \w+, ", "", without_segments)
    (root / "manifest.yaml").write_text(points_only)
    videos = own_recordings(root)
    assert list(videos.heads) == ["semantic"]
    assert {item.action for video in videos.videos for item in frames_of(video)} == {None}
    (root / "manifest.yaml").write_text(MANIFEST.replace("point_classes: [floor, person]\n", ""))
    videos = own_recordings(root)
    assert list(videos.heads) == ["action", "segments"]
    assert frames_of(videos.videos[0])[0].labels is None


def test_seconds_poses_padding_and_sparse_labels(root: Path) -> None:
    np.savez(root / "a" / "0002.npz", **arrays(2, labels=None))
    points = np.stack([arrays(index)["points"] for index in range(5)])
    points[1, 2:] = np.nan
    write_clip(root / "c.npz", points=points, stamp_ns=None, stamp=1.7e9 + 0.1 * np.arange(5),
               T_world_sensor=np.tile(T_WORLD_SENSOR, (5, 1, 1)))  # fmt: skip
    videos = own_recordings(root).videos
    assert [item.labels is None for item in frames_of(videos[0])] == [False, False, True, False, False]
    item = frames_of(videos[2])[1]
    assert item.frame.stamp_ns == pytest.approx(1.7e18 + 1e8, abs=1000)
    np.testing.assert_array_equal(item.frame.T_world_sensor, T_WORLD_SENSOR)
    assert (len(item.frame.points), item.frame.source_count) == (2, 6)
    np.testing.assert_array_equal(item.labels, arrays(1)["labels"][:2])


def test_labels_beside_a_recording(root: Path) -> None:
    (root / "labels").mkdir()
    for index in range(5):
        np.save(root / "labels" / f"{index}.npy", np.full(6, index % 2, np.int32))
    edit(root, ("{path: a,", "{path: a, labels: labels,"))
    items = frames_of(own_recordings(root).videos[0])
    assert [item.labels.tolist() for item in items if item.labels is not None] == [[i % 2] * 6 for i in range(5)]


def test_sources_are_picklable_and_change_with_the_files(root: Path) -> None:
    before = own_recordings(root)
    for video in before.videos:
        assert isinstance(video.source, partial)
        assert len(list(pickle.loads(pickle.dumps(video.source))())) == 5
    sampling = SamplingConfig()
    names = [_fingerprint(video.source, sampling, ()) for video in before.videos]
    assert [_fingerprint(video.source, sampling, ()) for video in own_recordings(root).videos] == names
    np.savez(root / "a" / "0005.npz", **arrays(5))
    after = [_fingerprint(video.source, sampling, ()) for video in own_recordings(root).videos]
    assert [now != then for now, then in zip(after, names, strict=True)] == [True, False, False]


def test_names_that_yaml_takes_for_something_else_stay_names(root: Path) -> None:
    edit(root, ("actions: [sit,", "actions: [on,"), ("path: a, action: sit", "path: a, action: on"),
         ("to: 9, action: sit", "to: 9, action: on"), ("subject: bob", "subject: 01"))  # fmt: skip
    videos = own_recordings(root)
    assert videos.heads["action"][0].name == "on"
    assert videos.videos[2].subject == "01"


def test_mirror_names_both_directions(root: Path) -> None:
    assert own_recordings(edit(root, ("recordings:", "mirror: {sit: wave}\nrecordings:"))).mirrored == {0: 1, 1: 0}
    assert own_recordings(edit(root, ("mirror: {sit: wave}", "mirror: {}"))).mirrored == {}


@pytest.mark.parametrize(
    ("subjects", "expected"),
    [
        ("ab", "train test"),
        ("abc", "train val test"),
        ("cbac", "train val test train"),
        ("abcde", "train train train val test"),
        ("abcdefghij", "train train train train train train val val test test"),
    ],
)
def test_without_splits_subjects_are_divided_in_order(tmp_path: Path, subjects: str, expected: str) -> None:
    lines = ["rate_hz: 10", "actions: [sit]", "recordings:"]
    for index, subject in enumerate(subjects):
        write_folder(tmp_path / f"r{index}", frames=2)
        lines.append(f"  - {{path: r{index}, action: sit, subject: {subject}}}")
    (tmp_path / "manifest.yaml").write_text("\n".join(lines))
    assert [video.split for video in own_recordings(tmp_path).videos] == expected.split()


def test_an_action_that_is_never_trained_is_reported(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    own_recordings(root)
    assert not caplog.messages
    own_recordings(edit(root, ("actions: [sit,", "actions: [sit, jump,")))
    assert "no training recording shows jump" in caplog.text


def test_other_layouts_stand_in_the_manifest(tmp_path: Path) -> None:
    drive = tmp_path / "drive" / "velodyne_points" / "data"
    drive.mkdir(parents=True)
    sweeps = [np.random.default_rng(index).random((4, 4)).astype("<f4") for index in range(3)]
    for index, sweep in enumerate(sweeps):
        sweep.tofile(drive / f"{index:010d}.bin")
    recording = "{path: drive, action: drive, split: train}"
    manifest = f"rate_hz: 10\nactions: [drive]\nfeatures: [intensity]\nrecordings: [{recording}]"
    (tmp_path / "manifest.yaml").write_text(manifest)
    items = frames_of(own_recordings(tmp_path).videos[0])
    for item, sweep in zip(items, sweeps, strict=True):
        np.testing.assert_array_equal(item.frame.points, sweep[:, :3])
        np.testing.assert_array_equal(item.frame.features["intensity"], sweep[:, 3])
        assert item.action == 0
    (tmp_path / "manifest.yaml").write_text(manifest.replace("[intensity]", "[doppler]"))
    with pytest.raises(DataError, match=r"line 4 \(recordings\[0\]\): drive has no feature doppler; it has: intensity"):
        own_recordings(tmp_path)


def test_recordings_that_only_test_are_a_set(root: Path) -> None:
    """To be measured, not to be trained on: that is refused when it is asked for."""
    text = (root / "manifest.yaml").read_text()
    (root / "manifest.yaml").write_text(text.replace("split: train", "split: test"))
    videos = own_recordings(root)
    assert {video.split for video in videos.videos} == {"test"}
    recordings = open_sources([f"recordings:{root}"], Choice(), read_metadata("sim_room"))
    assert [recording.name for recording in recordings] == ["a", "b", "c.npz"]
    with pytest.raises(ConfigError, match="leaves 0 videos to train and 3 to validate on"):
        VideoClips(DataSettings(f"recordings:{root}", **PLAIN))


@pytest.mark.parametrize(("wanted", "used", "words"), [(None, ("intensity",), ""), ((), (), "not used.*intensity")])
def test_the_features_of_the_manifest_are_used_or_their_disuse_is_said(
    root: Path, caplog: pytest.LogCaptureFixture, wanted: "tuple[str, ...] | None", used: tuple[str, ...], words: str
) -> None:
    caplog.set_level("INFO")
    clips = VideoClips(DataSettings(f"recordings:{root}", features=wanted, **PLAIN))
    assert clips.description.features == used
    assert re.search(words, caplog.text)
    assert bool(words) == ("not used" in caplog.text)


def test_a_recording_that_cannot_be_sampled_is_named(root: Path, tmp_path: Path) -> None:
    sampling = SamplingConfig(points=4, max_range_m=1e-9)
    settings = DataSettings(f"recordings:{root}", sampling=sampling, cache=tmp_path / "cache", workers=0, **PLAIN)
    clips = VideoClips(settings)
    with pytest.raises(DataError) as caught:
        clips.prepare_data()
    assert str(caught.value).startswith(f"{root / 'a'}: no frame of the recording has")
