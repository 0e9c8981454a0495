"""Files that once did harm: took the memory, hung, or ended in an error that is not the project's own."""

import gc
import io
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest
from own_folder import arrays, edit, write_clip, write_folder, write_set
from test_fuzz_readers import kitti, mars, semantic_kitti

from pointata import DataError
from pointata.data.formats.npz_file import LARGEST_BYTES
from pointata.data.formats.npz_recording import NpzClipRecording, NpzFolderRecording
from pointata.data.formats.own_recordings import own_recordings
from pointata.data.formats.point_archives import read_point_archive
from pointata.data.manifest.manifest import read_manifest
from pointata.data.open import open_recording


def memory_of_refusal(action: object, match: str) -> int:
    """Bytes that Python and numpy held at the height of an attempt that must be refused."""
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=match):
            action()  # type: ignore[operator]
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("~nosuchuser/x", r"line 6 \(recordings\[0\]\.path\): is not a path"),
        ("x" * 4000, r"line 6 \(recordings\[0\]\.path\): is not a path .*File name too long"),
        ("x" * 5000, "line 6: a text of 5000 characters"),
        ('"a\\0b"', "line 6: .*control character"),
        ('"\\ud800"', "line 6: .*control character"),
    ],
)
def test_a_path_that_no_file_system_takes_is_named_with_its_line(tmp_path: Path, path: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_manifest(edit(write_set(tmp_path), ("path: a,", f"path: {path},")))


def test_a_character_beyond_unicode_in_a_manifest_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read as YAML"):
        read_manifest(edit(write_set(tmp_path), ("[sit,", '["\\U00110000",')))


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
@pytest.mark.parametrize("count", [2_000, 400_000])
def test_a_manifest_nested_two_thousand_deep_is_refused(tmp_path: Path, opening: str, count: int) -> None:
    (tmp_path / "manifest.yaml").write_text("recordings:\n " + opening * count)
    with pytest.raises(DataError, match="line 2: nested deeper than 20 levels"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("use", ["? *h\n: 1\n", "name: *h\n", "mirror: {a: *h}\n"])
def test_aliases_of_aliases_are_refused_before_they_unfold(tmp_path: Path, use: str) -> None:
    """Eight levels of ten took 10 s and 550 MB as a key."""
    names = "abcdefgh"
    levels = [f"{name}: &{name} [{', '.join(['*' + below] * 10)}]" for below, name in pairwise(names)]
    (tmp_path / "manifest.yaml").write_text("\n".join(["a: &a [x]", *levels, use]))
    assert memory_of_refusal(lambda: read_manifest(tmp_path), r"line 2: aliases \(\*name\) are not read") < 5e6


def test_a_manifest_of_many_megabytes_is_not_parsed(tmp_path: Path) -> None:
    (tmp_path / "manifest.yaml").write_text("#\n" * 2_000_000)
    assert memory_of_refusal(lambda: read_manifest(tmp_path), "4000000 bytes; at most 2000000") < 1e6


@pytest.mark.parametrize("rate", ["rate_hz: 1e-320", "rate_hz: 1e9", "frame_period_s: 1e300", "frame_period_s: 1e-9"])
def test_a_frame_period_that_no_sensor_has_is_refused(tmp_path: Path, rate: str) -> None:
    """A rate of 1e-320 Hz was an infinite period."""
    with pytest.raises(DataError, match=r"line 1 .*: is a frame every .* s; 0.0001 to 86400 s"):
        read_manifest(edit(write_set(tmp_path), ("frame_period_s: 0.1", rate)))


def write_bomb(file: Path, name: str, size: int) -> None:
    """An .npz whose array of zeros is a thousand times larger than the file."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (size // 12, 3)})
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive, archive.open(f"{name}.npy", "w") as stream:
        stream.write(header.getvalue())
        block = bytes(12_000_000)
        for _ in range(size // len(block)):
            stream.write(block)
        stream.write(bytes(size % len(block)))


def test_two_gigabytes_of_zeros_in_a_small_file_are_not_read(tmp_path: Path) -> None:
    """2 GB in 1.9 MB were read: 2.5 GB of memory, 25 s. The limit is far above; the directory tells the size."""
    folder = write_folder(tmp_path / "a", frames=1)
    file = folder / "0000.npz"
    write_bomb(file, "points", LARGEST_BYTES + 12)
    assert file.stat().st_size < 2e6
    message = "arrays of 1.0 GB, of which at most 1 GB are read from one file: leave out"
    for action in (lambda: NpzFolderRecording(folder), lambda: NpzClipRecording(file),
                   lambda: read_point_archive(file, "points")):  # fmt: skip
        assert memory_of_refusal(action, message) < 1e6


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_packings_that_numpy_never_writes_are_refused(tmp_path: Path, method: int) -> None:
    """Their readers unpack without a limit, however small the piece that is asked for."""
    with zipfile.ZipFile(tmp_path / "a.npz", "w", method) as archive:
        archive.writestr("points.npy", bytes(1000))
    with pytest.raises(DataError, match=r"compressed in another way than numpy does"):
        NpzClipRecording(tmp_path / "a.npz")


def test_a_header_that_claims_more_than_there_is_takes_no_memory(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (4_000_000_000, 3)})
    folder = write_folder(tmp_path / "a", frames=1)
    np.savez(folder / "0000.npz", stamp_ns=1)
    with zipfile.ZipFile(folder / "0000.npz", "a") as archive:
        archive.writestr("points.npy", header.getvalue() + bytes(120))
    message = r"0000.npz: array points cannot be read \(its header says 48000000000 bytes .*, it holds 120\)"
    assert memory_of_refusal(lambda: NpzFolderRecording(folder)[0], message) < 1e6
    labels = tmp_path / "0.npy"
    labels.write_bytes(header.getvalue() + bytes(120))
    root = edit(write_set(tmp_path / "set"), ("path: a,", "path: a, labels: beside,"))
    (root / "beside").mkdir()
    for index in range(5):
        (root / "beside" / f"{index}.npy").write_bytes(labels.read_bytes())
    assert memory_of_refusal(lambda: own_recordings(root), "0.npy cannot be read as .npy .*48000000000") < 5e6


def test_damaged_archives_are_closed_again(tmp_path: Path) -> None:
    """numpy left the handle of each damaged .npz open: 454 warnings in 1,519 files."""
    folder = write_folder(tmp_path / "a", frames=1)
    whole = (folder / "0000.npz").read_bytes()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for cut in range(0, len(whole), 25):
            (folder / "0000.npz").write_bytes(whole[:cut])
            with pytest.raises(DataError):
                NpzFolderRecording(folder)
        gc.collect()
    assert [str(w.message) for w in caught if issubclass(w.category, ResourceWarning)] == []


@pytest.mark.parametrize("stamp", [np.uint64(2**63 + 5), np.int64(-(2**63)), np.int64(2**63 - 1)])
def test_stamps_beyond_int64_do_not_wrap(tmp_path: Path, stamp: np.integer) -> None:
    folder = write_folder(tmp_path / "a", frames=1)
    np.savez(folder / "0000.npz", **arrays(0, stamp_ns=stamp))
    with pytest.raises(DataError, match="stamp_ns is beyond 146 years of 1970"):
        NpzFolderRecording(folder)


def test_seconds_beyond_int64_do_not_wrap(tmp_path: Path) -> None:
    write_clip(tmp_path / "a.npz", stamp_ns=None, stamp=np.linspace(0, 1e300, 5))
    with pytest.raises(DataError, match="stamp is beyond 146 years of 1970"):
        NpzClipRecording(tmp_path / "a.npz")


def test_objects_in_a_frame_are_never_unpickled(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "a", frames=1)
    np.savez(folder / "0000.npz", **arrays(0, points=np.array([{1: 2}, None], dtype=object)))
    with pytest.raises(DataError, match=r"array points cannot be read .*pickle of Python objects"):
        NpzFolderRecording(folder)[0]


def test_a_bag_with_megabytes_of_metadata_is_refused_at_once(tmp_path: Path) -> None:
    """The parser of the bag's reader took minutes for four of them."""
    (tmp_path / "metadata.yaml").write_text("a: b\n" * 800_000)
    assert memory_of_refusal(lambda: open_recording(tmp_path), "4000000 bytes, at most 1000000 are read") < 1e7


@pytest.mark.parametrize("name", ["velodyne_points/timestamps.txt", "calib_imu_to_velo.txt"])
def test_text_files_that_are_no_text_are_named(tmp_path: Path, name: str) -> None:
    """A UnicodeDecodeError."""
    folder = kitti(tmp_path / "drive")
    (folder / name).write_bytes(b"\xd2\xff")
    with pytest.raises(DataError, match=rf"{name} cannot be read as text .*copy it again"):
        open_recording(folder)


def test_a_number_in_a_name_beyond_int64_is_a_sentence(tmp_path: Path) -> None:
    """An OverflowError."""
    folder = kitti(tmp_path / "drive")
    sweep = folder / "velodyne_points" / "data" / "0000000002.bin"
    sweep.rename(sweep.with_name("99999999999999999999.bin"))
    with pytest.raises(DataError, match=r"files must be named <number>\.bin"):
        open_recording(folder)


@pytest.mark.parametrize(
    ("layout", "name", "line"),
    [
        (kitti, "calib_imu_to_velo.txt", "R: 0 0 0 0 0 0 0 0 0\nT: 0 0 0\n"),
        (semantic_kitti, "calib.txt", "Tr:" + " 0" * 12),
    ],
)
def test_a_calibration_without_a_rotation_is_a_sentence(
    tmp_path: Path, layout: Callable[[Path], Path], name: str, line: str
) -> None:
    """A LinAlgError: the matrix has no inverse."""
    folder = layout(tmp_path / "drive")
    (folder / name).write_text(line)
    with pytest.raises(DataError, match=rf"{name}.* not (?:hold )?a rigid transform"):
        list(open_recording(folder))


def test_an_hdf5_file_whose_directory_points_nowhere_is_a_sentence(tmp_path: Path) -> None:
    """A KeyError of h5py, as a few bytes more are missing at each step: an OSError, a RuntimeError, ..."""
    file = mars(tmp_path / "subject1") / "radar_data1.mat"
    content = file.read_bytes()
    start = content.index(b"TREE")
    for at in range(start, start + 64):
        file.write_bytes(content[:at] + b"\xff" + content[at + 1 :])
        with suppress(DataError):
            list(open_recording(file))


def test_an_hdf5_file_of_gigabytes_of_nothing_is_not_read(tmp_path: Path) -> None:
    """A data set that was never written takes no place in the file, and all it claims in memory."""
    file = tmp_path / "radar_data1.mat"
    with h5py.File(file, "w") as content:
        content.create_dataset("data", (8, 10**9), "f8", chunks=(8, 10**4))
    assert file.stat().st_size < 10_000
    assert memory_of_refusal(lambda: open_recording(file), "at most 10000000 numbers") < 1e6
