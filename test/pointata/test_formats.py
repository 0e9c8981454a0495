"""What can be opened is what the files of `pointata.data.formats` declare; listing it takes none of their libraries."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pointata import DataError
from pointata.data import formats, layout
from pointata.data.open import known_layouts, names_dataset, open_dataset, open_recording

#: A format as somebody would add it, all in one file: a folder of .ply-like text files, one a frame.
NEW = """
from functools import partial
from pathlib import Path

import numpy as np

from pointata.data.dataset import Dataset, Video
from pointata.data.layout import Layout
from pointata.data.recording import IndexedRecording
from pointata.frame import Frame, LabelledFrame


class TextRecording(IndexedRecording):
    def __init__(self, folder: Path, scale: float = 1.0) -> None:
        self.name, self.rate_hz, self._scale = folder.name, 10.0, scale
        self._files = sorted(folder.glob("*.xyz"))

    def __len__(self):
        return len(self._files)

    def _read(self, index):
        return LabelledFrame(Frame.from_points(self._scale * np.loadtxt(self._files[index], ndmin=2)))


def texts(root: Path) -> Dataset:
    videos = tuple(Video(folder.name, partial(TextRecording, folder)) for folder in sorted(root.glob("*/")))
    return Dataset("texts", videos, {}, 0.1)


RECORDING = Layout("xyz", "a folder of text files", TextRecording, lambda spec: any(spec.path.glob("*.xyz")))
DATASET = Layout("xyz", "a folder of such folders", texts)
"""


@pytest.fixture
def new_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The package with one file more; and two recordings of the format."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "xyz.py").write_text(NEW)
    monkeypatch.setattr(formats, "__path__", [*formats.__path__, str(tmp_path / "code")])
    for name in ("a", "b"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(3):
            (tmp_path / "data" / name / f"{number}.xyz").write_text(f"1 2 {number}\n")
    layout._declared.cache_clear()
    yield tmp_path / "data"
    layout._declared.cache_clear()
    sys.modules.pop("pointata.data.formats.xyz", None)


def test_a_new_format_is_one_file(new_format: Path) -> None:
    recording = open_recording(f"{new_format / 'b'}?scale=2")
    assert [item.frame.points.tolist() for item in recording] == [[[2, 4, 2 * number]] for number in range(3)]
    assert [video.name for video in open_dataset(f"xyz:{new_format}").videos] == ["a", "b"]
    assert len(open_recording(f"xyz:{new_format}?video=b")) == 3
    assert names_dataset(f"xyz:{new_format}")
    assert not names_dataset(str(new_format / "a"))
    assert known_layouts().count("\n  xyz: ") == 2
    with pytest.raises(DataError, match=r"unknown option scal; did you mean scale\?; known: scale \(a number, 1\.0"):
        open_recording(new_format / "a", scal=2)


def test_the_list_takes_no_library_of_a_format() -> None:
    heavy = ("torch", "h5py", "rosbags", "open3d", "PIL", "lightning")
    code = (
        "import sys; from pointata.data.open import known_layouts; text = known_layouts(); "
        f"print(text.count('mars'), [name for name in {heavy} if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert shown.split(maxsplit=1)[1].strip() == "[]"
    assert int(shown.split()[0]) >= 2
