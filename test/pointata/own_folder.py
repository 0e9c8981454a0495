"""Folders of own recordings, written by the words of docs/own_recordings.md, for the tests of them."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointata import UNLABELLED
from pointata.data.dataset import Video
from pointata.frame import LabelledFrame

PERIOD_NS = 100_000_000


def arrays(index: int, **others: Any) -> dict[str, Any]:
    """Arrays of a frame of 6 points; `others` replace or, as None, remove."""
    rng = np.random.default_rng(index)
    content = {
        "points": rng.normal(size=(6, 3)).astype(np.float32),
        "stamp_ns": np.int64(10**18 + index * PERIOD_NS),
        "intensity": rng.random(6).astype(np.float32),
        "labels": rng.choice(np.array([0, 1, UNLABELLED], np.uint8), 6),
    }
    return {name: value for name, value in (content | others).items() if value is not None}


def write_folder(folder: Path, frames: int = 5, **others: Any) -> Path:
    folder.mkdir(parents=True)
    for index in range(frames):
        np.savez(folder / f"{index:04}.npz", **arrays(index, **others))
    return folder


def write_clip(file: Path, frames: int = 5, **others: Any) -> dict[str, NDArray[Any]]:
    file.parent.mkdir(parents=True, exist_ok=True)
    content = [arrays(index) for index in range(frames)]
    stacked = {name: np.stack([item[name] for item in content]) for name in content[0]} | others
    stacked = {name: value for name, value in stacked.items() if value is not None}
    np.savez(file, **stacked)
    return stacked


MANIFEST = """\
frame_period_s: 0.1
actions: [sit, {name: wave, color: [1, 2, 3]}]
point_classes: [floor, person]
features: [intensity]
recordings:
  - {path: a, action: sit, subject: ann, split: train}
  - {path: b, action: wave, subject: ann, split: train}
  - path: c.npz
    action:
      - {from: 0.0, to: 0.2, action: wave}
      - {from: 0.3, to: 9, action: sit}
    subject: bob
    split: test
"""


def write_set(root: Path) -> Path:
    """Two folders of frames and a clip, listed in MANIFEST."""
    write_folder(root / "a")
    write_folder(root / "b")
    write_clip(root / "c.npz")
    (root / "manifest.yaml").write_text(MANIFEST)
    return root


def edit(root: Path, *changes: tuple[str, str]) -> Path:
    """Replace pieces of the manifest, each of which must be there once."""
    text = (root / "manifest.yaml").read_text()
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    (root / "manifest.yaml").write_text(text)
    return root


def frames_of(video: Video) -> list[LabelledFrame]:
    return list(video.source())
