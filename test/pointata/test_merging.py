"""Clouds joined into frames: where their points land, what separates them, and on which points labels return."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from own_folder import edit, frames_of, write_clip, write_set
from scipy.spatial.transform import Rotation

from pointata import UNLABELLED, DataError, Frame
from pointata.bundles.adapter_metadata import AdapterMetadata
from pointata.bundles.bundle import read_metadata
from pointata.data.formats.own_recordings import own_recordings
from pointata.data.open import open_recording
from pointata.data.served import MAX_GAP_S, ServedRecording, served_frames
from pointata.errors import PointataError
from pointata.evaluation.sources import Choice, open_sources
from pointata.frame import LabelledFrame
from pointata.geometry.rigid import rigid
from pointata.inference.predictor import Predictor, PredictorOptions
from pointata.preprocessing.merging import RecentClouds, merge_frames, merge_labelled
from pointata.preprocessing.picking import FramePicker

MS = 1_000_000


def frame(number: int, points: int = 20, moving: bool = True) -> Frame:
    rng = np.random.default_rng(number)
    cloud = rng.uniform(-3, 3, (points, 3)).astype(np.float32)
    cloud[0] = np.nan
    pose = rigid(Rotation.from_euler("xyz", rng.uniform(-1, 1, 3)).as_matrix(), rng.uniform(-50, 50, 3))
    return Frame.from_points(
        cloud,
        stamp_ns=10**18 + number * 33 * MS,
        features={"doppler": rng.normal(size=points)},
        T_world_sensor=pose if moving else None,
        frame_id="radar",
    )


def in_world(points: NDArray[np.float32], T: NDArray[np.float64]) -> NDArray[np.float64]:
    result: NDArray[np.float64] = points.astype(np.float64) @ T[:3, :3].T + T[:3, 3]
    return result


def test_every_point_stays_where_it_is_in_the_world() -> None:
    frames = [frame(0, 20), frame(1, 3), frame(2, 30)]
    merged = merge_frames(frames)
    newest_first = frames[::-1]
    expected = np.concatenate([in_world(f.points, f.T_world_sensor) for f in newest_first])
    np.testing.assert_allclose(in_world(merged.points, merged.T_world_sensor), expected, atol=1e-4)
    assert merged.points.dtype == np.float32
    channels = np.concatenate([f.features["doppler"] for f in newest_first])
    np.testing.assert_array_equal(merged.features["doppler"], channels)


def test_a_merged_frame_is_its_newest_message() -> None:
    newest = frame(2, 30)
    merged = merge_frames([frame(0), frame(1), newest])
    assert (merged.own_count, merged.context_count) == (29, 38)
    np.testing.assert_array_equal(merged.points[:29], newest.points)  # to the bit
    for name in ("stamp_ns", "frame_id", "source_count"):
        assert getattr(merged, name) == getattr(newest, name)
    np.testing.assert_array_equal(merged.source_index, newest.source_index)
    assert merged.source_index.tolist() == list(range(1, 30))
    assert merge_frames([newest]) is newest


def test_a_sensor_that_stands_still_keeps_every_bit() -> None:
    frames = [frame(number, moving=False) for number in range(3)]
    merged = merge_frames(frames)
    np.testing.assert_array_equal(merged.points, np.concatenate([f.points for f in frames[::-1]]))


def test_a_channel_that_an_older_cloud_lacks_is_named() -> None:
    with pytest.raises(DataError, match="lack the point channel doppler"):
        merge_frames([replace(frame(0), features={}), frame(1)])


def test_labels_of_all_points_come_along() -> None:
    frames = [frame(number) for number in range(3)]
    items = [LabelledFrame(frames[0], np.full(19, 3, np.uint8)), LabelledFrame(frames[1])]
    items.append(LabelledFrame(frames[2], np.full(19, 5, np.uint8), action=1))
    merged = merge_labelled(items)
    assert merged.labels is not None
    assert merged.labels.tolist() == [5] * 19 + [UNLABELLED] * 19 + [3] * 19
    assert merged.action == 1
    assert merge_labelled([LabelledFrame(f) for f in frames]).labels is None
    items[0] = replace(items[0], other_labels={"task": np.full(19, 1, np.uint8)})
    merged = merge_labelled(items)
    assert merged.labels is not None
    assert merged.labels.tolist() == [5] * 19 + [UNLABELLED] * 19 + [3] * 19
    assert merged.point_labels["task"].tolist() == [UNLABELLED] * 38 + [1] * 19


@pytest.mark.parametrize(
    ("stamps_ms", "kinds", "joined"),
    [
        ([0, 33, 67, 100], "aaaa", [1, 2, 3, 3]),
        ([0, 0, 67, 67], "aaaa", [1, 2, 3, 3]),
        ([0, 33, 1033, 1034], "aaaa", [1, 2, 3, 3]),
        ([0, 33, 1034, 1067], "aaaa", [1, 2, 1, 2]),  # a gap
        ([1000, 1033, 1032, 1066], "aaaa", [1, 2, 1, 2]),  # a step back
        ([0, 33, 67, 100], "aabb", [1, 2, 1, 2]),  # another sensor frame or layout
    ],
)
def test_what_separates_clouds(stamps_ms: list[int], kinds: str, joined: list[int]) -> None:
    recent: RecentClouds[int] = RecentClouds(3, 1.0)
    found = [recent.add(i, stamps_ms[i] * MS, kinds[i]) for i in range(4)]
    assert [len(clouds) for clouds in found] == joined
    assert all(clouds == tuple(range(i - len(clouds) + 1, i + 1)) for i, clouds in enumerate(found))
    recent.clear()
    assert recent.add(9, 2000 * MS, "a") == (9,)


def pairs(count: int, hz: float = 30.0) -> NDArray[np.int64]:
    """Stamps of a radar that writes two clouds at a time, nanoseconds."""
    gaps = np.resize([0.0014, 2 / hz - 0.0014], count - 1)
    return 10**18 + np.rint(np.concatenate(([0], np.cumsum(gaps))) * 1e9).astype(np.int64)


def radar_clip(file: Path, count: int, points: int = 6) -> dict[str, NDArray[np.generic]]:
    """A clip of a sparse radar at 30 Hz, as own_folder writes it."""
    rng = np.random.default_rng(0)
    return write_clip(
        file,
        points=rng.normal(size=(count, points, 3)).astype(np.float32),
        stamp_ns=pairs(count),
        intensity=rng.random((count, points)).astype(np.float32),
        labels=rng.integers(0, 2, (count, points)).astype(np.uint8),
    )


def test_three_clouds_of_a_30_hz_radar_are_one_frame_of_a_10_hz_video(tmp_path: Path) -> None:
    written = radar_clip(tmp_path / "radar.npz", 61)
    recording = open_recording(tmp_path / "radar.npz", ("intensity",))
    items = list(served_frames(recording, FramePicker(0, 0.1), 3))
    newest = [int(np.flatnonzero(written["stamp_ns"] == item.frame.stamp_ns)[0]) for item in items]
    assert np.diff(newest[5:]).tolist() == [3] * (len(newest) - 6)
    for item, number in zip(items[1:], newest[1:], strict=True):
        joined = [number, number - 1, number - 2]
        np.testing.assert_array_equal(item.frame.points, np.concatenate(written["points"][joined]))
        np.testing.assert_array_equal(item.frame.features["intensity"], np.concatenate(written["intensity"][joined]))
        np.testing.assert_array_equal(item.labels, np.concatenate(written["labels"][joined]))
    served = ServedRecording(recording, 0.1, 3)
    assert len(served) == 21
    assert served.rate_hz == pytest.approx(10, rel=0.03)
    assert [item.frame.stamp_ns for item in served] == [item.frame.stamp_ns for item in items]


def test_offline_the_same_gap_separates_as_on_the_robot() -> None:
    assert PredictorOptions().max_gap_s == MAX_GAP_S


def test_a_manifest_merges(tmp_path: Path) -> None:
    radar_clip(write_set(tmp_path) / "c.npz", 61)
    videos = own_recordings(edit(tmp_path, ("frame_period_s: 0.1\n", "frame_period_s: 0.1\nmerge: 3\n")))
    assert videos.merge == 3
    counts = [len(item.frame.points) for item in frames_of(videos.videos[2])]
    assert counts == [6] + [18] * (len(counts) - 1)
    assert abs(len(counts) - 21) <= 1
    # frames of recordings at the manifest's own rate overlap: each is joined with the two before it
    assert [len(item.frame.points) for item in frames_of(videos.videos[0])] == [6, 12, 18, 18, 18]
    assert own_recordings(edit(tmp_path, ("merge: 3\n", ""))).merge == 1


def test_sparse_frames_that_are_left_out_could_be_merged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = write_set(tmp_path)
    caplog.set_level("INFO")
    own_recordings(root)
    assert "would join" not in caplog.text  # two of the three recordings are at the manifest's rate
    edit(root, ("frame_period_s: 0.1", "frame_period_s: 0.3"), ("{from: 0.0, to: 0.2", "{from: 0.0, to: 0.21"))
    own_recordings(root)
    assert "one frame in 3 is taken, of about 6 points: `merge: 3` would join them all" in caplog.text


@pytest.mark.parametrize("wrong", ["0", "65", "2.5", "three", "-1", "[3]"])
def test_a_manifest_that_cannot_merge_says_so(tmp_path: Path, wrong: str) -> None:
    edit(write_set(tmp_path), ("frame_period_s: 0.1\n", f"frame_period_s: 0.1\nmerge: {wrong}\n"))
    with pytest.raises(DataError, match=r"yaml, line 2 \(merge\)|merge"):
        own_recordings(tmp_path)


def test_a_bundle_states_what_it_merges() -> None:
    metadata = read_metadata("mars_actions")
    assert metadata.merge == 1
    stated = replace(metadata, merge=3).to_dict()
    assert AdapterMetadata.from_dict(stated).merge == 3
    del stated["merge"]  # as bundles made before
    assert AdapterMetadata.from_dict(stated).merge == 1
    for wrong in (0, 65, True, 3.0, "3"):
        with pytest.raises(PointataError, match=r"merge|joins"):
            AdapterMetadata.from_dict(stated | {"merge": wrong})


def test_recordings_are_merged_as_the_bundle_says_and_data_sets_as_their_manifest_says(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    radar_clip(write_set(tmp_path) / "c.npz", 61)
    bundle = read_metadata("mars_actions")
    assert isinstance(bundle, AdapterMetadata)
    bundle = replace(bundle, network=replace(bundle.network, features=()), merge=3)
    raw = open_sources([str(tmp_path / "c.npz")], Choice(), bundle)[0]
    edit(tmp_path, ("frame_period_s: 0.1\n", "frame_period_s: 0.1\nmerge: 3\n"))
    videos = open_sources([f"recordings:{tmp_path}"], Choice(), bundle)[0]
    assert not caplog.messages
    for mine, theirs in zip(raw, videos, strict=True):
        np.testing.assert_array_equal(mine.frame.points, theirs.frame.points)
    open_sources([f"recordings:{tmp_path}"], Choice(), replace(bundle, merge=1))
    assert "joins 3 clouds into a frame, the bundle was trained with 1" in caplog.text


def test_labels_return_on_the_points_of_the_newest_cloud() -> None:
    """With the real model; the older clouds are context, also where points are out of range."""
    predictor = Predictor.load("sim_room", device="cpu", threads=1)
    rng = np.random.default_rng(1)
    clouds = [rng.uniform(0.5, 3, (size, 3)).astype(np.float32) for size in (700, 900, 400)]
    clouds[2][7] = 2e5  # no place
    frames = [Frame.from_points(points, stamp_ns=i * 33 * MS) for i, points in enumerate(clouds)]
    semantic = predictor.step(merge_frames(frames)).semantic
    assert semantic is not None
    assert semantic.labels.shape == semantic.scores.shape == (400,)
    assert np.flatnonzero(semantic.labels == UNLABELLED).tolist() == [7]
    predictor.reset()
    alone = predictor.step(Frame.from_points(np.concatenate(clouds[::-1]))).semantic
    assert alone is not None
    np.testing.assert_array_equal(semantic.labels, alone.labels[:400])
