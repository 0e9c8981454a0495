"""Frames, clips and point archives in .npz files, with other arrays, another zip or damaged bytes."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from fuzzing import Watch, damaged, examples
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from own_folder import arrays

from pointata.data.formats.npz_recording import NpzClipRecording, NpzFolderRecording, NpzRecording
from pointata.data.formats.point_archives import read_point_archive
from pointata.frame import LabelledFrame

DTYPES = [
    "<f4", ">f4", "<f8", "<f2", "<f16", "<i8", "<u8", "u1", "i1", "?", "<c8", "S3", "<U2", "O", "<M8[ns]", "V5", "S0",
    [("a", "<f4"), ("b", "u1")],
]  # fmt: skip
NUMBERS = [0, 1, -1, 254, 255, 256, 1e30, 1e300, -1e300, np.nan, np.inf, 2**62, 2**63 - 1, -(2**63), 1e-45]
POSE = np.eye(4)


@st.composite
def changed_array(draw: st.DrawFn, array: NDArray[Any]) -> NDArray[Any]:
    """An array of another type, shape or content."""
    what = draw(st.sampled_from(["type", "shape", "single", "value", "value", "order", "empty", "object"]))
    with np.errstate(all="ignore"):
        if what == "type":
            try:
                return array.astype(np.dtype(draw(st.sampled_from(DTYPES))))
            except (TypeError, ValueError):
                return array
        if what == "shape":
            shape = draw(st.sampled_from([(-1,), (-1, 1), (1, -1), (-1, 2), (-1, 3), (-1, 1, 3)]))
            rest = int(np.prod([n for n in shape if n > 0]))
            return np.resize(array, max(1, array.size // rest) * rest).reshape(shape)
        if what == "single":
            return array.reshape(-1)[:1].reshape(()) if array.size else array
        if what == "value":
            flat = np.array(array).reshape(-1)
            if flat.size:
                value = np.array(draw(st.sampled_from(NUMBERS)))
                flat[draw(st.integers(0, flat.size - 1))] = value.astype(flat.dtype)
            return flat.reshape(array.shape)
        if what == "order":
            return np.asfortranarray(array)
        if what == "empty":
            return array[:0] if array.ndim else np.empty(0, array.dtype)
        return np.array([{"a": 1}, None], dtype=object)


def npy(array: NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


@st.composite
def archives(draw: st.DrawFn, content: dict[str, Any]) -> bytes:
    """An .npz of these arrays, with some of them, the headers of some, the zip or its bytes changed."""
    what = draw(st.sampled_from(["arrays", "arrays", "members", "header", "zip", "bytes", "whole"]))
    content = {name: np.asarray(value) for name, value in content.items()}
    if what == "arrays":
        for name in draw(st.lists(st.sampled_from(sorted(content)), min_size=1, max_size=2)):
            content[name] = draw(changed_array(content[name]))
    elif what == "members":
        name = draw(st.sampled_from(sorted(content)))
        content[draw(st.sampled_from(["points", "stamp", "labels", "T_world_sensor", "é", "a/b", ""]))] = content[name]
        if draw(st.booleans()):
            content.pop(name)
    members = {f"{name}.npy": npy(value) for name, value in content.items()}
    if what == "header":
        name = draw(st.sampled_from(sorted(members)))
        data = members[name]
        old, new = draw(st.sampled_from([
            (b"(6, 3)", b"(10**12, 3)"), (b"(6,", b"(99999999999,"), (b"(", b"(-"), (b"<f4", b"|O "), (b"<f4", b"<f8"),
            (b"{", b"[" * 90), (b"False", b"True"), (b"'descr'", b"'desc'"), (b"\x93NUMPY\x01", b"\x93NUMPY\x03"),
            (b"3), }", b"3**99), }"),
        ]))  # fmt: skip
        members[name] = draw(damaged(data, most=1)) if draw(st.booleans()) else data.replace(old, new, 1)
    method = draw(
        st.sampled_from([zipfile.ZIP_STORED] * 3 + [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    )
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method if what != "arrays" else zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    written = stream.getvalue()
    if what == "zip":  # the directory, at the end
        return written[:-300] + draw(damaged(written[-300:]))
    return draw(damaged(written)) if what == "bytes" else written


def check(recording: NpzRecording, frames: list[LabelledFrame]) -> None:
    assert len(frames) == len(recording) > 0
    assert np.isfinite(recording.rate_hz)
    assert recording.rate_hz > 0
    stamps = [item.frame.stamp_ns for item in frames]
    assert stamps == sorted(set(stamps))
    for item in frames:
        assert np.isfinite(item.frame.points).all()
        assert np.isfinite(item.frame.T_world_sensor).all()
        assert item.frame.points.dtype == np.float32
        assert all(len(values) == len(item.frame.points) for values in item.frame.features.values())


FEATURES = [(), ("intensity",), None]
FRAME = arrays(1, T_world_sensor=POSE)
CLIP = {name: np.stack([arrays(index, T_world_sensor=POSE)[name] for index in range(4)]) for name in FRAME}


@examples(short=120, full=600)
@given(st.data(), st.sampled_from(FEATURES))
def test_any_folder_of_frames_is_read_or_refused(
    watch: Watch, tmp_path: Path, data: st.DataObject, features: tuple[str, ...] | None
) -> None:
    np.savez(tmp_path / "0.npz", **arrays(0, T_world_sensor=POSE))
    (tmp_path / "1.npz").write_bytes(data.draw(archives(FRAME)))
    recording = watch.attempt(lambda: NpzFolderRecording(tmp_path, features))
    frames = watch.attempt(lambda: list(recording)) if recording else None
    if recording and frames:
        check(recording, frames)


@examples(short=120, full=600)
@given(st.data(), st.sampled_from(FEATURES))
def test_any_clip_is_read_or_refused(
    watch: Watch, tmp_path: Path, data: st.DataObject, features: tuple[str, ...] | None
) -> None:
    (tmp_path / "clip.npz").write_bytes(data.draw(archives(CLIP)))
    recording = watch.attempt(lambda: NpzClipRecording(tmp_path / "clip.npz", features))
    frames = watch.attempt(lambda: list(recording)) if recording else None
    if recording and frames:
        check(recording, frames)


@examples(short=100, full=300)
@given(st.data(), st.booleans())
def test_any_point_archive_is_read_or_refused(watch: Watch, tmp_path: Path, data: st.DataObject, ragged: bool) -> None:
    clouds = np.empty(3, dtype=object)
    clouds[:] = [np.ones((2 + index, 3)) for index in range(3)]
    content = {"point_clouds": clouds if ragged else np.ones((3, 4, 3), np.float32)}
    (tmp_path / "a.npz").write_bytes(data.draw(archives(content)))
    frames = watch.attempt(lambda: read_point_archive(tmp_path / "a.npz", "point_clouds"))
    assert frames is None or all(points.shape == (len(points), 3) for points in frames)
