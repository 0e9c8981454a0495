"""Readers of recordings, on folders written here by the formats' definitions."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from pointata import UNLABELLED, DataError
from pointata.data.files import strictly_increasing
from pointata.data.formats.semantic_kitti import CLASSES
from pointata.data.open import open_recording
from pointata.errors import InstallationError
from pointata.geometry.rigid import rigid
from pointata.system.optional import import_optional

Corrupt = Callable[[Path], object]


def write_sweeps(
    folder: Path, counts: list[int], numbers: list[int] | None = None, digits: int = 10
) -> list[NDArray[np.float32]]:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    sweeps = [rng.normal(size=(count, 4)).astype("<f4") for count in counts]
    for number, sweep in zip(numbers or range(len(counts)), sweeps, strict=True):
        sweep.tofile(folder / f"{number:0{digits}d}.bin")
    return sweeps


def numbers_text(*rows: NDArray[np.float64]) -> str:
    return "\n".join(" ".join(f"{value:.17g}" for value in np.ravel(row)) for row in rows) + "\n"


@pytest.fixture
def kitti(tmp_path: Path) -> Path:
    """A drive with sweep 1 missing, with times, poses and calibration."""
    drive = tmp_path / "2011_09_26" / "2011_09_26_drive_0001_sync"
    write_sweeps(drive / "velodyne_points" / "data", [5, 7, 9], [0, 2, 3])
    times = [f"2011-09-26 13:02:25.{i}00000001\n" for i in range(4)]
    (drive / "velodyne_points" / "timestamps.txt").write_text("".join(times))
    (drive / "oxts" / "data").mkdir(parents=True)
    for number, (north_deg, yaw) in {0: (0.0, 0.3), 2: (1e-5, 0.3), 3: (1e-5, 0.3 + np.pi / 2)}.items():
        values = [49.0 + north_deg, 8.0, 110.0 + number, 0.0, 0.0, yaw, *[0.0] * 24]
        (drive / "oxts" / "data" / f"{number:010d}.txt").write_text(numbers_text(np.array(values)))
    calibration = "calib_time: 25-May-2012 16:47:16\nR: 1 0 0 0 1 0 0 0 1\nT: -0.8 0.3 -0.8\n"
    (drive.parent / "calib_imu_to_velo.txt").write_text(calibration)
    return drive


def test_kitti_raw_points_stamps_and_features(kitti: Path) -> None:
    recording = open_recording(kitti)
    frames = list(recording)
    assert (recording.name, len(recording), len(frames)) == ("2011_09_26_drive_0001_sync", 3, 3)
    raw = np.fromfile(kitti / "velodyne_points" / "data" / "0000000002.bin", "<f4").reshape(-1, 4)
    np.testing.assert_array_equal(frames[1].frame.points, raw[:, :3])
    np.testing.assert_array_equal(frames[1].frame.features["intensity"], raw[:, 3])
    assert frames[0].frame.frame_id == "velodyne"
    stamps = [item.frame.stamp_ns for item in frames]
    seconds = 1317042145  # date -u -d '2011-09-26 13:02:25' +%s
    assert stamps == [seconds * 10**9 + i * 10**8 + 1 for i in (0, 2, 3)], "line number = file number"


def test_kitti_raw_poses_move_the_laser_as_the_vehicle_moves(kitti: Path) -> None:
    recording = open_recording(kitti)
    assert recording.has_poses
    poses = [item.frame.T_world_sensor for item in recording]
    T_velo_imu = rigid(np.eye(3), np.array([-0.8, 0.3, -0.8]))
    imu = [pose @ T_velo_imu for pose in poses]
    np.testing.assert_allclose(imu[0][:3, 3], 0, atol=1e-9)
    one_meridian_step = np.radians(1e-5) * 6_378_137.0  # arc of a great circle
    np.testing.assert_allclose(imu[1][:3, 3], [0, one_meridian_step, 2.0], atol=1e-4)
    np.testing.assert_allclose(imu[0][:3, 0], [np.cos(0.3), np.sin(0.3), 0], atol=1e-12)
    np.testing.assert_allclose(imu[2][:3, :3], imu[1][:3, :3] @ Rotation.from_euler("z", 90, degrees=True).as_matrix(),
                               atol=1e-12)  # fmt: skip


def test_kitti_raw_without_calibration_or_times(kitti: Path) -> None:
    (kitti.parent / "calib_imu_to_velo.txt").unlink()
    (kitti / "velodyne_points" / "timestamps.txt").unlink()
    recording = open_recording(kitti)
    assert not recording.has_poses
    assert [item.frame.stamp_ns for item in recording] == [0, 200_000_000, 300_000_000]
    np.testing.assert_array_equal(next(iter(recording)).frame.T_world_sensor, np.eye(4))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


@pytest.mark.parametrize(
    ("file", "corrupt", "words"),
    [
        ("velodyne_points/data/0000000002.bin", truncate, "truncated"),
        ("velodyne_points/data/0000000002.bin", lambda p: p.write_bytes(b""), "0 bytes"),
        ("velodyne_points/timestamps.txt", lambda p: p.write_text("2011-09-26 13:02:25\n"), "lacks a readable time"),
        ("velodyne_points/timestamps.txt", lambda p: p.write_text("\n\n\n\n\n"), "empty line"),
        ("velodyne_points/timestamps.txt", lambda p: p.write_text("a\nb\nc\nd\n"), "lacks a readable time"),
        ("oxts/data/0000000002.txt", Path.unlink, "missing"),
        ("oxts/data/0000000002.txt", lambda p: p.write_text("1 2 3\n"), "must hold 1 rows of 30"),
        ("oxts/data/0000000002.txt", lambda p: p.write_text("x\n"), "cannot be read"),
        ("../calib_imu_to_velo.txt", lambda p: p.write_text("R: 1 2\n"), "'R:' of 9 numbers"),
    ],
)
def test_kitti_raw_damage_is_named(kitti: Path, file: str, corrupt: Corrupt, words: str) -> None:
    corrupt(kitti / file)
    with pytest.raises(DataError, match=words) as refusal:
        list(open_recording(kitti))
    assert Path(file).name in str(refusal.value)


@pytest.fixture
def semantic_kitti(tmp_path: Path) -> Path:
    """Three labelled sweeps on a known LiDAR trajectory."""
    folder = tmp_path / "sequences" / "04"
    sweeps = write_sweeps(folder / "velodyne", [6, 4, 4], digits=6)
    sweeps[0][1, 0] = np.nan
    sweeps[0].tofile(folder / "velodyne" / "000000.bin")
    (folder / "labels").mkdir()
    for index, ids in enumerate([[10, 11, 252, 0, 81, 40 | 7 << 16], [1, 52, 99, 60], [20, 256, 30, 255]]):
        np.array(ids, dtype="<u4").tofile(folder / "labels" / f"{index:06d}.label")
    Tr = rigid(Rotation.from_euler("xyz", [1.5, -0.02, 1.6]).as_matrix(), np.array([0.01, -0.05, -0.29]))
    cameras = [Tr @ pose @ np.linalg.inv(Tr) for pose in TRAJECTORY]
    (folder / "calib.txt").write_text(f"P0: {numbers_text(np.eye(4)[:3])}Tr: {numbers_text(Tr[:3])}")
    (folder / "poses.txt").write_text(numbers_text(*[camera[:3] for camera in cameras]))
    (folder / "times.txt").write_text("0.0\n1.036229e-01\n2.071930e-01\n")
    return folder


TRAJECTORY = [
    rigid(Rotation.from_euler("z", 0.1 * i).as_matrix(), np.array([1.0 * i, 0.05 * i, 0.0])) for i in range(3)
]


def test_semantic_kitti_labels_poses_and_times(semantic_kitti: Path) -> None:
    recording = open_recording(semantic_kitti)
    frames = list(recording)
    assert recording.classes == CLASSES
    assert len(CLASSES) == 19
    names = {entry.id: entry.name for entry in CLASSES} | {UNLABELLED: "unlabelled"}
    named = [[names[int(label)] for label in item.labels] for item in frames if item.labels is not None]
    assert named == [
        ["car", "car", "unlabelled", "traffic-sign", "road"],  # the second point is NaN; the instance is left out
        ["unlabelled", "unlabelled", "unlabelled", "road"],
        ["other-vehicle", "other-vehicle", "person", "motorcyclist"],
    ]
    assert frames[0].frame.source_index.tolist() == [0, 2, 3, 4, 5]
    for item, pose in zip(frames, TRAJECTORY, strict=True):
        np.testing.assert_allclose(item.frame.T_world_sensor, pose, atol=1e-12)
    assert [item.frame.stamp_ns for item in frames] == [0, 103_622_900, 207_193_000]


def test_semantic_kitti_without_labels_and_poses(semantic_kitti: Path) -> None:
    (semantic_kitti / "labels").rename(semantic_kitti / "elsewhere")
    (semantic_kitti / "poses.txt").unlink()
    recording = open_recording(semantic_kitti)
    assert recording.classes is None
    assert not recording.has_poses
    assert all(item.labels is None for item in recording)


@pytest.mark.parametrize(
    ("file", "corrupt", "words"),
    [
        ("labels/000001.label", truncate, "truncated"),
        ("labels/000001.label", Path.unlink, "missing"),
        ("labels/000001.label", lambda p: np.full(4, 300, "<u4").tofile(p), r"ids \[300\]"),
        ("velodyne/000001.bin", truncate, "truncated"),
        ("poses.txt", lambda p: p.write_text("1 0 0 0 0 1 0 0 0 0 1 0\n"), "has 1 poses"),
        ("times.txt", lambda p: p.write_text("0\n"), "has 1 times"),
        ("calib.txt", lambda p: p.write_text("P0: 1\n"), "'Tr:'"),
    ],
)
def test_semantic_kitti_damage_is_named(semantic_kitti: Path, file: str, corrupt: Corrupt, words: str) -> None:
    corrupt(semantic_kitti / file)
    with pytest.raises(DataError, match=words) as refusal:
        list(open_recording(semantic_kitti))
    assert Path(file).name in str(refusal.value)


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("h5py", "h5py, which is not installed: .* or h5py alone"),
        ("PIL.Image", "PIL, which is not installed: .* or pillow alone"),
    ],
)
def test_a_missing_reader_library_is_named(monkeypatch: pytest.MonkeyPatch, module: str, words: str) -> None:
    monkeypatch.setitem(sys.modules, module.partition(".")[0], None)
    monkeypatch.delitem(sys.modules, "PIL.Image", raising=False)
    with pytest.raises(InstallationError, match=f"Python module {words}") as refusal:
        import_optional(module)
    assert 'pip install "./pointata[recordings]"' in str(refusal.value)


def test_ctrl_c_that_a_library_hides_is_still_ctrl_c(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """pybind11 makes an ImportError of whatever strikes while a module of it is loaded."""
    (tmp_path / "hiding.py").write_text("raise ImportError('initialization failed') from KeyboardInterrupt()")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        import_optional("hiding")


@pytest.fixture
def mars(tmp_path: Path) -> Path:
    h5py = pytest.importorskip("h5py", reason="h5py is not installed (pip install 'pointata[recordings]')")
    folder = tmp_path / "subject2"
    folder.mkdir()
    rows = [  # frame, object, x, y, z, doppler, intensity, unix time
        (7, 2, 0.25, 1.5, -0.5, 0.36, 12, 1617148942.960),
        (7, 2, -0.5, 2.0, 0.75, -0.71, 30, 1617148942.960),
        (9, 1, 0.0, 1.0, 0.0, 0.0, 5, 1617148943.171),
    ]
    with h5py.File(folder / "radar_data6.mat", "w") as file:
        file["radar_data_cropped"] = np.array(rows).T
    return folder / "radar_data6.mat"


def test_mars_frames_axes_and_action(mars: Path) -> None:
    recording = open_recording(mars)
    first, second = recording
    assert recording.name == "mars_subject2_radar_data6"
    assert recording.actions is not None
    assert [first.action, second.action] == [5, 5]
    assert recording.actions[5].name == "squat"
    np.testing.assert_array_equal(first.frame.points, [[1.5, -0.25, -0.5], [2.0, 0.5, 0.75]])
    np.testing.assert_array_equal(first.frame.features["doppler"], np.array([0.36, -0.71], np.float32))
    np.testing.assert_array_equal(first.frame.features["intensity"], [12, 30])
    assert (first.frame.stamp_ns, second.frame.stamp_ns) == (1617148942_960_000_000, 1617148943_171_000_000)


@pytest.mark.parametrize(
    ("corrupt", "words"),
    [
        (lambda p: p.write_bytes(p.read_bytes()[:200]), "HDF5"),
        (lambda p: p.write_text("MATLAB 5.0"), "HDF5"),
        (lambda p: p.rename(p.with_name("radar_data11.mat")), "by its movement"),
        (lambda p: p.rename(p.with_name("other.mat")), "by its movement"),
    ],
)
def test_mars_damage_is_named(mars: Path, corrupt: Corrupt, words: str) -> None:
    corrupt(mars)
    (file,) = mars.parent.iterdir()
    with pytest.raises(DataError, match=words) as refusal:
        open_recording(file)
    assert str(file) in str(refusal.value)


def test_mars_needs_eight_rows(mars: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(mars, "w") as file:
        file["data"] = np.zeros((7, 3))
    with pytest.raises(DataError, match="8 rows"):
        open_recording(mars)


INTRINSICS = np.array([[20.0, 0.0, 3.5], [0.0, 25.0, 2.5], [0.0, 0.0, 1.0]])


@pytest.fixture
def depth_folder(tmp_path: Path) -> Path:
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed (pip install 'pointata[recordings]')")
    folder = tmp_path / "seq-01"
    folder.mkdir()
    rng = np.random.default_rng(5)
    for number in (0, 2, 4):
        depth = rng.integers(500, 5000, (6, 8)).astype(np.uint16)
        depth[1, 2], depth[3, 4] = 0, 65535
        image.fromarray(depth).save(folder / f"frame-{number:06d}.depth.png")
        (folder / f"frame-{number:06d}.pose.txt").write_text(numbers_text(*TRAJECTORY[number // 2]))
    (folder / "camera-intrinsics.txt").write_text(numbers_text(*INTRINSICS))
    return folder


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_depth_points_project_back_onto_their_pixels(depth_folder: Path, stride: int) -> None:
    image = pytest.importorskip("PIL.Image")
    recording = open_recording(depth_folder, stride=stride)
    frame = recording[1].frame  # type: ignore[index]
    depth = np.asarray(image.open(depth_folder / "frame-000002.depth.png"))
    rows, columns = depth[::stride, ::stride].shape
    v, u = np.divmod(frame.source_index, columns)
    projected = frame.points.astype(np.float64) @ INTRINSICS.T
    np.testing.assert_allclose(projected[:, 0] / projected[:, 2], u * stride, atol=1e-4)
    np.testing.assert_allclose(projected[:, 1] / projected[:, 2], v * stride, atol=1e-4)
    np.testing.assert_allclose(frame.points[:, 2], depth[v * stride, u * stride] / 1000, rtol=1e-6)
    assert frame.source_count == rows * columns
    assert len(frame.points) == np.isin(depth[::stride, ::stride], (0, 65535), invert=True).sum()


def test_depth_poses_stamps_and_rate(depth_folder: Path) -> None:
    recording = open_recording(depth_folder)
    assert recording.rate_hz == pytest.approx(15.0)
    assert recording.has_poses
    frames = [item.frame for item in recording]
    assert [frame.stamp_ns for frame in frames] == [0, 66_666_667, 133_333_333]
    for frame, pose in zip(frames, TRAJECTORY, strict=True):
        np.testing.assert_allclose(frame.T_world_sensor, pose)


@pytest.mark.parametrize(
    ("file", "corrupt", "words"),
    [
        ("frame-000002.depth.png", lambda p: p.write_bytes(p.read_bytes()[:60]), "cannot be read as an image"),
        ("frame-000002.depth.png", lambda p: p.write_text("no image"), "cannot be read as an image"),
        ("frame-000002.pose.txt", Path.unlink, "missing"),
        ("frame-000002.pose.txt", lambda p: p.write_text("1 0\n0 1\n"), "4 rows of 4"),
        ("frame-000002.pose.txt", lambda p: p.write_text(numbers_text(*np.zeros((4, 4)))), "not a rigid"),
        ("frame-000002.pose.txt", lambda p: p.write_text(numbers_text(*np.full((4, 4), np.nan))), "finite"),
        ("camera-intrinsics.txt", Path.unlink, "missing"),
        ("camera-intrinsics.txt", lambda p: p.write_text(numbers_text(*np.zeros((3, 3)))), "focal lengths"),
    ],
)
def test_depth_folder_damage_is_named(depth_folder: Path, file: str, corrupt: Corrupt, words: str) -> None:
    corrupt(depth_folder / file)
    with pytest.raises(DataError, match=words) as refusal:
        list(open_recording(depth_folder))
    assert file in str(refusal.value)


def test_an_8_bit_image_is_refused(depth_folder: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    image.fromarray(np.zeros((6, 8), np.uint8)).save(depth_folder / "frame-000000.depth.png")
    with pytest.raises(DataError, match="16-bit"):
        next(iter(open_recording(depth_folder)))


def test_unknown_paths_and_options_are_explained(kitti: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        open_recording(tmp_path / "nothing")
    with pytest.raises(DataError, match=r"Did you mean .*2011_09_26_drive_0001_sync"):
        open_recording(kitti.parent)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="is not a recording that pointata knows"):
        open_recording(tmp_path / "empty")
    (tmp_path / "notes.txt").write_text("text")
    with pytest.raises(DataError, match="is not a recording that pointata knows"):
        open_recording(tmp_path / "notes.txt")
    with pytest.raises(DataError, match="stride"):
        open_recording(kitti, stride=2)
    for file in (kitti / "velodyne_points" / "data").iterdir():
        file.unlink()
    with pytest.raises(DataError, match=r"velodyne_points.data holds no \*\.bin"):
        open_recording(kitti)


def test_recordings_are_sequences(kitti: Path) -> None:
    recording = open_recording(kitti)
    stamps = [item.frame.stamp_ns for item in recording]
    assert recording[-1].frame.stamp_ns == stamps[2]  # type: ignore[index]
    assert [item.frame.stamp_ns for item in recording.frames(1)] == stamps[1:]
    assert [item.frame.stamp_ns for item in recording.frames(1, 1)] == stamps[1:2]
    assert list(recording.frames(7)) == []
    with pytest.raises(IndexError):
        recording[3]  # type: ignore[index]


def test_strictly_increasing_changes_only_what_does_not_increase() -> None:
    stamps = np.array([5, 10, 10, 9, 20, 20], dtype=np.int64)
    assert strictly_increasing(stamps).tolist() == [5, 10, 11, 12, 20, 21]


def test_the_simulator_is_a_recording() -> None:
    pytest.importorskip("open3d", reason="open3d is not installed (pip install 'pointata[training]')")
    recording = open_recording("sim:room?seed=3&split=test&frames=3&width=32&height=24")
    first = [item.frame.points for item in recording]
    assert len(first) == len(recording) == 3
    for points, again in zip(first, recording, strict=True):
        np.testing.assert_array_equal(points, again.frame.points)
    assert [item.frame.stamp_ns for item in recording.frames(1)] == [item.frame.stamp_ns for item in recording][1:]
    with pytest.raises(DataError, match="unknown option color"):
        open_recording("sim:room?color=red")
    for option, kind in {"frames=x": "whole number", "frames=1.5": "whole number", "rate_hz=nan": "number"}.items():
        name = option.partition("=")[0]
        with pytest.raises(DataError, match=f"{name} must be a {kind}, not"):
            open_recording(f"sim:room?{option}")
    with pytest.raises(DataError, match="no scene 'forest'; give room or street"):
        open_recording("sim:forest")
