"""MSR-Action3D and NTU RGB+D, on files written here by the formats' definitions, values worked out by hand."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from dataset_checks import HEIGHT, WIDTH, check_sources, write_clouds, write_depth, write_ntu

from pointata import DataError
from pointata.data.check import verify
from pointata.data.formats import msr_action3d as msr
from pointata.data.formats import ntu_rgbd as ntu
from pointata.data.open import open_dataset


@pytest.fixture
def depth_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "Depth"
    folder.mkdir()
    write_depth(folder / "a01_s01_e01_sdepth.bin", [{(6, 1): 2800}, {(0, 5): 560, (7, 5): 1120}])
    write_depth(folder / "a20_s06_e03_sdepth.bin", [{(4, 3): 1000}])
    write_depth(folder / "a20_s05_e02_sdepth.bin", [{(4, 3): 1000}])
    return folder


def test_msr_depth_pixels_become_metres_forward_left_up(depth_folder: Path) -> None:
    dataset = open_dataset(f"msr-action3d:{depth_folder}")
    frames = check_sources(dataset)["a01_s01_e01"]
    # pixel (6, 1): 2 right of and 2 above the middle, so 2 / 280 * 2.8 m = 0.02 m each way
    np.testing.assert_allclose(frames[0].frame.points, [[2.8, -0.02, 0.02]], rtol=1e-6)
    # pixel (0, 5): 4 left, 2 down, at 0.56 m; pixel (7, 5): 3 right, 2 down, at 1.12 m
    expected = [[0.56, 0.008, -0.004], [1.12, -0.012, -0.008]]
    np.testing.assert_allclose(frames[1].frame.points, expected, rtol=1e-6)
    assert frames[1].frame.source_index.tolist() == [40, 47]
    assert frames[1].frame.source_count == 48
    assert [frame.frame.stamp_ns for frame in frames] == [0, 66_666_667]
    assert dataset.frame_period_s == pytest.approx(1 / 15)
    assert {frame.action for frame in frames} == {0}


def test_msr_splits_by_subject(depth_folder: Path) -> None:
    videos = {video.name: video for video in open_dataset(f"msr-action3d:{depth_folder}").videos}
    assert [(name, v.subject, v.split, v.action) for name, v in videos.items()] == [
        ("a01_s01_e01", "1", "train", 0), ("a20_s05_e02", "5", "train", 19), ("a20_s06_e03", "6", "test", 19),
    ]  # fmt: skip


def test_msr_archives_give_the_frames_of_the_depth_images(depth_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "processed"
    folder.mkdir()
    clouds = [np.array([[20.0, -20.0, 2800.0]]), np.array([[-8.0, 4.0, 560.0], [12.0, 8.0, 1120.0]])]
    write_clouds(folder / "a01_s01_e01_sdepth.npz", "point_clouds", clouds)
    archived = check_sources(open_dataset(f"msr-action3d:{folder}"))["a01_s01_e01"]
    raw = list(open_dataset(f"msr-action3d:{depth_folder}").videos[0].source())
    for one, other in zip(archived, raw, strict=True):
        np.testing.assert_allclose(one.frame.points, other.frame.points, rtol=1e-6)
        assert one.frame.stamp_ns == other.frame.stamp_ns


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda file: file.write_bytes(file.read_bytes()[:-1]), "truncated"),
        (lambda file: file.write_bytes(file.read_bytes()[:7]), "truncated"),
        (lambda file: file.write_bytes(struct.pack("<3I", 0, WIDTH, HEIGHT)), "truncated"),
        (lambda file: file.rename(file.with_name("a21_s01_e01_sdepth.bin")), "a01 to a20"),
        (lambda file: file.rename(file.with_name("a01_s11_e01_sdepth.bin")), "s01 to s10"),
        (lambda file: file.rename(file.with_name("first.bin")), "must be named like"),
        (lambda file: file.with_name("a01_s01_e01.bin").write_bytes(file.read_bytes()), "same video"),
        (lambda file: np.savez(file.with_suffix(".npz"), point_clouds=np.ones((1, 1, 3))), "one kind"),
    ],
)
def test_msr_refuses_bad_files_when_opened(depth_folder: Path, damage: Callable[[Path], object], words: str) -> None:
    damage(depth_folder / "a01_s01_e01_sdepth.bin")
    with pytest.raises(DataError, match=words):
        msr.msr_action3d(depth_folder)


def test_ntu_points_strides_and_cross_subject_split(tmp_path: Path) -> None:
    (tmp_path / "setup1").mkdir()
    write_ntu(tmp_path, "S001C001P003R001A060")
    write_ntu(tmp_path / "setup1", "S001C002P038R002A001")
    dataset = open_dataset(f"ntu-rgbd:{tmp_path}")
    frames = check_sources(dataset)["S001C001P003R001A060"]
    # 0.04 of 65,535 mm is 2.6214 m
    np.testing.assert_allclose(frames[0].frame.points, [[2.6214, -0.65535, 1.3107]], rtol=1e-6)
    assert [len(frame.frame.points) for frame in frames] == [1, 2, 3, 4, 5]
    assert {(v.name, v.subject, v.split, v.action) for v in dataset.videos} == {
        ("S001C001P003R001A060", "3", "test", 59), ("S001C002P038R002A001", "38", "train", 0),
    }  # fmt: skip

    halved = open_dataset(f"ntu-rgbd:{tmp_path}?stride=2")
    assert halved.frame_period_s == pytest.approx(2 / 30)
    stamps = [frame.frame.stamp_ns for frame in check_sources(halved)["S001C001P003R001A060"]]
    np.testing.assert_allclose(stamps, [0, 2e9 / 30, 4e9 / 30], atol=1)


def test_ntu_training_people_are_those_of_the_cross_subject_protocol(tmp_path: Path) -> None:
    for person in range(1, 41):
        write_ntu(tmp_path, f"S001C001P{person:03d}R001A001", frames=1)
    trained = " ".join(video.subject for video in ntu.ntu_rgbd(tmp_path).videos if video.split == "train")
    assert trained == "1 2 4 5 8 9 13 14 15 16 17 18 19 25 27 28 31 34 35 38"


def test_ntu_refusals(tmp_path: Path) -> None:
    write_ntu(tmp_path, "S001C001P001R001A001")
    with pytest.raises(DataError, match="stride must be"):
        open_dataset(f"ntu-rgbd:{tmp_path}?stride=0")
    write_clouds(tmp_path / "S001C001P001R001A002.npz", "data", [np.full((4, 3), 2.5)])
    problems = verify(ntu.ntu_rgbd(tmp_path))
    assert len(problems) == 1
    assert "A002.npz: the person stands at 164 m" in problems[0], "metres, not the published unit"
    write_ntu(tmp_path, "S001C001P001R001A061")
    with pytest.raises(DataError, match="A001 to A060"):
        ntu.ntu_rgbd(tmp_path)


def test_class_lists_have_the_published_sizes_and_distinct_colours() -> None:
    for classes, size in ((msr.ACTIONS, 20), (ntu.ACTIONS, 60)):
        assert [entry.id for entry in classes] == list(range(size))
        assert len({entry.name for entry in classes}) == len({entry.color for entry in classes}) == size
