"""Sampled recordings on disk that were damaged: made again, or refused by a sentence that names the file."""

from collections.abc import Iterable
from functools import partial
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from test_training import SOURCE

from pointata import DataError
from pointata.frame import LabelledFrame
from pointata.preprocessing.sampling import SamplingConfig
from pointata.training.recording_cache import _fingerprint, cached_recordings, load_recording

SAMPLING = SamplingConfig(points=16, scale_m=2.0, point_neighbours=0)


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "partial[object]":
    """A recording; the file `opened` beside its module notes that it was read."""
    (tmp_path / "cache_source.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    return partial(import_module("cache_source").synthetic, 0, str(tmp_path / "opened"))


def test_a_file_that_was_cut_off_is_made_again(source: "partial[object]", tmp_path: Path) -> None:
    (path,) = cached_recordings(tmp_path / "cache", [source], SAMPLING, 1)  # type: ignore[list-item]
    whole = load_recording(path)
    path.write_bytes(path.read_bytes()[:-200])
    assert cached_recordings(tmp_path / "cache", [source], SAMPLING, 1) == [path]  # type: ignore[list-item]
    again = load_recording(path)
    for name, values in vars(whole).items():
        np.testing.assert_equal(vars(again)[name], values)  # also within the labels by task
    assert (tmp_path / "opened").read_text().split() == ["0", "0"]
    assert list((tmp_path / "cache").iterdir()) == [path]


def test_a_file_that_changes_anywhere_below_a_source_is_sampled_anew(tmp_path: Path) -> None:
    deep = tmp_path / "drive" / "velodyne" / "000.bin"
    deep.parent.mkdir(parents=True)
    deep.write_bytes(b"1234")
    sources: list[partial[Iterable[LabelledFrame]]] = [
        partial(frames_of, tmp_path / "drive"), partial(frames_of, (("a", deep),)), partial(frames_of, path=deep)
    ]  # fmt: skip

    def fingerprints() -> list[str]:
        return [_fingerprint(source, SAMPLING, ()) for source in sources]

    before = fingerprints()
    assert fingerprints() == before
    deep.write_bytes(b"12345678")
    assert not set(fingerprints()) & set(before)
    before = fingerprints()
    (deep.parent / "001.bin").write_bytes(b"")
    assert [new == old for new, old in zip(fingerprints(), before, strict=True)] == [False, True, True]


def frames_of(*arguments: object, **named: object) -> Iterable[LabelledFrame]:
    """Stands for a function that reads frames."""
    return []


@pytest.mark.parametrize("damage", ["cut off", "a byte", "an array", "text"])
def test_a_damaged_file_is_a_sentence_that_names_it(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "0123.npz"
    points = np.random.default_rng(0).normal(size=(4, 16, 3)).astype(np.float32)
    np.savez(path, points=points, labels_semantic=np.zeros((4, 16), np.uint8), actions=np.zeros(4, np.int64),
             origins=np.zeros((4, 3)), stamps=np.arange(4.0), features=np.zeros((4, 16, 0), np.float32))  # fmt: skip
    np.testing.assert_array_equal(load_recording(path).points, points)
    content = bytearray(path.read_bytes())
    if damage == "an array":
        np.savez(path, points=points)
    elif damage == "a byte":
        content[400] ^= 0xFF
        path.write_bytes(content)
    else:
        path.write_bytes(content[:-100] if damage == "cut off" else b"no archive")
    with pytest.raises(DataError, match=r"0123\.npz is damaged .*: remove it, it will be made again"):
        load_recording(path)
