"""Point videos in .npz files: every way numpy stores them, damage, and files that would run code."""

import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dataset_checks import check_sources, write_clouds

from pointata import DataError
from pointata.data.check import verify
from pointata.data.formats import msr_action3d as msr


@pytest.mark.parametrize("dtype", ["<f8", ">f4", "<f2", "<i4", "<i8", "u1"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("ragged", [True, False])
def test_archives_of_any_number_type(tmp_path: Path, dtype: str, order: Any, ragged: bool) -> None:
    points = np.array([[1, 2, 100], [3, 4, 200]]).astype(dtype)
    clouds = [np.array(points, order=order), np.array(points[:1] if ragged else points, order=order)]
    if ragged:
        write_clouds(tmp_path / "a02_s02_e02_sdepth.npz", "point_clouds", clouds)
    else:
        stacked = np.array(np.stack(clouds), order=order)
        np.savez(tmp_path / "a02_s02_e02_sdepth.npz", point_clouds=stacked)
    frames = check_sources(msr.msr_action3d(tmp_path))["a02_s02_e02"]
    expected = np.array([[0.1, -0.001, -0.002], [0.2, -0.003, -0.004]])
    np.testing.assert_allclose(frames[0].frame.points, expected, rtol=1e-6)
    assert len(frames[1].frame.points) == (1 if ragged else 2)


def test_equally_long_frames_that_numpy_took_apart(tmp_path: Path) -> None:
    """np.array(list of equally long arrays, dtype=object) is an object array of numbers, not of arrays."""
    clouds = np.random.default_rng(0).integers(0, 3000, (16, 256, 3)).astype(np.float32)
    taken_apart = np.array(list(clouds), dtype=object)
    assert taken_apart.shape == (16, 256, 3)
    np.savez(tmp_path / "a01_s01_e01.npz", point_clouds=taken_apart)
    np.savez(tmp_path / "a01_s02_e01.npz", point_clouds=clouds)
    sources = check_sources(msr.msr_action3d(tmp_path))
    for item, whole in zip(sources["a01_s01_e01"], sources["a01_s02_e01"], strict=True):
        np.testing.assert_allclose(item.frame.points, whole.frame.points, rtol=1e-6)


@pytest.mark.parametrize("wrong", ["text", [1, 2], {}, 10**400])
def test_an_object_array_of_other_things_is_refused(tmp_path: Path, wrong: Any) -> None:
    array = np.empty((4, 5, 3), dtype=object)
    array.fill(1.0)
    array[2, 3, 1] = wrong
    np.savez(tmp_path / "a01_s01_e01.npz", point_clouds=array)
    with pytest.raises(DataError, match="'point_clouds' cannot be read as frames"):
        list(msr.msr_action3d(tmp_path).videos[0].source())


def test_archives_of_older_numpy_versions(tmp_path: Path) -> None:
    """Pickle protocol 2, and the module name that numpy had before version 2."""
    array = np.empty(1, dtype=object)
    array[0] = np.array([[1.0, 2.0, 1000.0]])
    content = pickle.dumps(array, protocol=2).replace(b"numpy._core.", b"numpy.core.")
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(117) + b"\n"
    with zipfile.ZipFile(tmp_path / "a01_s01_e01.npz", "w") as archive:
        archive.writestr("point_clouds.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + content)
    [item] = check_sources(msr.msr_action3d(tmp_path))["a01_s01_e01"]
    np.testing.assert_allclose(item.frame.points, [[1, -0.001, -0.002]], rtol=1e-6)


class Payload:
    """Pickles into a call of os.mkdir: what a hostile file would do."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_a_pickle_that_runs_code_is_refused_unrun(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    array = np.empty(1, dtype=object)
    array[0] = Payload(trap)
    np.savez(tmp_path / "a01_s01_e01.npz", point_clouds=array)
    with pytest.raises(DataError, match=r"a01_s01_e01\.npz.*mkdir"):
        list(msr.msr_action3d(tmp_path).videos[0].source())
    assert not trap.exists()
    np.load(tmp_path / "a01_s01_e01.npz", allow_pickle=True)["point_clouds"]
    assert trap.exists(), "the file is a real trap"


def rewrite(path: Path, change: Callable[[bytearray], None]) -> None:
    """Damage the pickle inside an archive whose checksums are right."""
    with zipfile.ZipFile(path) as archive:
        content = bytearray(archive.read("point_clouds.npy"))
    change(content)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("point_clouds.npy", content)


def cut(content: bytearray) -> None:
    del content[-20:]


def test_no_damage_to_a_pickle_leads_to_another_error(tmp_path: Path) -> None:
    path = tmp_path / "a01_s01_e01_sdepth.npz"
    write_clouds(path, "point_clouds", [np.ones((2, 3)), np.ones((1, 3))])
    original = path.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(600):

        def flip(content: bytearray) -> None:
            content[rng.integers(len(content))] = rng.integers(256)

        path.write_bytes(original)
        rewrite(path, flip)
        try:
            list(msr.msr_action3d(tmp_path).videos[0].source())
        except DataError as error:
            assert path.name in str(error)  # noqa: PT017  (not every changed byte is an error)
            refused += 1
    assert refused > 100


def save(**arrays: Any) -> Callable[[Path], None]:
    return lambda path: np.savez(path, **arrays)


def clouds_of(*shapes: tuple[int, ...]) -> Callable[[Path], None]:
    return lambda path: write_clouds(path, "point_clouds", [np.ones(shape) for shape in shapes])


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-30]), "copy it again"),
        (lambda path: path.write_bytes(b""), "copy it again"),
        (lambda path: rewrite(path, cut), "convert it again"),
        (save(points=np.ones((2, 5, 3))), "must hold an array 'point_clouds', it holds points"),
        (save(point_clouds=np.ones((2, 5, 4))), "frame 0"),
        (save(point_clouds=np.ones((5, 3))), "frame 0"),
        (save(point_clouds=np.ones((0, 5, 3))), "has no frame"),
        (save(point_clouds=np.array([["a"] * 3] * 2)), "hold no points"),
        (clouds_of((4, 3), (4, 2)), "frame 1"),
        (clouds_of(), "has no frame"),
    ],
)
def test_damaged_archives_are_named(tmp_path: Path, damage: Callable[[Path], None], words: str) -> None:
    path = tmp_path / "a01_s01_e01_sdepth.npz"
    write_clouds(path, "point_clouds", [np.ones((4, 3)), np.ones((5, 3))])
    assert len(check_sources(msr.msr_action3d(tmp_path))["a01_s01_e01"]) == 2
    damage(path)
    problems = verify(msr.msr_action3d(tmp_path))
    assert len(problems) == 1
    assert words in problems[0]
    assert path.name in problems[0]
