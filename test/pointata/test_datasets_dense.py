"""HOI4D and Synthia 4D, on files written here in the published layouts, values worked out by hand."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from dataset_checks import check_sources, write_hoi4d, write_synthia

from pointata import UNLABELLED, DataError
from pointata.data.check import verify
from pointata.data.formats.hoi4d import hoi4d
from pointata.data.formats.synthia4d import CLASSES, synthia4d
from pointata.data.open import open_dataset


def test_hoi4d_sequences_frames_and_labels(tmp_path: Path) -> None:
    write_hoi4d(tmp_path / "train1.h5", 2)
    write_hoi4d(tmp_path / "train2.h5", 1, first=1000)
    write_hoi4d(tmp_path / "test1.h5", 1, first=2000)
    write_hoi4d(tmp_path / "test_wolabel.h5", 1, label=None)
    dataset = open_dataset(f"hoi4d:{tmp_path}")
    frames = check_sources(dataset)
    assert [(video.name, video.split) for video in dataset.videos] == [
        ("train1_0000", "train"), ("train1_0001", "train"), ("train2_0000", "train"), ("test1_0000", "test"),
    ]  # fmt: skip
    # sequence 1, frame 2, point 3 of train1 begins at number 1*60 + 2*15 + 3*3 = 99: x 99 right, y 100 down, z 101
    np.testing.assert_array_equal(frames["train1_0001"][2].frame.points[3], [101, -99, -100])
    assert [frame.action for frame in frames["train1_0001"]] == [4, 5, 6, 7]
    np.testing.assert_array_equal(frames["test1_0000"][0].frame.points[0], [2002, -2000, -2001])
    assert len(dataset.heads["segments"]) == 19
    assert {video.action for video in dataset.videos} == {-1}
    stamps = [frame.frame.stamp_ns * 1e-9 for frame in frames["test1_0000"]]
    np.testing.assert_allclose(np.diff(stamps), dataset.frame_period_s, atol=2e-9)


def test_hoi4d_reads_only_its_own_sequence(tmp_path: Path) -> None:
    """A sequence is stored in a chunk of its own; the other one is damaged, and only that one fails."""
    with h5py.File(tmp_path / "train1.h5", "w") as file:
        points = np.random.default_rng(0).normal(size=(2, 4, 5, 3))
        file.create_dataset("pcd", data=points, chunks=(1, 4, 5, 3), fletcher32=True)
        file["label"] = np.zeros((2, 4), dtype=np.int64)
        place = file["pcd"].id.get_chunk_info(1).byte_offset
    content = bytearray((tmp_path / "train1.h5").read_bytes())
    content[place : place + 8] = bytes(8)
    (tmp_path / "train1.h5").write_bytes(content)
    problems = verify(hoi4d(tmp_path))
    assert len(problems) == 1
    assert "train1.h5: sequence 1 cannot be read" in problems[0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"label": None}, "lacks label"),
        ({"pcd": None}, "lacks pcd"),
        ({"pcd": np.zeros((2, 4, 5, 2))}, r"must hold pcd \(n, T, P, 3\)"),
        ({"label": np.zeros((2, 3), dtype=int)}, "must hold pcd"),
        ({"label": np.full((2, 4), 19)}, "labels 19 to 19"),
        ({"label": np.full((2, 4), -1)}, "labels -1 to -1"),
    ],
)
def test_hoi4d_refuses_bad_files_when_opened(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    write_hoi4d(tmp_path / "train1.h5", 2, **changes)
    with pytest.raises(DataError, match=words) as refusal:
        hoi4d(tmp_path)
    assert "train1.h5" in str(refusal.value)


def test_hoi4d_refuses_truncated_and_missing_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no train\*\.h5"):
        hoi4d(tmp_path)
    write_hoi4d(tmp_path / "train1.h5", 2)
    path = tmp_path / "train1.h5"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataError, match=r"train1\.h5 cannot be read as HDF5"):
        hoi4d(tmp_path)


NAMES = ["road", "building", "lane marking", "traffic light", None, None, None]


@pytest.mark.parametrize("up", [1.0, -1.0])
def test_synthia_points_stand_upright_around_the_camera(tmp_path: Path, up: float) -> None:
    for number in (7, 9):
        write_synthia(tmp_path / f"SYNTHIA-SEQS-01-DAWN-{number:06d}.npz", up)
    dataset = open_dataset(f"synthia4d:{tmp_path}")
    first, second = check_sources(dataset)["SEQS-01-DAWN"]
    # relative to the camera: road (0, -2, 5), building (3, 7, 0), lane marking (-1, -2, 0), light (0, 3, -10)
    expected = np.array([[5, 0, -2], [0, 3 * up, 7], [0, -up, -2], [-10, 0, 3]])
    np.testing.assert_allclose(first.frame.points[:4], expected, atol=1e-6)
    np.testing.assert_allclose(first.frame.T_world_sensor[:3, 3], [30, 10 * up, 2])
    np.testing.assert_allclose(first.frame.features["green"], (np.arange(7) * 3 + 1) / 21, rtol=1e-6)
    names = {entry.id: entry.name for entry in CLASSES} | {UNLABELLED: None}
    assert first.labels is not None
    assert [names[label] for label in first.labels.tolist()] == NAMES
    assert second.frame.stamp_ns - first.frame.stamp_ns == 400_000_000, "two frames at 5 Hz"


def test_synthia_splits_by_sequence_and_takes_folders(tmp_path: Path) -> None:
    names = ["02-FALL", "04-WINTERNIGHT", "05-FOG", "06-SPRING", "06-SUNSET"]
    for name in names:
        write_synthia(tmp_path / f"SYNTHIA-SEQS-{name}" / "000003.npz")
    dataset = synthia4d(tmp_path)
    assert [video.split for video in dataset.videos] == ["train", "train", "val", "test", "test"]
    assert [video.subject for video in dataset.videos] == [f"SEQS-{name}" for name in names]
    assert verify(dataset) == []
    write_synthia(tmp_path / "SYNTHIA-SEQS-06-RAIN" / "000003.npz")
    with pytest.raises(DataError, match="SEQS-06-RAIN is in no split"):
        synthia4d(tmp_path)


@pytest.mark.parametrize(
    ("name", "words"),
    [("frame.npz", "must be named"), ("SYNTHIA-SEQS-01-DAWN-000001.npz", "twice"), (None, "holds no .npz")],
)
def test_synthia_refuses_names(tmp_path: Path, name: str | None, words: str) -> None:
    if name is not None:
        write_synthia(tmp_path / "SYNTHIA-SEQS-01-DAWN" / "000001.npz")
        write_synthia(tmp_path / name)
    with pytest.raises(DataError, match=words):
        synthia4d(tmp_path)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:200]), "copy it again"),
        (lambda path: write_synthia(path, center=None), "lacks center"),
        (lambda path: write_synthia(path, rgb=np.zeros((6, 3))), "it holds"),
        (lambda path: write_synthia(path, semantic=np.full(7, 16)), "beyond Synthia's 0 to 15"),
        (lambda path: write_synthia(path, semantic=np.full(7, -1)), "beyond Synthia's 0 to 15"),
        (lambda path: write_synthia(path, pc=np.array([None] * 7)), "cannot be read"),
        (lambda path: write_synthia(path, semantic=np.full(7, 2)), "no frame of the sequence shows a road"),
    ],
)
def test_synthia_damage_is_named(tmp_path: Path, damage: Callable[[Path], object], words: str) -> None:
    path = tmp_path / "SYNTHIA-SEQS-01-DAWN" / "000001.npz"
    write_synthia(path)
    damage(path)
    problems = verify(synthia4d(tmp_path))
    assert len(problems) == 1
    assert words in problems[0]
    assert "SYNTHIA-SEQS-01-DAWN" in problems[0]
