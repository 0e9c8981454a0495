"""Manifests with anything in them: as trees of YAML, as text, as bytes."""

import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from fuzzing import Watch, changed, damaged, examples
from hypothesis import given
from hypothesis import strategies as st
from own_folder import MANIFEST, write_set

from pointata.data.dataset import Dataset
from pointata.data.formats.own_recordings import own_recordings
from pointata.data.manifest.manifest import Manifest, read_manifest

TREE = yaml.safe_load(MANIFEST) | {"mirror": {"sit": "wave"}, "name": "mine"}
PIECES = [
    "[" * 50, "[" * 3000, "{a: " * 2000, "- " * 3000, "? ", ": ", "*a", "&a ", "&a [*a]", "!!python/object:os.system ",
    "!a ", "%YAML 9.9\n", "---\n", "...\n", "|\n", ">\n", "'", '"', '"\\U00110000"', '"\\ud800"', '"\\0"', "\t", "\r",
    "\ufeff", "\u2028", "<<: *a\n", "# ", ",", "]", "}", "a: b\n", "~", "null", "1e-320", "1e999", "x" * 5000,
    "~nosuch/x", "&a [x]\n? [*a, *a, *a, *a]\n: b\n",
]  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `write_set`, whose manifest changes from example to example."""
    return write_set(tmp_path_factory.mktemp("set"))


@st.composite
def manifests(draw: st.DrawFn) -> bytes:
    what = draw(st.sampled_from(["tree", "tree", "text", "bytes"]))
    if what == "tree":
        tree: Any = draw(changed(TREE))
        return yaml.safe_dump(tree, allow_unicode=draw(st.booleans())).encode("utf-8", "replace")
    if what == "bytes":
        return draw(damaged(MANIFEST.encode()))
    text = MANIFEST
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(st.sampled_from(PIECES)) + text[at + draw(st.integers(0, 12)) :]
    return text.encode()


def check(read: Manifest) -> None:
    assert 0 < read.frame_period_s < math.inf
    actions = {known.id for known in read.actions}
    for entry in read.entries:
        assert entry.path.exists()
        assert entry.split in ("train", "val", "test")
        assert {action for _, _, action in entry.spans} <= actions
        ends = [time for start, stop, _ in entry.spans for time in (start, stop)]
        assert ends == sorted(ends)
        assert entry.action in actions | {-1}


def check_set(videos: Dataset) -> None:
    assert len({video.name for video in videos.videos}) == len(videos.videos)
    for video in videos.videos:
        assert list(video.source())


@examples(short=250, full=2_000)
@given(content=manifests())
def test_any_manifest_is_read_or_refused(watch: Watch, root: Path, content: bytes) -> None:
    (root / "manifest.yaml").write_bytes(content)
    read = watch.attempt(lambda: read_manifest(root))
    if read is None:
        return
    check(read)
    opened = watch.attempt(lambda: own_recordings(root))
    if opened is not None:
        watch.attempt(lambda: check_set(opened))
