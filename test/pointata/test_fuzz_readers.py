"""Recordings in the layouts of others, with any of their files damaged, replaced, gone or renamed."""

import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from fuzzing import Watch, damaged, examples
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pointata.data.open import open_recording

RNG = np.random.default_rng(0)
IDENTITY = "1 0 0 0 0 1 0 0 0 0 1 0"
TEXTS = [
    b"",
    b"\n",
    b"\xff\xfe",
    b"nan " * 30,
    b"inf " * 30,
    b"0 " * 12,
    b"1e300 " * 30,
    b"1 " * 30,
    b"x",
    b"Tr: " + b"0 " * 12,
    b"R: " + b"nan " * 9 + b"\nT: 1 1 1\n",
    b"R: " + b"0 " * 9 + b"\nT: 1 1 1\n",
    b"99999-01-01 00:00:00\n" * 5,
    b"\0" * 64,
    b"1e30 0 0\n0 1e-30 0\n0 0 1\n",
    b"-1 0 0\n0 -1 0\n0 0 1\n",
]
NAMES = ["x", "-1", "99999999999999999999", "9223372036854775807", "²", "0000000000", "1"]


def sweeps(folder: Path) -> None:
    folder.mkdir(parents=True)
    for number in range(3):
        RNG.normal(size=(5, 4)).astype("<f4").tofile(folder / f"{number:010}.bin")


def kitti(folder: Path) -> Path:
    sweeps(folder / "velodyne_points" / "data")
    times = [f"2011-09-26 13:02:25.{i}00000001\n" for i in range(3)]
    (folder / "velodyne_points" / "timestamps.txt").write_text("".join(times))
    (folder / "oxts" / "data").mkdir(parents=True)
    for number in range(3):
        values = " ".join(map(str, [49.0, 8.0, 110.0 + number, 0.0, 0.0, 0.1, *[0.0] * 24]))
        (folder / "oxts" / "data" / f"{number:010}.txt").write_text(values)
    (folder / "calib_imu_to_velo.txt").write_text("R: 1 0 0 0 1 0 0 0 1\nT: -0.8 0.3 -0.8\n")
    return folder


def semantic_kitti(folder: Path) -> Path:
    sweeps(folder / "velodyne")
    (folder / "labels").mkdir()
    for number in range(3):
        np.full(5, 40, "<u4").tofile(folder / "labels" / f"{number:010}.label")
    (folder / "times.txt").write_text("0.0\n0.1\n0.2\n")
    (folder / "poses.txt").write_text(f"{IDENTITY}\n" * 3)
    (folder / "calib.txt").write_text(f"Tr: {IDENTITY}\n")
    return folder


def depth_images(folder: Path) -> Path:
    folder.mkdir()
    for number in range(3):
        depth = RNG.integers(500, 3000, (6, 8)).astype(np.uint16)
        Image.fromarray(depth).save(folder / f"frame-{number:06}.depth.png")
        (folder / f"frame-{number:06}.pose.txt").write_text("1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1\n")
    (folder / "camera-intrinsics.txt").write_text("585 0 4\n0 585 3\n0 0 1\n")
    return folder


def mars(folder: Path) -> Path:
    folder.mkdir()
    with h5py.File(folder / "radar_data1.mat", "w") as file:
        columns = RNG.normal(size=(8, 12))
        columns[0], columns[7] = np.repeat([0, 1, 2], 4), np.repeat([1e9, 1e9 + 0.1, 1e9 + 0.2], 4)
        file["data"] = columns
    return folder


LAYOUTS: dict[str, Callable[[Path], Path]] = {
    "kitti": kitti, "semantic_kitti": semantic_kitti, "depth_images": depth_images, "mars": mars,
}  # fmt: skip


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One of each layout."""
    folder = tmp_path_factory.mktemp("layouts")
    return {name: write(folder / name) for name, write in LAYOUTS.items()}


@examples(short=100, full=1_000)
@given(st.data(), st.sampled_from(sorted(LAYOUTS)))
def test_any_recording_of_others_is_read_or_refused(
    watch: Watch, tmp_path: Path, recordings: dict[str, Path], data: st.DataObject, layout: str
) -> None:
    folder = tmp_path / "recording"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(recordings[layout], folder)
    path = folder / "radar_data1.mat" if layout == "mars" else folder
    file = data.draw(st.sampled_from(sorted(file for file in folder.rglob("*") if file.is_file())))
    match data.draw(st.sampled_from(["bytes", "bytes", "bytes", "text", "gone", "name"])):
        case "bytes":
            file.write_bytes(data.draw(damaged(file.read_bytes())))
        case "text":
            file.write_bytes(data.draw(st.sampled_from(TEXTS)))
        case "gone":
            file.unlink()
        case "name":
            file.rename(file.with_name(data.draw(st.sampled_from(NAMES)) + "".join(file.suffixes)))
    recording = watch.attempt(lambda: open_recording(path))
    frames = watch.attempt(lambda: list(recording)) if recording else None
    if recording is None or frames is None:
        return
    assert np.isfinite(recording.rate_hz)
    assert recording.rate_hz > 0
    for item in frames:
        assert np.isfinite(item.frame.points).all()
        assert np.isfinite(item.frame.T_world_sensor).all()
        assert item.labels is None or len(item.labels) == len(item.frame.points)
