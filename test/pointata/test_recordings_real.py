"""The readers on real recordings, against facts known about them; skipped where they are absent."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pointata.data.formats.depth_folder import DepthFolderRecording
from pointata.data.formats.mars import MarsRecording
from pointata.data.open import open_recording
from pointata.data.recording import Recording


def open_or_skip(path: Path) -> Recording:
    if not path.exists():
        pytest.skip(f"{path} is absent")
    return open_recording(path)


def test_kitti_raw_ground_lies_where_the_laser_is_mounted(data_root: Path) -> None:
    recording = open_or_skip(data_root / "kitti_raw" / "2011_09_26")
    assert len(recording) == 10
    for item in recording:
        points = item.frame.points
        assert 110_000 < len(points) == item.frame.source_count < 125_000
        near = points[np.hypot(points[:, 0], points[:, 1]) < 8]
        ground = np.median(near[near[:, 2] < -1.4, 2])
        assert ground == pytest.approx(-1.73, abs=0.15), "the sensor stands 1.73 m above the road"
        assert 0 <= item.frame.features["intensity"].min() <= item.frame.features["intensity"].max() <= 1


def test_semantic_kitti_roads_are_low_and_buildings_high(data_root: Path) -> None:
    recording = open_or_skip(data_root / "semantic_kitti" / "dataset" / "sequences" / "00")
    assert len(recording) == 21
    assert recording.classes is not None
    ids = {entry.name: entry.id for entry in recording.classes}
    seen = set()
    for item in recording:
        assert item.labels is not None
        seen |= set(np.unique(item.labels).tolist())
        z = item.frame.points[:, 2]
        assert np.median(z[item.labels == ids["road"]]) == pytest.approx(-1.73, abs=0.3)
        assert np.median(z[item.labels == ids["building"]]) > np.median(z[item.labels == ids["road"]]) + 1
    assert seen <= {*ids.values(), 255}


def test_mars_has_all_its_frames_with_a_person_two_metres_ahead(data_root: Path) -> None:
    pytest.importorskip("h5py", reason="h5py is not installed (pip install 'pointata[recordings]')")
    files = sorted((data_root / "mars").rglob("radar_data*.mat"))
    if not files:
        pytest.skip(f"no MARS recordings under {data_root}")
    recordings = [MarsRecording(file) for file in files]
    assert len(recordings) == 39
    assert sum(map(len, recordings)) == 40_022
    for recording in recordings[::8]:
        frames = [item.frame for item in recording]
        stamps = np.array([frame.stamp_ns for frame in frames])
        assert (np.diff(stamps) > 0).all()
        assert np.median(np.diff(stamps)) == pytest.approx(1e8, rel=0.07)
        assert {len(frame.points) > 0 for frame in frames} == {True}
        assert max(len(frame.points) for frame in frames) <= 64
        x, y, _ = np.median(np.concatenate([frame.points for frame in frames]), axis=0)
        assert x == pytest.approx(1.9, abs=0.3)
        assert y == pytest.approx(0.0, abs=0.3)


def test_seven_scenes_frames_agree_in_world_coordinates(data_root: Path) -> None:
    pytest.importorskip("PIL", reason="Pillow is not installed (pip install 'pointata[recordings]')")
    neighbours = pytest.importorskip("scipy.spatial")
    folder = data_root / "seven_scenes"
    if not folder.exists():
        pytest.skip(f"{folder} is absent")
    recording = DepthFolderRecording(folder, stride=8)
    assert len(recording) == 30
    assert recording.rate_hz == pytest.approx(15.0)

    def world(index: int, use_pose: bool) -> NDArray[np.float64]:
        frame = recording[index].frame
        T = frame.T_world_sensor if use_pose else np.eye(4)
        return frame.points.astype(np.float64) @ T[:3, :3].T + T[:3, 3]

    def distance(use_pose: bool) -> float:
        tree = neighbours.cKDTree(world(0, use_pose))
        return float(np.median(tree.query(world(29, use_pose))[0]))

    assert distance(True) < 0.03, "the poses must lay the last frame onto the first"
    assert distance(True) < 0.7 * distance(False)


def test_a_labelled_drive_says_which_points_move(data_root: Path) -> None:
    """KITTI drive 0005 as .npz frames, against its own arrays; few points move."""
    folder = data_root / "kitti_drive_0005" / "drive"
    recording = open_or_skip(folder)
    assert (len(recording), recording.has_poses) == (154, True)
    assert [c.name for c in recording.other_classes["moving"]] == ["static", "moving"]
    seen = 0
    for number, item in enumerate(recording.frames(0, 20)):
        with np.load(folder / f"{number:06d}.npz") as raw:
            np.testing.assert_array_equal(item.other_labels["moving"], raw["moving"][item.frame.source_index])
            np.testing.assert_array_equal(item.labels, raw["labels"][item.frame.source_index])
        seen += int((item.other_labels["moving"] == 1).sum())
    assert 0 < seen < 20 * 2_000
